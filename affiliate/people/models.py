"""Who there is: users with roles and keys, merchants, promoters and their sponsors."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Json, Key, Minor, Model, Stamped


class Role(StrEnum):
    OPERATOR = "operator"
    MERCHANT_OWNER = "merchant_owner"
    MERCHANT_STAFF = "merchant_staff"
    MERCHANT_ANALYST = "merchant_analyst"
    FINANCE_MAKER = "finance_maker"
    FINANCE_CHECKER = "finance_checker"
    FINANCE_AUDITOR = "finance_auditor"
    AGENCY = "agency"
    PROMOTER = "promoter"


class User(Stamped, Model):
    """A person who signs in, or a service that acts for one by an API key."""

    __tablename__ = "users"

    id: Mapped[Key]
    email: Mapped[str | None] = mapped_column(CITEXT, unique=True)
    phone: Mapped[str | None] = mapped_column(unique=True)  # E.164, proven by a code
    name: Mapped[str]
    password_hash: Mapped[str | None]
    is_service: Mapped[bool] = mapped_column(default=False)
    locale: Mapped[str] = mapped_column(default="en")
    timezone: Mapped[str] = mapped_column(default="UTC")
    currency: Mapped[str | None] = mapped_column(sa.CHAR(3))  # to read sums in; null: as earned
    quiet_from: Mapped[int | None] = mapped_column(default=22 * 60)  # minutes of their day
    quiet_until: Mapped[int | None] = mapped_column(default=8 * 60)
    totp_secret: Mapped[bytes | None]  # sealed
    totp_last_step: Mapped[int] = mapped_column(default=0)  # a code is good once
    unconfirmed_since: Mapped[datetime | None]  # joined, and has not shown to own the address
    terms_accepted_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]  # the person is gone; what was decided by them stays

    __table_args__ = (
        sa.CheckConstraint(
            "is_service OR erased_at IS NOT NULL OR num_nonnulls(email, phone) > 0",
            name="people_can_be_reached",
        ),
    )


class Grant(Stamped, Model):
    """A role of a user, for one merchant, promoter or agency, or the whole instance.

    A delegated one stands in for another person's: [since, until), and within that one's limits.
    """

    __tablename__ = "role_grants"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    role: Mapped[str]
    merchant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("merchants.id"))
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    agency_id: Mapped[int | None] = mapped_column(sa.ForeignKey("agencies.id"))
    delegated_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]

    __table_args__ = (
        sa.Index(
            "role_grants_once_idx",
            "user_id", "role", "merchant_id", "promoter_id", "agency_id",
            unique=True, postgresql_nulls_not_distinct=True,
            postgresql_where=sa.text("delegated_by IS NULL"),
        ),
        sa.Index(
            "role_grants_delegated_idx", "delegated_by",
            postgresql_where=sa.text("delegated_by IS NOT NULL"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(delegated_by, since, until) IN (0, 3) AND since <= until"
            " AND delegated_by <> user_id AND (delegated_by IS NULL OR role = 'finance_checker')",
            name="delegated",
        ),
        sa.CheckConstraint(
            "(role LIKE 'merchant\\_%') <= (merchant_id IS NOT NULL)"
            " AND (merchant_id IS NULL OR role LIKE 'merchant\\_%' OR role LIKE 'finance\\_%')"
            " AND (role = 'promoter') = (promoter_id IS NOT NULL)"
            " AND (role = 'agency') = (agency_id IS NOT NULL)",
            name="scope_fits_role",
        ),
    )  # fmt: skip


class ApprovalLimit(Stamped, Model):
    """The most that somebody may approve at once in a currency. Who has any approves nothing in
    other currencies; who has none approves every amount.
    """

    __tablename__ = "approval_limits"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.UniqueConstraint("user_id", "currency"),
        sa.CheckConstraint("amount >= 0", name="amount"),
    )


class ApiKey(Stamped, Model):
    """Acts as a user, by exactly one of the user's roles."""

    __tablename__ = "api_keys"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    grant_id: Mapped[int] = mapped_column(sa.ForeignKey("role_grants.id"), index=True)
    name: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str]  # the last four characters, to recognise it by
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class OneTimeLink(Stamped, Model):
    """A link that signs in once: first password, reset, invitation of staff."""

    __tablename__ = "one_time_links"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    purpose: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class OneTimeCode(Stamped, Model):
    """Six digits sent to an address or a phone, to be typed in the browser that asked for them.
    Whoever joins exists only afterwards: until then what they said is kept here.
    """

    __tablename__ = "one_time_codes"

    id: Mapped[Key]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)  # what the browser has in its session
    channel: Mapped[str]
    target: Mapped[str]  # normalised e-mail address, or E.164
    locale: Mapped[str]
    newcomer: Mapped[Json | None]  # null: somebody who has an account signs in
    code_hash: Mapped[bytes | None]  # null until it is put into words
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (
        sa.CheckConstraint("channel IN ('mail', 'sms')", name="channel"),
        sa.Index("one_time_codes_expires_at_idx", "expires_at"),
    )


