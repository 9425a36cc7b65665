"""Shop webhooks: signature, inbox, and the way from an event to booked commissions."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.intake.handing import bp
    from affiliate.intake.views import RULE, Door

    app.add_url_rule(RULE, "intake.receive", methods=["POST"])  # what else is asked there is a 405
    app.register_blueprint(bp)
    app.extensions["door"] = door = Door(app)
    app.wsgi_app = door  # type: ignore[method-assign, assignment]
