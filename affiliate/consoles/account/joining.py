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
    """By a promoter's invitation, or by a merchant's: then the code is a program's."""
    sponsor, program = _sponsor(code), _program(code)
    return _form(sponsor, program if _is_invitation(sponsor, code, program) else None)


@bp.post("/join/<code>")
def take_in(code: str) -> ResponseReturnValue:
    """The same page for a new address and a known one: the letter tells them apart."""
    sponsor, program = _sponsor(code), _program(code)
    if not _is_invitation(sponsor, code, program):
        return _form(None, None)
    if wrong := _wrong():
        return _form(sponsor, program, wrong, status=422)
    try:
        count_address()
        promoter = joining.join(_newcomer(), sponsor)
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    except Invalid as refusal:
        field = "password" if refusal.code == "password_too_weak" else "email"
        return _form(sponsor, program, {field: refusal.message}, status=422)
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
    sponsor: Promoter | None,
    program: Program | None,
    wrong: dict[str, object] | None = None,
    *,
    status: int = 200,
) -> Response:
    if sponsor is None and program is None:
        return page("account/no_invitation.html", status=404)
    return page(
        "account/join.html",
        status=status,
        inviter=sponsor.name if sponsor else _merchant_of(program),
        program=program,
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


def _program(code: str) -> Program | None:
    """The program that is invited into: `/join/prg_…` is its merchant's link, and `?program=prg_…`
    a promoter's. While it is open to everybody; with the merchant's link one may also apply.
    """
    by_merchant = code.startswith("prg_")
    try:
        key = ids.decode_pair("prg", code if by_merchant else request.args.get("program", ""))
        program = programs.program(*key)
    except NotFound:
        return None
    takes = {Enrolment.OPEN, Enrolment.APPROVAL} if by_merchant else {Enrolment.OPEN}
    return program if program.enrolment in takes and program.ended_at is None else None


def _is_invitation(sponsor: Promoter | None, code: str, program: Program | None) -> bool:
    return sponsor is not None or (code.startswith("prg_") and program is not None)


def _merchant_of(program: Program | None) -> str:
    return queries.merchant(program.merchant_id).name if program else ""


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
