"""One's own account: signing in and out, joining, lost passwords, second factor, sessions, profile.

Open to strangers and to every role, so each view says itself what it needs (`personal`).
"""

from flask import Blueprint, Flask

from affiliate.consoles import layout
from affiliate.errors import AffiliateError

bp = Blueprint("account", __name__)
bp.register_error_handler(AffiliateError, layout.show_refusal)


def init_app(app: Flask) -> None:
    from affiliate.consoles.account import (  # noqa: F401
        joining,
        outbox,
        passwords,
        profile,
        security,
        signing_in,
    )
    from affiliate.consoles.account.limits import limiter

    app.register_blueprint(bp)
    limiter.init_app(app)
