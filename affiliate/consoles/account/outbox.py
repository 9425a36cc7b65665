"""The outbox: what was written to whom, for operators. Where no mail server is set, they pass the
links on.
"""

from flask import current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from affiliate.config import Settings
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import page
from affiliate.consoles.session import current_person
from affiliate.notices import queries
from affiliate.people.models import Role

# What was sent is between the mail server and its reader.
READABLE = frozenset({"kept", "failed"})
ROWS = 50


@bp.get("/account/outbox")
def outbox() -> ResponseReturnValue:
    _operators_only()
    before = request.args.get("before", type=int)
    found = queries.outbox(ROWS + 1, before)
    older = found[ROWS - 1].id if len(found) > ROWS else None
    return page("account/outbox.html", notices=found[:ROWS], older=older, has_mail=_has_mail())


@bp.get("/account/outbox/<int:notice_id>")
def letter(notice_id: int) -> ResponseReturnValue:
    _operators_only()
    notice = queries.notice(notice_id)
    text = queries.text_of(notice) if notice.state in READABLE else None
    return page("account/letter.html", notice=notice, text=text)


def _has_mail() -> bool:
    settings: Settings = current_app.config["SETTINGS"]
    return settings.smtp_host is not None


def _operators_only() -> None:
    if not current_person().holds(Role.OPERATOR):
        raise NotFound
