"""Random orders, rule books and touches from a seed, for the engine and for the oracle."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from affiliate.attribution import rules as choosing
from affiliate.commissions import rules
from affiliate.commissions.rules import Share
from affiliate.commissions.targets import Credited, Frozen, Seller, targets
from affiliate.orders.facts import Customer, Dispute, Line, Order, Refund, RefundLine
from affiliate.orders.models import Status
from affiliate.programs import book
from affiliate.programs.agencies import AgencyRate
from affiliate.programs.grades import Band, Figures
from tests.oracle import oracle

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SHOP = 7
AGENCY = 77
PRODUCTS = ("p1", "p2", "p3")
CATEGORIES = ("Shirts", "shoes ", None)
COUPONS = ("ANA10", "summer")
CONTENTS = ("Note", "live", None)


def an_order(random: Random) -> Order:
    """A paid order with whatever shops do to it."""
    on_top = random.random() < 0.25
    lines = tuple(_line(random, f"l{number}", on_top) for number in range(1, random.randint(2, 5)))
    discounts = random.random() < 0.4
    facts = {
        "discount": random.randint(0, 3000) if discounts else 0,
        "order_tax": random.randint(0, 900) if random.random() < 0.1 and not on_top else None,
        "cancelled_at": NOON if random.random() < 0.05 else None,
        "refunded_fully": random.random() < 0.03,
        "coupons": tuple(random.sample(COUPONS, random.randint(0, 2))),
        "customer": Customer(new=random.choice((True, False, None))),
    }
    return Order(
        external_id="1001",
        version=1,
        status=Status.PAID,
        currency=random.choice(("BRL", "BRL", "USD")),
        placed_at=NOON,
        paid_at=NOON,
        tax_included=not on_top and random.random() < 0.7,
        lines=lines,
        refunds=tuple(_refund(random, f"r{n}", lines) for n in range(random.randint(0, 3))),
        disputes=tuple(_dispute(random, f"d{n}") for n in range(random.random() < 0.15)),
        **facts,
    )


def _line(random: Random, key: str, on_top: bool) -> Line:
    quantity = random.choice((0, 1, 1, 1, 2, 3, 7))
    amount = random.choice((0, 1, 100, 999, 3333, 9999, 19990)) * max(1, quantity)
    return Line(
        external_id=key,
        title="Thing",
        quantity=quantity,
        amount=amount,
        discount=random.choice((0, 0, 0, amount // 10, amount // 3, amount + 5)),
        order_discount=None,
        tax=random.choice((None, amount // 6, amount // 11)) if not on_top else amount // 8,
        kind=random.choice(("product",) * 8 + ("gift_card", "tip")),
        product_external_id=random.choice((*PRODUCTS, None)),
        category=random.choice(CATEGORIES),
        removed=random.random() < 0.05,
    )


def _refund(random: Random, key: str, lines: tuple[Line, ...]) -> Refund:
    named = random.sample(lines, random.randint(0, min(2, len(lines))))
    parts = tuple(
        RefundLine(
            line.external_id if random.random() < 0.95 else "unknown",
            quantity=random.choice((None, 1, line.quantity)),
            amount=random.choice(
                (None, line.amount // 2, line.amount, line.amount - 1, line.amount + 7)
            ),
            tax=random.choice((None, None, line.amount // 9)),
        )
        for line in named
    )
    named_sum = sum(part.amount or 0 for part in parts)
    return Refund(
        external_id=key,
        status=random.choice(("succeeded",) * 5 + ("pending", "failed")),
        amount=random.choice((None, 0, 1, named_sum, named_sum + 500, named_sum + 5000, 90000)),
        shipping=random.choice((0, 0, 300)),
        lines=parts,
    )


def _dispute(random: Random, key: str) -> Dispute:
    status = random.choice(("open", "won", "lost", "lost"))
    return Dispute(key, status, amount=random.choice((None, 700, 8000)))


def a_world(random: Random, order: Order) -> oracle.World:
    sellers = {}
    for who in (1, 2, 3):
        tiers = random.sample((11, 12, 13), random.randint(0, 2))
        sellers[who] = oracle.Seller(
            who,
            role=random.choice(("direct", "direct", "direct", "rebate")),
            tiers=[
                (f"tier_{level}", above, random.choice((1000, 20_000, 50_000, 333_333)))
                for level, above in enumerate(tiers, start=2)
            ],
            groups=set(random.sample((1, 2), random.randint(0, 2))),
            content=random.choice(CONTENTS),
            earlier=random.sample((NOON - 10 * DAY, NOON - 5 * DAY), random.randint(0, 2)),
            grade=random.choice((1, 2, None)),
            orders=random.choice((0, 4, 5, 9, 10)),
            agency=random.choice((None, None, AGENCY)),
        )
    return oracle.World(
        at=NOON,
        terms=[
            _terms(random, BEGINNING),
            *(_terms(random, NOON - days * DAY) for days in random.sample((7, 2), 1)),
        ],
        rules=_rules(random, order),
        sellers=sellers,
        credited=_credited(random),
        fee=random.choice((0, 0, 10_000)),
        gross=random.random() < 0.2,
        agency=_agency(random),
    )


def _agency(random: Random) -> list[oracle.AgencyRate]:
    """One rate of each kind at most, some stated anew or ended."""
    found = []
    subjects = [(who, what) for who in (None, 1) for what in (None, PRODUCTS[0])]
    for key, (who, what) in enumerate(random.sample(subjects, random.randint(0, 4)), start=1):
        found += [
            oracle.AgencyRate(
                key,
                NOON - (30 - 29 * version) * DAY,
                random.random() < 0.5,
                random.choice((0, 20_000, 150_000, 500_000)),
                version == 1 and random.random() < 0.4,
                who,
                what,
            )
            for version in range(random.choice((1, 1, 2)))
        ]
    return found


def _terms(random: Random, since: datetime) -> oracle.Terms:
    ceiling = random.choice((1_000_000, 1_000_000, 250_000, 60_000))
    return oracle.Terms(since, min(ceiling, random.choice((50_000, 120_000, 200_000))), ceiling)


def _credited(random: Random) -> list[tuple[set[str] | None, list[int]]]:
    people = random.sample((1, 2, 3), random.choice((1, 1, 1, 2, 3)))
    if random.random() < 0.7:
        return [(None, people)]
    found: list[tuple[set[str] | None, list[int]]] = [({random.choice(PRODUCTS)}, people)]
    if random.random() < 0.5:
        found.append((None, [random.choice((1, 2, 3))]))
    return found


def _rules(random: Random, order: Order) -> list[oracle.Rule]:
    found = []
    for key in range(1, random.randint(1, 6)):
        target = random.choice(
            (
                ("promoter_product", {"promoter": 1, "product": random.choice(PRODUCTS)}),
                ("promoter", {"promoter": random.choice((1, 2, 3))}),
                ("group_product", {"group": 1, "product": random.choice(PRODUCTS)}),
                ("product", {"product": random.choice(PRODUCTS)}),
                ("category", {"category": random.choice(("shirts", "shoes"))}),
                ("group", {"group": random.choice((1, 2))}),
                ("program", {}),
            )
        )
        since = NOON - random.choice((400, 9, 3)) * DAY
        found += [
            _version(random, key, version, since + version * 2 * DAY, *target)
            for version in range(random.choice((1, 1, 2)))
        ]
        if found[-1].least is not None and random.random() < 0.5:
            goods = zip(order.lines, oracle.paid_of(order), strict=True)
            exactly = sum(paid for line, paid in goods if line.kind == "product")
            found[-1].least = (exactly, order.currency)
    return found


def _version(
    random: Random, key: int, number: int, since: datetime, scope: str, target: dict
) -> oracle.Rule:
    kind = random.choice(("percent", "percent", "percent", "per_unit", "per_order"))
    rule = oracle.Rule(
        key, since, scope, version=key * 10 + number, kind=kind,
        priority=random.choice((0, 0, 1)), ended=number > 0 and random.random() < 0.3, **target,
    )  # fmt: skip
    if kind == "percent":
        rule.rate = random.choice((0, 30_000, 150_000, 400_000, 1_000_000))
    else:
        rule.amount, rule.currency = random.choice((1, 150, 5000)), random.choice(("BRL", "USD"))
    condition = random.randrange(10)
    if condition == 0:
        rule.new_customer = random.choice((True, False))
    elif condition == 1:
        rule.least = (random.choice((100, 999, 1099, 9999, 19990)), "BRL")
    elif condition == 2:
        rule.coupon = random.choice(("ana10", "summer", "*"))
    elif condition == 3:
        rule.begins, rule.ends = NOON - DAY, NOON + random.choice((-1, 1)) * timedelta(hours=1)
    elif condition == 4:
        rule.content = random.choice(("note", "live"))
    elif condition == 5:
        rule.grade = random.choice((1, 2))
    elif condition == 6:
        rule.band = random.choice(((5, None), (0, 5), (5, 10)))
    return rule


# --- the engine's own shapes ------------------------------------------------------------------


def engine_targets(order: Order, world: oracle.World):
    """What the engine says of the same case, in the oracle's words; and its trace."""
    found, notes = targets(
        order,
        [
            Credited(None if products is None else frozenset(products), tuple(people))
            for products, people in world.credited
        ],
        frozen_of(world),
        book_of(world),
        shop_id=SHOP,
    )
    return {
        (each.line, each.share.role, each.share.payee_id, each.via_id): each.amount
        for each in found
    }, notes


