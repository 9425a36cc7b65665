"""What is known of links: for attribution, the redirect, pages and the API."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any, LiteralString

import sqlalchemy as sa

from affiliate import clock, ids
from affiliate.catalog.models import Product, Shop, Variant
from affiliate.db import alone, among, db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.links import domains, targets
from affiliate.links.models import Change, ContentItem, Link, Slug
from affiliate.links.rules import Facts
from affiliate.people.models import Merchant, Promoter
from affiliate.programs import utm
from affiliate.programs.models import Membership, MembershipState, Program

CHANGES_KEPT = timedelta(hours=1)

# A shop that counts its variants only has sold the product out when none of them is left.
_NO_VARIANT_LEFT = (
    sa.select(sa.func.bool_and(sa.func.coalesce(Variant.stock <= 0, sa.false())))
    .where(Variant.merchant_id == Product.merchant_id, Variant.product_id == Product.id)
    .scalar_subquery()
)

# A code stands above a slug that is the same but for small and capital letters.
_WORDS = sa.union_all(
    sa.select(Link.id, sa.literal(0).label("rank")).where(Link.code == sa.bindparam("code")),
    sa.select(Slug.link_id, sa.literal(1)).where(Slug.slug == sa.func.lower(sa.bindparam("code"))),
).subquery()
_BY_WORD = sa.select(_WORDS.c.id).order_by(_WORDS.c.rank).limit(1).scalar_subquery()

_FACTS = (
    sa.select(
        Link.id,
        Link.merchant_id,
        Link.program_id,
        Link.promoter_id,
        Link.shop_id,
        Link.product_id,
        sa.func.coalesce(Product.url, Link.url).label("url"),
        Link.sub_ids,
        Link.code,
        Link.slug,
        Link.content,
        Link.targets,
        Link.domain_id,
        Link.expires_at,
        Link.paused_at,
        sa.func.coalesce(Link.utm, Program.utm).label("utm"),
        sa.func.coalesce(Link.fallback_url, Program.fallback_url).label("fallback_url"),
        Program.name.label("program"),
        ContentItem.platform,
        domains.BASE.label("base"),
        Shop.domain,
        Shop.miniprogram,
        sa.or_(
            Program.ended_at.is_not(None),
            Shop.disconnected_at.is_not(None),
            Merchant.suspended_at.is_not(None),
            Promoter.suspended_at.is_not(None),
            Membership.state.is_distinct_from(MembershipState.ACTIVE),
        ).label("stopped"),
        sa.func.coalesce(Product.stock <= 0, _NO_VARIANT_LEFT, sa.false()).label("sold_out"),
        sa.or_(Product.hidden_at.is_not(None), Product.gone_at.is_not(None)).label("gone"),
        Program.sold_out.label("when_sold_out"),
        sa.func.coalesce(Product.title, Shop.name).label("title"),
        Product.image_url,
    )
    .select_from(Link)
    .join(Merchant, Merchant.id == Link.merchant_id)
    .join(Promoter, Promoter.id == Link.promoter_id)
    .join(Program, sa.and_(Program.merchant_id == Link.merchant_id, Program.id == Link.program_id))
    .join(Shop, sa.and_(Shop.merchant_id == Link.merchant_id, Shop.id == Link.shop_id))
    .outerjoin(
        Product,
        sa.and_(Product.merchant_id == Link.merchant_id, Product.id == Link.product_id),
    )
    .outerjoin(ContentItem, ContentItem.id == Link.content_id)
    .outerjoin(
        Membership,
        sa.and_(
            Membership.merchant_id == Link.merchant_id,
            Membership.program_id == Link.program_id,
            Membership.promoter_id == Link.promoter_id,
        ),
    )
    .where(Link.id == _BY_WORD)
)


def by_ids(ids: Collection[int]) -> dict[int, Link]:
    """Links of any merchant by the ids in tokens: for attribution, which checks the owner."""
    found = db.session.scalars(sa.select(Link).where(among(Link.id, set(ids))))
    return {link.id: link for link in found}


def of_promoters(
    merchant_id: int, promoter_ids: Collection[int]
) -> dict[tuple[int, int], list[Link]]:
    """All links of these promoters at this merchant, by program and promoter."""
    rows = db.session.scalars(
        sa.select(Link).where(
            Link.merchant_id == merchant_id, Link.promoter_id.in_(set(promoter_ids))
        )
    )
    found: dict[tuple[int, int], list[Link]] = {}
    for row in rows:
        found.setdefault((row.program_id, row.promoter_id), []).append(row)
    return found


def sharing(merchant_id: int, program_id: int) -> list[int]:
    """The promoters who have a live link in this program now."""
    now = clock.now()
    rows = db.session.scalars(
        sa.select(Link.promoter_id)
        .distinct()
        .where(
            Link.merchant_id == merchant_id,
            Link.program_id == program_id,
            Link.paused_at.is_(None),
            sa.or_(Link.expires_at.is_(None), Link.expires_at > now),
        )
        .order_by(Link.promoter_id)
    )
    return list(rows)


def by_word(word: str) -> Link | None:
    """Any merchant's link by its code or a slug, also one that it no longer shows."""
    return db.session.scalar(sa.select(Link).where(Link.id == _BY_WORD), {"code": word})


