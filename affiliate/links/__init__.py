"""Links, their redirect, the page in between, and the spool that keeps every click."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.links import pages
    from affiliate.links.landing import Shelf
    from affiliate.links.spool import Spool
    from affiliate.links.views import bp

    app.extensions["spool"] = Spool(app.config["SETTINGS"].data / "spool")
    app.extensions["shelf"] = Shelf()
    app.register_blueprint(bp)
    app.register_blueprint(pages.bp)
