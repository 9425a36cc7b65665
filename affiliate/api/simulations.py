"""What would be: an order typed in, or a past period under terms and rules nobody published."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from affiliate import clock
from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.orders import StepShown
from affiliate.api.programs import TermsChange
from affiliate.api.rules import RuleIn, Word, own
from affiliate.api.shapes import (
    AgencyId,
    Body,
    Instant,
    ListQuery,
    Money,
    MoneyIn,
    Page,
    Pair,
    ProductId,
    ProgramId,
    PromoterId,
    Resource,
    RuleId,
    ShopId,
    SimulationId,
)
from affiliate.attribution import trace
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Shop
from affiliate.commissions import service
from affiliate.commissions.models import Simulation
from affiliate.commissions.service import Draft
from affiliate.commissions.targets import Target
from affiliate.errors import Invalid, NotFound, invalid
from affiliate.orders.facts import Customer, Line, Order
from affiliate.orders.models import Status
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries
from affiliate.programs import service as programs
from affiliate.programs.models import Program

LONGEST = timedelta(days=3 * 366)
SHOWN_MOST = 100  # of each kind of row; the sums count all


class LineIn(Body):
    amount: MoneyIn = Field(description="What is paid for the line, without tax")
    quantity: int = Field(1, ge=1, le=10_000)
    product: ProductId | None = None
    category: Word | None = Field(None, description="Where the product has none")


class DraftIn(Body):
    """What would be different. Rules stand beside those there are, unless these end."""

    terms: TermsChange | None = None
    rules: list[RuleIn] = Field([], max_length=200)
    ended: list[RuleId] = Field([], max_length=1000)


class Period(Body):
    since: Instant = Field(alias="from", description="Of the orders' payment")
    until: Instant = Field(alias="to", description="Up to here, exclusive")


class SimulationIn(Body):
    """Either `lines` with `promoter`, answered at once, or `replay`, which a job works off."""

    promoter: PromoterId | None = Field(None, description="Who would be credited")
    shop: ShopId | None = Field(None, description="None: the program's first")
    lines: list[LineIn] = Field([], max_length=100)
    new_customer: bool | None = None
    coupon: Word | None = None
    content: Word | None = Field(None, description="What carried the link, as links tell it")
    replay: Period | None = None
    draft: DraftIn | None = None


class PaidShown(Resource):
    line: int = Field(description="Counting from 1, in the order they were sent")
    role: str
    payee: PromoterId | None  # null: the platform, or an agency
    agency: AgencyId | None
    base: Money
    rate_ppm: int
    amount: Money


class ByPromoter(Resource):
    promoter: PromoterId
    difference: Money


class ByAgency(Resource):
    agency: AgencyId
    difference: Money


class ByProduct(Resource):
    shop: ShopId
    product: str | None = Field(description="The shop's own id; null: lines of no product")
    difference: Money


class ByRole(Resource):
    role: str
    difference: Money


class ReplayShown(Resource):
    """`paid` is what was booked for the orders looked at so far, `would` what the draft pays."""

    id: SimulationId
    program: ProgramId
    since: Instant = Field(serialization_alias="from")
    until: Instant = Field(serialization_alias="to")
    state: str = Field(description="running, done or failed")
    error: str | None = Field(description="Why the last try failed, until another one worked")
    orders_done: int
    orders_total: int
    paid: list[Money]
    would: list[Money]
    difference: list[Money]
    by_promoter: list[ByPromoter] = Field(description="The largest differences")
    by_agency: list[ByAgency]
    by_product: list[ByProduct]
    by_role: list[ByRole]
    created_at: Instant
    ended_at: Instant | None


class Simulated(Resource):
    pays: list[PaidShown]
    trace: list[StepShown]
    replay: ReplayShown | None


class SimulationQuery(ListQuery):
    program: ProgramId | None = None


@endpoint("POST", "/programs/{program_id}/simulate", needs=Right.RUN_MERCHANT)
def simulate(caller: Caller, program_id: ProgramId, body: SimulationIn) -> Simulated:
    """What an order would pay now and why, or what a past period would have paid under a draft."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id)
    if (body.replay is None) == (not body.lines):
        raise invalid("/lines", "one_of", "Send either lines or replay.")
    draft = _draft(program, body.draft) if body.draft else None
    if body.replay is not None:
        return Simulated(pays=[], trace=[], replay=_begin(caller, program, body.replay, draft))
    return _typed(program, body, draft)


@endpoint("GET", "/simulations", needs=Right.READ_MERCHANT)
def all_simulations(caller: Caller, query: SimulationQuery) -> Page[ReplayShown]:
    """Replays, newest first."""
    merchants = caller.scope(Right.READ_MERCHANT)
    found = sa.select(Simulation).where(within(Simulation.merchant_id, merchants))
    if query.program is not None:
        found = found.where(
            Simulation.merchant_id == query.program[0], Simulation.program_id == query.program[1]
        )
    return paging.page(found, query, by=[Simulation.id], show=show)


