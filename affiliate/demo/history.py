"""The demo's ninety days, lived through in order: reports of the shops, releases, a settlement.

Everything up to yesterday is one unit of work, so that a start which is broken off leaves nothing;
what the shops sent since then lies in the inbox and is booked as on any other day.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from affiliate import clock
from affiliate.attribution import service as attribution
from affiliate.attribution.models import Attribution
from affiliate.catalog import service as catalog
from affiliate.commissions import service as commissions
from affiliate.commissions import together
from affiliate.commissions.service import Draft, simulating
from affiliate.db import db, unit_of_work
from affiliate.demo import bodies, shopping, story
from affiliate.demo import people as log_ins
from affiliate.demo import town as towns
from affiliate.demo.shopping import Purchase, Visit
from affiliate.demo.town import DAY, HOUR, Town
from affiliate.insight import offers
from affiliate.insight import service as insight
from affiliate.insight import store as clicks
from affiliate.intake import reading
from affiliate.intake import service as intake
from affiliate.intake.platforms import PLATFORMS, Knock
from affiliate.links import spool
from affiliate.money import Money
from affiliate.orders import sales
from affiliate.orders import service as orders
from affiliate.orders.models import Order
from affiliate.orders.queries import Stored
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Payout
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.risk import service as risk
from affiliate.settlement import service as settlements
from affiliate.settlement.models import Settlement

SEED = 20261122
FRESH = 26 * HOUR  # what is younger comes through the inbox
SETTLED = 33 * DAY  # how long ago the settlement was made that is over

Step = tuple[datetime, Callable[[], object]]


def load() -> None:
    """Fill an empty database with the demo. Takes some seconds."""
    rng = random.Random(SEED)  # noqa: S311
    now = clock.now().replace(microsecond=0)
    with unit_of_work(), clock.at(now - towns.DAYS * DAY):
        clicks.make_partitions()  # apart: nobody else adds clicks while it runs
    with unit_of_work():
        town = towns.build(rng, now)
        _live(rng, town)
    for shop in town.shops.values():
        intake.drain(shop.merchant_id, shop.id)
    _count_orders()


def _count_orders() -> None:
    """As jobs do, so that reports and the market are whole from the beginning."""
    more = True
    while more:
        with unit_of_work():
            more = insight.count_orders()
    with unit_of_work():
        for merchant_id in db.session.scalars(sa.select(Merchant.id)).all():
            sales.count(merchant_id)
            together.count(merchant_id)
            offers.count(merchant_id)


def _live(rng: random.Random, town: Town) -> None:
    seen = shopping.visits(rng, town)
    _keep_clicks(seen)
    bought = shopping.purchases(rng, town, seen)
    yesterday = town.now - FRESH
    books = Books(rng, town)
    calendar = [*_reports(town, bought, until=yesterday), *books.calendar()]
    for at, step in sorted(calendar, key=lambda each: each[0]):
        with clock.at(at):
            step()
    _knock(town, bought, since=yesterday)
    with clock.at(town.now - 3 * HOUR):
        _claim(town)
        _wonder(town)
        commissions.close_due(people.merchant(town.merchant_id))


def _claim(town: Town) -> None:
    """The newest order of Brazil that nobody was credited with, and one who says it is hers."""
    shop = town.shops["br"]
    order = db.session.scalars(
        sa.select(Order)
        .join(
            Attribution,
            sa.and_(Attribution.merchant_id == Order.merchant_id, Attribution.order_id == Order.id),
        )
        .where(Order.shop_id == shop.id, Attribution.program_id.is_(None))
        .order_by(Order.placed_at.desc())
        .limit(1)
    ).first()
    if order is not None and order.number is not None:
        promoter = town.promoters[story.CLAIMANT]
        program = town.programs["BR"]
        attribution.claim(program, promoter.id, shop, order.number, story.EVIDENCE)


def _wonder(town: Town) -> None:
    """What the last thirty days would have paid with more for the seller and two levels only."""
    begun = commissions.begin(
        town.programs["BR"],
        Draft(terms=dict(story.WONDERED)),
        since=clock.now() - 30 * DAY,
        until=clock.now(),
    )
    while simulating.work_on(begun.merchant_id, begun.id):
        pass


def _keep_clicks(seen: Sequence[Visit]) -> None:
    """By the click writer's own store, as if they came out of a spool of this name."""
    clicks.claim("demo")
    lines = (spool.encode(visit.click)[:-1] for visit in seen)
    clicks.keep(lines, segment="demo", upto=0)
    clicks.forget("demo")


# --- orders ----------------------------------------------------------------------------------


Told = dict[str, dict[int, bytes]]  # by shop and order


def _reports(town: Town, bought: Sequence[Purchase], *, until: datetime) -> Iterator[Step]:
    """What the shops told of, booked at the end of its span: of each order the last word only,
    which is what a worker makes of many webhooks at once.
    """
    spans: dict[datetime, Told] = {}
    for purchase in bought:
        for at in purchase.told:
            if at <= until:
                span = spans.setdefault(_end(at, until), {key: {} for key in town.shops})
                span[purchase.store.key][purchase.number] = bodies.body(purchase, at)
    return ((end, partial(_book, town, told)) for end, told in spans.items())


