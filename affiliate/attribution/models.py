"""Who an order is credited to, on what grounds, and the terms frozen when it was first earned."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Json, Model, Owned, of_merchant, same_merchant


class Attribution(Owned, Model):
    """The choice for one order. `trace` tells the whole story as codes with arguments."""

    __tablename__ = "attributions"

    order_id: Mapped[int]
    program_id: Mapped[int | None]  # null: nobody earns; the trace says why
    promoter_id: Mapped[int | None] = mapped_column(sa.ForeignKey("promoters.id"))
    link_id: Mapped[int | None] = mapped_column(sa.ForeignKey("links.id"))
    source: Mapped[str | None]
    touched_at: Mapped[datetime | None]
    refusal: Mapped[str | None]  # why a chosen promoter is not paid: self_purchase, test_order
    # {"choice": [[code, args]…], "lines": [[code, args]…]}
    trace: Mapped[Json] = mapped_column(default=dict)
    # At the first accrual: terms and upline as of paid_at. Later lines and edits use the same.
    frozen: Mapped[Json | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        same_merchant("program_id", "programs"),
        sa.UniqueConstraint("merchant_id", "order_id"),
        sa.Index("attributions_promoter_idx", "promoter_id"),
    )
