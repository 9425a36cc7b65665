"""Who a payee is to the tax authority, as the payee says it; every version is kept."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Key, Model, Stamped


class TinStatus(StrEnum):
    """Of the tax number: `refused` is what an authority says of it, told by finance."""

    MISSING = "missing"
    GIVEN = "given"
    VERIFIED = "verified"
    REFUSED = "refused"


HAS_ID = (TinStatus.GIVEN, TinStatus.VERIFIED)


class TaxProfile(Stamped, Model):
    """A change is a new row. Payouts that were made before keep the one they were reckoned with."""

    __tablename__ = "tax_profiles"

    id: Mapped[Key]
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    person: Mapped[str]  # individual, company
    regime: Mapped[str]
    tax_id: Mapped[bytes | None]  # sealed
    masked: Mapped[str | None]
    fingerprint: Mapped[bytes | None]  # keyed hash
    tin_status: Mapped[str]
    said_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    replaced_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.CheckConstraint("person IN ('individual', 'company')", name="person"),
        sa.CheckConstraint(
            "tin_status IN ('missing', 'given', 'verified', 'refused')", name="tin_status"
        ),
        sa.CheckConstraint("(tin_status = 'missing') = (tax_id IS NULL)", name="tax_id"),
        sa.Index(
            "tax_profiles_live_idx", "payee_kind", "payee_id",
            unique=True, postgresql_where=sa.text("replaced_at IS NULL"),
        ),
        sa.Index("tax_profiles_payee_idx", "payee_kind", "payee_id", "id"),
    )  # fmt: skip
