"""Ninety days of visits and purchases, drawn from one seeded source: the same at every start.

Pure: what comes out depends on the seed, the links and the instant called now, and on nothing else.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from affiliate.demo import story
from affiliate.demo.story import Listing, Store
from affiliate.demo.town import DAY, DAYS, HOUR, SIGN_IN, Spot, Town, mailbox, store_of
from affiliate.links import token
from affiliate.links.spool import Click
from affiliate.money import spread

VISITS = 12_000
BUY = 0.046  # of those who visit
MINUTE = timedelta(minutes=1)
RECENT = 50 * MINUTE  # how long ago some promoters had their last visitor
WAITING = "camila"  # hers has not paid yet
CAMPAIGNS = (41, 42, 78, 79)  # days on which everybody posts


@dataclass(frozen=True, slots=True)
class Visit:
    click: Click
    spot: Spot


@dataclass(frozen=True, slots=True)
class Piece:
    listing: Listing
    size: int  # its place in SIZES
    quantity: int


@dataclass(frozen=True, slots=True)
class Returned:
    at: datetime
    quantities: tuple[int, ...]  # by piece


@dataclass(frozen=True, slots=True)
class Purchase:
    """What happens to one order, from beginning to end; `told` says when the shop speaks of it."""

    store: Store
    person: str  # the promoter whose link it was
    placed_at: datetime
    buyer: int
    mail: str
    pieces: tuple[Piece, ...]
    tokens: tuple[str, ...]
    number: int = 0
    discount: int = 0
    test: bool = False
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    arrived_at: datetime | None = None
    cancelled_at: datetime | None = None
    expired_at: datetime | None = None
    returned: Returned | None = None

    @property
    def told(self) -> list[datetime]:
        """When the shop sends a webhook; one that is paid at once is not told of before."""
        at_once = self.paid_at is not None and self.paid_at < self.placed_at + HOUR
        steps = (
            None if at_once else self.placed_at,
            self.paid_at,
            self.shipped_at,
            self.arrived_at,
            self.cancelled_at,
            self.expired_at,
            self.returned and self.returned.at,
        )
        return sorted({each for each in steps if each})

    def as_of(self, at: datetime) -> "Purchase":
        """What the shop knew then."""

        def known(instant: datetime | None) -> datetime | None:
            return instant if instant and instant <= at else None

        return replace(
            self,
            paid_at=known(self.paid_at),
            shipped_at=known(self.shipped_at),
            arrived_at=known(self.arrived_at),
            cancelled_at=known(self.cancelled_at),
            expired_at=known(self.expired_at),
            returned=self.returned if self.returned and self.returned.at <= at else None,
        )

    @property
    def amounts(self) -> list[int]:
        return [each.listing.price * each.quantity for each in self.pieces]

    @property
    def discounts(self) -> list[int]:
        """The order's discount, as it falls on its pieces."""
        return spread(self.discount, self.amounts)

    @property
    def paid(self) -> list[int]:
        return [a - d for a, d in zip(self.amounts, self.discounts, strict=True)]

    @property
    def given_back(self) -> list[int]:
        """What was paid for the pieces that came back."""
        if self.returned is None:
            return [0 for _ in self.pieces]
        return [
            paid - paid * (piece.quantity - gone) // piece.quantity
            for paid, piece, gone in zip(
                self.paid, self.pieces, self.returned.quantities, strict=True
            )
        ]


def visits(rng: random.Random, town: Town) -> list[Visit]:
    """More of them towards the present, at the end of each week, and where more people follow."""
    days = [_bustle(day) for day in range(DAYS)]
    fresh = (*SIGN_IN, WAITING)
    chosen = rng.choices(town.spots, [spot.reach for spot in town.spots], k=VISITS - len(fresh))
    found = [_visit(rng, spot, _when(rng, town, days, spot)) for spot in chosen]
    found += [_visit(rng, _front(town, each), town.now - RECENT) for each in fresh]
    return sorted(found, key=lambda visit: visit.click.at)


