"""The clearing account beside the bank: how it moved in a month, and a statement line by line.

Nothing here books anything. A line that does not agree says what would make it agree, and the
person decides on the page where that is done.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate.db import among, db
from affiliate.ledger.models import Account, Kind, Transfer
from affiliate.payouts.models import Payout, Remittance
from affiliate.payouts.models import State as PayoutState
from affiliate.settlement.bank_lines import Line
from affiliate.settlement.models import PayIn, PayoutFile
from affiliate.settlement.statements import Period

Booked = TypeVar("Booked", Payout, PayIn, Remittance, PayoutFile)
SLACK = timedelta(days=31)  # between the bank's day and the day on which somebody booked it
OPEN = (PayoutState.ACCEPTED, PayoutState.UNKNOWN)
OURS = re.compile(r"TK[0-9A-F]{16}")
SHORT = 6  # a reference below that counts only as a word of its own


@dataclass(frozen=True, slots=True)
class Month:
    """How much was in hand at the beginning and the end, and what moved it, by code. Money that
    came in is above zero.
    """

    opening: int
    moved: dict[str, tuple[int, int]]  # transfers, sum
    closing: int


class Found(StrEnum):
    """How a line of the bank stands to the books."""

    AGREES = "agrees"
    TO_MARK = "to_mark"  # a payout that the books do not know as paid
    TO_RETURN = "to_return"  # money of a paid payout came back
    OTHER_AMOUNT = "other_amount"
    OTHER_STATE = "other_state"  # a payout that should not have moved at all
    TWICE = "twice"  # the statement has it a second time
    UNKNOWN_IN = "unknown_in"
    UNKNOWN_OUT = "unknown_out"


@dataclass(frozen=True, slots=True)
class Match:
    line: Line
    found: Found
    payout: Payout | None = None
    pay_in: PayIn | None = None
    remittance: Remittance | None = None
    file: PayoutFile | None = None
    ours: int | None = None  # what the books have for it, signed like the line


@dataclass(slots=True)
class Compared:
    """A statement beside the books. The last three are in the books and not on the statement."""

    lines: list[Match] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    pay_ins: list[PayIn] = field(default_factory=list)
    remittances: list[Remittance] = field(default_factory=list)

    @property
    def agreed(self) -> int:
        return sum(each.found == Found.AGREES for each in self.lines)

    @property
    def is_clean(self) -> bool:
        missing = self.payouts or self.pay_ins or self.remittances
        return self.agreed == len(self.lines) and not missing


def month(merchant_id: int, currency: str, period: Period) -> Month:
    """Of the clearing account. In hand is what it is below zero."""
    account = (
        sa.select(Account.id)
        .where(
            Account.merchant_id == merchant_id,
            Account.currency == currency,
            Account.kind == Kind.CLEARING,
        )
        .scalar_subquery()
    )
    amount = sa.case((Transfer.source_id == account, Transfer.amount), else_=-Transfer.amount)
    until = sa.case(
        (Transfer.created_at < period.since, "before"),
        (Transfer.created_at < period.until, Transfer.code),
        else_="after",
    )
    rows = db.session.execute(
        sa.select(until, sa.func.count(), sa.cast(sa.func.sum(amount), sa.BigInteger))
        .where(
            Transfer.merchant_id == merchant_id,
            sa.or_(Transfer.source_id == account, Transfer.target_id == account),
        )
        .group_by(until)
    )
    moved = {code: (count, total) for code, count, total in rows}
    opening = moved.pop("before", (0, 0))[1]
    moved.pop("after", None)
    return Month(opening, moved, opening + sum(total for _count, total in moved.values()))


def open_payouts(merchant_id: int, currency: str, limit: int = 50) -> Sequence[Payout]:
    """Those a bank has or may have, the oldest first."""
    return db.session.scalars(
        sa.select(Payout)
        .where(
            Payout.merchant_id == merchant_id,
            Payout.currency == currency,
            Payout.state.in_(OPEN),
        )
        .order_by(Payout.id)
        .limit(limit)
    ).all()


def compare(merchant_id: int, currency: str, lines: Sequence[Line], zone: ZoneInfo) -> Compared:
    books = _Books(merchant_id, currency, lines, zone)
    found = Compared([books.match(line) for line in lines])
    found.payouts = books.unseen(books.paid)
    found.pay_ins = books.unseen(books.came_in)
    found.remittances = books.unseen(books.remitted)
    return found


class _Books:
    """What of one merchant's money in one currency a statement can be about."""

    def __init__(
        self, merchant_id: int, currency: str, lines: Sequence[Line], zone: ZoneInfo
    ) -> None:
        self._key = (merchant_id, currency)
        self._first = _start(min(each.day for each in lines), zone)
        self._end = _start(max(each.day for each in lines), zone) + timedelta(days=1)
        words = {word for line in lines for word in _words(line.text)}
        self._payouts = self._named_payouts(words)
        self._pay_ins = self._of(PayIn, self._near(PayIn.created_at))
        self._remittances = self._of(Remittance, self._near(Remittance.created_at))
        several = sa.and_(self._near(PayoutFile.created_at), PayoutFile.payouts > 1)
        self._files = self._of(PayoutFile, several)
        # What the statement should have: booked within its days, not in the slack around them.
        within = sa.and_(Payout.paid_at >= self._first, Payout.paid_at < self._end)
        self.paid = self._of(Payout, Payout.state == PayoutState.PAID, within)
        self.came_in = [each for each in self._pay_ins if self._covers(each.created_at)]
        self.remitted = [each for each in self._remittances if self._covers(each.created_at)]
        self._seen: set[tuple[str, int]] = set()
        self._moved: set[tuple[str, int, bool]] = set()

    def unseen(self, rows: Sequence[Booked]) -> list[Booked]:
        return [each for each in rows if _name(each) not in self._seen]

    def match(self, line: Line) -> Match:
        found = self._match(line)
        subject = found.payout or found.pay_in or found.remittance or found.file
        if subject is None:
            return found
        self._seen.add(_name(subject))
        moved = (*_name(subject), line.amount > 0)
        if moved in self._moved:
            return replace(found, found=Found.TWICE)
        self._moved.add(moved)
        return found

    def _match(self, line: Line) -> Match:
        if (payout := self._payout_of(line)) is not None:
            return _judge_payout(line, payout)
        words, squeezed = line.text.split(), _squeezed(line.text)
        for pay_in in self._pay_ins:
            if _names(words, squeezed, pay_in.reference):
                return _judge_pay_in(line, pay_in)
        for remittance in self._remittances:
            if _names(words, squeezed, remittance.reference):
                found = Found.AGREES if line.amount == -remittance.amount else Found.OTHER_AMOUNT
                return Match(line, found, remittance=remittance, ours=-remittance.amount)
        if not OURS.search(line.text):  # it would name the one payout that it is about
            for file in self.unseen(self._files):
                if line.amount == -file.total:
                    return self._judge_file(line, file)
        return Match(line, Found.UNKNOWN_IN if line.amount > 0 else Found.UNKNOWN_OUT)

    def _judge_file(self, line: Line, file: PayoutFile) -> Match:
        """A bank may book a file as one sum; then all of its payouts left."""
        of = self._of(Payout, Payout.settlement_id == file.settlement_id, Payout.rail == file.rail)
        self._seen |= {_name(each) for each in of}
        waiting = any(each.state in OPEN for each in of)
        return Match(line, Found.TO_MARK if waiting else Found.AGREES, file=file, ours=-file.total)

    def _payout_of(self, line: Line) -> Payout | None:
        return next(filter(None, map(self._payouts.get, _words(line.text))), None)

    def _named_payouts(self, words: Iterable[str]) -> dict[str, Payout]:
        """By our reference and by the bank's."""
        asked = sorted(words)
        named = sa.or_(among(Payout.reference, asked), among(Payout.provider_reference, asked))
        found = {}
        for each in self._of(Payout, named):
            found[each.reference] = each
            if each.provider_reference:
                found[each.provider_reference] = each
        return found

    def _of(self, table: type[Booked], *chosen: Any) -> list[Booked]:
        key = sa.and_(table.merchant_id == self._key[0], table.currency == self._key[1])
        return list(db.session.scalars(sa.select(table).where(key, *chosen).order_by(table.id)))

    def _covers(self, at: datetime) -> bool:
        return self._first <= at < self._end

    def _near(self, at: Any) -> sa.ColumnElement[bool]:
        return sa.and_(at >= self._first - SLACK, at < self._end + SLACK)


