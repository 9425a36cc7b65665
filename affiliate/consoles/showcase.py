"""`/-/components`: every component with sample content, to look at and to test. Never live."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from flask import Blueprint, Flask, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import default_exceptions

from affiliate import clock, formats
from affiliate.config import Settings
from affiliate.consoles import layout
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.money import Money

bp = Blueprint("showcase", __name__, url_prefix="/-")

PEOPLE = ("王小明", "Ana Beatriz Souza", "李静", "João Pereira", "Camila Rodríguez", "陈晨")


def init_app(app: Flask) -> None:
    settings: Settings = app.config["SETTINGS"]
    if app.debug or settings.allow_future:
        app.register_blueprint(bp)


bp.register_error_handler(AffiliateError, layout.show_refusal)


@bp.get("/components")
def components() -> ResponseReturnValue:
    return render_template("showcase/components.html", **_samples())


@bp.get("/phone")
def phone() -> ResponseReturnValue:
    return render_template("showcase/phone.html", **_samples())


@bp.get("/team/<int:level>")
def team(level: int) -> ResponseReturnValue:
    return render_template("showcase/_team.html", people=_team(level))


@bp.get("/error/<int:status>")
def error(status: int) -> ResponseReturnValue:
    return layout.show_error(default_exceptions[status]())


@bp.post("/rate")
def rate() -> ResponseReturnValue:
    ppm = formats.typed_ppm(request.form["rate"])
    if ppm > 900_000:
        raise AffiliateError(_("The rates of all levels together would be above 90%."))
    return layout.toast(str(_("The rate is now %(rate)s.", rate=formats.ppm(ppm))))


@bp.get("/broken")
def broken() -> ResponseReturnValue:
    return "<h1>What a proxy says when we are down</h1>", 502


def _samples() -> dict[str, Any]:
    now = clock.now()
    days = [(now - timedelta(days=29 - i)).date() for i in range(30)]
    clicks = [420 + (i * 37) % 190 + i * 9 for i in range(30)]
    return {
        "now": now,
        "days": days,
        "clicks": clicks,
        "earned": [each * 7 + (each * 13) % 400 for each in clicks],
        "brl": Money(1284050, "BRL"),
        "orders": [_order(i) for i in range(6)],
        "people": _team(0),
        "events": _events(),
        "person": {"name": "Ana Beatriz Souza", "detail": "ana@example.com", "links": []},
        "money": Money,
    }


def _order(i: int) -> SimpleNamespace:
    states = ("pending", "available", "reserved", "paid", "pending", "estimated")
    orders = ("paid", "delivered", "delivered", "delivered", "fulfilled", "pending_payment")
    total = Money(19990 + i * 7350, ("CNY", "BRL", "MXN", "ARS", "CLP", "USD")[i])
    return SimpleNamespace(
        number=f"#{1042 - i}",
        title=("亚麻连衣裙 · 米白", "Vestido de linho", "Chaqueta de mezclilla")[i % 3],
        promoter=PEOPLE[i],
        at=clock.now() - timedelta(hours=i * 9 + 1),
        status=orders[i],
        state=states[i],
        total=total,
        commission=Money(total.minor * 12 // 100, total.currency),
        ppm=120_000,
    )


def _team(level: int) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "detail": formats.money(Money(420000 // (level + 1) - i * 31700, "CNY")),
            "below": (12, 4, 0)[i] if level < 3 else 0,
            "url": f"/-/team/{level + 1}",
        }
        for i, name in enumerate((PEOPLE * 2)[level : level + 3])
    ]


def _events() -> list[dict[str, Any]]:
    now = clock.now()
    return [
        {"words": _("Paid"), "at": now, "tone": "done", "detail": "E2E 7F3K-22"},
        {"words": _("Accepted by the bank"), "at": now - timedelta(hours=3), "tone": "moving"},
        {"words": _("Approved"), "at": now - timedelta(hours=5), "detail": "Li Jing"},
        {"words": _("Built"), "at": now - timedelta(hours=6), "detail": "Ana Souza"},
    ]