def frozen_of(world: oracle.World) -> Frozen:
    return Frozen(
        at=world.at,
        terms_id=1,
        base="gross" if world.gross else "net",
        hold_days=15,
        hold_fallback_days=15,
        platform_fee_ppm=world.fee,
        sellers={
            each.promoter: Seller(
                each.promoter,
                each.role,
                tuple(Share(role, "promoter", who, ppm) for role, who, ppm in each.tiers),
                (),
                tuple(sorted(each.groups)),
                each.content,
                tuple(each.earlier),
                each.grade,
                each.grade and f"Grade {each.grade}",
                {"month": Figures(orders=each.orders)},
                each.agency,
            )
            for each in world.sellers.values()
        },
        categories={},
    )


def book_of(world: oracle.World) -> book.Book:
    return book.Book(
        [book.Terms(each.since, each.rate, each.ceiling) for each in world.terms],
        [_engine_rule(each) for each in sorted(world.rules, key=lambda each: each.since)],
        [
            AgencyRate(
                each.key,
                number,
                AGENCY,
                each.since,
                "difference" if each.difference else "own",
                each.rate,
                each.ended,
                each.promoter,
                (SHOP, each.product) if each.product else None,
            )
            for number, each in enumerate(sorted(world.agency, key=lambda each: each.since))
        ],
    )


