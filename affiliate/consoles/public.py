"""Open to everybody: the front page, one-time links, health, metrics, and error pages."""

from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy as sa
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
)
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from affiliate import clock, config
from affiliate.consoles import layout, session
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound
from affiliate.insight import queries as insight
from affiliate.intake.models import Event
from affiliate.people import queries, service

bp = Blueprint("public", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_error_handler(HTTPException, layout.show_error)
    app.register_error_handler(AffiliateError, layout.show_refusal)


@bp.get("/")
def home() -> ResponseReturnValue:
    if session.signed_in():
        return redirect(session.home(), 303)
    return render_template("public/home.html")


@bp.get("/offline")
def offline() -> ResponseReturnValue:
    """Kept by phones (frontend/worker): the same for everybody."""
    return render_template("public/offline.html")


@bp.get("/welcome/<secret>")
def welcome(secret: str) -> ResponseReturnValue:
    user = queries.user_of_link(secret, *service.FOR_PASSWORDS)
    return _private(render_template("public/welcome.html", user=user, refusal=None))


@bp.post("/welcome/<secret>")
def choose_password(secret: str) -> ResponseReturnValue:
    try:
        user = service.use_link(secret, request.form.get("password", ""))
    except service.PasswordTooWeak as refusal:
        asked = queries.user_of_link(secret, *service.FOR_PASSWORDS)
        return _private(render_template("public/welcome.html", user=asked, refusal=refusal), 422)
    except NotFound:
        return _private(render_template("public/welcome.html", user=None, refusal=None), 404)
    return _private(render_template("public/welcomed.html", email=user.email))


def _private(page: str, status: int = 200) -> Response:
    """The address is a secret: it is neither kept nor told to the next site."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(page, status, headers, mimetype="text/html")


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """The process answers; nothing else is asked."""
    return jsonify(ok=True)


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Whether requests can be served. Backlogs are shown, but other processes work them off."""
    checks = {"database": _database(), "valkey": _valkey(), "schema": _schema()}
    ok = all(each == "ok" for each in checks.values())
    lag = _lag() if ok else {}
    return jsonify(ok=ok, **checks, **lag), 200 if ok else 503


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    registry = CollectorRegistry()
    for name, value in _lag().items():
        Gauge(f"tuike_{name}", name.replace("_", " ").capitalize(), registry=registry).set(value)
    return Response(generate_latest(registry) + generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _database() -> str:
    return _asked(lambda: db.session.execute(sa.text("SELECT 1")))


def _valkey() -> str:
    return _asked(current_app.extensions["redis"].ping)


def _schema() -> str:
    find = sa.text("SELECT version_num FROM alembic_version")
    found: list[str] = []
    asked = _asked(lambda: found.extend(db.session.scalars(find)))
    if asked != "ok":
        return asked
    head = _schema_head()
    return "ok" if found == [head] else f"at {', '.join(found) or 'nothing'}, wants {head}"


def _asked(question: Callable[[], Any]) -> str:
    try:
        question()
    except RedisError:
        return "unreachable"
    except SQLAlchemyError:
        db.session.rollback()
        return "unreachable"
    return "ok"


@cache
def _schema_head() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(config.shipped("migrations"))).get_current_head()


def _lag() -> dict[str, int]:
    """What has come in and is not worked off yet."""
    waiting, quarantined, oldest = db.session.execute(
        sa.select(
            sa.func.count().filter(Event.state == "waiting"),
            sa.func.count().filter(Event.state == "quarantined"),
            sa.func.min(Event.received_at).filter(Event.state == "waiting"),
        ).where(Event.state != "done")
    ).one()
    return {
        "inbox_waiting": waiting,
        "inbox_quarantined": quarantined,
        "inbox_lag_seconds": int((clock.now() - oldest).total_seconds()) if oldest else 0,
        "spool_bytes_waiting": insight.backlog(current_app.extensions["spool"].folder).bytes,
    }
