"""Joining by an invite link, and confirming the address."""

from flask import Response, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n, ids
from affiliate.config import Settings
from affiliate.consoles import session as door
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import count_address, page, secret_typed, too_many, typed
from affiliate.consoles.session import this_browser
from affiliate.errors import Invalid, NotFound
from affiliate.i18n import _
from affiliate.people import joining, queries, rules, sessions, zones
from affiliate.people.joining import Newcomer
from affiliate.people.models import Promoter
from affiliate.people.tries import TooManyTries
from affiliate.programs import queries as programs
from affiliate.programs import service as enrolling
from affiliate.programs.models import Enrolment, Program

LIKELY = {"zh-Hans": "CN", "pt-BR": "BR", "es-MX": "MX", "es-AR": "AR"}  # country by language
NAME_LENGTH = range(1, 101)


@bp.get("/join/<code>")
def join(code: str) -> ResponseReturnValue:
    return _form(_sponsor(code))


@bp.post("/join/<code>")
def take_in(code: str) -> ResponseReturnValue:
    """The same page for a new address and a known one: the letter tells them apart."""
    sponsor = _sponsor(code)
    if sponsor is None:
        return _form(None)
    if wrong := _wrong():
        return _form(sponsor, wrong, status=422)
    try:
        count_address()
        promoter = joining.join(_newcomer(), sponsor)
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    except Invalid as refusal:
        field = "password" if refusal.code == "password_too_weak" else "email"
        return _form(sponsor, {field: refusal.message}, status=422)
    program = _program()
    if promoter and program:
        enrolling.enrol(program, promoter.id, by_merchant=False)
    return redirect(url_for("account.sent"), 303)


@bp.get("/joined")
def sent() -> ResponseReturnValue:
    return page("account/sent.html")


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _sponsor(code: str) -> Promoter | None:
    try:
        return joining.sponsor_of(code)
    except NotFound:
        return None


def _form(
    sponsor: Promoter | None, wrong: dict[str, object] | None = None, *, status: int = 200
) -> Response:
    if sponsor is None:
        return page("account/no_invitation.html", status=404)
    return page(
        "account/join.html",
        status=status,
        sponsor=sponsor,
        program=_program(),
        wrong=wrong or {},
        given=request.form,
        countries=countries(),
        country_guess=LIKELY.get(i18n.language()),
        terms_url=_settings().terms_url,
    )


def _wrong() -> dict[str, object]:
    """What cannot be taken as it was typed, by field."""
    wrong: dict[str, object] = {}
    if len(typed("name")) not in NAME_LENGTH:
        wrong["name"] = _(
            "Tell us a name of at most %(most)s characters.", most=NAME_LENGTH.stop - 1
        )
    if rules.normal_email(typed("email")) is None:
        wrong["email"] = _("This is not an e-mail address.")
    if typed("country") not in rules.COUNTRIES:
        wrong["country"] = _("Choose your country.")
    if typed("locale") not in i18n.LOCALES:
        wrong["locale"] = _("Choose your language.")
    if not typed("terms"):
        wrong["terms"] = _("Without this we cannot take you in.")
    return wrong


def _newcomer() -> Newcomer:
    return Newcomer(
        name=typed("name"),
        email=typed("email"),
        password=secret_typed("password"),
        country=typed("country"),
        locale=typed("locale"),
        timezone=zones.of_country(typed("country")),
    )


def _program() -> Program | None:
    """`?program=prg_…` invites into a program as well, while that is open to everybody."""
    try:
        key = ids.decode_pair("prg", request.args.get("program", ""))
        program = programs.program(*key)
    except NotFound:
        return None
    is_open = program.enrolment == Enrolment.OPEN and program.ended_at is None
    return program if is_open else None


def countries() -> list[tuple[str, str]]:
    """By name, in the reader's language."""
    names = i18n.locale().territories
    return sorted(((code, names[code]) for code in rules.COUNTRIES), key=lambda each: each[1])


@bp.get("/confirm/<secret>")
def confirm(secret: str) -> ResponseReturnValue:
    """A page with a button: mail scanners open every link, and must not use it up."""
    user = queries.user_of_link(secret, joining.CONFIRM)
    return page("account/confirm.html", user=user, status=200 if user else 404)


@bp.post("/confirm/<secret>")
def confirmed(secret: str) -> ResponseReturnValue:
    """Whoever got the letter is let in: it came to their address, and once only."""
    try:
        user = joining.confirm(secret)
    except NotFound:
        return page("account/confirm.html", user=None, status=404)
    if user.totp_secret is not None:
        return redirect(url_for("account.sign_in"), 303)
    opened = sessions.open_whole(user, this_browser())
    response = redirect("/", 303)
    door.enter(response, opened, user)
    flash(_("Welcome! Your address is confirmed."), "done")
    response.location = door.home()
    return response
