"""`/s/<code>` and its QR codes: the slow road through Flask, open to everybody."""

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from affiliate import clock
from affiliate.db import AWAY, db
from affiliate.links import captions, probing, queries, road, rules, share, spoken, token
from affiliate.links.lookup import Lookup, Unavailable
from affiliate.links.rules import Facts, Visit
from affiliate.links.spool import Click, Spool
from affiliate.links.targets import Looks

bp = Blueprint("links", __name__)

QR_SECONDS = 86_400
PLAIN = "text/plain; charset=utf-8"


@bp.get("/s/<code>")
def follow(code: str) -> ResponseReturnValue:
    facts = lookup().find(code)
    if facts is None:
        return unknown()
    now, click_id = clock.now(), token.fresh_id()
    answer = rules.answer(
        facts, _visit(), now, lambda: token.make(facts.id, now, click_id[: token.NONCE_BYTES])
    )
    if answer.location is None:
        return _card(facts)
    if answer.counts:
        _spool().append(_click(click_id, now, facts, scanned=answer.scanned))
    if answer.mini is not None:
        return _mini_program(facts, answer.location)
    return redirect_to(answer.location)


@bp.get("/s/<code>/qr.svg")
def qr_svg(code: str) -> ResponseReturnValue:
    facts = lookup().find(code)
    if facts is None:
        return unknown()
    return svg(facts.code, share.scan_url(share.short_url(facts.code, facts.base)))


@bp.get("/s/<code>/qr.png")
def qr_png(code: str) -> ResponseReturnValue:
    facts = lookup().find(code)
    if facts is None:
        return unknown()
    return png(facts.code, share.scan_url(share.short_url(facts.code, facts.base)))


def lookup() -> Lookup:
    lookup: Lookup = current_app.extensions["links"]
    return lookup


def _spool() -> Spool:
    spool: Spool = current_app.extensions["spool"]
    return spool


def asked_query() -> str:
    return road.utf8(request.environ.get("QUERY_STRING", ""))


def _visit() -> Visit:
    return Visit(query=asked_query(), user_agent=_header("User-Agent"), look=_look)


def _look() -> Looks:
    sight = current_app.extensions["sight"]
    looks: Looks = sight(
        request.remote_addr or "", _header("User-Agent"), _header("Accept-Language")
    )
    return looks


def _click(click_id: bytes, at: datetime, facts: Facts, *, scanned: bool) -> Click:
    return Click(
        id=click_id,
        at=at,
        link_id=facts.id,
        ip=request.remote_addr or "",
        user_agent=_header("User-Agent"),
        referrer=_header("Referer"),
        scanned=scanned,
        prefetched=road.is_ahead(request.environ),
        head=request.method == "HEAD",
        language=_header("Accept-Language"),
    )


def _header(name: str) -> str:
    return road.utf8(request.headers.get(name, ""))


def redirect_to(location: str) -> Response:
    response = Response(status=302)
    response.headers["Location"] = location
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return response


def _card(facts: Facts) -> ResponseReturnValue:
    page = render_template(
        "links/card.html", link=facts, address=share.short_url(facts.code, facts.base)
    )
    return page, 200, {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


def _mini_program(facts: Facts, scheme: str) -> ResponseReturnValue:
    """WeChat opens a mini program when a person taps its scheme, so the page has one button."""
    page = render_template("links/mini.html", link=facts, scheme=scheme, label=captions.LABEL)
    return page, 200, {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


@bp.get("/kl")
def spoken_word() -> ResponseReturnValue:
    """Where a copied 口令 is pasted. Looking changes nothing, so a plain GET does it."""
    pasted = request.args.get("text", "").replace("\0", "")[: spoken.TEXT_CHARACTERS_MAX]
    found = spoken.find(pasted) if pasted.strip() else None
    page = render_template(
        "links/spoken.html",
        pasted=pasted,
        link=found,
        title=found and queries.titles([found])[found.id],
        url=found and spoken.leads_to(found),
        label=captions.LABEL,
    )
    missing = bool(pasted.strip()) and found is None
    return page, 404 if missing else 200, {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


@bp.get("/.well-known/tuike/<nonce>")
def prove(nonce: str) -> ResponseReturnValue:
    """That this address leads to this instance: only it can answer so (links/probing.py)."""
    if not probing.NONCE.fullmatch(nonce):
        return unknown()
    return probing.proof(nonce), 200, {"Cache-Control": "no-store", "Content-Type": PLAIN}


def unknown() -> ResponseReturnValue:
    return render_template("links/unknown.html"), 404, {"Cache-Control": "no-store"}


@bp.errorhandler(Unavailable)
def later(_: Exception) -> ResponseReturnValue:
    headers = {"Retry-After": "2", "Cache-Control": "no-store", "Content-Type": PLAIN}
    return "Please try again in a moment. 请稍后再试。", 503, headers


def svg(code: str, text: str) -> Response:
    return _picture(share.svg(text, _logo(code)).encode(), "image/svg+xml")


def png(code: str, text: str) -> Response:
    asked = request.args.get("size", default=512, type=int)
    pixels = min(max(asked, share.PIXELS_MIN), share.PIXELS_MAX)
    return _picture(share.png(text, pixels, share.opened(_logo(code))), "image/png")


def _logo(code: str) -> bytes | None:
    """The merchant's, unless one without is asked for. `material` knows it; a code without one is
    as good when the database is away.
    """
    if request.args.get("logo") == "0":
        return None
    find: Callable[[str], bytes | None] = current_app.extensions["logos"]
    try:
        return find(code)
    except AWAY:
        db.session.rollback()
        return None


def _picture(content: bytes, kind: str) -> Response:
    response = Response(content, content_type=kind)
    response.headers["Cache-Control"] = f"public, max-age={QR_SECONDS}"
    response.add_etag()
    return response.make_conditional(request.environ)
