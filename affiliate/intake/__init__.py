"""Shop webhooks: signature, inbox, and the way from an event to booked commissions."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.intake.views import bp

    app.register_blueprint(bp)