def titles(links: Collection[Link]) -> dict[int, str]:
    """What each leads to: its product, or its shop."""
    rows = db.session.execute(
        sa.select(Link.id, sa.func.coalesce(Product.title, Shop.name).label("title"))
        .join(Shop, sa.and_(Shop.merchant_id == Link.merchant_id, Shop.id == Link.shop_id))
        .outerjoin(
            Product,
            sa.and_(Product.merchant_id == Link.merchant_id, Product.id == Link.product_id),
        )
        .where(among(Link.id, [link.id for link in links]))
    )
    return {row.id: row.title for row in rows}


def content_item(item_id: int, *, lock: bool = False) -> ContentItem:
    found = db.session.get(ContentItem, item_id, with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such content."))
    return found


def content_items(item_ids: Collection[int]) -> dict[int, ContentItem]:
    found = db.session.scalars(sa.select(ContentItem).where(among(ContentItem.id, set(item_ids))))
    return {item.id: item for item in found}


def link(merchant_id: int, link_id: int, *, lock: bool = False) -> Link:
    found = db.session.get(Link, link_id, with_for_update=lock or None)
    if found is None or found.merchant_id != merchant_id:
        raise NotFound(_("There is no such link."))
    return found


def facts(code: str) -> Facts | None:
    """All that a redirect needs, in one statement. Any merchant's: visitors know no tenants."""
    row = db.session.execute(_FACTS, {"code": code}).one_or_none()
    if row is None:
        return None
    scheme = row.url.partition("://")[0]
    subjects = [
        f"link:{row.id}",
        f"program:{row.merchant_id}:{row.program_id}",
        f"member:{row.merchant_id}:{row.program_id}:{row.promoter_id}",
        f"shop:{row.merchant_id}:{row.shop_id}",
        f"merchant:{row.merchant_id}",
        f"promoter:{row.promoter_id}",
    ]
    if row.domain_id:
        subjects.append("domains")
    if row.product_id:
        subjects.append(f"product:{row.merchant_id}:{row.product_id}")
    return Facts(
        id=row.id,
        code=row.slug or row.code,
        subjects=tuple(subjects),
        url=row.url,
        sub_ids=tuple(row.sub_ids),
        home=f"{scheme}://{row.domain}/",
        fallback_url=row.fallback_url,
        expires_at=row.expires_at,
        paused_at=row.paused_at,
        stopped=row.stopped,
        sold_out=row.sold_out,
        gone=row.gone,
        when_sold_out=row.when_sold_out,
        title=row.title,
        image_url=row.image_url,
        product=(row.merchant_id, row.product_id) if row.product_id else None,
        promoter_id=row.promoter_id,
        targets=targets.of(row.targets, row.miniprogram),
        utm=utm.filled(row.utm, _words(row)),
        base=row.base,
    )


def _words(row: Any) -> dict[str, str]:
    """What stands for the placeholders of a UTM template."""
    return {
        "link": row.slug or row.code,
        "promoter": ids.encode("prm", row.promoter_id),
        "program": row.program,
        "content": row.content or "",
        "platform": row.platform or "",
        **{f"sub{n}": sub for n, sub in enumerate(row.sub_ids, 1)},
    }


_NEWS: LiteralString = (
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
    " ARRAY(SELECT id || '/' || subject FROM link_changes WHERE xact >= %(since)s ORDER BY id)"
)


def news(since: int) -> tuple[int, list[str]]:
    """What was told by transactions from this one on, as id/subject; and the first transaction that
    has not ended yet, from which to ask the next time. What was told before may be told again.
    """
    [(oldest, told)] = alone(_NEWS, {"since": since})
    return oldest, told


def forget_changes() -> int:
    """Drop what every process has long heard of."""
    old = sa.delete(Change).where(Change.at < clock.now() - CHANGES_KEPT)
    return int(db.session.execute(old).rowcount)  # type: ignore[attr-defined]
