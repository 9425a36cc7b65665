"""A merchant's offer: the program, its dated terms, and who may take part."""

from datetime import UTC, date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import (
    Ints,
    Json,
    JsonOrNull,
    Minor,
    Model,
    Owned,
    Texts,
    of_merchant,
    same_merchant,
)

# The first terms of a program hold from here on: an order older than the program is judged too.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Enrolment(StrEnum):
    """How promoters come in."""

    OPEN = "open"
    APPROVAL = "approval"
    INVITE = "invite"


class PlanType(StrEnum):
    """Whom a program is for."""

    PUBLIC = "public"  # everybody, as its enrolment says
    TARGETED = "targeted"  # the promoters and groups it names
    EXCLUSIVE = "exclusive"  # the same, and they earn by it alone: other programs lose


class SoldOut(StrEnum):
    """What a link to a product does that is sold out."""

    REDIRECT = "redirect"  # lead to the fallback, with its token
    PAUSE = "pause"  # be closed: lead to the fallback, and the click counts for nobody
    IGNORE = "ignore"  # lead to the product all the same: the shop takes orders in advance


class Program(Owned, Model):
    __tablename__ = "programs"

    name: Mapped[str]
    plan_type: Mapped[str] = mapped_column(default=PlanType.PUBLIC)
    enrolment: Mapped[str] = mapped_column(default=Enrolment.OPEN)
    priority: Mapped[int] = mapped_column(default=0)
    shop_ids: Mapped[Ints] = mapped_column(default=list)  # empty: all the merchant's shops
    fallback_url: Mapped[str | None]  # where dead links lead; null: the shop's front page
    sold_out: Mapped[str] = mapped_column(default=SoldOut.REDIRECT, server_default="redirect")
    utm: Mapped[JsonOrNull]  # template of the UTM parameters of its links; null: our own two
    ended_at: Mapped[datetime | None]
    risk_threshold: Mapped[int] = mapped_column(default=100)  # from this score on money is held
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("enrolment IN ('open', 'approval', 'invite')", name="enrolment"),
        sa.CheckConstraint("plan_type IN ('public', 'targeted', 'exclusive')", name="plan_type"),
        sa.CheckConstraint("sold_out IN ('redirect', 'pause', 'ignore')", name="sold_out"),
    )


class Group(Owned, Model):
    """Promoters of a merchant that rules and programs may name together."""

    __tablename__ = "promoter_groups"

    name: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (of_merchant(), sa.UniqueConstraint("merchant_id", "name"))


class GroupMember(Owned, Model):
    """Who belongs to a group, [since, until)."""

    __tablename__ = "group_members"

    group_id: Mapped[int]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("group_id", "promoter_groups"),
        sa.Index("group_members_promoter_idx", "promoter_id", "merchant_id"),
        sa.Index(
            "group_members_open_idx", "merchant_id", "group_id", "promoter_id",
            unique=True, postgresql_where=sa.text("until IS NULL"),
        ),
    )  # fmt: skip


class Grade(Owned, Model):
    """A step of the merchant's ladder. Rules may ask for it; a closed period takes promoters up
    and down.
    """

    __tablename__ = "grades"

    name: Mapped[str]
    rank: Mapped[int]  # the higher the better
    # Any of these lists earns it, all of one list: [[{"measure", "at_least", "currency"}, …], …]
    needs: Mapped[Json] = mapped_column(default=list)
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.Index(
            "grades_rank_idx", "merchant_id", "rank",
            unique=True, postgresql_where=sa.text("ended_at IS NULL"),
        ),
        sa.Index(
            "grades_name_idx", "merchant_id", "name",
            unique=True, postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )  # fmt: skip


class GradeStanding(Owned, Model):
    """That a promoter had a grade, [since, until), and what made it: history is never edited."""

    __tablename__ = "grade_standings"

    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    grade_id: Mapped[int]
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    period: Mapped[date | None]  # the closed one whose figures made it; null: given by hand
    figures: Mapped[Json | None]
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))  # who gave it

    __table_args__ = (
        of_merchant(),
        same_merchant("grade_id", "grades"),
        sa.CheckConstraint("until >= since", name="order"),
        sa.CheckConstraint("(period IS NULL) = (figures IS NULL)", name="made_by"),
        sa.Index("grade_standings_promoter_idx", "merchant_id", "promoter_id", "since"),
        sa.Index(
            "grade_standings_open_idx", "merchant_id", "promoter_id",
            unique=True, postgresql_where=sa.text("until IS NULL"),
        ),
    )  # fmt: skip