def _engine_rule(each: oracle.Rule) -> book.Rule:
    return book.Rule(
        rule_id=each.key,
        version_id=each.version,
        scope=each.scope,
        effective_from=each.since,
        kind=each.kind,
        rate_ppm=each.rate,
        amount=each.amount,
        currency=each.currency,
        priority=each.priority,
        ended=each.ended,
        promoter_id=each.promoter,
        group_id=each.group,
        product=(SHOP, each.product) if each.product else None,
        category=each.category,
        conditions=book.Conditions(
            new_customer=each.new_customer,
            min_order_amount=each.least and each.least[0],
            currency=each.least and each.least[1],
            since=each.begins,
            until=each.ends,
            contents=(each.content,) if each.content else (),
            coupon=each.coupon,
            grades=(each.grade,) if each.grade else (),
            volume=Band("orders", "month", *each.band) if each.band else None,
        ),
    )


@dataclass
class Choosing:
    touches: list[oracle.Touch]
    renewal: bool


def a_choice(random: Random) -> Choosing:
    programs = [_program(random, number) for number in (1, 2)]
    touches = []
    for number in range(random.randint(0, 5)):
        program = random.choice(programs)
        source = random.choice(("click", "click", "click", "coupon", "binding", "sharer", "claim"))
        before = random.choice((0, 1, 5, 5, 29, 30, 31)) * DAY
        if source in ("coupon", "sharer", "claim"):
            before = timedelta(0)
        if source == "claim" and random.random() < 0.7:
            source = "click"
        touches.append(
            oracle.Touch(
                f"t{number}",
                source,
                NOON - before + random.choice((0, 0, 5, 11)) * timedelta(minutes=1),
                promoter=random.choice((1, 2, 3)),
                link=number if source == "click" else 0,
                product=random.choice((*PRODUCTS[:2], None)) if source == "click" else None,
                protected=source == "binding" and random.random() < 0.5,
                ok=random.random() < 0.85,
                **program,
            )
        )
    return Choosing(touches, random.random() < 0.1)


