"""Who an order is credited to, on what grounds, and what can earn credit besides a link: coupons,
sharers, bindings and claims. All of it is dated, since it is judged as of the order.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Json, Model, Owned, of_merchant, same_merchant


class Attribution(Owned, Model):
    """The choice for one order. `trace` tells the whole story as codes with arguments."""

    __tablename__ = "attributions"

    order_id: Mapped[int]
    program_id: Mapped[int | None]  # null: nobody earns; the trace says why
    # The winner; with several (linear, by product) the first of them, all stand in `credited`.
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    link_id: Mapped[int | None] = mapped_column(sa.ForeignKey("links.id"))
    source: Mapped[str | None]  # of a touch, or `group`: as the order that opened its group
    touched_at: Mapped[datetime | None]
    # Each: products (ids there, or null for all others) and by whom: promoter, link, source, at,
    # content, and self if it is the buyer.
    credited: Mapped[Json] = mapped_column(default=list)
    claim_id: Mapped[int | None]  # the accepted claim that decided
    refusal: Mapped[str | None]  # why a chosen promoter is not paid: self_purchase, test_order, …
    barred: Mapped[bool] = mapped_column(default=False)  # a risk case was confirmed: nobody is paid
    # {"of": candidates, "choice": [[code, args]…], "lines": [[code, args]…]}. Of an order of a
    # group `of` also tells, after a colon, what was seen of the group.
    trace: Mapped[Json] = mapped_column(default=dict)
    # At the first accrual: terms and upline as of paid_at. Later lines and edits use the same.
    frozen: Mapped[Json | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        same_merchant("program_id", "programs"),
        same_merchant("claim_id", "claims"),
        sa.UniqueConstraint("merchant_id", "order_id"),
        sa.Index("attributions_promoter_idx", "promoter_id"),
    )


class Coupon(Owned, Model):
    """A code that credits its promoter, [since, until). One code has one owner at a time; that
    times do not overlap is kept by the database (migration 0009).
    """

    __tablename__ = "coupons"

    program_id: Mapped[int]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    code: Mapped[str]  # as people write it
    normal_code: Mapped[str]  # as it is compared
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        sa.Index("coupons_code_idx", "merchant_id", "normal_code"),
    )


class Sharer(Owned, Model):
    """Whom a platform's own sharer id stands for in one shop, [since, until)."""

    __tablename__ = "sharers"

    shop_id: Mapped[int]
    external_id: Mapped[str]
    program_id: Mapped[int]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        same_merchant("program_id", "programs"),
        sa.Index("sharers_external_idx", "merchant_id", "shop_id", "external_id"),
    )


class Binding(Owned, Model):
    """One order tied its customer to its winner, [since, until). Rows are only added or taken back
    with their order's credit: of those that cover an instant the latest counts.
    """

    __tablename__ = "bindings"

    program_id: Mapped[int]
    customer: Mapped[bytes]  # a keyed hash of mailbox, phone, or id inside one shop
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    order_id: Mapped[int]
    since: Mapped[datetime]
    until: Mapped[datetime]
    protected_until: Mapped[datetime]

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        same_merchant("order_id", "orders"),
        sa.UniqueConstraint("merchant_id", "customer", "program_id", "order_id"),
        sa.Index("bindings_order_idx", "merchant_id", "order_id"),
        sa.Index("bindings_promoter_idx", "promoter_id", "until"),
    )


class ClaimState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Claim(Owned, Model):
    """A promoter says: this order is mine. A person of the merchant decides."""

    __tablename__ = "claims"

    shop_id: Mapped[int]
    program_id: Mapped[int]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    order_number: Mapped[str]  # as the buyer knows it, or the shop's id
    evidence: Mapped[str]
    state: Mapped[str] = mapped_column(default=ClaimState.OPEN)
    order_id: Mapped[int | None]  # found when it is decided
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    reason: Mapped[str | None]  # what the promoter is told
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        same_merchant("program_id", "programs"),
        same_merchant("order_id", "orders"),
        sa.CheckConstraint("state IN ('open', 'accepted', 'refused')", name="state"),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state <> 'accepted' OR order_id IS NOT"
            " NULL)",
            name="decided",
        ),
        sa.Index(
            "claims_open_idx", "merchant_id", "shop_id", "order_number", "promoter_id",
            unique=True, postgresql_where=sa.text("state = 'open'"),
        ),
        sa.Index(
            "claims_accepted_idx", "merchant_id", "order_id",
            unique=True, postgresql_where=sa.text("state = 'accepted'"),
        ),
    )  # fmt: skip
