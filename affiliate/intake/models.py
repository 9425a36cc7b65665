"""The inbox: every webhook a shop was told we have, until it is booked or somebody looked at it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Json, Model, Owned, Texts, of_merchant, same_merchant


class Event(Owned, Model):
    __tablename__ = "inbox"

    shop_id: Mapped[int]
    # The platform's delivery id, or a hash of the content where it has none.
    dedup_key: Mapped[str]
    # Which order it speaks of; events of one order are handled together, by one worker.
    order_key: Mapped[str]
    # It speaks of a product, `product:<id>`, and goes another way, so that no order waits for it.
    goods: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    topic: Mapped[str]
    body: Mapped[bytes | None]  # sealed; dropped 30 days after done, 90 after quarantine
    # It only says where to look: what it is about is fetched first. Not before `due_at`.
    thin: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    due_at: Mapped[datetime | None]
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
            postgresql_where=sa.text("state = 'waiting' AND NOT thin"),
        ),
        sa.Index(
            "inbox_thin_idx", "merchant_id", "shop_id", "id",
            postgresql_where=sa.text("state = 'waiting' AND thin"),
        ),
        sa.Index(
            "inbox_goods_idx", "merchant_id", "shop_id", "id",
            postgresql_where=sa.text("state = 'waiting' AND goods"),
        ),
        sa.Index(
            "inbox_order_idx", "merchant_id", "shop_id", "order_key",
            postgresql_where=sa.text("state = 'waiting'"),
        ),
        sa.Index("inbox_open_idx", "state", postgresql_where=sa.text("state <> 'done'")),
        sa.Index("inbox_old_idx", "done_at", postgresql_where=sa.text("body IS NOT NULL")),
    )  # fmt: skip


class Checkout(Owned, Model):
    """A buyer's checkout as two sides tell of it: the browser, which tokens led to it; the shop,
    which order came of it. Whoever comes second joins them. Forgotten after 30 days.
    """

    __tablename__ = "checkouts"

    shop_id: Mapped[int]
    key: Mapped[bytes]  # a hash of the shop's secret name of it
    tokens: Mapped[Texts] = mapped_column(default=list)
    order_key: Mapped[str | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        sa.UniqueConstraint("merchant_id", "shop_id", "key"),
        sa.Index("checkouts_old_idx", "created_at"),
    )


class Pull(Owned, Model):
    """A window of time for which a shop was asked what it changed: the log, and where to go on."""

    __tablename__ = "pulls"

    shop_id: Mapped[int]
    what: Mapped[str] = mapped_column(default="orders", server_default="orders")
    # All there is and not only what changed: what is not told any more is gone.
    whole: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    since: Mapped[datetime]
    until: Mapped[datetime]
    cursor: Mapped[str] = mapped_column(default="")  # the page to ask for next
    rounds: Mapped[int] = mapped_column(default=1)  # how often it was begun from the first page
    pages: Mapped[int] = mapped_column(default=0)
    seen: Mapped[int] = mapped_column(default=0)  # orders or products on the pages of this round
    total: Mapped[int | None]  # how many the shop said there were, on the first page of this round
    moved: Mapped[bool] = mapped_column(default=False)  # and something else on a later page
    missed: Mapped[int] = mapped_column(default=0)  # of those, what no webhook had told us
    failures: Mapped[int] = mapped_column(default=0)
    error: Mapped[Json | None]  # {"code", "message"} of the last failure
    due_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        sa.CheckConstraint("what IN ('orders', 'products')", name="what"),
        sa.Index("pulls_shop_idx", "merchant_id", "shop_id", "what", "until"),
        # A shop is asked by one at a time, for its orders and for its products.
        sa.Index(
            "pulls_open_idx", "merchant_id", "shop_id", "what", unique=True,
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )  # fmt: skip


class ShopToken(Owned, Model):
    """What stands for a shop's consent for some hours."""

    __tablename__ = "shop_tokens"

    shop_id: Mapped[int]
    token: Mapped[bytes | None]  # sealed
    # Of the consent it came from: a shop that was connected anew begins anew.
    consent: Mapped[bytes]
    renewing_until: Mapped[datetime | None]  # somebody is asking for a new one

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        sa.UniqueConstraint("merchant_id", "shop_id"),
    )