def _judge_payout(line: Line, payout: Payout) -> Match:
    came_back = line.amount > 0
    ours = payout.net if came_back else -payout.net
    if line.amount != ours:
        found = Found.OTHER_AMOUNT
    elif came_back:
        gone = (PayoutState.RETURNED, PayoutState.FAILED)
        found = Found.AGREES if payout.state in gone else Found.TO_RETURN
    elif payout.state in (PayoutState.PAID, PayoutState.RETURNED):
        found = Found.AGREES
    else:
        found = Found.TO_MARK if payout.state in OPEN else Found.OTHER_STATE
    return Match(line, found, payout=payout, ours=ours)


def _judge_pay_in(line: Line, pay_in: PayIn) -> Match:
    is_return = line.amount < 0 and pay_in.returned_at is not None
    ours = -pay_in.amount if is_return else pay_in.amount
    found = Found.AGREES if line.amount == ours else Found.OTHER_AMOUNT
    return Match(line, found, pay_in=pay_in, ours=ours)


def _name(row: Payout | PayIn | Remittance | PayoutFile) -> tuple[str, int]:
    return row.__tablename__, row.id


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _words(text: str) -> list[str]:
    """References that a text may hold; banks glue ours to other words."""
    return [*OURS.findall(text), *text.split()]


def _names(words: Sequence[str], squeezed: str, reference: str) -> bool:
    """Whether a text, as its words and squeezed, has this reference in it."""
    if len(reference) < SHORT:
        return reference in words
    return _squeezed(reference) in squeezed


def _squeezed(text: str) -> str:
    """Banks break long references with spaces and write them in capitals."""
    return "".join(text.split()).upper()