class Identity(Stamped, Model):
    """Somebody as an OpenID provider knows them: never by an address, which may change hands."""

    __tablename__ = "identities"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    used_at: Mapped[datetime]

    __table_args__ = (
        sa.UniqueConstraint("issuer", "subject"),
        sa.UniqueConstraint("user_id", "issuer"),
    )


class Consent(Stamped, Model):
    """What somebody said yes to, in the words they read."""

    __tablename__ = "consents"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    kind: Mapped[str]
    locale: Mapped[str]
    words: Mapped[str]
    terms_url: Mapped[str | None]


class Device(Stamped, Model):
    """A browser that somebody signed in with before: the next time is no news, and guesses made
    elsewhere do not lock it out.
    """

    __tablename__ = "devices"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    secret_hash: Mapped[bytes]

    __table_args__ = (sa.UniqueConstraint("user_id", "secret_hash"),)


class UserSession(Stamped, Model):
    """Somebody signed in, in one browser. The cookie has the secret, we its fingerprint."""

    __tablename__ = "user_sessions"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    is_half: Mapped[bool] = mapped_column(default=False)  # password right, second factor to come
    seen_at: Mapped[datetime]
    otp_at: Mapped[datetime | None]  # when the second factor was last proven
    network: Mapped[str | None]  # the address, shortened to its network
    user_agent: Mapped[str]
    grant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("role_grants.id"))  # chosen place
    revoked_at: Mapped[datetime | None]


class RecoveryCode(Stamped, Model):
    """Stands in for the second factor once, when the phone is lost."""

    __tablename__ = "recovery_codes"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    code_hash: Mapped[bytes]
    used_at: Mapped[datetime | None]

    __table_args__ = (sa.UniqueConstraint("user_id", "code_hash"),)


class Agency(Stamped, Model):
    """An organisation that manages promoters and takes a share: a membership, no tree level."""

    __tablename__ = "agencies"

    id: Mapped[Key]
    name: Mapped[str]
    email: Mapped[str | None] = mapped_column(CITEXT, unique=True)
    country: Mapped[str | None] = mapped_column(sa.CHAR(2))
    closed_at: Mapped[datetime | None]  # then nobody is with it any more
    version: Mapped[int] = mapped_column(default=1)


class AgencyMember(Stamped, Model):
    """A promoter who was invited by an agency and, once accepted, is with it: [since, until)."""

    __tablename__ = "agency_members"

    id: Mapped[Key]
    agency_id: Mapped[int] = mapped_column(sa.ForeignKey("agencies.id"), index=True)
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    since: Mapped[datetime | None]  # null: invited, and has not said yes
    until: Mapped[datetime | None]
    ended_by: Mapped[str | None]  # agency, promoter, operator
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.CheckConstraint("until >= since", name="order"),
        sa.CheckConstraint("(until IS NULL) = (ended_by IS NULL)", name="ended_by"),
        sa.Index("agency_members_promoter_idx", "promoter_id", "since"),
        sa.Index(
            "agency_members_one_idx", "promoter_id",
            unique=True, postgresql_where=sa.text("since IS NOT NULL AND until IS NULL"),
        ),
        sa.Index(
            "agency_members_asked_idx", "agency_id", "promoter_id",
            unique=True, postgresql_where=sa.text("until IS NULL"),
        ),
    )  # fmt: skip


