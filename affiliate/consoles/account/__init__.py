"""One's own account: signing in and out, joining, lost passwords, second factor, sessions, profile.

What is not named in OPEN is closed to strangers; every role has an account.
"""

from typing import Any

from flask import Blueprint, Flask, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.consoles import layout
from affiliate.consoles.session import current_person, guard
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.people.models import Role

bp = Blueprint("account", __name__)
bp.register_error_handler(AffiliateError, layout.show_refusal)

OPEN = frozenset(
    f"account.{name}"
    for name in (
        "sign_in check_sign_in code check_code sign_out join take_in sent confirm confirmed "
        "forgot ask asked reset choose by_code send_code enter check_entry send_again "
        "go_to_provider come_back"
    ).split()
)
personal = guard()


@bp.before_request
def closed_unless_open() -> ResponseReturnValue | None:
    return None if request.endpoint in OPEN else personal()


@bp.context_processor
def tabs() -> dict[str, Any]:
    return {"account_tabs": _tabs}


def _tabs() -> list[tuple[str, Any, None, bool]]:
    shown = [("profile", _("Profile")), ("security", _("Security")), ("data", _("My data"))]
    if current_person().holds(Role.OPERATOR):
        shown.append(("outbox", _("Outbox")))
    here = request.path
    pages = [(url_for(f"account.{name}"), words) for name, words in shown]
    return [(url, words, None, here == url) for url, words in pages]


def init_app(app: Flask) -> None:
    from affiliate.consoles.account import (  # noqa: F401
        codes,
        joining,
        leaving,
        outbox,
        passwords,
        profile,
        providers,
        security,
        signing_in,
    )

    app.register_blueprint(bp)
