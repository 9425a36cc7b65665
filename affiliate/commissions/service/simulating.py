"""What would be: an order typed in, or a past period under draft terms and rules.

Both ask the engine itself (`freeze` and `targets`); nothing here computes money.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import clock, jobs
from affiliate.attribution import service as attribution
from affiliate.attribution.models import Attribution
from affiliate.attribution.service import Credit
from affiliate.catalog.models import Shop
from affiliate.commissions.models import Simulation
from affiliate.commissions.service.booking import targets_of
from affiliate.commissions.service.capping import Caps, Room
from affiliate.commissions.service.freezing import freeze
from affiliate.commissions.service.standing import key_of
from affiliate.commissions.targets import Target
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.orders import queries as orders
from affiliate.orders.facts import Note, Order
from affiliate.orders.models import Order as OrderRow
from affiliate.orders.queries import Stored
from affiliate.programs import queries as programs
from affiliate.programs.book import Book, Rule
from affiliate.programs.book import Terms as BookTerms
from affiliate.programs.models import BEGINNING, Program, Terms
from affiliate.programs.rules import OFFER_FIELDS
from affiliate.programs.service import offer_of

CHUNK = 1000
TRIES = 5  # that fail at the same place, one after the other


@dataclass(frozen=True, slots=True)
class Draft:
    """Terms and rules that are not published: what of the terms would be different, rules that
    would stand beside those there are, and those that would not count any more.
    """

    terms: Mapping[str, Any] = field(default_factory=dict)  # as in programs.rules.Offer
    rules: Sequence[Mapping[str, Any]] = ()  # as `programs.service.would_rule` gives them
    ended: Sequence[int] = ()

    def as_json(self) -> dict[str, Any]:
        return {"terms": self.terms, "rules": self.rules, "ended": self.ended}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an order would pay, how that came about, and what it would leave of the month's caps."""

    pays: list[Target]
    notes: list[Note]
    rooms: list[Room]


def simulate(
    program: Program,
    shop: Shop,
    promoter_id: int,
    order: Order,
    draft: Draft | None = None,
    *,
    content: str | None = None,
) -> Outcome:
    """What this order would pay now, to whom, and why. `content` carried the link."""
    merchant_id = program.merchant_id
    by = [{"promoter": promoter_id, "link": None, "source": "click", "content": content,
           "at": clock.now().isoformat(), "self": False}]  # fmt: skip
    credit = Credit(0, "", program_id=program.id, promoter_id=promoter_id)
    credit.credited = [{"products": None, "by": by}]
    lines = {line.external_id: number for number, line in enumerate(order.lines)}
    stored = Stored(0, merchant_id, shop.id, order, lines)
    book, terms = _draft(program, draft) if draft else (_book(program), None)
    books = {program.id: book}
    frozen = freeze(merchant_id, [stored], {0: credit}, books, draft=terms, closes=False)[0]
    pays, notes = targets_of(stored, credit, frozen, books)
    caps = Caps(merchant_id, {program.id})
    caps.look(stored, credit, frozen, pays)
    granted = caps.grant(stored, credit, frozen, pays, {})
    left = [
        replace(each, amount=granted.amounts.get(key_of(stored, each), each.amount))
        for each in pays
    ]
    return Outcome(left, [*notes, *granted.notes], caps.rooms(frozen))


def begin(
    program: Program, draft: Draft, *, since: datetime, until: datetime, by: int | None = None
) -> Simulation:
    """Ask for a replay of what was paid from `since` and before `until`; a job works it off."""
    count, first = _extent(program, since, until)
    found = Simulation(
        merchant_id=program.merchant_id,
        program_id=program.id,
        draft=draft.as_json(),
        since=since,
        until=until,
        cursor=first - 1,
        orders_total=count,
        created_by=by,
        worked_at=clock.now(),
    )
    db.session.add(found)
    db.session.flush()
    jobs.ring(jobs.Job.SIMULATE, found.merchant_id, found.id)
    return found


