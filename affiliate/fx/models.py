"""One row for each pair of currencies and day; never changed, never used to pay."""

from datetime import date
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Key, Model, Stamped


class FxRate(Stamped, Model):
    """So much of `quote` was one of `base` on a day, says the source."""

    __tablename__ = "fx_rates"

    id: Mapped[Key]
    base: Mapped[Currency]
    quote: Mapped[Currency]
    day: Mapped[date]
    rate: Mapped[Decimal] = mapped_column(sa.Numeric(20, 10))
    source: Mapped[str]
    imported_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))

    __table_args__ = (
        sa.CheckConstraint("rate > 0", name="rate"),
        sa.CheckConstraint("base <> quote", name="pair"),
        sa.UniqueConstraint("base", "quote", "day"),
    )