class PayoutMode(StrEnum):
    AUTOMATIC = "automatic"
    ON_REQUEST = "on_request"


class Merchant(Stamped, Model):
    __tablename__ = "merchants"

    id: Mapped[Key]
    name: Mapped[str]
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    currency: Mapped[Currency]  # for display and limits; shops have their own
    timezone: Mapped[str]
    payout_mode: Mapped[str] = mapped_column(default=PayoutMode.AUTOMATIC)
    credit_limit: Mapped[int | None]  # minor units of `currency`; null: none
    minimum_payout: Mapped[Minor] = mapped_column(default=0)  # in any currency's minor units
    platform_fee_ppm: Mapped[int] = mapped_column(default=0)
    withholding: Mapped[str | None]  # a scheme of affiliate/tax/tables.py; null: none
    invoice_required: Mapped[bool] = mapped_column(default=False)  # pays against invoices only
    grade_period: Mapped[str] = mapped_column(default="month")
    grade_demotion: Mapped[str] = mapped_column(default="one")  # how far down a period may take one
    suspended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.CheckConstraint("payout_mode IN ('automatic', 'on_request')", name="payout_mode"),
        sa.CheckConstraint("platform_fee_ppm BETWEEN 0 AND 1000000", name="platform_fee"),
        sa.CheckConstraint("credit_limit >= 0", name="credit_limit"),
        sa.CheckConstraint("grade_period IN ('month', 'quarter')", name="grade_period"),
        sa.CheckConstraint("grade_demotion IN ('none', 'one', 'full')", name="grade_demotion"),
    )


class Promoter(Stamped, Model):
    """A person who shares. At most one sponsor; triggers keep the tree free of cycles and write
    `sponsorships`, so that the upline of any past instant can be asked for.
    """

    __tablename__ = "promoters"

    id: Mapped[Key]
    name: Mapped[str]
    email: Mapped[str | None] = mapped_column(CITEXT, unique=True)
    phone: Mapped[str | None]  # E.164
    email_hash: Mapped[bytes | None]  # keyed, to recognise a promoter's own purchase
    phone_hash: Mapped[bytes | None]
    country: Mapped[str | None] = mapped_column(sa.CHAR(2))
    locale: Mapped[str] = mapped_column(default="en")
    sponsor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    sponsor_since: Mapped[datetime | None]  # kept by the trigger when a writer forgets it
    suspended_at: Mapped[datetime | None]
    profile: Mapped[Any] = mapped_column(sa.JSON, default=dict)
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.CheckConstraint("sponsor_id <> id", name="not_own_sponsor"),
        sa.Index(
            "promoters_team_idx",
            "sponsor_id", sa.text("sponsor_since DESC"), sa.text("id DESC"),
        ),
    )  # fmt: skip


class Avatar(Stamped, Model):
    """A promoter's picture as we drew it again: nothing of the file that was sent is kept."""

    __tablename__ = "avatars"

    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), primary_key=True)
    picture: Mapped[bytes]  # WebP
    mark: Mapped[str]  # of its content; stands in its address


class Sponsorship(Model):
    """Who sponsored whom from when to when. Written by a trigger on `promoters`."""

    __tablename__ = "sponsorships"

    id: Mapped[Key]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    sponsor_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]

    __table_args__ = (
        sa.Index("sponsorships_promoter_idx", "promoter_id", "since"),
        sa.Index("sponsorships_sponsor_idx", "sponsor_id"),
        sa.Index(
            "sponsorships_open_idx", "promoter_id",
            unique=True, postgresql_where=sa.text("until IS NULL"),
        ),
        sa.CheckConstraint("until >= since", name="order"),
    )  # fmt: skip


class Suspension(Model):
    """When a promoter was stopped: [since, until). Attribution judges as of the order."""

    __tablename__ = "suspensions"

    id: Mapped[Key]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]

    __table_args__ = (
        sa.Index("suspensions_promoter_idx", "promoter_id", "since"),
        sa.Index(
            "suspensions_open_idx", "promoter_id",
            unique=True, postgresql_where=sa.text("until IS NULL"),
        ),
        sa.CheckConstraint("until >= since", name="order"),
    )  # fmt: skip
