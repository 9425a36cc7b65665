"""Import of rates, and sums shown in one currency by them."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from affiliate import audit
from affiliate.db import db, inserting
from affiliate.errors import Conflict, FieldError, Invalid
from affiliate.fx.models import FxRate
from affiliate.i18n import _
from affiliate.money import EXPONENTS, exponent

COLUMNS = ("date", "base", "quote", "rate", "source")
LARGEST = Decimal(10) ** 9
MOST_ROWS = 50_000
MOST_ERRORS = 20


class RateTaken(Conflict):
    """There is another rate for this pair and day."""

    code = "rate_taken"


@dataclass(frozen=True, slots=True)
class Report:
    added: int
    known: int


@dataclass(frozen=True, slots=True)
class Quoted:
    """How many minor units of `quote` one minor unit of `base` is, by which stored rate."""

    rate_id: int
    day: date
    source: str
    rate: Decimal  # of whole units, in the direction that is asked for
    factor: Fraction  # of minor units

    def of(self, amount: int) -> int:
        """Rounded to the nearest minor unit."""
        exact = abs(amount) * self.factor
        whole = int(exact + Fraction(1, 2))
        return -whole if amount < 0 else whole


@dataclass(frozen=True, slots=True)
class Shown:
    """A sum in one currency, and what it could not take along."""

    amount: int
    currency: str
    rates: Mapping[str, Quoted]
    missing: tuple[str, ...]

    @property
    def day(self) -> date | None:
        """Of the oldest rate that it uses."""
        return min((each.day for each in self.rates.values()), default=None)


def import_csv(content: str | bytes, *, by: int | None) -> Report:
    """All rows or none. A row that is known changes nothing; one that says otherwise is refused."""
    rows = _read(content)
    # Two imports at once, one after the other: what both bring is compared, not doubled.
    name = sa.func.hashtextextended("fx import", 0)
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(name)))
    pairs = {(row["base"], row["quote"]) for row in rows}
    days = [row["day"] for row in rows]
    there = {
        (rate.base, rate.quote, rate.day): rate.rate
        for rate in db.session.scalars(
            sa.select(FxRate).where(
                sa.tuple_(FxRate.base, FxRate.quote).in_(pairs),
                FxRate.day.between(min(days), max(days)),
            )
        )
    }
    other = [row for row in rows if there.get(_key(row), row["rate"]) != row["rate"]]
    if other:
        row = other[0]
        message = _(
            "There is another rate of %(base)s in %(quote)s for %(day)s; rates are not changed.",
            base=row["base"], quote=row["quote"], day=str(row["day"]),
        )  # fmt: skip
        raise RateTaken(message)
    new = [row | {"imported_by": by} for row in rows if _key(row) not in there]
    if new:
        db.session.execute(inserting(FxRate, [row | {"rate": str(row["rate"])} for row in new]))
    audit.record(
        "rates.imported", subject="fx", by=by, added=len(new),
        first=str(min(days)), last=str(max(days)),
    )  # fmt: skip
    return Report(len(new), len(rows) - len(new))


def find(base: str, quote: str, on: date, *, oldest: date | None = None) -> Quoted | None:
    """The last rate of that day or before, either way round."""
    row = db.session.scalar(
        sa.select(FxRate)
        .where(
            sa.tuple_(FxRate.base, FxRate.quote).in_([(base, quote), (quote, base)]),
            FxRate.day <= on,
            FxRate.day >= oldest if oldest else sa.true(),
        )
        .order_by(FxRate.day.desc(), FxRate.base != base)
        .limit(1)
    )
    return _quoted(row, base, quote) if row else None


def known(rate_id: int, base: str, quote: str) -> Quoted:
    """A rate that was found before, in the same direction."""
    return _quoted(db.session.get_one(FxRate, rate_id), base, quote)


def _quoted(row: FxRate, base: str, quote: str) -> Quoted:
    exact = Fraction(row.rate) if row.base == base else 1 / Fraction(row.rate)
    scale = Fraction(10) ** (exponent(quote) - exponent(base))
    rate = row.rate if row.base == base else (1 / row.rate).quantize(Decimal("1e-10"))
    return Quoted(row.id, row.day, row.source, rate, exact * scale)


def total(amounts: Iterable[tuple[int, str]], currency: str, on: date) -> Shown:
    """Amounts of several currencies as one sum, to be shown beside them; never paid."""
    sums: dict[str, int] = {}
    for amount, each in amounts:
        sums[each] = sums.get(each, 0) + amount
    found = sums.pop(currency, 0)
    rates: dict[str, Quoted] = {}
    missing = []
    for each, amount in sorted(sums.items()):
        quoted = find(each, currency, on)
        if quoted is None:
            missing.append(each)
            continue
        rates[each] = quoted
        found += quoted.of(amount)
    return Shown(found, currency, rates, tuple(missing))


def _key(row: Mapping[str, Any]) -> tuple[str, str, date]:
    return row["base"], row["quote"], row["day"]


def _read(content: str | bytes) -> list[dict[str, Any]]:
    """UTF-8 with or without a mark, commas or semicolons, as spreadsheets save it."""
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        return _rows(text.lstrip("\ufeff"))
    except UnicodeDecodeError as error:
        raise Invalid(_("The file is not UTF-8 text.")) from error
    except csv.Error as error:
        raise Invalid(_("This is no CSV: %(why)s.", why=str(error))) from error


def _rows(text: str) -> list[dict[str, Any]]:
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    names = [str(name).strip().lower() for name in reader.fieldnames or ()]
    if not set(COLUMNS) <= set(names):
        message = _("The file needs the columns %(columns)s.", columns=", ".join(COLUMNS))
        raise Invalid(message)
    reader.fieldnames = names
    rows: dict[object, dict[str, Any]] = {}
    errors: list[FieldError] = []
    for number, cells in enumerate(reader, start=2):
        try:
            row = _row(cells)
        except ValueError as wrong:
            message = _("Line %(number)s: %(wrong)s", number=number, wrong=str(wrong))
            errors.append(FieldError(f"/{number}", "bad_row", message))
            continue
        if rows.setdefault(_key(row), row)["rate"] != row["rate"]:
            message = _("Line %(number)s: the pair and day stand there twice.", number=number)
            errors.append(FieldError(f"/{number}", "twice", message))
        if len(rows) > MOST_ROWS:
            raise Invalid(_("At most %(most)s rows in one file.", most=MOST_ROWS))
    if errors:
        raise Invalid(errors[0].message, errors=tuple(errors[:MOST_ERRORS]))
    if not rows:
        raise Invalid(_("There is no rate in this file."))
    return list(rows.values())


def _row(cells: Mapping[str, str | None]) -> dict[str, Any]:
    said = {name: (cells.get(name) or "").strip() for name in COLUMNS}
    base, quote = said["base"].upper(), said["quote"].upper()
    for currency in (base, quote):
        if currency not in EXPONENTS:
            raise ValueError(str(_("%(currency)s is no ISO 4217 currency.", currency=currency[:9])))
    if base == quote:
        raise ValueError(str(_("A currency has no rate to itself.")))
    try:
        day = date.fromisoformat(said["date"])
    except ValueError:
        raise ValueError(str(_("A date looks like 2026-11-30."))) from None
    if not 0 < len(said["source"]) <= 200 or not said["source"].isprintable():
        raise ValueError(str(_("Say where the rate is from.")))
    return {"base": base, "quote": quote, "day": day, "rate": _rate(said["rate"]),
            "source": said["source"]}  # fmt: skip


def _rate(text: str) -> Decimal:
    try:
        rate = Decimal(text if "." in text else text.replace(",", "."))
    except InvalidOperation:
        raise ValueError(str(_("A rate looks like 5.4321."))) from None
    kept = rate.quantize(Decimal("1e-10")) if rate.is_finite() and abs(rate) < LARGEST else None
    if kept is None or kept <= 0 or kept != rate:
        raise ValueError(str(_("A rate is above zero, with at most ten decimals.")))
    return kept
