"""The inbox: every webhook a shop was told we have, until it is booked or somebody looked at it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Json, Model, Owned, of_merchant, same_merchant


class Event(Owned, Model):
    __tablename__ = "inbox"

    shop_id: Mapped[int]
    # The platform's delivery id, or a hash of the content where it has none.
    dedup_key: Mapped[str]
    # Which order it speaks of; events of one order are handled together, by one worker.
    order_key: Mapped[str]
    topic: Mapped[str]
    body: Mapped[bytes | None]  # sealed; dropped 30 days after done, 90 after quarantine
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="waiting")
    error: Mapped[Json | None]  # {"code", "pointer", "message"} when quarantined
    attempts: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        sa.UniqueConstraint("merchant_id", "shop_id", "dedup_key"),
        sa.CheckConstraint("state IN ('waiting', 'done', 'quarantined')", name="state"),
        sa.Index(
            "inbox_waiting_idx", "merchant_id", "shop_id", "id",
            postgresql_where=sa.text("state = 'waiting'"),
        ),
        sa.Index(
            "inbox_order_idx", "merchant_id", "shop_id", "order_key",
            postgresql_where=sa.text("state = 'waiting'"),
        ),
        sa.Index("inbox_open_idx", "state", postgresql_where=sa.text("state <> 'done'")),
        sa.Index("inbox_old_idx", "done_at", postgresql_where=sa.text("body IS NOT NULL")),
    )  # fmt: skip