def simulation(merchant_id: int, simulation_id: int) -> Simulation:
    found = db.session.get(Simulation, (merchant_id, simulation_id))
    if found is None:
        raise NotFound(_("There is no such simulation."))
    return found


def work_on(merchant_id: int, simulation_id: int) -> bool:
    """One chunk more, and whether there is another. Two at once take turns."""
    found = db.session.get_one(
        Simulation, (merchant_id, simulation_id), with_for_update=True, populate_existing=True
    )
    if found.state != "running":
        return False
    program = programs.program(merchant_id, found.program_id)
    ids = db.session.scalars(
        _period(program, found.since, found.until)
        .where(Attribution.order_id > found.cursor)
        .order_by(Attribution.order_id)
        .limit(CHUNK)
    ).all()
    found.worked_at = clock.now()
    if not ids:
        found.state, found.ended_at = "done", clock.now()
        return False
    difference = _replay(program, Draft(**found.draft), ids)
    found.cursor = ids[-1]
    found.orders_done += len(ids)
    found.result = difference.added_to(found.result)
    found.tries, found.error = 0, None
    return True


def note_failure(merchant_id: int, simulation_id: int, error: Exception) -> None:
    """What went wrong; after `TRIES` times at the same place nobody tries again."""
    found = db.session.get_one(
        Simulation, (merchant_id, simulation_id), with_for_update=True, populate_existing=True
    )
    if found.state != "running":
        return
    found.worked_at = clock.now()
    found.tries += 1
    found.error = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if found.tries >= TRIES:
        found.state, found.ended_at = "failed", clock.now()


def quiet(minutes: int = 2) -> list[tuple[int, int]]:
    """Simulations that nobody works on."""
    rows = db.session.execute(
        sa.select(Simulation.merchant_id, Simulation.id).where(
            Simulation.state == "running",
            Simulation.worked_at < clock.now() - timedelta(minutes=minutes),
        )
    )
    return [(merchant_id, simulation_id) for merchant_id, simulation_id in rows]


def _extent(program: Program, since: datetime, until: datetime) -> tuple[int, int]:
    """How many orders a period has, and the first of them: what lies before is not walked again."""
    period = _period(program, since, until).subquery()
    found = sa.select(sa.func.count(), sa.func.min(period.c.order_id))
    count, first = db.session.execute(found).one()
    return count, first or 1


def _period(program: Program, since: datetime, until: datetime) -> sa.Select[int]:
    return (
        sa.select(Attribution.order_id)
        .join(
            OrderRow,
            sa.and_(
                OrderRow.merchant_id == Attribution.merchant_id,
                OrderRow.id == Attribution.order_id,
            ),
        )
        .where(
            Attribution.merchant_id == program.merchant_id,
            Attribution.program_id == program.id,
            OrderRow.paid_at >= since,
            OrderRow.paid_at < until,
        )
    )


