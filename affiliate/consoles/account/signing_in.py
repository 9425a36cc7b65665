"""Signing in with password and second factor, signing out, and moving between places."""

from urllib.parse import urlencode

from flask import flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from affiliate import ids
from affiliate.consoles import session as door
from affiliate.consoles.account import bp, demo
from affiliate.consoles.account.doors import (
    count_address,
    on_this_machine,
    page,
    secret_typed,
    typed,
)
from affiliate.consoles.session import current_person, own_path, signed_in, this_browser
from affiliate.errors import AffiliateError, NotFound
from affiliate.i18n import _
from affiliate.people import joining, openid, second_factor, service, sessions
from affiliate.people.models import Role, User, UserSession
from affiliate.people.tries import TooManyTries

HALF = "half"


@bp.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    if signed_in():
        return redirect(own_path(request.args.get("next")) or door.home(), 303)
    return _page()


@bp.post("/sign-in")
def check_sign_in() -> ResponseReturnValue:
    """The same answer, after the same time, for an unknown address and for a wrong password."""
    try:
        count_address()
        user = sessions.check_password(typed("email"), secret_typed("password"), this_browser())
    except TooManyTries as refusal:
        return _page(refusal.message, 429, refusal.retry_after)
    if user is None:
        return _page(_("E-mail address and password do not belong together."), 422)
    if user.unconfirmed_since is not None:
        joining.ask_for_confirmation(user)
        return page("account/sent.html")
    return let_in(user)


def let_in(user: User, *, way: str | None = None) -> ResponseReturnValue:
    """Whoever proved to be this user: in, or one step further where there is a second factor."""
    if demo.is_demo(user) and not on_this_machine():
        return _page(_("Demo people sign in on the machine that runs Tuike only."), 403)
    if user.totp_secret is not None:
        return _ask_second_factor(user)
    return _enter(user, way=way)


def _page(refusal: object = None, status: int = 200, wait: int | None = None) -> Response:
    return page(
        "account/sign_in.html",
        status=status,
        wait=wait,
        refusal=refusal,
        next=own_path(request.values.get("next")),
        email=typed("email") or request.args.get("email", ""),
        providers=openid.providers().values(),
        cast=demo.cast(),
    )


def _enter(user: User, *, by_otp: bool = False, way: str | None = None) -> ResponseReturnValue:
    opened = sessions.open_whole(user, this_browser(), by_otp=by_otp)
    response = redirect("/", 303)
    door.enter(response, opened, user)
    response.location = way or own_path(request.values.get("next")) or door.home()
    return response


def _ask_second_factor(user: User) -> ResponseReturnValue:
    session.clear()
    session[HALF] = sessions.open_half(user, this_browser())
    return redirect(_code_page(), 303)


def _code_page() -> str:
    way = own_path(request.values.get("next"))
    return url_for("account.code") + (f"?{urlencode({'next': way})}" if way else "")


@bp.get("/sign-in/code")
def code() -> ResponseReturnValue:
    if signed_in():
        return redirect(door.home(), 303)
    half = _half()
    return _code_form(half[1]) if half else _late()


@bp.post("/sign-in/code")
def check_code() -> ResponseReturnValue:
    half = _half()
    if half is None:
        return redirect(door.home(), 303) if signed_in() else _late()
    row, user = half
    try:
        count_address()
        if typed("recovery"):
            second_factor.use_recovery_code(user, typed("recovery"))
        else:
            service.check_totp(user, typed("otp"))
    except AffiliateError as refusal:
        wait = getattr(refusal, "retry_after", None)
        return _code_form(user, refusal, wait)
    sessions.end(user.id, row.id)
    return _enter(user, by_otp=True)


def _code_form(
    user: User, refusal: AffiliateError | None = None, wait: int | None = None
) -> Response:
    return page(
        "account/code.html",
        status=refusal.status if refusal else 200,
        wait=wait,
        refusal=refusal.message if refusal else None,
        next=own_path(request.values.get("next")),
        by_recovery=bool(typed("recovery")),
        demo_code=demo.code_for(user),
    )


def _half() -> tuple[UserSession, User] | None:
    found = sessions.find(session.get(HALF, ""), is_half=True)
    return found[:2] if found else None


def _late() -> ResponseReturnValue:
    flash(_("That took too long. Please sign in again."), "wait")
    way = own_path(request.values.get("next"))
    return redirect(url_for("account.sign_in", next=way), 303)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    door.leave()
    flash(_("You are signed out."), "done")
    return redirect(url_for("account.sign_in"), 303)


@bp.get("/account/place/<place_id>")
def move(place_id: str) -> ResponseReturnValue:
    """Be at another merchant or in another role. Only this session moves, so a link may ask it."""
    person = current_person()
    wanted = ids.decode_one("pla", place_id)
    grant = next((each for each in person.grants if each.id == wanted), None)
    if grant is None:
        raise NotFound
    sessions.choose(person.session, grant.id)
    return redirect(door.home_of(Role(grant.role)), 303)
