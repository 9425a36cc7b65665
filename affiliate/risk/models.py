"""Cases: what looked odd, with its evidence, and what a person decided."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Json, Model, Owned, of_merchant, same_merchant


class CaseState(StrEnum):
    OPEN = "open"
    CLEARED = "cleared"  # nothing wrong: the money goes its way
    CONFIRMED = "confirmed"  # of an order: nobody is paid; of a promoter: the money stays held


class Case(Owned, Model):
    """About one order, or about one promoter at this merchant."""

    __tablename__ = "risk_cases"

    order_id: Mapped[int | None]
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    score: Mapped[int]
    signals: Mapped[Json]  # [{"code", "weight", evidence…}]
    state: Mapped[str] = mapped_column(default=CaseState.OPEN)
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        sa.CheckConstraint("num_nonnulls(order_id, promoter_id) = 1", name="subject"),
        sa.CheckConstraint("state IN ('open', 'cleared', 'confirmed')", name="state"),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_by IS NULL)",
            name="decided",
        ),
        sa.Index("risk_cases_order_idx", "merchant_id", "order_id", unique=True),
        sa.Index(
            "risk_cases_promoter_idx", "merchant_id", "promoter_id",
            unique=True, postgresql_where=sa.text("state = 'open'"),
        ),
    )  # fmt: skip
