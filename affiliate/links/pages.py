"""`/p/<code>`: the page in between, for those who want to see before they go. Open to everybody.

Opening it is no click: its one button leads to `/s/<code>`, where the click is counted.
"""

from typing import Any

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.http import generate_etag, quote_etag
from werkzeug.wrappers import Response

from affiliate import clock, i18n
from affiliate.db import AWAY, db
from affiliate.links import captions, jsonld, landing, rules, share
from affiliate.links.landing import Goods, Shelf
from affiliate.links.lookup import Unavailable
from affiliate.links.rules import Facts
from affiliate.links.views import asked_query, later, lookup, png, redirect_to, svg, unknown
from affiliate.live import address, channels
from affiliate.live.token import ANYBODY, Ticket
from affiliate.people import queries as people

bp = Blueprint("pages", __name__)
bp.register_error_handler(Unavailable, later)

# Above it a visitor's query is handed on by the button only, not by each language's link.
QUERY_OF_LINKS = 300
CARD_BYTES = 200
ALT_BYTES = 120


@bp.get("/p/<code>")
def page(code: str) -> ResponseReturnValue:
    facts = lookup().find(code)
    if facts is None:
        return unknown()
    if not facts.is_open(clock.now()):
        return redirect_to(facts.elsewhere)
    goods = _goods(facts)
    if goods is None:
        return redirect_to(_onwards(facts))
    _read_in(goods)
    said = _said(facts, goods)
    part = render_template("links/_offer.html", **said)
    pictures = [_absolute(each) for each in goods.pictures]
    shown = render_template(
        "links/page.html",
        **said,
        promoter=_recommender(facts),
        code=facts.code,
        part=part,
        tag=quote_etag(generate_etag(part.encode())),
        address=share.page_url(facts.code, facts.base),
        pictures=pictures,
        structured=jsonld.product(goods, pictures),
        live=address.stream(Ticket(ANYBODY, channels.product(*goods.news))),
        languages_here=_languages(),
        summary=landing.clipped(" ".join(goods.description.split()), CARD_BYTES),
        name=landing.clipped(goods.title, ALT_BYTES),
        now=clock.now(),
    )
    return shown, 200, {"Cache-Control": "private, no-cache"}


@bp.get("/p/<code>/offer")
def offer(code: str) -> ResponseReturnValue:
    """Price, stock and button alone, for a page that is open."""
    facts = lookup().find(code)
    goods = _goods(facts) if facts and facts.is_open(clock.now()) else None
    if facts is None or goods is None:
        return render_template("links/_ended.html"), 200, {"Cache-Control": "no-store"}
    _read_in(goods)
    part = render_template("links/_offer.html", **_said(facts, goods))
    response = Response(part, mimetype="text/html")
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(generate_etag(part.encode()))
    return response.make_conditional(request.environ)


@bp.get("/p/<code>/qr.svg")
def qr_svg(code: str) -> ResponseReturnValue:
    facts = lookup().find(code)
    if facts is None:
        return unknown()
    return svg(code, share.scan_url(share.page_url(facts.code, facts.base)))


@bp.get("/p/<code>/qr.png")
def qr_png(code: str) -> ResponseReturnValue:
    facts = lookup().find(code)
    if facts is None:
        return unknown()
    return png(code, share.scan_url(share.page_url(facts.code, facts.base)))


def _goods(facts: Facts) -> Goods | None:
    """None where there is nothing to show in between: the visitor goes straight on."""
    shelf: Shelf = current_app.extensions["shelf"]
    try:
        return shelf.find(facts.product) if facts.product else None
    except AWAY:
        return None


def _recommender(facts: Facts) -> str | None:
    """The name, and nothing else that is known of a promoter."""
    try:
        return people.promoter(facts.promoter_id).name
    except AWAY:
        db.session.rollback()
        return None


def _onwards(facts: Facts) -> str:
    """The link itself, with what the visitor brought; the language was meant for us."""
    query = rules.handed_on(asked_query(), without={"lang"})
    path = url_for("links.follow", code=facts.code)
    return f"{path}?{query}" if query else path


def _read_in(goods: Goods) -> None:
    """The visitor's language, else that of the market; times as they are at the merchant's."""
    market = captions.language_of(goods.country)
    i18n.settle(lambda wished: captions.nearest(wished or market, goods.country))
    i18n.person(locale=None, timezone=goods.timezone)


def _said(facts: Facts, goods: Goods) -> dict[str, Any]:
    return {
        "goods": goods,
        "offer": goods.offer,
        "label": captions.LABEL,
        "leads": rules.target(
            gone=not goods.offer.is_sold,
            sold_out=goods.offer.is_sold_out,
            when_sold_out=facts.when_sold_out,
        ),
        "onwards": _onwards(facts),
        "few": landing.FEW,
        "country": i18n.locale().territories.get(goods.country, goods.country),
    }


def _languages() -> list[tuple[str, str, str]]:
    """Tag, name and address of this page in each language."""
    query = rules.handed_on(asked_query(), without={"lang"})
    kept = f"&{query}" if query and len(query) <= QUERY_OF_LINKS else ""
    return [(tag, name, f"?lang={tag}{kept}") for tag, name in i18n.LANGUAGES.items()]


def _absolute(picture: str) -> str:
    return picture if "://" in picture else f"{current_app.config['SETTINGS'].address}{picture}"
