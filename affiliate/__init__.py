"""Tuike (推客): social-distribution affiliate platform.

`create_app` is the table of contents: what the application is made of, in the order of the house.
"""

from typing import Any

from flask import Flask
from redis import Redis
from werkzeug.middleware.proxy_fix import ProxyFix

from affiliate import config, logs
from affiliate.config import Settings
from affiliate.db import App, db


def create_app(settings: Settings | None = None, *, doors: bool = True, **overrides: Any) -> Flask:
    """The whole application. It needs a database and a Valkey, and a secret key.

    Without doors nobody can knock: what a process that answers no requests does not use takes more
    than half of the time that it needs to begin.

    Without `DATABASE_URL` the caller starts the embedded servers first and passes their addresses
    (see `affiliate.embedded`).
    """
    settings = settings or config.load(**overrides)
    if not settings.database_url or not settings.redis_url or not settings.secret_key:
        raise config.BadSettings(
            "DATABASE_URL, REDIS_URL and AFFILIATE_SECRET_KEY are needed outside `affiliate up`"
        )
    app = App(
        "affiliate",
        root_path=str(config.ROOT / "affiliate"),
        template_folder=str(config.shipped("templates")),
        static_folder=str(config.shipped("static")),
    )
    _configure(app, settings)
    _connect(app, settings)
    _dress(app)
    if doors:
        _open_doors(app)
    return app


def _configure(app: Flask, settings: Settings) -> None:
    from affiliate import security

    assert settings.secret_key
    secret = settings.secret_key.get_secret_value()
    app.config.update(
        SETTINGS=settings,
        SECRET_KEY=secret,
        ID_SALT=security.derive(secret, "ids").hex(),
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        MAX_CONTENT_LENGTH=2 * 1024 * 1024,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=bool(settings.public_url and settings.public_url.scheme == "https"),
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["keys"] = {}
    logs.configure(app, settings)


def _connect(app: Flask, settings: Settings) -> None:
    from affiliate import models as _every_table  # noqa: F401
    from affiliate.links.lookup import Lookup

    db.init_app(app)
    app.extensions["redis"] = Redis.from_url(settings.redis_url or "")
    app.extensions["links"] = Lookup()


def _dress(app: Flask) -> None:
    from affiliate import assets, formats, headers, i18n
    from affiliate.consoles import layout, live, showcase

    headers.init_app(app)
    assets.init_app(app)
    i18n.init_app(app)
    formats.init_app(app)
    layout.init_app(app)
    live.init_app(app)
    showcase.init_app(app)


def _open_doors(app: Flask) -> None:
    from affiliate import api, intake, links, material, payouts
    from affiliate.consoles import (
        account,
        agency,
        finance,
        merchant,
        operator,
        promoter,
        public,
        session,
    )
    from affiliate.insight import sight
    from affiliate.links.road import Road

    api.init_app(app)
    intake.init_app(app)
    links.init_app(app)
    sight.init_app(app)
    material.init_app(app)
    payouts.init_app(app)
    public.init_app(app)
    account.init_app(app)
    app.register_blueprint(merchant.bp)
    app.register_blueprint(promoter.bp)
    app.register_blueprint(finance.bp)
    app.register_blueprint(agency.bp)
    app.register_blueprint(operator.bp)
    session.init_app(app)  # last: it looks which doors there are
    hops = app.config["SETTINGS"].trusted_proxies
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.wsgi_app = Road(app, app.wsgi_app, hops)  # type: ignore[method-assign]
