"""What the bank says of a whole file: a CSV of results or a pain.002, taken whole or not at all.

A file that names a payout of another settlement, money that is not ours, or an end that does not
fit is of something else, so nothing of it is taken. The same file again changes nothing.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from affiliate import clock, exports
from affiliate.errors import FieldError, Invalid, invalid
from affiliate.i18n import _
from affiliate.money import decimal_text
from affiliate.payouts import queries, rails
from affiliate.payouts.models import Payout, State
from affiliate.payouts.rails import pain002
from affiliate.payouts.service import states
from affiliate.payouts.service.states import Outcome

NEEDED = ("reference", "result")
KNOWN = (*NEEDED, "amount", "currency", "bank_reference", "date", "reason")
RESULTS = {each.value: each for each in (State.PAID, State.FAILED, State.RETURNED)}
MOST_ROWS = 20_000
MOST_ERRORS = 100
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One line as it was written."""

    line: int
    cells: Mapping[str, str]

    def same(self, other: "Row") -> bool:
        return self.cells == other.cells


@dataclass(frozen=True, slots=True)
class Change:
    payout: Payout
    outcome: Outcome


@dataclass(slots=True)
class Report:
    """What a file changes, or would."""

    rows: int = 0
    unchanged: int = 0
    changes: list[Change] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(str(each.outcome.state) for each in self.changes)
        return {name: found[name] for name in RESULTS}


class Wrong(Exception):
    """One row cannot be taken."""

    def __init__(self, code: str, message: Any) -> None:
        super().__init__(code)
        self.code, self.message = code, message


def take_results(
    merchant_id: int, settlement_id: int, content: str, *, by: int, dry_run: bool = False
) -> Report:
    """Take a bank's results for one settlement, all or nothing; a dry run only says what it would
    change.
    """
    rows = list(_read(content))
    report, errors = Report(len(rows)), []
    payouts = _payouts(merchant_id, rows)
    first: dict[str, Row] = {}
    for row in rows:
        reference = row.cells["reference"]
        known = first.setdefault(reference, row)
        try:
            if known is not row and known.same(row):
                report.unchanged += 1
                continue
            if known is not row:
                raise Wrong("reference_twice", _("This reference stands in another line as well."))
            _judge(row, payouts.get(reference), settlement_id, report)
        except Wrong as wrong:
            errors.append(FieldError(f"/content/{row.line}", wrong.code, wrong.message))
    if errors:
        raise Invalid(
            _("Nothing of this file was taken: some of its lines do not fit this settlement."),
            errors=tuple(errors[:MOST_ERRORS]),
        )
    if not dry_run:
        states.conclude([(each.payout, each.outcome) for each in report.changes], by)
    return report


def _read(content: str) -> Iterator[Row]:
    text = content.removeprefix("\ufeff")
    return _of_pain_002(text) if pain002.is_xml(text) else _of_csv(text)


def _of_pain_002(text: str) -> Iterator[Row]:
    """Its lines are its payments, counted from 1."""
    for number, cells in enumerate(pain002.rows(text), start=1):
        if number > MOST_ROWS:
            raise _too_many()
        yield Row(number, {name: _plain(cell) for name, cell in cells.items()})


def _of_csv(text: str) -> Iterator[Row]:
    header = text.partition("\n")[0]
    comma = ";" if header.count(";") > header.count(",") else ","
    try:
        reader = csv.reader(io.StringIO(text), delimiter=comma, strict=True)
        names = [name.strip().lower() for name in next(reader, [])]
        if missing := [name for name in NEEDED if name not in names]:
            message = _("The first line names the columns; missing: %(names)s.",
                        names=", ".join(missing))  # fmt: skip
            raise invalid("/content", "missing_columns", message)
        for number, cells in enumerate(reader, start=2):
            if number > MOST_ROWS + 1:
                raise _too_many()
            if any(cell.strip() for cell in cells):
                yield Row(number, _cells(names, cells))
    except csv.Error as error:
        message = _("This is no CSV: %(why)s.", why=str(error))
        raise invalid("/content", "no_csv", message) from None