class Invitee(Owned, Model):
    """A promoter or a group that a targeted or exclusive program names, [since, until)."""

    __tablename__ = "program_invitees"

    program_id: Mapped[int]
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    group_id: Mapped[int | None]
    since: Mapped[datetime]
    until: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        same_merchant("group_id", "promoter_groups"),
        sa.CheckConstraint("num_nonnulls(promoter_id, group_id) = 1", name="one_of_two"),
        sa.Index("program_invitees_program_idx", "merchant_id", "program_id"),
    )


class Rule(Owned, Model):
    """One rate with its scope. What it pays, and on what conditions, stands in its versions."""

    __tablename__ = "rules"

    program_id: Mapped[int]
    scope: Mapped[str]
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    group_id: Mapped[int | None]
    product_id: Mapped[int | None]
    category: Mapped[str | None]  # normalised
    # Typed into the product table: a product has one such rule in a program.
    inline: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        same_merchant("group_id", "promoter_groups"),
        same_merchant("product_id", "products"),
        sa.CheckConstraint(
            "(promoter_id IS NOT NULL) = (scope IN ('promoter_product', 'promoter'))"
            " AND (group_id IS NOT NULL) = (scope IN ('group_product', 'group'))"
            " AND (product_id IS NOT NULL)"
            " = (scope IN ('promoter_product', 'group_product', 'product'))"
            " AND (category IS NOT NULL) = (scope = 'category')"
            " AND scope IN ('promoter_product', 'promoter', 'group_product', 'product',"
            " 'category', 'group', 'program')",
            name="scope",
        ),
        sa.Index("rules_program_idx", "merchant_id", "program_id"),
        sa.Index(
            "rules_inline_idx", "merchant_id", "program_id", "product_id",
            unique=True, postgresql_where=sa.text("inline"),
        ),
    )  # fmt: skip


class RuleVersion(Owned, Model):
    """What a rule pays from an instant on. Never edited (a trigger sees to it): a change is a
    later row, and the end of a rule is a row too.
    """

    __tablename__ = "rule_versions"

    rule_id: Mapped[int]
    effective_from: Mapped[datetime]
    ended: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str]
    rate_ppm: Mapped[int]
    amount: Mapped[Minor]
    currency: Mapped[str | None] = mapped_column(sa.CHAR(3))
    priority: Mapped[int]
    conditions: Mapped[Json] = mapped_column(default=dict)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))  # who stated it

    __table_args__ = (
        of_merchant(),
        same_merchant("rule_id", "rules"),
        sa.UniqueConstraint("merchant_id", "rule_id", "effective_from"),
        sa.CheckConstraint("kind IN ('percent', 'per_unit', 'per_order')", name="kind"),
        sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name="rate"),
        sa.CheckConstraint("amount >= 0", name="amount"),
        sa.CheckConstraint("(kind = 'percent') = (currency IS NULL)", name="currency"),
    )


class AgencyRate(Owned, Model):
    """That an agency gets a share in a program: of all its promoters' sales, or of one promoter's
    or one product's. How much stands in its versions.
    """

    __tablename__ = "agency_rates"

    program_id: Mapped[int]
    agency_id: Mapped[int] = mapped_column(sa.ForeignKey("agencies.id"), index=True)
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    product_id: Mapped[int | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        same_merchant("product_id", "products"),
        sa.UniqueConstraint(
            "merchant_id", "program_id", "agency_id", "promoter_id", "product_id",
            name="agency_rates_subject_key", postgresql_nulls_not_distinct=True,
        ),
    )  # fmt: skip


class AgencyRateVersion(Owned, Model):
    """How much, from an instant on. Never edited (a trigger sees to it), like a rule's version."""

    __tablename__ = "agency_rate_versions"

    rate_id: Mapped[int]
    effective_from: Mapped[datetime]
    ended: Mapped[bool] = mapped_column(default=False)
    mode: Mapped[str]
    ppm: Mapped[int]
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))  # who stated it

    __table_args__ = (
        of_merchant(),
        same_merchant("rate_id", "agency_rates"),
        sa.UniqueConstraint("merchant_id", "rate_id", "effective_from"),
        sa.CheckConstraint("mode IN ('own', 'difference')", name="mode"),
        sa.CheckConstraint("ppm BETWEEN 0 AND 1000000", name="ppm"),
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
    # How long an order ties its customer to its promoter, and keeps it from others' clicks.
    binding_days: Mapped[int]
    protection_days: Mapped[int]
    # [{"per": "order" | "promoter_month" | "program_month", "amount", "currency"}]
    caps: Mapped[Json] = mapped_column(default=list)
    notice_days: Mapped[int]  # how long after a cut the better rate is paid to those who shared
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
        sa.CheckConstraint(
            "binding_days BETWEEN 0 AND 3650 AND protection_days BETWEEN 0 AND binding_days"
            " AND notice_days BETWEEN 0 AND 365",
            name="binding",
        ),
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
