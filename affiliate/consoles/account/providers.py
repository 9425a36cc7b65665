"""Signing in by an OpenID provider: there, back, and in; and connecting one to an account."""

from dataclasses import asdict
from typing import Any

from flask import current_app, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock
from affiliate.config import OpenIdProvider, Settings
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import count_address, too_many
from affiliate.consoles.account.signing_in import let_in
from affiliate.consoles.session import current_person, own_path, signed_in
from affiliate.db import let_go
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.outside import Unreachable
from affiliate.people import openid
from affiliate.people.openid import Begun, Person
from affiliate.people.tries import TooManyTries

BEGUN = "begun"  # in the session: what is to come back
PROVEN = "proven"  # in the session: who came back and has no account yet
LIVES_SECONDS = 600


@bp.get("/sign-in/with/<name>")
def go_to_provider(name: str) -> ResponseReturnValue:
    """A link may begin it: only this browser can end it, and what it ends in is a sign-in here."""
    asked = openid.provider(name)
    begun = openid.begin()
    let_go()
    try:
        count_address()
        address = openid.gate(asked, begun, _back(asked))
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    except Unreachable:
        return _refuse(_("%(provider)s does not answer. Try again later.", provider=asked.label))
    session[BEGUN] = asdict(begun) | {
        "name": name,
        "at": int(clock.now().timestamp()),
        "next": own_path(request.args.get("next")),
    }
    return redirect(address, 303)


@bp.get("/sign-in/with/<name>/back")
def come_back(name: str) -> ResponseReturnValue:
    asked = openid.provider(name)
    kept: dict[str, Any] = session.pop(BEGUN, None) or {}
    if kept.pop("name", None) != name or _is_old(kept.pop("at", 0)):
        return _refuse(_("This sign-in is too old or was used already. Begin again."))
    way = kept.pop("next")
    let_go()
    try:
        count_address()
        person = openid.told(asked, Begun(**kept), request.args, _back(asked))
    except TooManyTries as refusal:
        raise too_many(refusal) from refusal
    except AffiliateError as refusal:
        return _refuse(refusal.message)
    return _arrive(asked, person, way)


def _arrive(asked: OpenIdProvider, person: Person, way: str | None) -> ResponseReturnValue:
    if signed_in():
        return _connect(asked, person)
    if user := openid.user_of(person):
        return let_in(user, way=way)
    session[PROVEN] = asdict(person) | {"at": int(clock.now().timestamp())}
    if way and way.startswith("/join/"):
        return redirect(way, 303)
    return _refuse(
        _(
            "Nobody here signs in with this yet. Sign in as before and connect it under Security, "
            "or join by an invite link."
        )
    )


def _connect(asked: OpenIdProvider, person: Person) -> ResponseReturnValue:
    try:
        openid.connect(current_person().user, person)
        flash(_("From now on you can sign in with %(provider)s.", provider=asked.label), "done")
    except openid.AnotherAccount as refusal:
        flash(refusal.message, "bad")
    return redirect(url_for("account.security"), 303)


@bp.post("/account/providers/<name>/disconnect")
def disconnect(name: str) -> ResponseReturnValue:
    asked = openid.provider(name)
    openid.disconnect(current_person().user.id, asked.issuer)
    flash(_("%(provider)s does not sign you in any more.", provider=asked.label), "done")
    return redirect(url_for("account.security"), 303)


def proven() -> Person | None:
    """Who came back from a provider a moment ago, to join."""
    kept = dict(session.get(PROVEN) or {})
    return None if _is_old(kept.pop("at", 0)) else Person(**kept)


def _is_old(at: int) -> bool:
    return clock.now().timestamp() - at > LIVES_SECONDS


def _back(asked: OpenIdProvider) -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return f"{settings.address}{url_for('account.come_back', name=asked.name)}"


def _refuse(words: object) -> ResponseReturnValue:
    flash(str(words), "bad")
    here = "account.security" if signed_in() else "account.sign_in"
    return redirect(url_for(here), 303)