def _bustle(day: int) -> float:
    weekend = 1.4 if day % 7 in (4, 5) else 1.0
    return (1 + day / 60) * weekend * (2.0 if day in CAMPAIGNS else 1.0)


def _when(rng: random.Random, town: Town, days: Sequence[float], spot: Spot) -> datetime:
    while True:
        (day,) = rng.choices(range(DAYS), days)
        at = town.day(day + rng.random()).replace(microsecond=0)
        if spot.since <= at < spot.until:
            return at


def _front(town: Town, handle: str) -> Spot:
    """The first link of a promoter."""
    return next(spot for spot in town.spots if spot.person.handle == handle)


def _visit(rng: random.Random, spot: Spot, at: datetime) -> Visit:
    country = spot.person.country
    click = Click(
        id=rng.randbytes(16),
        at=at,
        link_id=spot.link_id,
        ip=f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{rng.randrange(1, 255)}",
        user_agent=rng.choice(story.AGENTS[country]),
        referrer=story.REFERRERS[country][spot.channel],
        scanned=rng.random() < 0.06,
    )
    return Visit(click, spot)


def purchases(rng: random.Random, town: Town, seen: Sequence[Visit]) -> list[Purchase]:
    """What became of the visits, in the sequence in which it was ordered, with some oddities."""
    drawn = [_purchase(rng, visit, _hesitation(rng)) for visit in seen if rng.random() < BUY]
    drawn += [_purchase(rng, visit, after) for visit, after in _stragglers(seen)]
    drawn += [_just_now(rng, visit) for visit in seen if visit.click.at == town.now - RECENT]
    placed = [each for each in drawn if each.placed_at < town.now - 5 * MINUTE]
    placed.sort(key=lambda each: each.placed_at)
    return list(_numbered(_odd(town, placed)))


def _stragglers(seen: Sequence[Visit]) -> Iterator[tuple[Visit, timedelta]]:
    """Two bought when the program's window was over, one when the promoter had been stopped."""
    yield seen[150], 34 * DAY
    yield seen[900], 41 * DAY
    stopped = [visit for visit in seen if visit.spot.person.handle == story.SUSPENDED[0]]
    yield stopped[-1], 3 * DAY


def _just_now(rng: random.Random, visit: Visit) -> Purchase:
    """So that whoever signs in has earned something today, or hopes to."""
    bought = _purchase(rng, visit, 20 * MINUTE)
    if bought.person == WAITING:
        return _forgotten(bought)
    return replace(bought, paid_at=bought.placed_at + 2 * MINUTE, expired_at=None)


def _purchase(rng: random.Random, visit: Visit, after: timedelta) -> Purchase:
    store = store_of(visit.spot.person)
    buyer = rng.randrange(900)
    bought = Purchase(
        store=store,
        person=visit.spot.person.handle,
        placed_at=visit.click.at + after,
        buyer=buyer,
        mail=mailbox(f"buyer{buyer}"),
        pieces=_pieces(rng, store, visit.spot.garment),
        tokens=(tk(visit.click.link_id, visit.click.at, visit.click.id),),
    )
    if rng.random() < 0.15:
        tenth = sum(bought.amounts) // 10
        bought = replace(bought, discount=tenth - tenth % 100)
    return _with_fate(rng, bought)


def tk(link_id: int, at: datetime, click_id: bytes) -> str:
    """What the redirect gave to the shop."""
    return token.make(link_id, at, click_id[: token.NONCE_BYTES])


def _hesitation(rng: random.Random) -> timedelta:
    """Most buy at once, some sleep on it, a few come back after weeks."""
    mood = rng.random()
    if mood < 0.7:
        return rng.randrange(4, 90) * MINUTE
    if mood < 0.95:
        return rng.randrange(60, 48 * 60) * MINUTE
    return rng.randrange(2 * 24, 28 * 24) * HOUR


