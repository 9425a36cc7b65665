"""A coupon as a person types it: what they left out is suggested, all that is wrong is told."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import formats, ids
from affiliate.attribution.models import Coupon
from affiliate.catalog.models import Shop
from affiliate.consoles.merchant.typed_order import fitting, labels
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.intake.coupons.wishes import Terms
from affiliate.intake.models import ShopCoupon
from affiliate.money import Money
from affiliate.people.models import Promoter
from affiliate.programs.book import normal_code
from affiliate.programs.models import Program

LONGEST_NAME = 12
# Where the service says that something is wrong, and the field that shows it.
FIELDS = {
    "/code": "code", "/promoter": "promoter", "/discount": "percent",
    "/discount/percent_ppm": "percent", "/discount/amount": "amount",
    "/discount/amount/currency": "amount", "/minimum": "minimum",
    "/minimum/currency": "minimum", "/uses": "uses", "/starts_at": "starts", "/ends_at": "ends",
}  # fmt: skip


@dataclass(slots=True)
class TypedCoupon:
    """What was typed; reading it fills `faults`, by field."""

    typed: Any  # a MultiDict
    programs: Sequence[Program]
    shops: Sequence[Shop]
    zone: ZoneInfo
    faults: dict[str, Any] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)  # of promoters, where several fit

    @property
    def program(self) -> Program:
        wanted = self.typed.get("program", "")
        return next((each for each in self.programs if str(each.id) == wanted), self.programs[0])

    @property
    def of_program(self) -> list[Shop]:
        """The shops that may be chosen."""
        listed = self.program.shop_ids
        return [each for each in self.shops if not listed or each.id in listed]

    @property
    def shop_ids(self) -> list[int]:
        wanted = set(self.typed.getlist("shop"))
        if not wanted and len(self.of_program) == 1:
            return [self.of_program[0].id]
        return [each.id for each in self.of_program if str(each.id) in wanted]

    @property
    def currency(self) -> str:
        """Of the first chosen shop: the others must have the same where amounts are given."""
        chosen = [each for each in self.of_program if each.id in self.shop_ids]
        found = next(iter([*chosen, *self.of_program]), None)
        return found.currency if found else ""

    def promoter(self) -> Promoter | None:
        found = self._fitting()
        if len(found) == 1:
            return found[0]
        if not self.typed.get("promoter", "").strip():
            self.faults["promoter"] = _("Whose code will it be?")
        elif not found:
            self.faults["promoter"] = _("Nobody of this name takes part in the program.")
        else:
            self.faults["promoter"] = _("Several people fit. Choose one:")
            self.choices = labels(found[:8])
        return None

    @property
    def suggestions(self) -> list[str]:
        return labels(fitting(self.program, ""))

    @property
    def is_suggested(self) -> bool:
        """Nobody typed a code: what stands in its field, if anything, came from us."""
        given = self.typed.get("code", "").strip()
        return given in ("", self.typed.get("suggested", ""))

    def code(self) -> str:
        """As typed; else made of the promoter's name and the percentage."""
        found = self._fitting() if self.is_suggested else []
        if len(found) != 1:
            return str(self.typed.get("code", "")).strip()
        percent = self.typed.get("percent", "").strip()
        return suggested(self.program.merchant_id, found[0], percent)

    def terms(self) -> Terms:
        if not self.shop_ids:
            self.faults["shop"] = _("In which shops?")
        return Terms(
            percent_ppm=self._ppm(),
            amount=self._money("amount"),
            minimum=self._money("minimum"),
            uses=self._uses(),
            starts_at=self._midnight("starts"),
            ends_at=self._midnight("ends", after=1),
        )

    def refused(self, refusal: AffiliateError) -> None:
        """Put each fault to its field."""
        for each in refusal.errors:
            name = "shop" if each.pointer.startswith("/shops") else FIELDS.get(each.pointer, "")
            self.faults.setdefault(name, each.message)

    def _fitting(self) -> list[Promoter]:
        """Whoever the text fits; of one name exactly nobody else."""
        text = self.typed.get("promoter", "").strip()
        fit = fitting(self.program, text) if text else []
        return [each for each in fit if each.name.casefold() == text.casefold()] or fit

    def _ppm(self) -> int | None:
        text = self.typed.get("percent", "").strip()
        return self._read("percent", lambda: formats.typed_ppm(text)) if text else None

    def _money(self, name: str) -> Money | None:
        text, currency = self.typed.get(name, "").strip(), self.currency
        if not text or not currency:
            return None
        found = self._read(name, lambda: formats.typed_minor(text, currency))
        return None if found is None else Money(found, currency)

    def _uses(self) -> int | None:
        text = self.typed.get("uses", "").strip()
        if not text:
            return None
        if not (text.isdecimal() and len(text) <= 9):
            self.faults["uses"] = _("A whole number, please.")
            return None
        return int(text)

    def _midnight(self, name: str, after: int = 0) -> datetime | None:
        """The beginning of the day in the merchant's zone, or of the one after it."""
        text = self.typed.get(name, "").strip()
        if not text:
            return None
        try:
            day = date.fromisoformat(text) + timedelta(days=after)
            return datetime.combine(day, time(), self.zone)
        except (ValueError, OverflowError):
            self.faults[name] = _("A date, please.")
            return None

    def _read(self, name: str, read: Any) -> int | None:
        try:
            return int(read())
        except AffiliateError as refusal:
            self.faults[name] = refusal.message
            return None


def suggested(merchant_id: int, promoter: Promoter, percent: str) -> str:
    """ANA10 for Ana and 10%; with a letter behind it where somebody has that."""
    plain = unicodedata.normalize("NFKD", promoter.name).encode("ascii", "ignore").decode()
    words = "".join(each if each.isalnum() else " " for each in plain).split()
    name = next((each for each in words if len(each) > 1), "")[:LONGEST_NAME].upper()
    start = (name or f"T{ids.encode('prm', promoter.id)[-5:].upper()}") + (
        percent if percent.isascii() and percent.isdecimal() else ""
    )
    taken = set(
        db.session.scalars(
            sa.select(Coupon.normal_code).where(
                Coupon.merchant_id == merchant_id,
                Coupon.normal_code.startswith(normal_code(start), autoescape=True),
                Coupon.until.is_(None),
            )
        )
    )
    tries = [start, *(f"{start}{letter}" for letter in "ABCDEFGHJKLMNPQRSTUVWXYZ")]
    return next((each for each in tries if normal_code(each) not in taken), start)


def like(row: ShopCoupon, zone: ZoneInfo) -> dict[str, Any]:
    """The same terms once more, for another code or another shop."""
    tick = timedelta(microseconds=1)
    return {
        "shop": str(row.shop_id),
        "percent": _typed_ppm(row.percent_ppm),
        "amount": formats.amount(row.amount, row.currency) if row.amount else "",
        "minimum": formats.amount(row.minimum, row.currency) if row.minimum else "",
        "uses": row.uses or "",
        "starts": row.starts_at.astimezone(zone).date().isoformat() if row.starts_at else "",
        "ends": (row.ends_at - tick).astimezone(zone).date().isoformat() if row.ends_at else "",
    }


def _typed_ppm(ppm: int | None) -> str:
    return formats.ppm(ppm).replace("%", "").strip() if ppm else ""