def _end(at: datetime, until: datetime) -> datetime:
    """Of the day, or of four days where nobody looks closely: every span costs fifty statements."""
    span = DAY if at > until - 8 * DAY else 4 * DAY
    return until - (until - at) // span * span


def _book(town: Town, told: Told) -> None:
    """What a worker does with the inbox, for all shops of the merchant at once."""
    booked: list[Stored] = []
    for key, contents in told.items():
        shop = town.shops[key]
        platform = PLATFORMS[shop.platform]
        nodes = [reading.load(content) for content in contents.values()]
        if nodes:
            orders.lock(shop.merchant_id, shop.id, [platform.order_key(node) for node in nodes])
            reports = [report for node in nodes for report in platform.read(node)]
            booked += orders.absorb(shop.merchant_id, shop.id, reports)
    commissions.book(town.merchant_id, booked, look=risk.look)
    commissions.release(town.merchant_id, clock.now())


def _knock(town: Town, bought: Sequence[Purchase], *, since: datetime) -> None:
    """Webhooks of the last hours, kept in the inbox at the instant when they came."""
    webhooks = [
        (at, purchase.store.key, bodies.body(purchase, at))
        for purchase in bought
        for at in purchase.told
        if since < at <= town.now
    ]
    webhooks.append((town.now - 5 * HOUR, "mx", _unreadable(bought)))
    for number, (at, key, content) in enumerate(sorted(webhooks)):
        shop = town.shops[key]
        with clock.at(at):
            secret = catalog.webhook_secrets(shop)[0]
            delivery = f"demo-{number:04}"
            headers = bodies.headers(shop.platform, secret, content, delivery, at)
            knock = Knock(headers, content)
            assert PLATFORMS[shop.platform].signed(catalog.keys(shop), knock)
            intake.keep_with_others(shop, knock)


def _unreadable(bought: Sequence[Purchase]) -> bytes:
    """A price with a third decimal: somebody has to look at this one."""
    last = [purchase for purchase in bought if purchase.store.key == "mx"][-1]
    content = bodies.body(last, last.told[-1]).replace(b'"id": "mx', b'"id": "mx-pos-', 1)
    return content.replace(b'"unit_price": "', b'"unit_price": "1499.005", "was": "', 1)


# --- money -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Books:
    """What the people of finance do: a settlement a month ago, and one that waits for approval."""

    rng: random.Random
    town: Town
    made: list[Settlement] = field(default_factory=list)

    def calendar(self) -> list[Step]:
        made = self.town.now - SETTLED
        last = self.town.now - 3 * HOUR
        return [
            (made, partial(self.settle, made - DAY, "月结 · monthly run")),
            (made + 20 * HOUR, self.fund),
            (made + 21 * HOUR, self.approve),
            (made + 22 * HOUR, self.execute),
            (made + 45 * HOUR, self.confirm),
            (made + 6 * DAY, self.send_back),
            (last, partial(self.settle, self.town.now - 4 * DAY, "月结 · monthly run")),
        ]

    @property
    def maker(self) -> int:
        return self.town.desks["maker"].id

    def settle(self, through: datetime, note: str) -> None:
        merchant_id = self.town.merchant_id
        settlement = settlements.create(
            merchant_id, through=through, by=self.maker, note=note, in_background=False
        )
        while settlements.build_chunk(merchant_id, settlement.id, 5000):
            pass
        self.made.append(settlement)

    def fund(self) -> None:
        """The brand sends what it owes, in each of its currencies, rounded up."""
        for currency, sums in sorted(self.made[0].totals.items()):
            amount = -(-sums["gross"] // 100_000) * 100_000
            settlements.record_pay_in(
                self.town.merchant_id,
                Money(amount, currency),
                reference=f"SUBAI-{currency}-{clock.now():%Y%m}",
                by=self.maker,
            )

    def approve(self) -> None:
        first = self.made[0]
        checker = self.town.desks["checker"]
        assert first.hash
        settlements.approve(
            first.merchant_id, first.id, by=checker.id, seen=first.hash, otp=log_ins.code()
        )

    def execute(self) -> None:
        key = (self.town.merchant_id, self.made[0].id)
        settlements.execute(*key, by=self.maker)
        for step in (settlements.submit, settlements.write_files, settlements.close):
            step(*key)

    def confirm(self) -> None:
        """The bank carried all of them out but one."""
        refused = self._of("diego")
        for payout in self._payouts():
            key = (payout.merchant_id, payout.id)
            if payout is refused:
                payouts.mark_failed(*key, by=self.maker, reason="CLABE inexistente")
            else:
                payouts.mark_paid(*key, by=self.maker)

    def send_back(self) -> None:
        """One came back days later; its payee names another account."""
        payout = self._of("camila")
        payouts.mark_returned(
            payout.merchant_id, payout.id, by=self.maker, reason="conta encerrada"
        )
        person = next(each for each in story.PROMOTERS if each.handle == "camila")
        towns.give_account(self.rng, self.town, person)

    def _of(self, handle: str) -> Payout:
        payee = self.town.promoters[handle].id
        return next(each for each in self._payouts() if each.payee_id == payee)

    def _payouts(self) -> Sequence[Payout]:
        first = self.made[0]
        return db.session.scalars(
            sa.select(Payout)
            .filter_by(merchant_id=first.merchant_id, settlement_id=first.id)
            .order_by(Payout.id)
        ).all()
