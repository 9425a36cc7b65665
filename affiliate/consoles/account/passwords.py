"""A lost password: ask for a letter, choose a new one by its link."""

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from affiliate import events
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import count_address, page, secret_typed, too_many, typed
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.people import queries, rules, service, sessions, tries
from affiliate.people.joining import LETTERS
from affiliate.people.tries import TooManyTries


@bp.get("/forgot")
def forgot() -> ResponseReturnValue:
    return page("account/forgot.html", email=request.args.get("email", ""))


@bp.post("/forgot")
def ask() -> ResponseReturnValue:
    """Whether there is such an account is told by the letter alone."""
    email = rules.normal_email(typed("email"))
    if email is None:
        words = _("This is not an e-mail address.")
        return page("account/forgot.html", status=422, email=typed("email"), wrong=words)
    try:
        count_address()
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    user = queries.user_by_email(email)
    if tries.allows(LETTERS, email):
        # Also for an address nobody has: that takes as long, and tells nobody.
        events.record("reset.asked", user_id=user.id if user and not user.disabled_at else None)
    return redirect(url_for("account.asked"), 303)


@bp.get("/forgot/sent")
def asked() -> ResponseReturnValue:
    return page("account/asked.html")


@bp.get("/reset/<secret>")
def reset(secret: str) -> ResponseReturnValue:
    return _form(secret)


@bp.post("/reset/<secret>")
def choose(secret: str) -> ResponseReturnValue:
    """Everybody who is signed in with the old password is signed out."""
    try:
        user = service.use_link(secret, secret_typed("password"))
    except service.PasswordTooWeak as refusal:
        return _form(secret, refusal)
    except NotFound:
        return _form(secret)
    sessions.end_all(user.id)
    events.record("password.changed", user_id=user.id)
    flash(_("Your new password is saved. Sign in with it."), "done")
    return redirect(url_for("account.sign_in", email=user.email), 303)


def _form(secret: str, refusal: service.PasswordTooWeak | None = None) -> Response:
    user = queries.user_of_link(secret, *service.FOR_PASSWORDS)
    status = 404 if user is None else 422 if refusal else 200
    wrong = refusal.message if refusal else None
    return page("account/reset.html", status=status, user=user, wrong=wrong)
