"""Keeping an account one's own: password, second factor, recovery codes, sessions."""

import base64

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue

from affiliate import events, ids
from affiliate import security as keys
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import page, secret_typed, typed
from affiliate.consoles.session import SignedIn, current_person
from affiliate.errors import AffiliateError, Invalid
from affiliate.i18n import _
from affiliate.links import share
from affiliate.people import browsers, openid, second_factor, service, sessions, tries

CODE_LENGTH = len("123 456")


class WrongPassword(Invalid):
    code = "wrong_password"


class WrongOldCode(Invalid):
    code = "wrong_old_code"


@bp.get("/account/security")
def security() -> ResponseReturnValue:
    return _page()


def _page(wrong: dict[str, object] | None = None, status: int = 200) -> ResponseReturnValue:
    person = current_person()
    return page(
        "account/security.html",
        status=status,
        wrong=wrong or {},
        codes_left=second_factor.codes_left(person.user.id),
        has_factor=person.user.totp_secret is not None,
        sessions=_shown(person),
        has_password=person.user.password_hash is not None,
        connected={each.issuer for each in openid.identities_of(person.user.id)},
        providers=openid.providers().values(),
    )


def _shown(person: SignedIn) -> list[dict[str, object]]:
    return [
        {
            "id": ids.encode("ses", each.id),
            "name": browsers.name_of(each.user_agent) or _("Unknown browser"),
            "network": each.network,
            "seen_at": each.seen_at,
            "created_at": each.created_at,
            "current": each.id == person.session.id,
        }
        for each in sessions.all_of(person.user.id)
    ]


@bp.post("/account/password")
def change_password() -> ResponseReturnValue:
    person = current_person()
    try:
        _check_password(person)
        service.set_password(person.user, secret_typed("new"))
    except AffiliateError as refusal:
        field = "new" if isinstance(refusal, service.PasswordTooWeak) else "password"
        return _page({field: refusal.message}, refusal.status)
    sessions.end_all(person.user.id, but=person.session.id)
    events.record("password.changed", user_id=person.user.id)
    flash(_("Your password is changed. You are signed out everywhere else."), "done")
    return redirect(url_for("account.security"), 303)


def _check_password(person: SignedIn) -> None:
    """An open laptop is not its owner. Who joined by a code has no password yet."""
    if person.user.password_hash is None:
        return
    tries.count(sessions.PASSWORDS, f"again/{person.user.id}")
    if not keys.password_fits(person.user.password_hash, secret_typed("password")):
        raise WrongPassword(_("This is not your present password."))
    tries.forget(sessions.PASSWORDS, f"again/{person.user.id}")


@bp.post("/account/sessions/<session_id>/end")
def end_session(session_id: str) -> ResponseReturnValue:
    sessions.end(current_person().user.id, ids.decode_one("ses", session_id))
    flash(_("That session is ended."), "done")
    return redirect(url_for("account.security"), 303)


@bp.post("/account/sessions/end-others")
def end_others() -> ResponseReturnValue:
    person = current_person()
    sessions.end_all(person.user.id, but=person.session.id)
    flash(_("You are signed out everywhere else."), "done")
    return redirect(url_for("account.security"), 303)


@bp.get("/account/second-factor")
def set_up() -> ResponseReturnValue:
    return _set_up_page()


def _set_up_page(
    wrong: dict[str, object] | None = None, status: int = 200, sealed: str | None = None
) -> ResponseReturnValue:
    user = current_person().user
    offer = second_factor.offer(user, sealed)
    picture = base64.b64encode(share.svg(offer.uri).encode()).decode()
    return page(
        "account/set_up.html",
        status=status,
        wrong=wrong or {},
        offer=offer,
        picture=f"data:image/svg+xml;base64,{picture}",
        has_factor=user.totp_secret is not None,
    )


@bp.post("/account/second-factor")
def accept() -> ResponseReturnValue:
    """Shows the recovery codes, this once: as the answer itself, so that they are kept nowhere."""
    person = current_person()
    try:
        _check_password(person)
        _check_factor(person)
        codes = second_factor.accept(person.user, typed("offer"), typed("otp"))
    except second_factor.OfferTooOld as refusal:
        return _set_up_page({"all": refusal.message}, refusal.status)
    except AffiliateError as refusal:
        return _set_up_page({_field(refusal): refusal.message}, refusal.status, typed("offer"))
    sessions.prove(person.session)
    return page("account/recovery_codes.html", codes=codes)


@bp.get("/account/second-factor/off")
def leave_out() -> ResponseReturnValue:
    return _off_page()


@bp.post("/account/second-factor/off")
def remove() -> ResponseReturnValue:
    person = current_person()
    try:
        _check_password(person)
        _check_factor(person)
    except AffiliateError as refusal:
        return _off_page({_field(refusal): refusal.message}, refusal.status)
    if person.user.totp_secret is not None:
        second_factor.remove(person.user)
    flash(_("The second factor is removed."), "wait")
    return redirect(url_for("account.security"), 303)


def _off_page(wrong: dict[str, object] | None = None, status: int = 200) -> ResponseReturnValue:
    return page("account/factor_off.html", status=status, wrong=wrong or {})


@bp.post("/account/recovery-codes")
def renew_codes() -> ResponseReturnValue:
    person = current_person()
    try:
        _check_password(person)
        _check_factor(person)
    except AffiliateError as refusal:
        return _off_page({_field(refusal): refusal.message}, refusal.status)
    return page("account/recovery_codes.html", codes=second_factor.new_recovery_codes(person.user))


def _check_factor(person: SignedIn) -> None:
    """Who has a second factor shows it before it is changed: a code of the app or of the list."""
    if person.user.totp_secret is None or sessions.is_fresh(person.session):
        return
    try:
        if len(typed("old")) > CODE_LENGTH:
            second_factor.use_recovery_code(person.user, typed("old"))
        else:
            service.check_totp(person.user, typed("old"))
    except service.WrongCode as refusal:
        raise WrongOldCode(refusal.message) from refusal
    sessions.prove(person.session)


def _field(refusal: AffiliateError) -> str:
    """Where on the page the reason belongs."""
    fields: dict[type[AffiliateError], str] = {
        WrongPassword: "password",
        service.WrongCode: "otp",
        WrongOldCode: "old",
    }
    return fields.get(type(refusal), "all")
