"""Links, their redirect, and the spool that keeps every click."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.links.spool import Spool
    from affiliate.links.views import bp

    app.extensions["spool"] = Spool(app.config["SETTINGS"].data / "spool")
    app.register_blueprint(bp)