@endpoint("GET", "/simulations/{simulation_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, simulation_id: SimulationId) -> ReplayShown:
    """One replay: how far it is, and what it found so far."""
    caller.require(Right.READ_MERCHANT, simulation_id[0])
    return show(service.simulation(*simulation_id))


def _draft(program: Program, sent: DraftIn) -> Draft:
    changes = sent.terms.changes() if sent.terms else {}
    with _below("/draft/terms"):
        offer = programs.would_offer(program, changes)
    rules = []
    for number, each in enumerate(sent.rules):
        with _below(f"/draft/rules/{number}"):
            rules.append(
                programs.would_rule(
                    program,
                    each.target(program.merchant_id),
                    each.stated(program.merchant_id),
                    ceiling=offer.max_total_ppm,
                )
            )
    for number, key in enumerate(sent.ended):
        with _below(f"/draft/ended/{number}"):
            _rule(program, key)
    return Draft(changes, rules, [number for _, number in sent.ended])


@contextmanager
def _below(pointer: str) -> Iterator[None]:
    """Refusals point into the draft."""
    try:
        yield
    except Invalid as refused:
        inner = tuple(replace(each, pointer=f"{pointer}{each.pointer}") for each in refused.errors)
        raise Invalid(refused.message, errors=inner) from None


def _rule(program: Program, key: Pair) -> None:
    try:
        queries.rule(program.merchant_id, program.id, own(program.merchant_id, key, "") or 0)
    except NotFound:
        raise invalid("", "not_found", "This program has no such rule.") from None


def _begin(caller: Caller, program: Program, period: Period, draft: Draft | None) -> ReplayShown:
    if not timedelta(0) < period.until - period.since <= LONGEST:
        raise invalid("/replay/to", "out_of_range", "After `from`, and at most three years later.")
    made = service.begin(
        program, draft or Draft(), since=period.since, until=period.until, by=caller.user_id
    )
    return show(made)


def _typed(program: Program, body: SimulationIn, draft: Draft | None) -> Simulated:
    if body.promoter is None:
        raise invalid("/promoter", "missing", "Who would be credited?")
    if body.promoter not in people.promoters([body.promoter]):
        raise invalid("/promoter", "unknown_promoter", "There is no such promoter here.")
    shop = _shop(program, body.shop)
    order = _order(shop, body)
    found = service.simulate(program, shop, body.promoter, order, draft, content=body.content)
    return Simulated(
        pays=[_paid(each, shop.currency) for each in found.pays],
        trace=[
            StepShown(code=code, args=told, text=trace.sentence([code, told], shop.currency))
            for code, told in found.notes
        ],
        replay=None,
    )


def _shop(program: Program, key: Pair | None) -> Shop:
    merchant_id = program.merchant_id
    shops = {each.id: each for each in catalog.shops(merchant_id, program.shop_ids)}
    wanted = own(merchant_id, key, "/shop")
    found = shops.get(wanted) if wanted is not None else next(iter(shops.values()), None)
    if found is None:
        raise invalid("/shop", "unknown_shop", "The program does not cover this shop.")
    return found


def _order(shop: Shop, body: SimulationIn) -> Order:
    now = clock.now()
    return Order(
        external_id="simulated",
        version=1,
        status=Status.PAID,
        currency=shop.currency,
        placed_at=now,
        paid_at=now,
        customer=Customer(new=body.new_customer),
        coupons=(body.coupon,) if body.coupon else (),
        lines=tuple(_line(shop, number, each) for number, each in enumerate(body.lines, start=1)),
    )


def _line(shop: Shop, number: int, sent: LineIn) -> Line:
    pointer = f"/lines/{number - 1}"
    if sent.amount.currency != shop.currency:
        raise invalid(f"{pointer}/amount", "other_currency", f"This shop sells in {shop.currency}.")
    product_id = own(shop.merchant_id, sent.product, f"{pointer}/product")
    product = None if product_id is None else catalog.product(shop.merchant_id, product_id)
    if product is not None and product.shop_id != shop.id:
        raise invalid(f"{pointer}/product", "another_shop", "Another shop sells this product.")
    return Line(
        external_id=str(number),
        title=product.title if product else "",
        quantity=sent.quantity,
        amount=sent.amount.amount,
        tax=0,
        product_external_id=product.external_id if product else None,
        category=sent.category or (product.category if product else None),
    )


def _paid(target: Target, currency: str) -> PaidShown:
    is_promoter = target.share.payee_kind == "promoter"
    return PaidShown(
        line=int(target.line),
        role=target.share.role,
        payee=target.share.payee_id if is_promoter else None,
        agency=target.share.payee_id if target.share.payee_kind == "agency" else None,
        base=Money.of(target.base, currency),
        rate_ppm=target.ppm,
        amount=Money.of(target.amount, currency),
    )


def show(row: Simulation) -> ReplayShown:
    merchant_id, found = row.merchant_id, row.result
    paid, would = found.get("paid", {}), found.get("would", {})
    by = found.get("by", {})
    return ReplayShown(
        id=(merchant_id, row.id),
        program=(merchant_id, row.program_id),
        since=row.since,
        until=row.until,
        state=row.state,
        error=row.error,
        orders_done=row.orders_done,
        orders_total=row.orders_total,
        paid=[Money.of(paid[each], each) for each in sorted(paid)],
        would=[Money.of(would[each], each) for each in sorted(would)],
        difference=[
            Money.of(would.get(each, 0) - paid.get(each, 0), each)
            for each in sorted({*paid, *would})
        ],
        by_promoter=[
            ByPromoter(promoter=int(key), difference=money)
            for key, money in _largest(by.get("promoter", {}))
        ],
        by_agency=[
            ByAgency(agency=int(key), difference=money)
            for key, money in _largest(by.get("agency", {}))
        ],
        by_product=[
            ByProduct(shop=(merchant_id, int(shop)), product=product or None, difference=money)
            for key, money in _largest(by.get("product", {}))
            for shop, _, product in [key.partition(":")]
        ],
        by_role=[ByRole(role=key, difference=money) for key, money in _largest(by.get("role", {}))],
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


def _largest(sums: Mapping[str, int]) -> list[tuple[str, Money]]:
    """Where most would change; what would stay the same is left out."""
    rows = sorted(sums.items(), key=lambda each: (-abs(each[1]), each[0]))
    found: list[tuple[str, Any]] = []
    for key, amount in rows[:SHOWN_MOST]:
        name, _, currency = key.rpartition("/")
        if amount:
            found.append((name, Money.of(amount, currency)))
    return found
