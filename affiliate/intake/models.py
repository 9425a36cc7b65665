"""The inbox: every webhook a shop was told we have, until it is booked or somebody looked at it.
Also what shops are asked for: changes, tokens, coupons.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Json, Model, Owned, Texts, of_merchant, same_merchant


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


class Wish(StrEnum):
    """What the merchant wants of a coupon in a shop."""

    THERE = "there"
    PAUSED = "paused"
    REMOVED = "removed"


class CouponState(StrEnum):
    """How a coupon stands in a shop, as far as we know."""

    BY_HAND = "by_hand"  # a person copies it there
    WANTED = "wanted"  # the shop is still to be asked
    THERE = "there"
    PAUSED = "paused"
    REMOVED = "removed"
    FAILED = "failed"  # somebody must decide: `error` says about what


class ShopCoupon(Owned, Model):
    """A coupon in one shop: what it gives there, what is wanted of it, and what came of that.

    The row is the work: it is written with the wish, and a job asks the shop until both agree.
    """

    __tablename__ = "shop_coupons"

    coupon_id: Mapped[int]
    shop_id: Mapped[int]
    normal_code: Mapped[str]  # the coupon's, as it is compared
    percent_ppm: Mapped[int | None]
    amount: Mapped[int | None]  # instead of a percentage; minor units of `currency`
    currency: Mapped[Currency]  # the shop's
    minimum: Mapped[int | None]  # what must be bought for it to be good
    uses: Mapped[int | None]  # how often it is good, for all buyers together
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    wish: Mapped[str] = mapped_column(default=Wish.THERE)
    stopped: Mapped[bool] = mapped_column(default=False)  # its promoter does not take part now
    state: Mapped[str]
    external_id: Mapped[str | None]  # the shop's
    # The shop had it before us: it is known, and never changed by us.
    taken_over: Mapped[bool] = mapped_column(default=False)
    sent_at: Mapped[datetime | None]  # when the shop was told to make it: it was not there then
    asked_at: Mapped[datetime | None]  # when the shop answered last
    seen_at: Mapped[datetime | None]  # of the first order that carried it
    due_at: Mapped[datetime | None]  # when the shop is asked next; null: not by itself
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[Json | None] = mapped_column(postgresql.JSONB(none_as_null=True))  # code, message
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("coupon_id", "coupons"),
        same_merchant("shop_id", "shops"),
        sa.CheckConstraint("wish IN ('there', 'paused', 'removed')", name="wish"),
        sa.CheckConstraint(
            "state IN ('by_hand', 'wanted', 'there', 'paused', 'removed', 'failed')", name="state"
        ),
        sa.CheckConstraint(
            "num_nonnulls(percent_ppm, amount) = 1 AND coalesce(percent_ppm, 1) BETWEEN 1 AND"
            " 1000000 AND coalesce(amount, 1) > 0 AND coalesce(minimum, 1) > 0"
            " AND coalesce(uses, 1) > 0 AND coalesce(starts_at < ends_at, true)",
            name="terms",
        ),
        sa.CheckConstraint("(state = 'failed') <= (error IS NOT NULL)", name="reason"),
        sa.Index("shop_coupons_coupon_idx", "merchant_id", "coupon_id"),
        # A shop knows a code once.
        sa.Index(
            "shop_coupons_code_idx", "merchant_id", "shop_id", "normal_code", unique=True,
            postgresql_where=sa.text("state <> 'removed'"),
        ),
        sa.Index(
            "shop_coupons_due_idx", "due_at", postgresql_where=sa.text("due_at IS NOT NULL"),
        ),
    )  # fmt: skip

    @property
    def target(self) -> str:
        """How it should stand in the shop now."""
        if self.wish == Wish.THERE and self.stopped:
            return Wish.PAUSED
        return self.wish
