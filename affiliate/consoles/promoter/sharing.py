"""From a product to something that can be passed on, in one tap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, i18n, ids
from affiliate.attribution.models import Attribution
from affiliate.catalog.models import Product, Shop
from affiliate.consoles import layout, lists
from affiliate.consoles.promoter import bp, codes, market, material, worth
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.insight import queries as insight
from affiliate.links import captions, domains, service, spoken
from affiliate.links import share as sharing
from affiliate.links.models import Link
from affiliate.material import service as posters
from affiliate.programs.models import MembershipState, Program

LINKS = 30


@dataclass(frozen=True, slots=True)
class Row:
    link: Link
    key: str
    title: str
    picture: str | None
    clicks: int
    orders: int


@bp.get("/share/")
def links() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    mine = sa.select(Link).where(Link.promoter_id == promoter_id)
    found, cursor = lists.page(mine, [Link.id], limit=LINKS)
    return render_template(
        "promoter/links.html",
        rows=rows_of(promoter_id, found),
        next=cursor,
        codes=[] if request.args.get("cursor") else codes.of(promoter_id),
    )


@bp.post("/share/")
def make_link() -> ResponseReturnValue:
    """One plain link for each promoter and product, however often this is tapped."""
    promoter_id = current_promoter_id()
    market.require_running(promoter_id)
    product = _product(promoter_id, request.form.get("product", ""))
    mine = [p for p in market.places_of(promoter_id) if p.state == MembershipState.ACTIVE]
    offered = market.goods_of([product], mine, promoter_id)
    if not offered:
        raise NotFound
    link = _once(offered[0].place.program, promoter_id, product)
    posters.want_posters(link)
    return redirect(url_for("promoter.sheet", link_id=key_of(link)), 303)


@bp.get("/share/<link_id>")
def sheet(link_id: str) -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    link = own_link(promoter_id, link_id)
    product = _product_of(link)
    mine = [p for p in market.places_of(promoter_id) if p.program.id == link.program_id]
    goods = next(iter(market.goods_of([product], mine, promoter_id)), None) if product else None
    shop = db.session.get_one(Shop, (link.merchant_id, link.shop_id))
    tag = _caption_language(shop)
    in_between = product is not None and request.args.get("way") == "page"
    base = domains.base_of(link)
    price = goods.price if goods else None
    title = product.title if product else shop.name
    known = {
        "title": title,
        "price": price,
        "saves": material.saving(price, goods.list_price if goods else None),
        "url": (sharing.page_url if in_between else sharing.short_url)(link.word, base),
    }
    parts = material.on_sheet(link, product, shop, tag, known)
    return render_template(
        "promoter/sheet.html",
        link=link,
        url=known["url"],
        qr=url_for("pages.qr_svg" if in_between else "links.qr_svg", code=link.code),
        ways=_ways(in_between=in_between) if product else [],
        product=product,
        shop=shop,
        goods=goods,
        place=mine[0] if mine else None,
        worth=worth.of([each.program for each in mine]).get((link.merchant_id, link.program_id)),
        clicks=insight.clicks_of([link.id])[link.id],
        tag=tag,
        captions=[
            (layout.here_with(caption=each), i18n.LANGUAGES[each], None, each == tag)
            for each in _buyers_first(shop)
        ],
        label=captions.label(tag),
        spoken=spoken.text(link, title, tag=tag, base=base),
        whatsapp=f"https://wa.me/?{urlencode({'text': parts['caption']})}",
        **parts,
    )


def _ways(*, in_between: bool) -> list[tuple[str, Any, None, bool]]:
    """Tabs of the two addresses that a link has."""
    return [
        (layout.here_with(way=None), _("Straight to the shop"), None, not in_between),
        (layout.here_with(way="page"), _("With a page in between"), None, in_between),
    ]


def _buyers_first(shop: Shop) -> list[str]:
    return sorted(i18n.LANGUAGES, key=lambda tag: tag != captions.language_of(shop.country))


def _caption_language(shop: Shop) -> str:
    asked = request.args.get("caption", "")
    return asked if asked in i18n.LANGUAGES else captions.language_of(shop.country)


def _product(promoter_id: int, product_id: str) -> Product:
    """Only what this promoter may share exists here."""
    key = ids.decode_pair("prd", product_id)
    asked = market.visible(promoter_id).where(Product.merchant_id == key[0], Product.id == key[1])
    found: Product | None = db.session.scalar(asked)
    if found is None:
        raise NotFound
    return found


def _once(program: Program, promoter_id: int, product: Product) -> Link:
    """The promoter's untagged link to it; those with content or sub ids are counted apart."""
    # Two taps at once: the second waits here, and finds what the first made.
    name = f"link:{promoter_id}:{product.merchant_id}:{product.id}"
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
    plain = (
        sa.select(Link)
        .where(
            Link.promoter_id == promoter_id,
            Link.merchant_id == program.merchant_id,
            Link.program_id == program.id,
            Link.product_id == product.id,
            Link.content.is_(None),
            sa.func.cardinality(Link.sub_ids) == 0,
            Link.paused_at.is_(None),
            sa.or_(Link.expires_at.is_(None), Link.expires_at > clock.now()),
        )
        .order_by(Link.id)
        .limit(1)
    )
    found = db.session.scalar(plain)
    return found or service.create_link(program, promoter_id, product=product)


def own_link(promoter_id: int, link_id: str) -> Link:
    """Somebody else's link is no link here."""
    try:
        merchant_id, row_id = ids.decode_pair("lnk", link_id)
    except NotFound:
        abort(404)
    found = db.session.scalar(
        sa.select(Link).where(
            Link.promoter_id == promoter_id, Link.id == row_id, Link.merchant_id == merchant_id
        )
    )
    return found or abort(404)


def _product_of(link: Link) -> Product | None:
    if link.product_id is None:
        return None
    return db.session.get(Product, (link.merchant_id, link.product_id))


def key_of(link: Link) -> str:
    return ids.encode("lnk", link.merchant_id, link.id)


def rows_of(promoter_id: int, found: Sequence[Link]) -> list[Row]:
    if not found:
        return []
    goods = {(each.merchant_id, each.product_id) for each in found if each.product_id}
    stores = {(each.merchant_id, each.shop_id) for each in found}
    products = {
        (row.merchant_id, row.id): row
        for row in db.session.scalars(
            sa.select(Product).where(sa.tuple_(Product.merchant_id, Product.id).in_(list(goods)))
        )
    }
    shops = {
        (row.merchant_id, row.id): row
        for row in db.session.scalars(
            sa.select(Shop).where(sa.tuple_(Shop.merchant_id, Shop.id).in_(list(stores)))
        )
    }
    clicks = insight.clicks_of([each.id for each in found])
    orders = _orders_of(promoter_id, [each.id for each in found])
    return [
        _row(
            each,
            products.get((each.merchant_id, each.product_id or 0)),
            shops[each.merchant_id, each.shop_id],
            clicks[each.id],
            orders.get(each.id, 0),
        )
        for each in found
    ]


def _row(link: Link, product: Product | None, shop: Shop, clicks: int, orders: int) -> Row:
    return Row(
        link,
        key_of(link),
        product.title if product else shop.name,
        product.image_url if product else None,
        clicks,
        orders,
    )


def _orders_of(promoter_id: int, link_ids: Sequence[int]) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Attribution.link_id, sa.func.count())
        .where(Attribution.promoter_id == promoter_id, Attribution.link_id.in_(link_ids))
        .group_by(Attribution.link_id)
    )
    return {link_id: count for link_id, count in rows if link_id is not None}
