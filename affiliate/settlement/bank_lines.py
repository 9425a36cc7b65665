"""A bank's statement as lines: a CSV as banks export it, or ISO 20022 camt.053.

Banks agree on no column names, signs of decimals or orders of day and month. Columns are found by
their names in five languages, signs and orders by looking at the whole file; what stays ambiguous
is refused rather than guessed.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree as ET

from affiliate.errors import FieldError, Invalid, invalid
from affiliate.i18n import _
from affiliate.money import BadAmount, minor

MOST_LINES = 20_000
MOST_ERRORS = 20
MOST_ABOVE = 30  # lines before the table begins
# What columns are called, without accents and in lower case; the first that fits counts.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "date": ("date", "booking date", "buchungstag", "fecha", "data", "日期", "交易日期",
                 "交易时间", "记账日期"),
        "amount": ("amount", "betrag", "importe", "monto", "valor", "金额", "交易金额", "发生额"),
        "out": ("debit", "withdrawal", "paid out", "cargo", "debito", "支出", "借方", "借方金额"),
        "in": ("credit", "deposit", "paid in", "abono", "credito", "收入", "贷方", "贷方金额"),
        "currency": ("currency", "moneda", "divisa", "moeda", "币种"),
    }
)  # fmt: skip
ORDERS = ("%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y")


@dataclass(frozen=True, slots=True)
class Line:
    """One booking of the bank: money in is above zero. `text` is all the bank says of it."""

    number: int
    day: date
    amount: int  # minor units
    text: str


def read(content: str, currency: str) -> list[Line]:
    """The lines in this currency; a file with a line that cannot be read is refused whole."""
    text = content.removeprefix("\ufeff")
    found = list(_of_camt(text) if text.lstrip().startswith("<") else _of_csv(text))
    ours = [each for each in found if each.currency in {"", currency}]
    if not ours:
        raise invalid("/file", "no_lines", _("It has no line in %(currency)s.", currency=currency))
    order, comma = _order_of_days(ours), _decimal_comma(ours)
    lines, errors = [], []
    for each in ours:
        try:
            lines.append(
                Line(
                    each.number,
                    _day(each.day, order),
                    _amount(each, comma, currency),
                    _one_line(each.text),
                )
            )
        except Wrong as wrong:
            errors.append(FieldError(f"/content/{each.number}", wrong.code, wrong.message))
    if errors:
        message = _("Some lines cannot be read, so nothing was compared.")
        raise Invalid(message, errors=tuple(errors[:MOST_ERRORS]))
    return lines


@dataclass(frozen=True, slots=True)
class _Raw:
    """A line as it was written. `sign` is −1 where a column or an element says money went out."""

    number: int
    day: str
    amount: str
    sign: int
    currency: str
    text: str


class Wrong(Exception):
    def __init__(self, code: str, message: Any) -> None:
        super().__init__(code)
        self.code, self.message = code, message


# --- as it was written ---------------------------------------------------------------------------


def _of_csv(text: str) -> Iterator[_Raw]:
    """Banks like to put their name and the account above the table: it begins with the first line
    that has a day and an amount among its columns.
    """
    table = _table(text)
    at = _header(table)
    for number, cells in table:
        row = {name: cells[place] for name, place in at.items() if place < len(cells)}
        amount, sign = row.get("amount", ""), 1
        if row.get("out", "").strip(" 0.,-"):
            amount, sign = row["out"].lstrip("- "), -1
        elif not amount:
            amount = row.get("in", "")
        if amount.strip():
            others = (cell for place, cell in enumerate(cells) if place not in at.values())
            currency = row.get("currency", "").strip().upper()
            yield _Raw(number, row.get("date", ""), amount, sign, currency, " ".join(others))


def _header(table: Iterator[tuple[int, list[str]]]) -> dict[str, int]:
    for _number, cells in islice(table, MOST_ABOVE):
        at = _columns(cells)
        if "date" in at and ("amount" in at or at.keys() >= {"in", "out"}):
            return at
    message = _("No line names the columns: a day, and an amount or money in and out.")
    raise invalid("/file", "missing_columns", message)


def _table(text: str) -> Iterator[tuple[int, list[str]]]:
    comma = max((";", "\t", ","), key=text[:4000].count)
    comma = ";" if ";" in text[:4000] and comma == "," else comma
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text), delimiter=comma), start=1):
            if number > MOST_LINES:
                message = _("At most %(most)s lines at a time.", most=MOST_LINES)
                raise invalid("/file", "too_many_rows", message)
            if any(each.strip() for each in cells):
                yield number, cells
    except csv.Error as error:
        message = _("This is no CSV: %(why)s.", why=str(error))
        raise invalid("/file", "no_csv", message) from None


def _columns(cells: Sequence[str]) -> dict[str, int]:
    names = [_plain(cell) for cell in cells]
    found: dict[str, int] = {}
    for column, known in COLUMNS.items():
        for name in known:
            if name in names and names.index(name) not in found.values():
                found[column] = names.index(name)
                break
    return found


def _plain(cell: str) -> str:
    """Without accents, in lower case, without what stands in brackets."""
    letters = unicodedata.normalize("NFKD", re.split("[(（]", cell, maxsplit=1)[0])
    return "".join(each for each in letters if not unicodedata.combining(each)).strip().lower()


def _of_camt(text: str) -> Iterator[_Raw]:
    """Its entries, each with every word in it; a batch is one entry."""
    try:
        if "<!" in text.replace("<!--", ""):  # entities could make a small file enormous
            raise ET.ParseError
        found = ET.fromstring(text)  # noqa: S314 (without entities)
    except ET.ParseError:
        raise invalid("/file", "no_camt", _("This is no camt.053.")) from None
    entries = found.findall(".//{*}Stmt/{*}Ntry")
    if len(entries) > MOST_LINES:
        message = _("At most %(most)s lines at a time.", most=MOST_LINES)
        raise invalid("/file", "too_many_rows", message)
    for number, entry in enumerate(entries, start=1):
        amount = entry.find("{*}Amt")
        day = entry.find("{*}BookgDt/*")
        is_out = (entry.findtext("{*}CdtDbtInd") or "").strip() == "DBIT"
        yield _Raw(
            number,
            (day.text or "")[:10] if day is not None else "",
            (amount.text or "").strip() if amount is not None else "",
            -1 if is_out else 1,
            amount.get("Ccy", "") if amount is not None else "",
            " ".join(part for part in entry.itertext() if part.strip()),
        )


# --- what it means -------------------------------------------------------------------------------


def _order_of_days(lines: Iterable[_Raw]) -> str | None:
    """The one order in which every day of the file is a day; none where two fit and differ."""
    days = [_digits(each.day) for each in lines]
    fitting = [order for order in ORDERS if all(_parsed(day, order) for day in days)]
    # Day before month is what the world writes; the other way only where that cannot be.
    return fitting[0] if fitting else None


def _digits(text: str) -> str:
    """`2026/11/30 08:00`, `30.11.2026` and `20261130` with hyphens between their numbers."""
    head = text.strip().split()[0] if text.strip() else ""
    head = head.partition("T")[0]
    if re.fullmatch(r"\d{8}", head):
        head = f"{head[:4]}-{head[4:6]}-{head[6:]}"
    return re.sub(r"[/.年月]", "-", head).rstrip("日-")


def _parsed(day: str, order: str) -> date | None:
    parts = day.split("-")
    if len(parts) != 3 or not all(part.isdecimal() and len(part) <= 4 for part in parts):
        return None
    named = dict(zip(order.split("-"), map(int, parts), strict=True))
    try:
        found = date(named["%Y"], named["%m"], named["%d"])
    except ValueError:
        return None
    return found if 1970 <= found.year <= 2200 else None


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _day(text: str, order: str | None) -> date:
    orders = (order,) if order else ORDERS[:2]
    for each in orders:
        if found := _parsed(_digits(text), each):
            return found
    raise Wrong("bad_date", _("“%(text)s” is no day.", text=text[:30]))


def _decimal_comma(lines: Iterable[_Raw]) -> bool | None:
    """Whether decimals are written after a comma; none where no amount of the file tells."""
    for each in lines:
        found = re.search(r"([.,])\d{1,2}\D*$", each.amount)
        if found and each.amount.count(found[1]) == 1:
            return found[1] == ","
        if "," in each.amount and "." in each.amount:
            return each.amount.rindex(",") > each.amount.rindex(".")
    return None


def _amount(line: _Raw, comma: bool | None, currency: str) -> int:
    text = unicodedata.normalize("NFKC", line.amount).replace("−", "-").strip()
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1]}"
    if text.endswith("-"):
        text = f"-{text[:-1]}"
    text = re.sub(r"[^\d.,+-]", "", text)
    if comma is None and re.search(r"[.,]", text):
        raise Wrong("ambiguous", _("“%(text)s” may be two amounts.", text=line.amount[:30]))
    text = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
    try:
        return line.sign * minor(Decimal(text), currency)
    except (InvalidOperation, BadAmount):
        message = _("“%(text)s” is no amount in %(currency)s.",
                    text=line.amount[:30], currency=currency)  # fmt: skip
        raise Wrong("bad_amount", message) from None
