"""What people were told: one row for each letter, from the moment it is decided."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Key, Model, Stamped


class Notice(Stamped, Model):
    """A letter to one person. `kept` is the end where there is no mail server: it is read in the
    outbox. `sending` is written before the server is called and `sent` after, so that a crash in
    between is seen; the letter then goes out again under the same Message-ID.
    """

    __tablename__ = "notices"

    id: Mapped[Key]
    event_id: Mapped[int] = mapped_column(sa.ForeignKey("events.id"))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    address: Mapped[str]
    locale: Mapped[str]
    subject: Mapped[str]
    letter: Mapped[bytes | None]  # sealed, it may hold a one-time link; forgotten after a while
    state: Mapped[str]
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    trouble: Mapped[str | None]  # what the mail server said last

    __table_args__ = (
        sa.UniqueConstraint("event_id", "user_id"),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'sent', 'kept', 'failed')", name="state"
        ),
        sa.Index(
            "notices_due_idx", "due_at",
            postgresql_where=sa.text("state IN ('waiting', 'sending')"),
        ),
    )  # fmt: skip