def _pieces(rng: random.Random, store: Store, wanted: str | None) -> tuple[Piece, ...]:
    listings = [each for each in store.listings if each.garment == wanted and rng.random() < 0.8]
    count = rng.choices((1, 2, 3), (64, 28, 8))[0]
    while len(listings) < count:
        other = rng.choice(store.listings)
        if other not in listings:
            listings.append(other)
    return tuple(Piece(each, rng.randrange(3), 1 + (rng.random() < 0.12)) for each in listings)


def _with_fate(rng: random.Random, bought: Purchase) -> Purchase:
    """Paid or forgotten, cancelled or sent, kept or sent back."""
    fate, pause = rng.random(), rng.randrange(1, 6) * MINUTE
    if fate < 0.03:
        return _forgotten(bought)
    if fate < 0.12:
        pause = rng.randrange(60, 20 * 60) * MINUTE
    bought = replace(bought, paid_at=bought.placed_at + pause)
    assert bought.paid_at
    if fate > 0.97:
        return replace(bought, cancelled_at=bought.paid_at + rng.randrange(1, 20) * HOUR)
    shipped = bought.paid_at + rng.randrange(4, 40) * HOUR
    arrived = shipped + rng.randrange(20, 150) * HOUR
    bought = replace(bought, shipped_at=shipped, arrived_at=arrived)
    if 0.12 < fate < 0.22:
        gone = tuple(each.quantity for each in bought.pieces)
        if fate < 0.17:  # one garment of several, or one piece of two
            gone = (1, *(0 for _ in bought.pieces[1:]))
        at = arrived + rng.randrange(10, 12 * 24) * HOUR
        bought = replace(bought, returned=Returned(at, gone))
    return bought


def _forgotten(bought: Purchase) -> Purchase:
    """Not paid within a day: the shop lets it go."""
    given_up = bought.placed_at + DAY
    return replace(
        bought, paid_at=None, shipped_at=None, arrived_at=None, returned=None,
        cancelled_at=given_up, expired_at=given_up,
    )  # fmt: skip


def _odd(town: Town, placed: list[Purchase]) -> list[Purchase]:
    """What every real shop has too, each told in the trace of its order."""
    of = {store.key: _places(placed, store.key) for store in story.STORES}
    for place in (of["cn"][30], of["br"][12]):
        placed[place] = replace(placed[place], test=True)
    for place in (of["cn"][55], of["cn"][140], of["br"][60]):
        own = town.promoters[placed[place].person].email
        assert own
        placed[place] = replace(placed[place], mail=own)
    for place in of["mx"][20], of["cn"][90]:
        forged = placed[place].tokens[0]
        end = "A" if forged[-1] != "A" else "B"
        placed[place] = replace(placed[place], tokens=(forged[:-1] + end,))
    for place in range(17, len(placed), 25):
        placed[place] = replace(placed[place], tokens=())
    for place in range(9, len(placed), 20):
        placed[place] = _with_rival(town, placed[place])
    return placed


def _places(placed: Iterable[Purchase], key: str) -> list[int]:
    return [place for place, each in enumerate(placed) if each.store.key == key]


def _with_rival(town: Town, bought: Purchase) -> Purchase:
    """Somebody else's link was followed three days before."""
    rivals = [
        spot
        for spot in town.spots
        if spot.person.country == bought.store.country
        and spot.person.handle != bought.person
        and spot.since < bought.placed_at - 4 * DAY < spot.until
    ]
    if not rivals:
        return bought
    rival = rivals[len(bought.mail) % len(rivals)]
    earlier = tk(rival.link_id, bought.placed_at - 3 * DAY, bytes(16))
    return replace(bought, tokens=(earlier, *bought.tokens))


def _numbered(placed: Iterable[Purchase]) -> Iterator[Purchase]:
    """Each shop counts its own orders."""
    counts = dict.fromkeys((store.key for store in story.STORES), 1000)
    for bought in placed:
        counts[bought.store.key] += 1
        yield replace(bought, number=counts[bought.store.key])
