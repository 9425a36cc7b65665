"""Joining by an invite link: say who you are, type the code that comes, begin."""

from dataclasses import asdict

from flask import Response, current_app, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n, ids, security
from affiliate.config import Settings
from affiliate.consoles import session as door
from affiliate.consoles.account import bp
from affiliate.consoles.account.codes import ASKED, ask_for_code, entry, late
from affiliate.consoles.account.doors import count_address, page, too_many, typed
from affiliate.consoles.account.providers import PROVEN, proven
from affiliate.consoles.account.signing_in import let_in
from affiliate.consoles.session import this_browser
from affiliate.errors import AffiliateError, Invalid, NotFound
from affiliate.i18n import _
from affiliate.people import codes, joining, openid, queries, rules, sessions, zones
from affiliate.people.codes import CodeGone, CodeUsed, Contact
from affiliate.people.joining import Joined, Newcomer
from affiliate.people.models import OneTimeCode, Promoter
from affiliate.people.openid import Person
from affiliate.people.tries import TooManyTries
from affiliate.programs import queries as programs
from affiliate.programs import service as enrolling
from affiliate.programs.models import Enrolment, Program

NAME_LENGTH = range(1, 101)
TERMS = _("I mark what I share as advertising, and my data may be used to pay me.")


@bp.get("/join/<code>")
def join(code: str) -> ResponseReturnValue:
    """By a promoter's invitation, or by a merchant's: then the code is a program's."""
    sponsor, program = _sponsor(code), _program(code)
    return _form(sponsor, program if _is_invitation(sponsor, code, program) else None)


@bp.post("/join/<code>")
def take_in(code: str) -> ResponseReturnValue:
    """The same answer for a new address and a known one: whoever has it gets a code."""
    sponsor, program = _sponsor(code), _program(code)
    if not _is_invitation(sponsor, code, program):
        return _form(None, None)
    person = proven()
    wrong = _wrong(needs_contact=not (person and person.email))
    if wrong:
        return _form(sponsor, program, wrong, status=422)
    newcomer = _newcomer(sponsor, program)
    try:
        count_address()
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    if person and person.email and (address := rules.normal_email(person.email)):
        return _take_in_proven(newcomer, person, Contact("mail", address))
    kept = asdict(newcomer) | {"identity": asdict(person) if person else None}
    return ask_for_code(_contact(), locale=newcomer.locale, newcomer=kept)


def _take_in_proven(newcomer: Newcomer, person: Person, to: Contact) -> ResponseReturnValue:
    """An OpenID provider vouches for the address of a newcomer; of nobody who is here already."""
    session.pop(PROVEN, None)
    if codes.user_at(to):
        flash(
            _("You have an account already. Sign in to it once; then connect it under Security."),
            "wait",
        )
        return redirect(url_for("account.sign_in", email=to.target), 303)
    return _welcome(joining.join(newcomer, to), newcomer, person)


@bp.post("/by-code/enter")
def check_entry() -> ResponseReturnValue:
    """The right code signs in; who asked for it by joining begins to exist here."""
    secret = session.get(ASKED, "")
    try:
        count_address()
        row = codes.use(secret, typed("code"))
    except CodeUsed:  # by the same form, sent twice
        return redirect(url_for("account.sign_in"), 303)
    except CodeGone:
        return late()
    except AffiliateError as refusal:
        asked = codes.asked(secret)
        return entry(asked, refusal) if asked else late()
    session.pop(ASKED, None)
    if row.newcomer is not None:
        return _come_in(row)
    try:
        return let_in(joining.enter(Contact(row.channel, row.target)))
    except NotFound:
        return late()


def _come_in(row: OneTimeCode) -> ResponseReturnValue:
    kept = dict(row.newcomer or {})
    identity = kept.pop("identity")
    if kept["program"]:
        kept["program"] = tuple(kept["program"])
    newcomer = Newcomer(**kept)
    joined = joining.join(newcomer, Contact(row.channel, row.target))
    return _welcome(joined, newcomer, Person(**identity) if identity else None)


def _welcome(joined: Joined, newcomer: Newcomer, person: Person | None) -> ResponseReturnValue:
    if person:
        openid.connect(joined.user, person)
    if joined.promoter and newcomer.program:
        enrolling.enrol(programs.program(*newcomer.program), joined.promoter.id, by_merchant=False)
    answer = let_in(joined.user)
    if joined.promoter:
        flash(_("Welcome! Pick something you like and share it."), "done")
    else:
        flash(_("You have an account already, and are signed in."), "done")
    return answer


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
        country_guess=zones.LIKELY.get(i18n.language()),
        terms=TERMS,
        terms_url=_settings().terms_url,
        once=typed("once") or security.new_secret(),
        takes_phones=codes.offers_phones(),
        person=proven(),
        providers=openid.providers().values(),
    )


def _wrong(*, needs_contact: bool) -> dict[str, object]:
    """What cannot be taken as it was typed, by field."""
    wrong: dict[str, object] = {}
    if len(typed("name")) not in NAME_LENGTH:
        wrong["name"] = _(
            "Tell us a name of at most %(most)s characters.", most=NAME_LENGTH.stop - 1
        )
    if needs_contact:
        try:
            _contact()
        except Invalid as refusal:
            wrong["contact"] = refusal.message
    if typed("country") not in rules.COUNTRIES:
        wrong["country"] = _("Choose your country.")
    if typed("locale") not in i18n.LOCALES:
        wrong["locale"] = _("Choose your language.")
    if not typed("terms"):
        wrong["terms"] = _("Without this we cannot take you in.")
    return wrong


def _contact() -> Contact:
    return codes.contact(typed("contact"), typed("country"))


def _newcomer(sponsor: Promoter | None, program: Program | None) -> Newcomer:
    terms = _settings().terms_url
    return Newcomer(
        name=typed("name"),
        country=typed("country"),
        locale=typed("locale"),
        timezone=zones.of_country(typed("country")),
        terms=str(TERMS),
        terms_url=str(terms) if terms else None,
        sponsor_id=sponsor.id if sponsor else None,
        program=(program.merchant_id, program.id) if program else None,
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
