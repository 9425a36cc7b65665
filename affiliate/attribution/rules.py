"""Who an order is credited to: a pure function over dated facts (DOMAIN 3).

Everything is judged as of the order's `created_at` (here `placed_at`), never as of now, so the same
facts always give the same choice, however late a webhook comes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from affiliate.orders.facts import Note

TOLERANCE = timedelta(minutes=10)  # clocks of shops and ours differ


When = Callable[[datetime], bool]  # whether something held at an instant


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end); None is open."""

    start: datetime | None
    end: datetime | None

    def covers(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


def moment(at: datetime, touched_at: datetime | None) -> datetime:
    """The instant as of which an order's dated facts are judged.

    Not before its touch, which a shop's slow clock may claim, and at the end of its second, since
    tokens and many shops count whole ones.
    """
    latest = max(at, touched_at) if touched_at else at
    return latest.replace(microsecond=999_999)


@dataclass(frozen=True, slots=True)
class Offer:
    """The program behind a touch, with its terms as of the order."""

    program_id: int
    priority: int
    exclusive: bool  # its people earn by it alone, whatever the priorities
    window: timedelta
    sources: tuple[str, ...]
    model: str  # last, first, linear
    credit: str  # order, product
    shop_ids: tuple[int, ...]  # empty: all
    running: Span


@dataclass(frozen=True, slots=True)
class Touch:
    """Something that can earn credit. `ref` names it in the trace; dates decide, not flags."""

    ref: str
    source: str  # coupon, click, sharer, binding, claim, group
    at: datetime
    promoter_id: int
    link_id: int | None
    offer: Offer
    usable: When  # the link: neither paused nor expired
    member: When  # the promoter took part in the program
    invited: When  # and was named, where the program is for named people only
    suspended: When
    product: str | None = None  # of this shop: what its link leads to
    elsewhere: bool = False  # its link leads to a product of another shop
    content: str | None = None  # what carried its link
    protected: bool = False  # a binding inside its protection days


@dataclass(frozen=True, slots=True)
class Won:
    """The touches that earn the lines of these products, or all other lines (None)."""

    products: frozenset[str] | None
    touches: tuple[Touch, ...]  # one a promoter, the earlier first


@dataclass(frozen=True, slots=True)
class Choice:
    """Without a winner `won` is empty; it has several where products have winners of their own."""

    won: tuple[Won, ...]
    trace: list[Note]

    @property
    def first(self) -> Touch | None:
        return self.won[0].touches[0] if self.won else None


def choose(touches: Sequence[Touch], *, placed_at: datetime, shop_id: int, renewal: bool) -> Choice:
    """The winners among an order's touches, and why each of the others lost.

    An accepted claim stands above everything. Else one program is taken, by its priority and then
    its newest touch; in it the first source of its list that has a touch; in that, by the model.
    """
    trace: list[Note] = []
    standing = []
    for touch in sorted(touches, key=_newest_last):
        reason = _refused(touch, placed_at=placed_at, shop_id=shop_id, renewal=renewal)
        if reason is None:
            standing.append(touch)
        else:
            trace.append((reason, _named(touch)))
    if not standing:
        return Choice((), [*trace, ("no_winner", {})])

    claims = [touch for touch in standing if touch.source == "claim"]
    if claims:
        trace += [("claim_above", _named(touch)) for touch in standing if touch.source != "claim"]
        won: list[Won] = [Won(None, (claims[-1],))]
    else:
        offer, inside = _program(standing, trace)
        won = _by_product(inside, offer, trace)
    told = [*trace, *(note for each in won for note in _told(each))]
    if len(won) > 1:  # a touch may lose for the same reason against several winners
        told = list({repr(note): note for note in told}.values())
    return Choice(tuple(won), told)


def join(
    alone: Choice, opened: Sequence[Won], *, placed_at: datetime, shop_id: int, renewal: bool
) -> Choice:
    """For an order that nothing of its own earns: the winners of the order that opened its group,
    as far as they may earn this one too.
    """
    assert alone.first is None, "its own touch stands above the group"
    trace = alone.trace[:-1]  # that nobody is credited
    won: list[Won] = []
    for each in opened:
        standing = []
        for touch in each.touches:
            reason = _refused(touch, placed_at=placed_at, shop_id=shop_id, renewal=renewal)
            if reason is None:
                standing.append(touch)
            else:
                trace.append((reason, _named(touch)))
        if standing:
            won.append(Won(each.products, tuple(standing)))
    told = [note for each in won for note in _told(each)] or [("no_winner", {})]
    return Choice(tuple(won), list({repr(note): note for note in [*trace, *told]}.values()))


def _program(standing: Sequence[Touch], trace: list[Note]) -> tuple[Offer, list[Touch]]:
    """The program that is taken, as its newest touch saw it, and its touches."""
    best = max(
        standing,
        key=lambda each: (each.offer.exclusive, each.offer.priority, *_newest_last(each)),
    )
    inside = []
    for touch in standing:
        if touch.offer.program_id == best.offer.program_id:
            inside.append(touch)
        else:
            trace.append(("other_program", _named(touch)))
    return inside[-1].offer, inside


def _by_product(inside: list[Touch], offer: Offer, trace: list[Note]) -> list[Won]:
    """With credit by product a link earns its own product; what has no link to it, any touch."""
    if offer.credit != "product":
        return [Won(None, _winners(inside, offer, trace))]
    general = [touch for touch in inside if touch.product is None]
    products = dict.fromkeys(touch.product for touch in inside if touch.product is not None)
    won = [
        Won(
            frozenset({product}),
            _winners([t for t in inside if t.product in (product, None)], offer, trace),
        )
        for product in products
    ]
    if general:
        won.append(Won(None, _winners(general, offer, trace)))
    return won


def _winners(touches: Sequence[Touch], offer: Offer, trace: list[Note]) -> tuple[Touch, ...]:
    order = _source_order(touches, offer)
    rank = {source: place for place, source in enumerate(order)}
    source = min((touch.source for touch in touches), key=lambda each: rank.get(each, len(rank)))
    candidates = []
    for touch in touches:
        if touch.source == source:
            candidates.append(touch)
        else:
            trace.append(("lower_source", _named(touch) | {"by": source}))
    if offer.model == "linear":
        return _one_a_promoter(candidates, trace)
    winner = candidates[0 if offer.model == "first" else -1]
    lost = "later_touch" if offer.model == "first" else "earlier_touch"
    trace += [(lost, _named(touch)) for touch in candidates if touch is not winner]
    return (winner,)


def _source_order(touches: Sequence[Touch], offer: Offer) -> list[str]:
    """The program's list; inside protection days a binding stands before a click."""
    order = list(offer.sources)
    if not {"binding", "click"} <= set(order) or not any(touch.protected for touch in touches):
        return order
    if order.index("binding") > order.index("click"):
        order.remove("binding")
        order.insert(order.index("click"), "binding")
    return order


def _one_a_promoter(candidates: Sequence[Touch], trace: list[Note]) -> tuple[Touch, ...]:
    """Each promoter once, in the order of first touches; the newest is the one that is kept."""
    kept: dict[int, Touch] = {}
    for touch in candidates:
        if touch.promoter_id in kept:
            trace.append(("same_promoter", _named(kept[touch.promoter_id])))
        kept[touch.promoter_id] = touch
    return tuple(kept.values())


def _told(won: Won) -> list[Note]:
    notes = []
    for touch in won.touches:
        about = _named(touch) | {"program": touch.offer.program_id}
        if won.products is not None:
            about["products"] = sorted(won.products)
        code = "won" if len(won.touches) == 1 else "won_part"
        notes.append((code, about if code == "won" else about | {"of": len(won.touches)}))
    return notes


def _newest_last(touch: Touch) -> tuple[datetime, int, str]:
    return (touch.at, touch.link_id or 0, touch.ref)


def _named(touch: Touch) -> dict[str, Any]:
    return {
        "touch": touch.ref,
        "source": touch.source,
        "at": touch.at.isoformat(),
        "promoter": touch.promoter_id,
    }


def _refused(touch: Touch, *, placed_at: datetime, shop_id: int, renewal: bool) -> str | None:
    if touch.source == "claim":
        return None  # a person has decided
    offer = touch.offer
    at = moment(placed_at, touch.at)
    is_bound = touch.source == "binding"  # which has days of its own, and is looked up by them
    checks = (
        (renewal and not is_bound, "renewal_needs_binding"),
        (touch.at > placed_at + TOLERANCE, "touch_after_order"),
        (not is_bound and touch.at < placed_at - offer.window, "outside_window"),
        (bool(offer.shop_ids) and shop_id not in offer.shop_ids, "shop_not_in_program"),
        (not offer.running.covers(at), "program_not_running"),
        # A group brings what its opener was credited by, which was allowed.
        (touch.source not in (*offer.sources, "group"), "source_not_allowed"),
        (not touch.usable(at), "link_not_usable"),
        (not touch.member(at), "not_a_member"),
        (not touch.invited(at), "not_invited"),
        (touch.suspended(at), "suspended"),
        (touch.elsewhere and offer.credit == "product", "product_of_another_shop"),
    )
    return next((reason for failed, reason in checks if failed), None)
