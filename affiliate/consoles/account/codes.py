"""Six digits instead of a password: asked for, typed, asked for again."""

from typing import Any

from flask import flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from affiliate import i18n, security
from affiliate.consoles import session as door
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import count_address, page, too_many, typed
from affiliate.consoles.session import own_path, signed_in
from affiliate.errors import AffiliateError, Invalid
from affiliate.i18n import _
from affiliate.people import codes, zones
from affiliate.people.codes import CodeGone, CodeUsed, Contact
from affiliate.people.models import OneTimeCode
from affiliate.people.tries import TooManyTries

ASKED = "asked"  # in the session: the secret by which a browser knows its code
LONGEST = 64


@bp.get("/by-code")
def by_code() -> ResponseReturnValue:
    if signed_in():
        return redirect(own_path(request.args.get("next")) or door.home(), 303)
    return _form()


@bp.post("/by-code")
def send_code() -> ResponseReturnValue:
    """Whether there is such an account is told by the letter alone."""
    try:
        to = codes.contact(typed("contact"), zones.LIKELY.get(i18n.language()))
    except Invalid as refusal:
        return _form(refusal)
    try:
        count_address()
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    return ask_for_code(to, locale=i18n.language())


def _form(refusal: Invalid | None = None) -> Response:
    return page(
        "account/by_code.html",
        status=refusal.status if refusal else 200,
        wrong=refusal.message if refusal else None,
        contact=typed("contact") or request.args.get("email", ""),
        next=own_path(request.values.get("next")),
        once=typed("once") or security.new_secret(),
        takes_phones=codes.offers_phones(),
    )


def ask_for_code(
    to: Contact, *, locale: str, newcomer: dict[str, Any] | None = None
) -> ResponseReturnValue:
    """The form brings a secret of its own, so that sending it twice asks once."""
    once = typed("once")
    secret = once if len(once) in range(40, LONGEST + 1) else security.new_secret()
    codes.ask(secret, to, locale=locale, newcomer=newcomer)
    session[ASKED] = secret
    return redirect(url_for("account.enter", next=own_path(request.values.get("next"))), 303)


@bp.get("/by-code/enter")
def enter() -> ResponseReturnValue:
    row = codes.asked(session.get(ASKED, ""))
    return entry(row) if row else late()


@bp.post("/by-code/again")
def send_again() -> ResponseReturnValue:
    try:
        count_address()
        codes.again(session.get(ASKED, ""))
    except TooManyTries:
        flash(_("A code is on its way. Wait half a minute before you ask for another."), "wait")
        return redirect(url_for("account.enter"), 303)
    except (CodeGone, CodeUsed):
        return late()
    flash(_("Sent. Only the newest code is good."), "done")
    return redirect(url_for("account.enter"), 303)


def entry(row: OneTimeCode, refusal: AffiliateError | None = None) -> Response:
    return page(
        "account/enter.html",
        status=refusal.status if refusal else 200,
        wait=getattr(refusal, "retry_after", None),
        refusal=refusal.message if refusal else None,
        row=row,
        next=own_path(request.values.get("next")),
    )


def late() -> ResponseReturnValue:
    if signed_in():
        return redirect(door.home(), 303)
    flash(_("That took too long. Ask for a new code, or open your invitation again."), "wait")
    return redirect(url_for("account.by_code"), 303)