def _too_many() -> Invalid:
    message = _("At most %(most)s lines at a time.", most=MOST_ROWS)
    return invalid("/content", "too_many_rows", message)


def _cells(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    found = dict.fromkeys(KNOWN, "")
    found |= {name: _plain(cell) for name, cell in zip(names, cells, strict=False) if name in found}
    return found


def _plain(cell: str) -> str:
    """One short line. The quote with which we keep spreadsheets from calculating is not part of
    it.
    """
    text = "".join(char if char.isprintable() else " " for char in cell).strip()
    return exports.as_it_was(text)[:LONGEST]


def _payouts(merchant_id: int, rows: Sequence[Row]) -> dict[str, Payout]:
    """Of this merchant, locked; another tenant's references are not there."""
    found = queries.by_references({row.cells["reference"] for row in rows})
    ours = sorted(each.id for each in found if each.merchant_id == merchant_id)
    return {each.reference: each for each in states.locked_all(merchant_id, ours)}


def _judge(row: Row, payout: Payout | None, settlement_id: int, report: Report) -> None:
    if payout is None:
        raise Wrong("unknown_reference", _("There is no payout with this reference."))
    if payout.settlement_id != settlement_id:
        raise Wrong("other_settlement", _("This payout is of another settlement."))
    _check_money(row, payout)
    outcome = _outcome(row)
    now = State(payout.state)
    if now == outcome.state or (now, outcome.state) == (State.RETURNED, State.PAID):
        _check_same(payout, outcome)
        report.unchanged += 1
        return
    if rails.is_called(payout.rail):
        raise Wrong("provider_says", _("The provider of this payout is asked, not a file."))
    may_return = (now, outcome.state) == (State.PAID, State.RETURNED)
    if now != State.ACCEPTED and not may_return:
        raise Wrong("wrong_state", _("This payout stands elsewhere: %(state)s.", state=now))
    if outcome.state == State.PAID:
        try:
            rails.check_proof(payout.rail, outcome.reference)
        except Invalid as refusal:
            raise Wrong(refusal.errors[0].code, refusal.errors[0].message) from None
    report.changes.append(Change(payout, outcome))


def _check_money(row: Row, payout: Payout) -> None:
    if row.cells["currency"] and row.cells["currency"].upper() != payout.currency:
        raise Wrong("wrong_currency", _("We sent %(currency)s.", currency=payout.currency))
    if row.cells["amount"]:
        ours = decimal_text(payout.net, payout.currency)
        try:
            is_ours = Decimal(row.cells["amount"]) == Decimal(ours)
        except InvalidOperation:
            is_ours = False
        if not is_ours:
            raise Wrong("wrong_amount", _("We sent %(amount)s.", amount=ours))


def _outcome(row: Row) -> Outcome:
    state = RESULTS.get(row.cells["result"].lower())
    if state is None:
        raise Wrong("unknown_result", _("One of %(allowed)s.", allowed=", ".join(RESULTS)))
    reason = row.cells["reason"] or (None if state == State.PAID else state.value)
    return Outcome(state, reason, row.cells["bank_reference"] or None, _day(row.cells["date"]))


def _day(text: str) -> datetime | None:
    """The beginning of a day, in UTC."""
    if not text:
        return None
    try:
        found = datetime.combine(date.fromisoformat(text), time.min, UTC)
    except ValueError:
        raise Wrong("bad_date", _("A day is written as 2026-11-22.")) from None
    if found > clock.now():
        raise Wrong("in_the_future", _("A payout cannot have been paid later than now."))
    return found


def _check_same(payout: Payout, outcome: Outcome) -> None:
    """Told before; told otherwise it is another payment."""
    if payout.paid_at is None or outcome.state != State.PAID:
        return
    other = (outcome.reference and outcome.reference != payout.provider_reference) or (
        outcome.paid_at and outcome.paid_at != payout.paid_at
    )
    if other:
        message = _("The payout is paid already, with another time or reference.")
        raise Wrong("told_otherwise", message)
