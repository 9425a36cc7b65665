"""Booking what orders pay: targets against the sums of entries, and a transfer for each difference.

Lock order: the orders' keys (taken by the caller) → commissions → accounts (inside `ledger.post`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate.attribution import service as attribution
from affiliate.attribution.service import Credit
from affiliate.commissions import rules
from affiliate.commissions.models import Commission, Entry, State
from affiliate.commissions.service import holding, standing, telling, touching
from affiliate.commissions.service.capping import Caps, Granted
from affiliate.commissions.service.freezing import freeze
from affiliate.commissions.service.standing import Key, Known, Terms, key_of
from affiliate.commissions.targets import Credited, Frozen, Target, targets
from affiliate.db import db, inserting, next_ids, table
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.orders.models import Status
from affiliate.orders.queries import Stored
from affiliate.programs import queries as programs
from affiliate.programs.book import Book

Look = Callable[[int, Sequence[Stored], Mapping[int, Credit]], None]


def book(
    merchant_id: int,
    orders: Sequence[Stored],
    *,
    look: Look | None = None,
    was_held: bool = False,
) -> None:
    """Bring every commission of these orders to its target, all payees in one transaction.

    The caller holds the orders' locks. Calling it again changes nothing. `look` sees whom the
    orders are credited to and may `place` holds; `was_held` says that one was lifted just now.
    """
    orders = [order for order in orders if order.line_ids or order.facts.refunds]
    if not orders:
        return
    holding.share(merchant_id)
    known = standing.of_orders(merchant_id, [order.id for order in orders])
    settled = {
        order_id
        for order_id, commissions in known.items()
        if any(each.released for each in commissions.values())
    }
    credited = attribution.choose(merchant_id, orders, settled=settled)
    books = _books(merchant_id, credited, known)
    frozen = freeze(merchant_id, orders, credited, books)
    batch = _Batch(merchant_id)
    traces: dict[int, Any] = {}
    planned: dict[int, list[Target]] = {}
    for order in orders:
        planned[order.id], traces[order.id] = targets_of(
            order, credited[order.id], frozen.get(order.id), books
        )
    caps = Caps(merchant_id, {each for each, book_of in books.items() if book_of.has_caps})
    caps.lock(orders, frozen, planned, known, credited)
    for order in orders:
        credit, kept = credited[order.id], known.get(order.id, {})
        granted = caps.grant(order, credit, frozen.get(order.id), planned[order.id], kept)
        traces[order.id] = [*traces[order.id], *granted.notes]
        batch.plan(order, credit, frozen.get(order.id), planned[order.id], kept, granted)
    attribution.write(merchant_id, list(credited.values()), traces)
    touching.touch(merchant_id, orders)
    if look is not None:
        look(merchant_id, orders, credited)
    postings = batch.write()
    caps.write()
    telling.tell(merchant_id, orders, known, batch.entries)
    if was_held or holding.are_concerned(merchant_id, orders, _payees(planned, known)):
        holding.refresh(merchant_id, [order.id for order in orders])
    ledger.post(postings)


def _books(
    merchant_id: int, credited: Mapping[int, Credit], known: Mapping[int, Mapping[Key, Known]]
) -> dict[int, Book]:
    """Of the programs that are credited now, and of those that were."""
    wanted = {credit.program_id for credit in credited.values() if credit.program_id}
    wanted |= {each.terms[0] for rows in known.values() for each in rows.values()}
    found = programs.books({(merchant_id, program_id) for program_id in wanted}, share=True)
    return {program_id: book_of for (_, program_id), book_of in found.items()}


def targets_of(
    order: Stored, credit: Credit, frozen: Frozen | None, books: Mapping[int, Book]
) -> tuple[list[Target], list[Any]]:
    """What everybody should have of this order now, and how that came about."""
    if frozen is None or not credit.is_paid or order.facts.test:
        return [], []
    whose = [
        Credited(
            None if each["products"] is None else frozenset(each["products"]),
            tuple(part["promoter"] for part in each["by"]),
        )
        for each in credit.credited
    ]
    book_of = books[credit.program_id or 0]
    return targets(order.facts, whose, frozen, book_of, shop_id=order.shop_id)


def _payees(
    planned: Mapping[int, Sequence[Target]], known: Mapping[int, Mapping[Key, Known]]
) -> set[tuple[str, int]]:
    found = {
        (target.share.payee_kind, target.share.payee_id)
        for each in planned.values()
        for target in each
    }
    found |= {(each.payee_kind, each.payee_id) for rows in known.values() for each in rows.values()}
    return found


@dataclass(slots=True)
class _Batch:
    """The changes of many orders, written with one statement per kind."""

    merchant_id: int
    commissions: list[dict[str, Any]] = field(default_factory=list)
    entries: list[tuple[Key | int, dict[str, Any]]] = field(default_factory=list)
    revised: list[tuple[int, Terms]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    holds: list[tuple[int, datetime | None]] = field(default_factory=list)

    def plan(
        self,
        order: Stored,
        credit: Credit,
        frozen: Frozen | None,
        planned: Iterable[Target],
        known: Mapping[Key, Known],
        granted: Granted,
    ) -> None:
        wanted = {key_of(order, target): target for target in planned}
        paid = order.facts.paid_at is not None
        hold = _hold(order, frozen)
        for key in dict.fromkeys([*wanted, *known]):
            target, stored = wanted.get(key), known.get(key)
            amount = target.amount if target and (paid or _may_be_paid(order)) else 0
            if paid and key in granted.amounts:
                amount = granted.amounts[key]
            if target and frozen:
                allowed = granted.allowed.get(key, stored.allowed if stored else None)
                terms = _terms(credit, frozen, target, allowed)
                if stored is None:
                    # Also when it earns nothing, so that every sequence of reports leaves the same.
                    self.commissions.append(self._commission(order, key, terms))
                    payee = (target.share.payee_kind, target.share.payee_id)
                    stored = Known(0, *payee, order.facts.currency, terms)
                elif stored.terms != terms:
                    self.revised.append((stored.id, terms))
            elif stored and stored.remaining:
                self.revised.append((stored.id, (*stored.terms[:3], 0, *stored.terms[4:])))
            assert stored is not None
            self._change(order, key, stored, amount, paid=paid, hold=hold)
        if any(each.has_pending for each in known.values()):
            self.holds.append((order.id, hold))

    def _change(
        self,
        order: Stored,
        key: Key,
        known: Known,
        amount: int,
        *,
        paid: bool,
        hold: datetime | None,
    ) -> None:
        """Either an estimate while the order is unpaid, or entries up to the target."""
        earned = amount if paid else 0
        made = rules.moves(earned, pending=known.pending, settled=known.settled)
        if known.payee_kind == "platform":
            made = [rules.Move(sum(move.amount for move in made), State.PAID)] if made else []
        for move in made:
            self._entry(order, key, known, move.amount, move.state, hold)
        estimate = 0 if paid else amount
        if sum(known.estimated.values()) == estimate:
            return
        self.dropped += known.estimated  # no money was ever tied to them
        if estimate:
            self._entry(order, key, known, amount, State.ESTIMATED, None)

    def _entry(
        self,
        order: Stored,
        key: Key,
        known: Known,
        amount: int,
        state: str,
        hold: datetime | None,
    ) -> None:
        row = {
            "merchant_id": self.merchant_id,
            "order_id": order.id,
            "payee_kind": known.payee_kind,
            "payee_id": known.payee_id,
            "currency": order.facts.currency,
            "amount": amount,
            "state": str(state),
            "hold_until": hold if state == State.PENDING else None,
            "on_hold": None,
            "released_at": None,
            "reason": _reason(order, known, amount),
        }
        self.entries.append((known.id or key, row))

    def _commission(self, order: Stored, key: Key, terms: Terms) -> dict[str, Any]:
        columns = ("line_id", "payee_kind", "payee_id", "role", "via_id")
        names = (
            "program_id",
            "terms_id",
            "base",
            "remaining",
            "rate_ppm",
            "rule_id",
            "month",
            "allowed",
        )
        return {
            "merchant_id": self.merchant_id,
            "order_id": order.id,
            "currency": order.facts.currency,
            **dict(zip(columns, key, strict=True)),
            **dict(zip(names, terms, strict=True)),
        }

    def write(self) -> list[Posting]:
        """Everything but the transfers, which come last: they are returned."""
        if self.dropped:
            db.session.execute(
                sa.delete(Entry).where(
                    Entry.merchant_id == self.merchant_id,
                    Entry.id.in_(self.dropped),
                    Entry.state == State.ESTIMATED,
                )
            )
        if self.revised:
            _revise(self.merchant_id, self.revised)
        if self.holds:
            _recompute_holds(self.merchant_id, self.holds)
        ids = self._write_commissions()
        rows = [
            row | {"commission_id": ids[key] if isinstance(key, tuple) else key}
            for key, row in self.entries
        ]
        written = self._write_entries(rows) if rows else []
        return [_posting(row) for row in written if _moves_money(row)]

    def _write_commissions(self) -> dict[Key, int]:
        if not self.commissions:
            return {}
        rows = table(Commission)
        key = [rows.c[name] for name in ("line_id", "payee_kind", "payee_id", "role", "via_id")]
        written = db.session.execute(
            inserting(Commission, self.commissions).returning(rows.c.id, *key)
        )
        return {(row[1], row[2], row[3], row[4], row[5]): row[0] for row in written}

    def _write_entries(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ids = next_ids(Entry, len(rows))
        numbered = [row | {"id": entry_id} for row, entry_id in zip(rows, ids, strict=True)]
        db.session.execute(inserting(Entry, numbered))
        return numbered


def _reason(order: Stored, known: Known, amount: int) -> list[Any]:
    if amount < 0:
        return ["reversal", {"version": order.facts.version}]
    if known.pending or known.settled:
        return ["raise", {"version": order.facts.version}]
    return ["accrual", {"version": order.facts.version}]


def _may_be_paid(order: Stored) -> bool:
    """Whether an unpaid order is worth an estimate; paid late all the same, it earns."""
    return order.facts.status not in (Status.EXPIRED, Status.CANCELLED)


def _hold(order: Stored, frozen: Frozen | None) -> datetime | None:
    if order.facts.paid_at is None or frozen is None:
        return None
    return rules.hold_until(
        paid_at=order.facts.paid_at,
        delivered_at=order.facts.delivered_at,
        hold_days=frozen.hold_days,
        hold_fallback_days=frozen.hold_fallback_days,
    )


def _terms(credit: Credit, frozen: Frozen, target: Target, allowed: int | None) -> Terms:
    assert credit.program_id is not None
    return (
        credit.program_id,
        frozen.terms_id,
        target.base,
        target.left,
        target.ppm,
        target.rule_id,
        frozen.month,
        allowed,
    )


def _revise(merchant_id: int, rows: Sequence[tuple[int, Terms]]) -> None:
    """What a commission is computed from now: an edit's base, the terms after an estimate."""
    names = ("ids", "programs", "terms", "bases", "left", "rates", "rules", "months", "allowed")
    flat = [(row_id, *terms) for row_id, terms in rows]
    columns = dict(zip(names, map(list, zip(*flat, strict=True)), strict=True))
    db.session.execute(
        sa.text(
            "UPDATE commissions c SET program_id = n.program, terms_id = n.terms,"
            "   base = n.base, remaining = n.remaining, rate_ppm = n.rate, rule_id = n.rule,"
            "   month = n.month, allowed = n.allowed"
            " FROM unnest(CAST(:ids AS bigint[]), CAST(:programs AS bigint[]),"
            "   CAST(:terms AS bigint[]), CAST(:bases AS bigint[]), CAST(:left AS bigint[]),"
            "   CAST(:rates AS bigint[]), CAST(:rules AS bigint[]), CAST(:months AS date[]),"
            "   CAST(:allowed AS bigint[]))"
            "   AS n(id, program, terms, base, remaining, rate, rule, month, allowed)"
            " WHERE c.merchant_id = :merchant AND c.id = n.id"
        ),
        {"merchant": merchant_id, **columns},
    )


