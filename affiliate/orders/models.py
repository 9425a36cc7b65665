"""Orders, lines and refunds as the shop reported them, normalised. Facts only, no opinions."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Json, Minor, Model, Owned, Texts, of_merchant, same_merchant


class Status(StrEnum):
    """For display only: `paid_at`, `delivered_at` and `cancelled_at` decide."""

    STUB = "stub"  # we know of a refund, not yet of the order
    PENDING_PAYMENT = "pending_payment"
    PAID = "paid"
    FULFILLED = "fulfilled"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Order(Owned, Model):
    __tablename__ = "orders"

    shop_id: Mapped[int]
    external_id: Mapped[str]
    number: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=0)  # the shop's, monotone
    status: Mapped[str]
    test: Mapped[bool] = mapped_column(default=False)
    renewal: Mapped[bool] = mapped_column(default=False)
    currency: Mapped[Currency]
    tax_included: Mapped[bool] = mapped_column(default=False)
    order_tax: Mapped[int | None]  # tax known only for the whole order
    placed_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    refunded_fully: Mapped[bool] = mapped_column(default=False)  # the shop says so
    refunds_complete: Mapped[bool] = mapped_column(default=False)  # see facts.Order
    customer_external_id: Mapped[str | None]
    customer_email_hash: Mapped[bytes | None]
    customer_phone_hash: Mapped[bytes | None]
    customer_new: Mapped[bool | None]
    tokens: Mapped[Texts] = mapped_column(default=list)
    coupons: Mapped[Texts] = mapped_column(default=list)
    sharers: Mapped[Texts] = mapped_column(default=list)  # the platform's own ids of who shared
    group_id: Mapped[str | None]  # the shop's id of the group buy that it belongs to
    disputes: Mapped[Json] = mapped_column(default=list)  # as facts.Dispute; few orders have any
    discount: Mapped[Minor] = mapped_column(default=0)
    shipping: Mapped[Minor] = mapped_column(default=0)
    total: Mapped[int | None]
    notes: Mapped[Json] = mapped_column(default=list)  # oddities, as codes with arguments

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        sa.UniqueConstraint("merchant_id", "shop_id", "external_id"),
        sa.Index("orders_placed_idx", "merchant_id", "placed_at"),
        sa.Index(
            "orders_group_idx", "merchant_id", "shop_id", "group_id",
            postgresql_where=sa.text("group_id IS NOT NULL"),
        ),
    )  # fmt: skip


class Line(Owned, Model):
    __tablename__ = "order_lines"

    order_id: Mapped[int]
    external_id: Mapped[str]
    position: Mapped[int]
    product_external_id: Mapped[str | None]
    variant_external_id: Mapped[str | None]
    sku: Mapped[str | None]
    title: Mapped[str]
    category: Mapped[str | None]
    kind: Mapped[str]  # product, gift_card, tip, fee
    quantity: Mapped[int]
    amount: Mapped[Minor]  # before discount
    discount: Mapped[Minor]  # the line's own
    order_discount: Mapped[int | None]  # the shop's own allocation of the order's discount
    tax: Mapped[int | None]  # null: not reported
    removed: Mapped[bool] = mapped_column(default=False)  # edited away; counts as nothing left

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        sa.UniqueConstraint("merchant_id", "order_id", "external_id"),
    )


class Refund(Owned, Model):
    __tablename__ = "refunds"

    order_id: Mapped[int]
    external_id: Mapped[str]
    at: Mapped[datetime | None]
    status: Mapped[str]  # succeeded, pending, failed
    amount: Mapped[int | None]  # cash, shipping included; null: not told
    shipping: Mapped[Minor]
    # [{"line": external id, "quantity": n|null, "amount": minor|null, "tax": minor}]
    lines: Mapped[Json]

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        sa.UniqueConstraint("merchant_id", "order_id", "external_id"),
    )
