"""An order as a person types it, read field by field: all that is wrong is told at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from affiliate import clock, formats, ids
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Product, Shop
from affiliate.consoles.merchant import rule_words
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound
from affiliate.i18n import _
from affiliate.money import LARGEST
from affiliate.orders.facts import Customer, Line, Order
from affiliate.orders.models import Status
from affiliate.people.models import Promoter
from affiliate.programs.models import Membership, MembershipState, Program

ROWS, MOST_ROWS = 2, 20
PIECES = 10_000
SUGGESTED = 200
CUSTOMERS = MappingProxyType({"new": True, "known": False})


@dataclass(frozen=True, slots=True)
class Row:
    """A line as it was typed."""

    number: int
    product: str
    quantity: str
    price: str
    discount: str

    @property
    def is_empty(self) -> bool:
        return not (self.product or self.price or self.discount)


@dataclass(slots=True)
class TypedOrder:
    """What was typed for a program; reading it fills `faults`, by field."""

    program: Program
    shops: Sequence[Shop]
    typed: Mapping[str, str]
    faults: dict[str, Any] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)  # of promoters, where several fit

    @property
    def shop(self) -> Shop:
        wanted = self.typed.get("shop", "")
        return next((each for each in self.shops if str(each.id) == wanted), self.shops[0])

    @property
    def rows(self) -> list[Row]:
        """As many as are filled in, and at least as many as were asked for."""
        wanted = self.typed.get("rows", "")
        count = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else ROWS
        rows = [self._row(number) for number in range(1, MOST_ROWS + 1)]
        filled = [each.number for each in rows if not each.is_empty]
        return rows[: min(MOST_ROWS, max([count, 1, *filled]))]

    @property
    def content(self) -> str | None:
        return self.typed.get("content", "").strip()[:200] or None

    def promoter(self) -> Promoter | None:
        text = self.typed.get("promoter", "").strip()
        fit = fitting(self.program, text) if text else []
        exact = [each for each in fit if each.name.casefold() == text.casefold()]
        found = exact or fit
        if len(found) == 1:
            return found[0]
        if not text:
            self.faults["promoter"] = _("Who would have shared it?")
        elif not found:
            self.faults["promoter"] = _("Nobody of this name takes part in the program.")
        else:
            self.faults["promoter"] = _("Several people fit. Choose one:")
            self.choices = labels(found[:8])
        return None

    def order(self) -> tuple[Order, dict[str, Any]]:
        """The order, and what each of its lines is taken for."""
        now, lines = clock.now(), []
        known_as: dict[str, Any] = {}
        for row in self.rows:
            if not row.is_empty:
                line, known_as[str(row.number)] = self._line(row)
                lines.append(line)
        if not lines:
            self.faults["product_1"] = _("At least one line is needed.")
        coupon = self.typed.get("coupon", "").strip()[:200]
        order = Order(
            external_id="simulated",
            version=1,
            status=Status.PAID,
            currency=self.shop.currency,
            placed_at=now,
            paid_at=now,
            customer=Customer(new=CUSTOMERS.get(self.typed.get("customer", ""))),
            coupons=(coupon,) if coupon else (),
            lines=tuple(lines),
        )
        return order, known_as

    def _row(self, number: int) -> Row:
        names = ("product", "quantity", "price", "discount")
        return Row(number, *(self.typed.get(f"{name}_{number}", "").strip() for name in names))

    def _line(self, row: Row) -> tuple[Line, Any]:
        product, category, known_as = self._sold(row)
        pieces = self._pieces(row)
        each = self._amount(f"price_{row.number}", row.price)
        if not row.price:
            each = product.price if product else None
            if each is None:
                self.faults[f"price_{row.number}"] = _("What does one cost?")
        amount, discount = (
            (each or 0) * pieces,
            self._amount(f"discount_{row.number}", row.discount),
        )
        if amount > LARGEST:
            self.faults[f"price_{row.number}"] = _("This amount is larger than anything we accept.")
        elif (discount or 0) > amount and each is not None:
            self.faults[f"discount_{row.number}"] = _("More than the line costs.")
        line = Line(
            external_id=str(row.number),
            title=product.title if product else row.product,
            quantity=pieces,
            amount=amount,
            discount=discount or 0,
            tax=0,
            product_external_id=product.external_id if product else None,
            category=product.category if product else category,
        )
        return line, known_as

    def _sold(self, row: Row) -> tuple[Product | None, str | None, Any]:
        """A product of this shop, anything of a category, or what the catalogue does not know."""
        if not row.product:
            return None, None, _("Any product")
        found = catalog.named(self.program.merchant_id, [self.shop.id], row.product)
        if len(found) == 1:
            return found[0], None, found[0].category or _("In the catalogue")
        if found:
            self.faults[f"product_{row.number}"] = _(
                "Several products have this title: type the number."
            )
        if _is_category(self.shop, row.product):
            return None, row.product, _("Anything of this category")
        return None, None, _("Not in this shop's catalogue")

    def _pieces(self, row: Row) -> int:
        text = row.quantity or "1"
        if text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= PIECES:
            return int(text)
        self.faults[f"quantity_{row.number}"] = _("A whole number, from 1.")
        return 1

    def _amount(self, name: str, text: str) -> int | None:
        if not text:
            return None
        try:
            found = formats.typed_minor(text, self.shop.currency)
        except AffiliateError as refusal:
            self.faults[name] = refusal.message
            return None
        if found < 0:
            self.faults[name] = _("Not below zero.")
            return None
        return found


def _is_category(shop: Shop, text: str) -> bool:
    found = sa.select(Product.id).where(
        Product.merchant_id == shop.merchant_id,
        Product.shop_id == shop.id,
        sa.func.lower(Product.category) == sa.func.lower(text),
    )
    return db.session.scalar(found.limit(1)) is not None


def suggestions(program: Program, shop: Shop) -> dict[str, Any]:
    products = catalog.suggested(program.merchant_id, [shop.id])
    rules = rule_words.standing(program, clock.now())
    return {
        "promoters": labels(fitting(program, "")),
        "products": products,
        "categories": sorted({each.category for each in products if each.category}),
        "contents": sorted({each for worded in rules for each in worded.rule.conditions.contents}),
    }


def fitting(program: Program, text: str) -> list[Promoter]:
    """Who takes part and whose name has this in it; a public id at the end is one person."""
    wanted = (
        sa.select(Promoter)
        .join(Membership, Membership.promoter_id == Promoter.id)
        .where(
            Membership.merchant_id == program.merchant_id,
            Membership.program_id == program.id,
            Membership.state == MembershipState.ACTIVE,
        )
    )
    key = text.rpartition(" ")[2]
    try:
        wanted = wanted.where(Promoter.id == ids.decode_one("prm", key))
    except NotFound:
        wanted = wanted.where(Promoter.name.icontains(text, autoescape=True))
    return list(db.session.scalars(wanted.order_by(Promoter.name, Promoter.id).limit(SUGGESTED)))


def labels(found: Sequence[Promoter]) -> list[str]:
    """Names; where two people have the same, with what tells them apart."""
    names = [each.name.casefold() for each in found]
    return [
        each.name
        if names.count(each.name.casefold()) == 1
        else f"{each.name} · {ids.encode('prm', each.id)}"
        for each in found
    ]
