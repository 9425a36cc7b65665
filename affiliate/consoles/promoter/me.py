"""Who one is as a promoter: name, picture, where one shares, and in which currency one reads."""

import re
from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, i18n, ids
from affiliate.consoles.channels import CHANNELS
from affiliate.consoles.currencies import currency_of
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_person, current_promoter_id
from affiliate.errors import Invalid, NotFound
from affiliate.i18n import _
from affiliate.money import EXPONENTS
from affiliate.people import pictures, queries, service
from affiliate.people.models import Promoter

# Where people share, as they call it; what is not here is "other".
ROWS = 2  # channels on the page; one more than are filled in, up to MOST
MOST = 8
MOST_FOLLOWERS = 2_000_000_000
LENGTH = 80
CURRENCIES = ("CNY", "BRL", "USD", "EUR", "MXN", "ARS", "CLP", "COP", "PEN")
A_YEAR = "private, max-age=31536000, immutable"


@bp.get("/me/")
def me() -> ResponseReturnValue:
    return _form(queries.promoter(current_promoter_id()))


@bp.post("/me/")
def change_me() -> ResponseReturnValue:
    promoter = queries.promoter(current_promoter_id(), lock=True)
    wrong: dict[str, object] = {}
    name = " ".join(_typed("name").split())
    if len(name) not in range(1, 101):
        wrong["name"] = _("Tell us a name of at most %(most)s characters.", most=100)
    currency = _typed("currency")
    if currency and currency not in EXPONENTS:
        wrong["currency"] = _("Choose a currency.")
    channels = _channels(wrong)
    if wrong:
        return _form(promoter, wrong)
    profile = {"niche": _typed("niche")[:LENGTH], "channels": channels}
    service.change_promoter(promoter, {"name": name, "profile": profile})
    current_person().user.currency = currency or None
    flash(_("Saved."), "done")
    return redirect(url_for("promoter.me"), 303)


def _typed(name: str) -> str:
    return request.form.get(name, "").replace("\0", "").strip()


def _channels(wrong: dict[str, object]) -> list[dict[str, Any]]:
    found = []
    for number in range(MOST):
        kind, name = _typed(f"kind_{number}"), _typed(f"handle_{number}")[:LENGTH]
        count = re.sub(r"[\s.,'\u00a0\u202f]", "", _typed(f"followers_{number}"))
        if not name and not count:
            continue
        if kind not in CHANNELS or not name:
            wrong[f"handle_{number}"] = _("Say where, and by which name.")
        elif count and not (count.isascii() and count.isdigit() and int(count) <= MOST_FOLLOWERS):
            wrong[f"handle_{number}"] = _("Followers are a whole number.")
        else:
            found.append({"kind": kind, "name": name, "followers": int(count) if count else None})
    return found


def _form(promoter: Promoter, wrong: dict[str, object] | None = None) -> ResponseReturnValue:
    user = current_person().user
    given = request.form if wrong and "name" in request.form else None
    profile = promoter.profile or {}
    own = profile.get("channels", [])
    shown = render_template(
        "promoter/me.html",
        promoter=promoter,
        picture=pictures.of(promoter.id),
        name=given.get("name") if given else promoter.name,
        niche=given.get("niche") if given else profile.get("niche", ""),
        currency=given.get("currency") if given else user.currency or "",
        channels=_typed_rows() if given else _rows(own),
        kinds=list(CHANNELS.items()),
        currencies=_currencies(promoter),
        wrong=wrong or {},
    )
    return shown, 422 if wrong else 200


def _rows(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = min(MOST, max(ROWS, len(own) + 1))
    empty = {"kind": "", "name": "", "followers": None}
    return [own[number] if number < len(own) else empty for number in range(wanted)]


def _typed_rows() -> list[dict[str, Any]]:
    return [
        {
            "kind": _typed(f"kind_{number}"),
            "name": _typed(f"handle_{number}"),
            "followers": _typed(f"followers_{number}"),
        }
        for number in range(MOST)
        if f"handle_{number}" in request.form
    ]


def _currencies(promoter: Promoter) -> list[tuple[str, str]]:
    usual = currency_of(promoter.country or "")
    names = i18n.locale().currencies
    return [(each, f"{each} · {names[each]}") for each in dict.fromkeys((usual, *CURRENCIES))]


@bp.post("/me/picture")
def change_picture() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    file = request.files.get("picture")
    content = file.read(pictures.LARGEST + 1) if file else b""
    try:
        if not content:
            raise Invalid(_("Choose a picture."))
        pictures.keep(promoter_id, pictures.draw(content))
    except Invalid as refusal:
        return _form(queries.promoter(promoter_id), {"picture": refusal.message})
    flash(_("Your picture is changed."), "done")
    return redirect(url_for("promoter.me"), 303)


@bp.post("/me/picture/remove")
def remove_picture() -> ResponseReturnValue:
    pictures.remove(current_promoter_id())
    flash(_("Your picture is removed."), "done")
    return redirect(url_for("promoter.me"), 303)


@bp.get("/faces/<promoter_id>/<mark>.webp")
def face(promoter_id: str, mark: str) -> ResponseReturnValue:
    """One's own, those of one's team and of one's sponsor; nobody else is anybody here."""
    try:
        wanted = ids.decode_one("prm", promoter_id)
    except NotFound:
        abort(404)
    me = queries.promoter(current_promoter_id())
    if wanted not in (me.id, me.sponsor_id):
        asked = (wanted, clock.now())
        if me.id not in queries.uplines([asked], 64)[asked]:
            abort(404)
    found = pictures.of(wanted)
    if found is None or found.mark != mark:
        abort(404)
    return Response(found.picture, mimetype="image/webp", headers={"Cache-Control": A_YEAR})
