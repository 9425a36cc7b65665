"""A merchant's life in random steps: orders, edits, refunds, disputes, moves in the tree, changes
of terms and rules, releases, settlements and payouts, on the real database; and what the oracle,
which remembers the same life in plain lists, says every order must have paid.

Hypothesis draws the steps, so a failure comes with the shortest life that shows it.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from affiliate import clock
from affiliate.commissions import service as commissions
from affiliate.db import db, unit_of_work
from affiliate.errors import AffiliateError
from affiliate.ledger.verify import verify
from affiliate.links import token
from affiliate.orders import service as order_service
from affiliate.orders.facts import Customer, Dispute, Line, Order, Refund, RefundLine
from affiliate.orders.models import Status
from affiliate.payouts import service as payouts
from affiliate.people import service as people
from affiliate.people.models import Role
from affiliate.programs import service as programs
from affiliate.programs.book import Scope
from affiliate.programs.service import Stated, Target
from affiliate.settlement import service as settlements
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment
from tests.factories.settlement import (
    a_settlement,
    an_account,
    approved,
    executed,
    payouts_of,
    with_totp,
)
from tests.oracle import oracle

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
PEOPLE = 5
VERIFY_EVERY = 25
PRODUCTS = ("p1", "p2")
rates = st.sampled_from((0, 20_000, 75_000, 120_000, 200_000))
amounts = st.sampled_from((0, 1, 333, 1000, 4999, 10_000, 25_001))
KINDS = ("percent", "percent", "per_unit", "per_order")
people_ = st.integers(0, PEOPLE - 1)


@dataclass
class Dated:
    """Values with the instant from which each holds."""

    values: list[tuple[datetime, object]]

    def at(self, moment: datetime) -> object:
        return [value for since, value in self.values if since <= moment][-1]

    def now(self, value: object) -> None:
        self.values.append((clock.now(), value))


@dataclass
class Remembered:
    """An order as the shop tells it, and what the oracle keeps of it."""

    told: Order
    tokens: list[tuple[int, datetime]]  # whose link, when
    reports: list[Order] = field(default_factory=list)
    credited: list[tuple[set[str] | None, list[int]]] | None = None
    basis: object = None
    first_touch: datetime | None = None
    at: datetime | None = None  # as of when it was frozen


class Life(RuleBasedStateMachine):
    """`settings` of the program differ from life to life; all instants are whole seconds."""

    orders = Bundle("orders")
    steps_of_all = 0

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.savepoint = db.engines[None].begin_nested()  # the whole life is rolled back
        clock._frozen = START

    def teardown(self) -> None:
        clock._frozen = None
        db.session.remove()
        self.savepoint.rollback()

    @initialize(
        target=orders,
        whose=st.lists(people_, min_size=1, max_size=3),
        model=st.sampled_from(("last", "first", "linear")),
        mode=st.sampled_from(("skip", "compress")),
        ceiling=st.sampled_from((1_000_000, 200_000, 120_000)),
        rate=st.sampled_from((20_000, 75_000, 120_000)),
        fee=st.sampled_from((0, 0, 15_000)),
        tiers=st.lists(st.sampled_from((0, 30_000, 50_000)), max_size=2),
        base=st.sampled_from(("net", "gross")),
    )
    def found(self, whose, model, mode, ceiling, rate, fee, tiers, base):
        self.model, self.mode, self.fee, self.base = model, mode, fee, base
        with unit_of_work():
            self.merchant = a_merchant(platform_fee_ppm=fee)
            self.shop = a_shop(self.merchant)
            self.products = {key: a_product(self.shop, external_id=key) for key in PRODUCTS}
            self.program = a_program(
                self.merchant, model=model, inactive_upline=mode, max_total_ppm=ceiling,
                default_rate_ppm=rate, tiers_ppm=tiers, base=base, binding_days=0,
            )  # fmt: skip
            self.people = []
            for number in range(PEOPLE):
                sponsor = self.people[-1] if number in (1, 2, 4) else None
                self.people.append(a_promoter(f"P{number}", sponsor=sponsor))
            self.links = []
            for number, who in enumerate(self.people):
                an_enrolment(self.program, who)
                self.links.append(a_link(self.program, who))
                an_account(
                    who, account_holder="X", bank_code="001", account_number=f"{who.id}-{number}"
                )
            self.maker, self.checker = a_user(), with_totp(a_user(Role.FINANCE_CHECKER))
        self.terms = Dated([(BEGINNING, (rate, ceiling, list(tiers)))])
        self.rules: list[oracle.Rule] = []
        self.stored_rules: dict[int, object] = {}
        self.sponsors = [
            Dated([(BEGINNING, self.people.index(who_above))] if who_above else [(BEGINNING, None)])
            for who_above in (self._above(who) for who in self.people)
        ]
        self.active = [Dated([(BEGINNING, True)]) for _ in self.people]
        self.remembered: dict[str, Remembered] = {}
        self.settlements: list[object] = []
        self.pass_time(60)
        return self.an_order(whose, [(2, 10_000, 0, True, "p1"), (1, 9000, 0, False, "")])

    def _above(self, who):
        return next((each for each in self.people if each.id == who.sponsor_id), None)

    def pass_time(self, seconds: int) -> None:
        clock._frozen = clock._frozen + timedelta(seconds=seconds)

    # --- what shops tell -----------------------------------------------------------------------

    @rule(
        target=orders,
        whose=st.lists(people_, min_size=0, max_size=3),
        lines=st.lists(
            st.tuples(
                st.integers(1, 3), amounts, amounts, st.booleans(), st.sampled_from((*PRODUCTS, ""))
            ),
            min_size=1,
            max_size=3,
        ),
        paid=st.sampled_from((True, True, True, False)),
        discount=st.sampled_from((0, 0, 700)),
        new=st.sampled_from((True, False, None)),
    )
    def an_order(self, whose, lines, paid=True, discount=0, new=None):
        tokens = []
        for person in whose:
            tokens.append((person, clock.now()))
            self.pass_time(30)
        now, key = clock.now(), f"o{len(self.remembered) + 1}"
        told = Order(
            external_id=key,
            version=1,
            status=Status.PAID if paid else Status.PENDING_PAYMENT,
            currency="BRL",
            placed_at=now,
            paid_at=now if paid else None,
            tax_included=True,
            discount=discount,
            customer=Customer(new=new),
            tokens=self._tokens(tokens),
            lines=tuple(
                Line(
                    f"l{number}", "Thing", quantity, amount, discount=min(off, amount) // 3,
                    tax=amount // 7 if taxed else None, product_external_id=product or None,
                )
                for number, (quantity, amount, off, taxed, product) in enumerate(lines)
            ),
            refunds_complete=True,
        )  # fmt: skip
        self.remembered[key] = Remembered(told, tokens)
        self._tell(key)
        return key

    @rule(key=orders, line=st.integers(0, 2), amount=amounts, quantity=st.integers(0, 4))
    def an_edit(self, key, line, amount, quantity):
        told = self.remembered[key].told
        lines = list(told.lines)
        which = line % len(lines)
        lines[which] = replace(
            lines[which], amount=amount, quantity=quantity, discount=0, tax=amount // 11
        )
        self._change(key, lines=tuple(lines))

    @rule(
        key=orders, line=st.integers(0, 2), quantity=st.sampled_from((None, 1, 2)), amount=amounts,
        named=st.booleans(), status=st.sampled_from(("succeeded",) * 4 + ("pending", "failed")),
        shipping=st.sampled_from((0, 0, 200)),
    )  # fmt: skip
    def a_refund(self, key, line, quantity, amount, named, status, shipping):
        told = self.remembered[key].told
        parts = ()
        if named:
            which = told.lines[line % len(told.lines)]
            parts = (RefundLine(which.external_id, quantity, None if quantity else amount),)
        cash = None if named and quantity else amount
        number = f"r{len(told.refunds) + 1}"
        refund = Refund(number, status, amount=cash, shipping=shipping if cash else 0, lines=parts)
        self._change(key, refunds=(*told.refunds, refund))

    @rule(key=orders)
    def a_refund_fails_after_all(self, key):
        told = self.remembered[key].told
        if told.refunds:
            failed = replace(told.refunds[-1], status="failed")
            self._change(key, refunds=(*told.refunds[:-1], failed))

    @rule(key=orders, status=st.sampled_from(("open", "won", "lost")), amount=st.none() | amounts)
    def a_dispute(self, key, status, amount):
        rank = ("open", "won", "lost")
        known = self.remembered[key].told.disputes
        if known and rank.index(status) <= rank.index(known[0].status):
            return  # a dispute only goes forward
        amount = known[0].amount if known else amount
        self._change(key, disputes=(Dispute("d1", status, amount),))

    @rule(key=orders)
    def cancel_or_not(self, key):
        told = self.remembered[key].told
        gone = told.cancelled_at is not None
        self._change(key, cancelled_at=None if gone else clock.now())

    @rule(key=orders)
    def pay_or_not(self, key):
        told = self.remembered[key].told
        paid = told.paid_at is not None
        self._change(
            key,
            paid_at=None if paid else clock.now(),
            status=Status.PENDING_PAYMENT if paid else Status.PAID,
        )

    @rule(key=orders)
    def deliver(self, key):
        self._change(key, delivered_at=clock.now())

    @rule(key=orders, which=st.integers(0, 20))
    def an_old_report_again(self, key, which):
        reports = self.remembered[key].reports
        self._book(reports[which % len(reports)])

    @rule(key=orders, person=people_)
    def a_late_token(self, key, person):
        """Of a click before the order that comes along with a later report."""
        known = self.remembered[key]
        at = known.told.placed_at - timedelta(hours=1)
        known.tokens.append((person, at))
        self._change(key, tokens=self._tokens(known.tokens))

    # --- what the merchant and the operator change ---------------------------------------------

    @rule(rate=rates, tiers=st.lists(st.sampled_from((0, 30_000, 50_000)), max_size=2))
    def other_terms(self, rate, tiers):
        _, ceiling, _ = self.terms.values[-1][1]
        rate = min(rate, ceiling)
        with unit_of_work():
            programs.change_program(
                self.program, {"default_rate_ppm": rate, "tiers_ppm": list(tiers)}
            )
        if self.terms.values[-1][1] != (rate, ceiling, list(tiers)):
            self.terms.now((rate, ceiling, list(tiers)))
        self.pass_time(5)

    @rule(
        scope=st.sampled_from((Scope.PROMOTER, Scope.PRODUCT, Scope.PROGRAM)), person=people_,
        product=st.sampled_from(PRODUCTS), kind=st.sampled_from(KINDS), rate=rates,
        amount=st.sampled_from((1, 150, 900)), new=st.sampled_from((None, True)),
        priority=st.sampled_from((0, 1)),
    )  # fmt: skip
    def a_new_rule(self, scope, person, product, kind, rate, amount, new, priority):
        ceiling = self.terms.values[-1][1][1]
        is_percent = kind == "percent"
        stated = Stated(
            kind=kind,
            rate_ppm=min(rate, ceiling) if is_percent else 0,
            amount=0 if is_percent else amount,
            currency=None if is_percent else "BRL",
            priority=priority,
            conditions={} if new is None else {"new_customer": new},
        )
        target = Target(
            scope,
            promoter_id=self.people[person].id if scope == Scope.PROMOTER else None,
            product_id=self.products[product].id if scope == Scope.PRODUCT else None,
        )
        with unit_of_work():
            made = programs.add_rule(self.program, target, stated)
        self.stored_rules[made.id] = made
        self.rules.append(
            oracle.Rule(
                made.id, clock.now(), str(scope), version=len(self.rules), kind=kind,
                rate=stated.rate_ppm, amount=stated.amount, currency=stated.currency,
                priority=priority, new_customer=new,
                promoter=person if scope == Scope.PROMOTER else None,
                product=product if scope == Scope.PRODUCT else None,
            )
        )  # fmt: skip
        self.pass_time(5)

    @precondition(lambda self: self.rules)
    @rule(which=st.integers(0, 20), rate=rates, end=st.booleans())
    def a_rule_changes(self, which, rate, end):
        key = list(self.stored_rules)[which % len(self.stored_rules)]
        latest = [each for each in self.rules if each.key == key][-1]
        if latest.ended:
            return
        stored, since = self.stored_rules[key], clock.now()
        ceiling = self.terms.values[-1][1][1]
        with unit_of_work():
            if end:
                programs.end_rule(self.program, stored)
            elif latest.kind == "percent":
                programs.change_rule(self.program, stored, {"rate_ppm": min(rate, ceiling)})
            else:
                programs.change_rule(self.program, stored, {"amount": 77})
        changed = replace(latest, since=since, version=len(self.rules), ended=end)
        if not end and latest.kind == "percent":
            changed.rate = min(rate, ceiling)
        elif not end:
            changed.amount = 77
        self.rules.append(changed)
        self.pass_time(5)

    @rule(person=people_, above=st.none() | people_)
    def a_move_in_the_tree(self, person, above):
        with suppress(AffiliateError), unit_of_work():
            people.move_sponsor(
                self.people[person], None if above is None else self.people[above].id
            )
        db.session.refresh(self.people[person])
        found = self._above(self.people[person])
        self.sponsors[person].now(self.people.index(found) if found else None)
        self.pass_time(5)

    @rule(person=people_)
    def stop_or_not(self, person):
        stopped = self.people[person].suspended_at is not None
        with unit_of_work():
            (people.resume if stopped else people.suspend)(self.people[person])
        self.active[person].now(stopped)
        self.pass_time(5)

    # --- money -----------------------------------------------------------------------------------

    @rule(days=st.sampled_from((1, 16, 31)))
    def time_passes_and_money_is_released(self, days):
        self.pass_time(days * 86_400)
        while True:
            with unit_of_work():
                if not commissions.release(self.merchant.id, clock.now()):
                    return

    @rule()
    def a_settlement(self):
        made = a_settlement(self.merchant, self.maker, through=clock.now())
        self.settlements.append(made)

    @precondition(lambda self: self.settlements)
    @rule(end=st.sampled_from(("pay", "pay", "discard", "fail", "return", "leave")))
    def a_settlement_ends(self, end):
        made = self.settlements.pop()
        if end == "discard":
            with unit_of_work():
                settlements.discard(self.merchant.id, made.id, by=self.maker.id)
            return
        approved(made, self.checker)
        executed(made, self.maker)
        for payout in payouts_of(made):
            if payout.state != "accepted":
                continue
            key = (self.merchant.id, payout.id)
            with unit_of_work():
                if end == "fail":
                    payouts.mark_failed(*key, by=self.maker.id, reason="no")
                elif end in ("pay", "return"):
                    payouts.mark_paid(*key, by=self.maker.id)
            if end == "return":
                with unit_of_work():
                    payouts.mark_returned(*key, by=self.maker.id, reason="no")

    # --- what must be so -----------------------------------------------------------------------

    @invariant()
    def every_order_paid_what_the_oracle_says(self):
        if not getattr(self, "remembered", None):
            return
        self.steps += 1
        Life.steps_of_all += 1
        got = self._earned()
        for key, known in self.remembered.items():
            wanted = self._wanted(known)
            assert got.get(key, {}) == wanted, f"{key} after {self.steps} steps"
        if self.steps % VERIFY_EVERY == 0:
            report = verify()
            assert report.ok, report.breaches

    def _earned(self) -> dict[str, dict]:
        rows = db.session.execute(
            sa.text(
                "SELECT o.external_id, l.external_id, c.role, c.payee_id, c.via_id,"
                " sum(e.amount)::bigint"
                " FROM entries e JOIN commissions c"
                "   ON (c.merchant_id, c.id) = (e.merchant_id, e.commission_id)"
                " JOIN orders o ON (o.merchant_id, o.id) = (c.merchant_id, c.order_id)"
                " JOIN order_lines l ON (l.merchant_id, l.id) = (c.merchant_id, c.line_id)"
                " WHERE e.merchant_id = :merchant AND e.state <> 'estimated'"
                " GROUP BY 1, 2, 3, 4, 5 HAVING sum(e.amount) <> 0"
            ),
            {"merchant": self.merchant.id},
        )
        numbers = {who.id: number for number, who in enumerate(self.people)}
        found: dict[str, dict] = {}
        for order, line, role, payee, via, amount in rows:
            who = 0 if role == "platform_fee" else numbers[payee]
            found.setdefault(order, {})[line, role, who, numbers[via]] = amount
        return found

    def _wanted(self, known: Remembered) -> dict:
        if known.told.paid_at is None or not known.credited or known.at is None:
            return {}
        paid = oracle.targets(known.told, self._world(known))
        return {key: amount for key, amount in paid.items() if amount}

    def _world(self, known: Remembered) -> oracle.World:
        _rate, _ceiling, tiers = self.terms.at(known.at)
        everybody = {who for _, people in known.credited for who in people}
        moments = {since for since, _ in self.terms.values[1:]} | {r.since for r in self.rules}
        earlier = sorted(
            at - timedelta(microseconds=1)
            for at in moments
            if known.at - timedelta(days=30) < at <= known.at
        )
        return oracle.World(
            at=known.at,
            terms=[oracle.Terms(since, rate, top) for since, (rate, top, _) in self.terms.values],
            rules=self.rules,
            sellers={
                who: oracle.Seller(who, tiers=self._tiers(who, known.at, tiers), earlier=earlier)
                for who in everybody
            },
            credited=known.credited,
            fee=self.fee,
            gross=self.base == "gross",
        )

    def _tiers(self, who: int, at: datetime, tiers: list[int]):
        above, person = [], self.sponsors[who].at(at)
        while person is not None:
            above.append((person, self.active[person].at(at)))
            person = self.sponsors[person].at(at)
        return oracle.tiers(above, tiers, self.mode)

    def _tokens(self, tokens) -> tuple[str, ...]:
        return tuple(token.make(self.links[who].id, at, b"abc") for who, at in tokens)

    def _change(self, key: str, **facts) -> None:
        known = self.remembered[key]
        known.told = replace(known.told, version=known.told.version + 1, **facts)
        self._tell(key)

    def _tell(self, key: str) -> None:
        known = self.remembered[key]
        known.reports.append(known.told)
        self._credit(known)
        self._book(known.told)
        self.pass_time(5)

    def _credit(self, known: Remembered) -> None:
        """The choice is made anew when its candidates change, until something is released."""
        basis = (sorted(known.told.tokens), known.told.placed_at)
        if known.credited is None or (basis != known.basis and not self._is_released(known)):
            placed = known.told.placed_at
            latest: dict[int, datetime] = {}
            for who, at in known.tokens:
                latest[who] = max(at, latest.get(who, at))
            touches = [
                oracle.Touch(
                    f"link:{self.links[who].code}", "click", at, who, 1, link=self.links[who].id,
                    model=self.model, ok=self.active[who].at(_end_of_second(max(placed, at))),
                )
                for who, at in latest.items()
            ]  # fmt: skip
            before = known.credited
            known.credited, known.basis = oracle.credited(touches, placed, renewal=False), basis
            if known.credited != before:
                known.at, known.first_touch = None, None
            if known.credited:
                winner = known.credited[0][1][0]
                known.first_touch = latest[winner]
        if known.credited and known.told.paid_at is not None and known.at is None:
            moment = _end_of_second(max(known.told.paid_at, known.first_touch))
            known.at = min(moment, max(clock.now(), known.told.placed_at))

    def _is_released(self, known: Remembered) -> bool:
        return bool(
            db.session.scalar(
                sa.text(
                    "SELECT count(*) FROM entries e JOIN orders o"
                    " ON (o.merchant_id, o.id) = (e.merchant_id, e.order_id)"
                    " WHERE e.merchant_id = :merchant AND o.external_id = :key"
                    " AND e.released_at IS NOT NULL"
                ),
                {"merchant": self.merchant.id, "key": known.told.external_id},
            )
        )

    def _book(self, report: Order) -> None:
        with unit_of_work():
            order_service.lock(self.merchant.id, self.shop.id, [report.external_id])
            stored = order_service.absorb(self.merchant.id, self.shop.id, [report])
            commissions.book(self.merchant.id, stored)


def _end_of_second(at: datetime) -> datetime:
    return at.replace(microsecond=999_999)
