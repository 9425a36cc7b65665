"""What people were told: one row for each letter and message, from the moment it is decided."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Key, Model, Stamped, Texts


class Channel(StrEnum):
    MAIL = "mail"
    SMS = "sms"  # one-time codes only
    IN_APP = "in_app"
    PUSH = "push"
    WECHAT = "wechat"


class Kind(StrEnum):
    """What a notice is about. People choose by which channels they are told of each, but for what
    keeps their account safe.
    """

    SAFETY = "safety"
    ORDERS = "orders"
    MONEY = "money"
    PROGRAMS = "programs"
    TEAM = "team"


class Notice(Stamped, Model):
    """A letter or message to one person, by one channel. `kept` is the end where there is no mail
    server: it is read in the outbox. `sending` is written before a server is called and `sent`
    after, so that a crash in between is seen; it then goes out again under the same mark.
    """

    __tablename__ = "notices"

    id: Mapped[Key]
    event_id: Mapped[int] = mapped_column(sa.ForeignKey("events.id"))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))  # null: not yet one
    channel: Mapped[str] = mapped_column(default=Channel.MAIL)
    kind: Mapped[str] = mapped_column(default=Kind.SAFETY)
    address: Mapped[str]  # of a person, a phone, a browser; empty on our own pages
    locale: Mapped[str]
    subject: Mapped[str]
    path: Mapped[str | None]  # of the page it is about
    letter: Mapped[bytes | None]  # sealed, it may hold a one-time link; forgotten after a while
    state: Mapped[str]
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    good_until: Mapped[datetime | None]  # worth nothing afterwards: codes
    held: Mapped[bool] = mapped_column(default=False)  # over quiet hours; then all together
    with_id: Mapped[int | None] = mapped_column(sa.ForeignKey("notices.id"))  # goes out as a part
    sent_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    trouble: Mapped[str | None]  # what the server said last

    __table_args__ = (
        sa.UniqueConstraint(
            "event_id", "user_id", "channel", "address", postgresql_nulls_not_distinct=True
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'sent', 'kept', 'failed')", name="state"
        ),
        sa.CheckConstraint(
            "channel IN ('mail', 'sms', 'in_app', 'push', 'wechat')", name="channel"
        ),
        sa.Index("notices_user_id_idx", "user_id", "channel", "id"),
        sa.Index(
            "notices_due_idx", "due_at",
            postgresql_where=sa.text("state IN ('waiting', 'sending')"),
        ),
        sa.Index(
            "notices_with_id_idx", "with_id", postgresql_where=sa.text("with_id IS NOT NULL")
        ),
    )  # fmt: skip


class Choice(Model):
    """By which channels somebody is told of one kind, where they chose."""

    __tablename__ = "notice_choices"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    channels: Mapped[Texts]


class Subscription(Stamped, Model):
    """A browser that takes messages for one person (RFC 8030), with its keys (RFC 8291)."""

    __tablename__ = "push_subscriptions"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    # While they are signed in there: a phone that was lost or sold is told nothing.
    session_id: Mapped[int] = mapped_column(
        sa.ForeignKey("user_sessions.id", ondelete="CASCADE"), index=True
    )
    endpoint: Mapped[str] = mapped_column(unique=True)
    p256dh: Mapped[bytes]
    auth: Mapped[bytes]
    user_agent: Mapped[str]


class Follower(Stamped, Model):
    """Somebody as the operator's WeChat service account knows them."""

    __tablename__ = "wechat_followers"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    openid: Mapped[str]
