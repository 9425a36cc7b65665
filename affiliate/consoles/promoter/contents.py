"""A promoter's content: the notes, videos, live rooms, groups and channels that links stand in,
each with its own way from click to kept order.
"""

from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n, ids
from affiliate.consoles import lists, reporting
from affiliate.consoles.promoter import bp, sharing
from affiliate.consoles.session import current_promoter_id
from affiliate.errors import AffiliateError, NotFound, invalid
from affiliate.i18n import _, _p
from affiliate.insight import queries as insight
from affiliate.insight import store
from affiliate.insight.store import Question
from affiliate.links import contents, queries
from affiliate.links.models import ContentItem, Link

ITEMS, LINKS = 30, 50
KINDS = MappingProxyType(
    {
        "note": _p("content", "Note"),
        "video": _p("content", "Video"),
        "live": _p("content", "Live room"),
        "group": _p("content", "Group"),
        "channel": _p("content", "Channel"),
    }
)


@bp.get("/content/")
def content() -> ResponseReturnValue:
    return _page({}, None)


@bp.post("/content/")
def make_content() -> ResponseReturnValue:
    try:
        item = contents.create(current_promoter_id(), **_typed())
    except AffiliateError as refusal:
        return _page(request.form, refusal)
    return redirect(url_for("promoter.content_item", content_id=ids.encode("cnt", item.id)), 303)


@bp.get("/content/<content_id>")
def content_item(content_id: str) -> ResponseReturnValue:
    return _item_page(_own(content_id), {}, None)


@bp.post("/content/<content_id>")
def change_content(content_id: str) -> ResponseReturnValue:
    item = _own(content_id)
    try:
        contents.change(item, _typed())
    except AffiliateError as refusal:
        return _item_page(item, request.form, refusal)
    flash(_("Saved."), "done")
    return redirect(url_for("promoter.content_item", content_id=content_id), 303)


@bp.post("/content/<content_id>/archive")
def archive_content(content_id: str) -> ResponseReturnValue:
    """Or take it out again."""
    archived = request.form.get("archived") == "1"
    contents.change(_own(content_id), {"archived": archived})
    return redirect(url_for("promoter.content_item", content_id=content_id), 303)


def _page(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    mine = sa.select(ContentItem).where(ContentItem.promoter_id == promoter_id)
    found, cursor = lists.page(mine, [ContentItem.id], limit=ITEMS)
    asked = reporting.question(i18n.zone(), promoter_ids=frozenset({promoter_id}))
    figures = {each.key: each for each in insight.leaders("content_item", asked, most=LINKS)}
    page = render_template(
        "promoter/content.html",
        rows=found,
        figures=figures,
        kinds=KINDS,
        next=cursor,
        **_said(typed, refusal),
    )
    return page, refusal.status if refusal else 200


def _item_page(
    item: ContentItem, typed: Any, refusal: AffiliateError | None
) -> ResponseReturnValue:
    asked = reporting.question(
        i18n.zone(), promoter_ids=frozenset({item.promoter_id}), only={"content_item": item.id}
    )
    mine = sa.select(Link).where(Link.content_id == item.id, Link.promoter_id == item.promoter_id)
    found, cursor = lists.page(mine, [Link.id], limit=LINKS)
    kept = {"kind": item.kind, "title": item.title, "platform": item.platform, "url": item.url}
    page = render_template(
        "promoter/content_item.html",
        item=item,
        key=ids.encode("cnt", item.id),
        kinds=KINDS,
        periods=reporting.periods(),
        funnel=_funnel(asked),
        sums=store.orders_by("content_item", asked),
        money=reporting.money,
        links=sharing.rows_of(item.promoter_id, found),
        next=cursor,
        **_said(typed or kept, refusal),
    )
    return page, refusal.status if refusal else 200


def _funnel(asked: Question) -> list[tuple[str, int]]:
    clicked = store.clicks_by("content_item", asked)
    ordered = store.orders_by("content_item", asked)
    return [
        (_("Clicks"), sum(each.valid_clicks for each in clicked)),
        (_("Orders"), sum(each.orders for each in ordered)),
        (_("Paid orders"), sum(each.paid_orders for each in ordered)),
        (_("Kept orders"), sum(each.kept_orders for each in ordered)),
    ]


def _said(typed: Any, refusal: AffiliateError | None) -> dict[str, Any]:
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    return {"typed": typed, "faults": faults, "refusal": refusal if not faults else None}


def _typed() -> dict[str, Any]:
    def text(name: str, most: int) -> str:
        return request.form.get(name, "").replace("\0", "").strip()[:most]

    kind, title = text("kind", 20), " ".join(text("title", 200).split())
    if kind not in contents.KINDS:
        raise invalid("/kind", "unknown_kind", _("What is it? Choose one."))
    if not title:
        raise invalid("/title", "missing", _("A name, please."))
    return {
        "kind": kind,
        "title": title,
        "platform": text("platform", 60) or None,
        "url": text("url", 2000) or None,
    }


def _own(content_id: str) -> ContentItem:
    """Somebody else's content is none here."""
    try:
        key = ids.decode_one("cnt", content_id)
        item = queries.content_item(key, lock=request.method == "POST")
    except NotFound:
        abort(404)
    if item.promoter_id != current_promoter_id():
        abort(404)
    return item
