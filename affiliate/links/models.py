"""Links, the content and the domains they stand under, and the clicks that came through them."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from affiliate import clock
from affiliate.db import Json, JsonOrNull, Key, Model, Stamped, Texts, same_merchant


class Link(Stamped, Model):
    """(program, promoter, target, sub ids) with a short code.

    Looked up by its code or by the id in a token before the tenant is known, so its key is the id
    alone; `merchant_id` ties it to the tenant's rows.
    """

    __tablename__ = "links"

    id: Mapped[Key]
    merchant_id: Mapped[int] = mapped_column(sa.ForeignKey("merchants.id"))
    program_id: Mapped[int]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    shop_id: Mapped[int]
    product_id: Mapped[int | None]
    url: Mapped[str]
    code: Mapped[str] = mapped_column(unique=True)
    sub_ids: Mapped[Texts] = mapped_column(default=list)
    content: Mapped[str | None]  # of a content item its title, else what was typed
    content_id: Mapped[int | None] = mapped_column(sa.ForeignKey("content_items.id"))
    slug: Mapped[str | None]  # the word shown instead of the code, which goes on answering
    fallback_url: Mapped[str | None]  # where it leads when it is dead; null: as the program says
    targets: Mapped[Json] = mapped_column(default=list, server_default=sa.text("'[]'::jsonb"))
    utm: Mapped[JsonOrNull]  # a template; null: the program's
    domain_id: Mapped[int | None] = mapped_column(sa.ForeignKey("short_domains.id"))
    expires_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    pauses: Mapped[Json] = mapped_column(default=list)  # those over: [[from, until], …], RFC 3339
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        same_merchant("program_id", "programs"),
        same_merchant("shop_id", "shops"),
        same_merchant("product_id", "products"),
        sa.Index("links_merchant_idx", "merchant_id", "program_id", "promoter_id"),
        sa.Index(
            "links_content_idx", "content_id", postgresql_where=sa.text("content_id IS NOT NULL")
        ),
        sa.CheckConstraint("cardinality(sub_ids) <= 5", name="sub_ids"),
    )

    @property
    def word(self) -> str:
        """What its short address ends with."""
        return self.slug or self.code

    @property
    def is_over(self) -> bool:
        return self.expires_at is not None and self.expires_at <= clock.now()

    def was_open(self, at: datetime) -> bool:
        """Neither expired nor paused at that instant, whatever it is now."""
        if self.expires_at and self.expires_at <= at:
            return False
        if self.paused_at and self.paused_at <= at:
            return False
        return not any(
            datetime.fromisoformat(since) <= at < datetime.fromisoformat(until)
            for since, until in self.pauses
        )


class Slug(Model):
    """A word that leads to a link, and never to another one: it may be printed somewhere."""

    __tablename__ = "link_slugs"

    slug: Mapped[str] = mapped_column(primary_key=True)
    link_id: Mapped[int] = mapped_column(sa.ForeignKey("links.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ContentItem(Stamped, Model):
    """The note, video, live room, group or channel in which a promoter shares, with links of any
    number of merchants.
    """

    __tablename__ = "content_items"

    id: Mapped[Key]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"), index=True)
    kind: Mapped[str]
    title: Mapped[str]
    platform: Mapped[str | None]  # where it stands: 小红书, Instagram, …
    url: Mapped[str | None]
    archived_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.CheckConstraint("kind IN ('note', 'video', 'live', 'group', 'channel')", name="kind"),
    )


class ShortDomain(Stamped, Model):
    """An address of this instance under which links are passed on. Every code answers on each."""

    __tablename__ = "short_domains"

    id: Mapped[Key]
    address: Mapped[str] = mapped_column(unique=True)  # with its scheme, without a slash at the end
    countries: Mapped[Texts] = mapped_column(default=list)  # markets whose new links take it
    is_default: Mapped[bool] = mapped_column(
        default=False
    )  # of links that no market's domain takes
    blocked_at: Mapped[datetime | None]  # taken out of new links, for good or for a while
    probed_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]  # when a probe last found us there
    fault: Mapped[str | None]  # what the last probe met instead
    failing_since: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)  # one after the other, up to now
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.Index(
            "short_domains_default_idx", "is_default",
            unique=True, postgresql_where=sa.text("is_default"),
        ),
    )  # fmt: skip

    @property
    def host(self) -> str:
        return self.address.partition("://")[2]

    @property
    def state(self) -> str:
        """blocked, new, failing, shaky (failed once just now) or good."""
        if self.blocked_at is not None:
            return "blocked"
        if self.failures:
            return "failing" if self.failures > 1 else "shaky"
        return "good" if self.answered_at else "new"


class Change(Model):
    """That something changed on which redirects depend. Triggers write it, so that none is
    forgotten; `links.lookup` reads it. Kept for an hour.
    """

    __tablename__ = "link_changes"

    id: Mapped[Key]
    subject: Mapped[str]  # as `Facts.subjects` has them
    xact: Mapped[int] = mapped_column(server_default=sa.text("pg_current_xact_id()::text::bigint"))
    at: Mapped[datetime] = mapped_column(server_default=sa.text("now()"))

    __table_args__ = (sa.Index("link_changes_xact_idx", "xact"),)


class Click(Model):
    """One visit. Partitioned by month; `id` is the 16 random bytes the redirect made.

    The months are made ahead by `insight.store`; what fits none lies in `clicks_default`. No page
    reads it: what is shown was counted when it was stored.
    """

    __tablename__ = "clicks"

    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[bytes] = mapped_column(primary_key=True)
    link_id: Mapped[int]
    ip: Mapped[str | None] = mapped_column(INET)  # after 30 days only its network
    user_agent: Mapped[str | None]
    referrer: Mapped[str | None]
    scanned: Mapped[bool] = mapped_column(default=False)  # `?q`: a QR code was scanned
    # Why it is nobody's visit: bot, preview, prefetch, head, repeat; null: it is one. For reports
    # and risk, never for attribution.
    reason: Mapped[str | None]
    visitor: Mapped[int | None]  # a keyed hash of address and browser, of another key each day
    device: Mapped[str | None]  # phone, tablet, desktop, other, bot, preview
    os: Mapped[str | None]
    browser: Mapped[str | None]
    app: Mapped[str | None]  # whose inner browser it was: wechat, instagram, …
    country: Mapped[str | None] = mapped_column(sa.CHAR(2))
    language: Mapped[str | None]

    __table_args__ = ({"postgresql_partition_by": "RANGE (at)"},)


class LinkDay(Model):
    """Clicks of a link on a day in its merchant's zone, kept exact in the transaction that stores
    the clicks. A link that is not known has neither merchant nor promoter, and days in UTC.
    """

    __tablename__ = "link_days"

    link_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    merchant_id: Mapped[int | None]
    promoter_id: Mapped[int | None]
    clicks: Mapped[int]  # all of them
    valid_clicks: Mapped[int]  # people's
    visitors: Mapped[int]
    scans: Mapped[int]

    __table_args__ = (
        sa.Index("link_days_merchant_idx", "merchant_id", "day"),
        sa.Index("link_days_promoter_idx", "promoter_id", "day"),
    )


class LostClicks(Model):
    """Clicks that a web process answered and could not write down, as it told soon after."""

    __tablename__ = "lost_clicks"

    id: Mapped[Key]
    at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
    clicks: Mapped[int]
    trouble: Mapped[str]


class SpoolOffset(Model):
    """How far a spool segment has been written into `clicks`."""

    __tablename__ = "spool_offsets"

    segment: Mapped[str] = mapped_column(primary_key=True)
    bytes: Mapped[int]
