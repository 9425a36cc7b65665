"""Where money goes: payout accounts, payouts, and the rails that carry them."""

from flask import Flask


def init_app(app: Flask) -> None:
    from affiliate.payouts.views import bp

    app.register_blueprint(bp)