def _recompute_holds(merchant_id: int, holds: Sequence[tuple[int, datetime | None]]) -> None:
    """The hold of what is still pending; what is released is not taken back.

    An order that is no longer paid has no hold: its entries sum to 0 and wait.
    """
    db.session.execute(
        sa.text(
            "UPDATE entries e SET hold_until = h.until"
            " FROM unnest(CAST(:orders AS bigint[]), CAST(:untils AS timestamptz[]))"
            "   AS h(order_id, until)"
            " WHERE e.merchant_id = :merchant AND e.order_id = h.order_id"
            "   AND e.state = 'pending' AND e.hold_until IS DISTINCT FROM h.until"
        ),
        {
            "merchant": merchant_id,
            "orders": [order_id for order_id, _ in holds],
            "untils": [until for _, until in holds],
        },
    )


def _moves_money(row: dict[str, Any]) -> bool:
    return bool(row["state"] != State.ESTIMATED)


def _posting(row: dict[str, Any]) -> Posting:
    """The transfer of one new entry."""
    merchant_id, currency, amount = row["merchant_id"], row["currency"], row["amount"]
    owed = ledger.receivable(merchant_id, currency)
    cause = f"entry:{row['id']}"
    if row["payee_kind"] == "platform":
        fees = ledger.fees(merchant_id, currency)
        if amount > 0:
            return Posting(Code.PLATFORM_FEE, cause, owed, fees, amount)
        return Posting(Code.REVERSE_FEE, cause, fees, owed, -amount)
    payee = (merchant_id, row["payee_kind"], row["payee_id"], currency)
    if amount > 0:
        return Posting(Code.ACCRUE, cause, owed, ledger.pending(*payee), amount)
    if row["state"] == State.PENDING:
        return Posting(Code.REVERSE, cause, ledger.pending(*payee), owed, -amount)
    return Posting(Code.REVERSE_AVAILABLE, cause, ledger.available(*payee), owed, -amount)