def _program(random: Random, number: int) -> dict:
    sources = random.sample(("coupon", "click", "sharer", "binding"), random.choice((4, 4, 3)))
    return {
        "program": number,
        "priority": random.choice((0, 0, 1)),
        "exclusive": random.random() < 0.1,
        "sources": tuple(sources),
        "model": random.choice(("last", "last", "first", "linear")),
        "credit": random.choice(("order", "order", "product")),
    }


def engine_choice(case: Choosing) -> list[tuple[set[str] | None, list[int]]]:
    found = choosing.choose(
        [_engine_touch(each) for each in case.touches],
        placed_at=NOON,
        shop_id=SHOP,
        renewal=case.renewal,
    )
    return _winners(found)


def a_joining(random: Random) -> Choosing:
    """Those credited with an opener, all at its instant."""
    program = _program(random, 1)
    at = NOON - random.choice((0, 0, 1, 29, 30, 31)) * DAY
    touches = [
        oracle.Touch("order:1", "group", at, promoter=number, ok=random.random() < 0.8, **program)
        for number in range(random.randint(1, 3))
    ]
    return Choosing(touches, random.random() < 0.1)


def parts(random: Random, case: Choosing) -> list[tuple[set[str] | None, list[oracle.Touch]]]:
    """All of the opener to all of them, or a product to each."""
    if random.random() < 0.6:
        return [(None, case.touches)]
    names = ({"p1"}, {"p2"}, None)
    return [(products, [each]) for products, each in zip(names, case.touches, strict=False)]


def engine_joined(case: Choosing, opened) -> list[tuple[set[str] | None, list[int]]]:
    nothing = choosing.choose((), placed_at=NOON, shop_id=SHOP, renewal=case.renewal)
    won = [
        choosing.Won(
            None if products is None else frozenset(products), tuple(map(_engine_touch, touches))
        )
        for products, touches in opened
    ]
    return _winners(choosing.join(nothing, won, placed_at=NOON, shop_id=SHOP, renewal=case.renewal))


def _winners(found: choosing.Choice) -> list[tuple[set[str] | None, list[int]]]:
    return [
        (None if won.products is None else set(won.products), [t.promoter_id for t in won.touches])
        for won in found.won
    ]


def _engine_touch(each: oracle.Touch) -> choosing.Touch:
    yes = choosing.Span(None, None).covers
    return choosing.Touch(
        ref=each.ref,
        source=each.source,
        at=each.at,
        promoter_id=each.promoter,
        link_id=each.link or None,
        offer=choosing.Offer(
            program_id=each.program,
            priority=each.priority,
            exclusive=each.exclusive,
            window=each.window,
            sources=each.sources,
            model=each.model,
            credit=each.credit,
            shop_ids=(),
            running=choosing.Span(None, None),
        ),
        usable=yes if each.ok else lambda _: False,
        member=yes,
        invited=yes,
        suspended=lambda _: False,
        product=each.product,
        protected=each.protected,
    )


def some_steps(random: Random) -> dict[str, tuple]:
    """Arguments for functions that engine and oracle both have."""
    above = [(who, random.random() < 0.6) for who in range(10, 10 + random.randint(0, 5))]
    rates = [random.choice((0, 10_000, 50_000)) for _ in range(random.randint(0, 3))]
    delivered = random.choice((None, NOON - DAY, NOON + 3 * DAY))
    pending, settled = random.choice((0, 0, 5, 200)), random.choice((-3, 0, 0, 70, 1000))
    return {
        "tiers": (above, rates, random.choice(("skip", "compress"))),
        "hold": (NOON, delivered, random.randint(0, 30), random.randint(0, 30)),
        "entries": (random.choice((0, 1, 5, 70, 300, 2000)), pending, settled),
    }


def engine_tiers(above, rates, mode):
    found = rules.tier_shares(
        [rules.Upline(who, is_active) for who, is_active in above], rates, inactive_upline=mode
    )
    return [(each.role, each.payee_id, each.ppm) for each in found]


def engine_hold(paid, delivered, days, fallback):
    return rules.hold_until(
        paid_at=paid, delivered_at=delivered, hold_days=days, hold_fallback_days=fallback
    )


def engine_entries(target, pending, settled):
    return [
        (each.amount, str(each.state))
        for each in rules.moves(target, pending=pending, settled=settled)
    ]
