"""A merchant's offer: the program, its dated terms, and who may take part."""

from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Ints, Json, Model, Owned, Texts, of_merchant, same_merchant

# The first terms of a program hold from here on: an order older than the program is judged too.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Enrolment(StrEnum):
    """How promoters come in."""

    OPEN = "open"
    APPROVAL = "approval"
    INVITE = "invite"


class Program(Owned, Model):
    __tablename__ = "programs"

    name: Mapped[str]
    enrolment: Mapped[str] = mapped_column(default=Enrolment.OPEN)
    priority: Mapped[int] = mapped_column(default=0)
    shop_ids: Mapped[Ints] = mapped_column(default=list)  # empty: all the merchant's shops
    fallback_url: Mapped[str | None]  # where dead links lead; null: the shop's front page
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("enrolment IN ('open', 'approval', 'invite')", name="enrolment"),
    )


class Terms(Owned, Model):
    """What a program pays, from an instant on. Never edited: a change is a later row.

    The first terms of a program have `effective_from = BEGINNING`.
    """

    __tablename__ = "program_terms"

    program_id: Mapped[int]
    effective_from: Mapped[datetime]
    default_rate_ppm: Mapped[int]
    tiers_ppm: Mapped[Ints]  # tier_2 first
    max_total_ppm: Mapped[int]
    window_days: Mapped[int]
    model: Mapped[str]
    sources: Mapped[Texts]
    credit: Mapped[str]
    hold_days: Mapped[int]
    hold_fallback_days: Mapped[int]
    self_purchase: Mapped[str]
    inactive_upline: Mapped[str]
    base: Mapped[str]
    # Why an operator let these terms pay more levels than the country's policy allows by itself.
    policy_reason: Mapped[str | None]
    policy_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        sa.UniqueConstraint("merchant_id", "program_id", "effective_from"),
        sa.CheckConstraint("default_rate_ppm BETWEEN 0 AND max_total_ppm", name="rate_below_cap"),
        sa.CheckConstraint("max_total_ppm BETWEEN 0 AND 1000000", name="cap"),
        sa.CheckConstraint("window_days BETWEEN 0 AND 3650", name="window"),
        sa.CheckConstraint("hold_days >= 0 AND hold_fallback_days >= 0", name="hold"),
        sa.CheckConstraint("cardinality(tiers_ppm) <= 9", name="levels"),
        sa.CheckConstraint("model IN ('last', 'first', 'linear')", name="model"),
        sa.CheckConstraint("credit IN ('order', 'product')", name="credit"),
        sa.CheckConstraint("self_purchase IN ('none', 'rebate')", name="self_purchase"),
        sa.CheckConstraint("inactive_upline IN ('skip', 'compress')", name="inactive_upline"),
        sa.CheckConstraint("base IN ('net', 'gross')", name="base"),
        sa.CheckConstraint(
            "(policy_reason IS NULL) = (policy_user_id IS NULL)", name="policy_reason_by_somebody"
        ),
    )


class MembershipState(StrEnum):
    APPLIED = "applied"
    ACTIVE = "active"
    REFUSED = "refused"
    ENDED = "ended"


class ProductRate(Owned, Model):
    """What the seller earns of one product instead of the program's rate, from an instant on.

    Never edited: a change is a later row, and a rate of null gives the product back to the terms.
    """

    __tablename__ = "product_rates"

    program_id: Mapped[int]
    product_id: Mapped[int]
    effective_from: Mapped[datetime]
    rate_ppm: Mapped[int | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        same_merchant("product_id", "products"),
        sa.UniqueConstraint("merchant_id", "product_id", "program_id", "effective_from"),
        sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name="rate"),
    )


class Membership(Owned, Model):
    """A promoter's enrolment in a program, dated: [active_from, active_until).

    Who leaves and comes back has closed times in `earlier`; ask `was_active`, which knows both.
    """

    __tablename__ = "enrolments"

    program_id: Mapped[int]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    state: Mapped[str]
    active_from: Mapped[datetime | None]
    active_until: Mapped[datetime | None]
    earlier: Mapped[Json] = mapped_column(default=list)  # [[from, until], …], RFC 3339
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        sa.UniqueConstraint("merchant_id", "program_id", "promoter_id"),
        sa.Index("enrolments_promoter_idx", "promoter_id"),
        sa.CheckConstraint("state IN ('applied', 'active', 'refused', 'ended')", name="state"),
        sa.CheckConstraint(
            "(state IN ('active', 'ended')) = (active_from IS NOT NULL)", name="active_since"
        ),
    )

    def was_active(self, at: datetime) -> bool:
        if self.active_from and self.active_from <= at:
            return self.active_until is None or at < self.active_until
        return any(
            datetime.fromisoformat(since) <= at < datetime.fromisoformat(until)
            for since, until in self.earlier
        )