@dataclass(slots=True)
class Difference:
    """What would be more or less in minor units, by currency: in all, and by what it is about."""

    paid: Counter[str] = field(default_factory=Counter)  # what was booked
    would: Counter[str] = field(default_factory=Counter)  # what the draft says
    by: dict[str, Counter[str]] = field(default_factory=dict)  # promoter, agency, product, role

    def add(self, currency: str, amount: int, **about: object) -> None:
        for kind, key in about.items():
            self.by.setdefault(kind, Counter())[f"{key}/{currency}"] += amount

    def added_to(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The stored sums with these on top."""
        by = {
            kind: dict(_plus(result.get("by", {}).get(kind, {}), more))
            for kind, more in self.by.items()
        }
        return {
            "paid": _plus(result.get("paid", {}), self.paid),
            "would": _plus(result.get("would", {}), self.would),
            "by": {**result.get("by", {}), **by},
        }


def _plus(sums: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    found = Counter(sums)
    for key, amount in more.items():
        found[key] += amount
    return dict(found)


def _replay(program: Program, draft: Draft, ids: Sequence[int]) -> Difference:
    """These orders under a draft, by those they are credited to; months' caps stay aside."""
    book, terms = _draft(program, draft)
    merchant_id, books = program.merchant_id, {program.id: book}
    credited = attribution.known(merchant_id, ids)
    stored = list(orders.by_ids(merchant_id, ids).values())
    for credit in credited.values():
        credit.frozen = None
    frozen = freeze(merchant_id, stored, credited, books, draft=terms)
    found = Difference()
    for order in stored:
        would, _notes = targets_of(order, credited[order.id], frozen.get(order.id), books)
        products = {line.external_id: line.product_external_id for line in order.facts.lines}
        for target in would:
            if target.share.payee_kind != "platform":
                found.would[order.facts.currency] += target.amount
                found.add(
                    order.facts.currency,
                    target.amount,
                    **{target.share.payee_kind: target.share.payee_id},
                    product=_product(order.shop_id, products[target.line]),
                    role=target.share.role,
                )
    _take_off_what_was_paid(merchant_id, ids, found)
    return found


def _take_off_what_was_paid(merchant_id: int, ids: Sequence[int], found: Difference) -> None:
    rows = db.session.execute(
        sa.text(
            "SELECT c.payee_kind, c.payee_id, o.shop_id, l.product_external_id, c.role, c.currency,"
            " sum(e.amount)::bigint"
            " FROM entries e"
            " JOIN commissions c ON (c.merchant_id, c.id) = (e.merchant_id, e.commission_id)"
            " JOIN orders o ON (o.merchant_id, o.id) = (e.merchant_id, e.order_id)"
            " JOIN order_lines l ON (l.merchant_id, l.id) = (c.merchant_id, c.line_id)"
            " WHERE e.merchant_id = :merchant AND e.order_id = ANY (:orders)"
            " AND e.state <> 'estimated' AND c.payee_kind <> 'platform' GROUP BY 1, 2, 3, 4, 5, 6"
        ),
        {"merchant": merchant_id, "orders": list(ids)},
    )
    for kind, payee_id, shop_id, product, role, currency, amount in rows:
        found.paid[currency] += amount
        about = {kind: payee_id, "product": _product(shop_id, product), "role": role}
        found.add(currency, -amount, **about)


def _product(shop_id: int, external_id: str | None) -> str:
    """Lines of no product are one row of their shop."""
    return f"{shop_id}:{external_id or ''}"


def _book(program: Program) -> Book:
    return programs.books([(program.merchant_id, program.id)])[program.merchant_id, program.id]


def _draft(program: Program, draft: Draft) -> tuple[Book, Terms]:
    """The book as it would be, holding since ever, and the terms with it."""
    stated = programs.latest_terms(program.merchant_id, program.id)
    lists = {name: tuple(value) for name, value in draft.terms.items() if isinstance(value, list)}
    offer = replace(offer_of(stated), **{**draft.terms, **lists})
    terms = Terms(
        merchant_id=program.merchant_id,
        program_id=program.id,
        effective_from=BEGINNING,
        **{name: getattr(offer, name) for name in OFFER_FIELDS},
    )
    terms.id = stated.id
    standing = [
        replace(rule, effective_from=BEGINNING)
        for rule in _book(program).as_of(clock.now()).rules
        if rule.rule_id not in draft.ended
    ]
    page = BookTerms(BEGINNING, offer.default_rate_ppm, offer.max_total_ppm)
    rates = [
        replace(rate, effective_from=BEGINNING)
        for rate in _book(program).as_of(clock.now()).agency_rates
    ]
    return Book([page], [*standing, *drafted(draft)], rates), terms


def drafted(draft: Draft) -> list[Rule]:
    """The rules that would stand beside those there are."""
    return [_rule(-number, each) for number, each in enumerate(draft.rules, start=1)]


def _rule(number: int, drafted: Mapping[str, Any]) -> Rule:
    product = drafted.get("product")
    read = {
        "product": tuple(product) if product else None,
        "conditions": programs.conditions_of(drafted["conditions"] or {}),
    }
    return Rule(rule_id=number, version_id=number, effective_from=BEGINNING, **{**drafted, **read})
