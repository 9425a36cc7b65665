"""Signing in at an OpenID provider: authorization code with PKCE (RFC 6749, 7636; OpenID Connect
Core 1.0, 3.1). Who somebody is, is the issuer and its subject; an address they tell is only a hint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import current_app
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from affiliate import clock, outside, security
from affiliate.config import OpenIdProvider, Settings
from affiliate.db import db
from affiliate.errors import AffiliateError, Conflict, NotFound
from affiliate.i18n import _
from affiliate.outside import Answer, Unreachable
from affiliate.people.models import Identity, User

SIGNED_BY = ["RS256", "ES256"]
LEEWAY = 60  # seconds that clocks may differ


class NotTold(AffiliateError):
    """The provider said no, or something that cannot be believed."""

    status = 422
    code = "not_told"


class AnotherAccount(Conflict):
    code = "another_account"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a browser keeps until it comes back. Good for one return."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as a provider describes them."""

    issuer: str
    subject: str
    name: str
    email: str | None  # only one that the provider says is theirs


def providers() -> Mapping[str, OpenIdProvider]:
    settings: Settings = current_app.config["SETTINGS"]
    return {each.name: each for each in settings.openid}


def provider(name: str) -> OpenIdProvider:
    found = providers().get(name)
    if found is None:
        raise NotFound(_("There is no such thing here."))
    return found


def begin() -> Begun:
    return Begun(security.new_secret(), security.new_secret(), security.new_secret())


def gate(asked: OpenIdProvider, begun: Begun, back: str) -> str:
    """Where the browser is sent to say yes. Asks the provider, so outside of transactions."""
    address = _endpoint(_described(asked), "authorization_endpoint")
    return str(
        prepare_grant_uri(
            address,
            client_id=asked.client_id,
            response_type="code",
            redirect_uri=back,
            scope="openid profile email",
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=create_s256_code_challenge(begun.verifier),
            code_challenge_method="S256",
        )
    )


def told(asked: OpenIdProvider, begun: Begun, query: Mapping[str, str], back: str) -> Person:
    """Who came back. Asks the provider, so outside of transactions."""
    if not security.same(query.get("state", ""), begun.state):
        raise NotTold(_("This sign-in is too old or was used already. Begin again."))
    if query.get("error") or not query.get("code"):
        raise NotTold(_("%(provider)s did not sign you in.", provider=asked.label))
    if query.get("iss", asked.issuer) != asked.issuer:  # RFC 9207
        raise NotTold(_("%(provider)s did not sign you in.", provider=asked.label))
    try:
        described = _described(asked)
        return _person(asked, _claims(asked, described, begun, query["code"], back))
    except (Unreachable, JoseError, ValueError) as error:
        message = _("%(provider)s could not be understood. Try again.", provider=asked.label)
        raise NotTold(message) from error


def _claims(
    asked: OpenIdProvider, described: dict[str, Any], begun: Begun, code: str, back: str
) -> dict[str, Any]:
    body = prepare_token_request(
        "authorization_code",
        body=f"client_id={asked.client_id}" if asked.client_secret is None else "",
        redirect_uri=back,
        code=code,
        code_verifier=begun.verifier,
    )
    secret = asked.client_secret and asked.client_secret.get_secret_value()
    answer = outside.ask(
        "POST",
        _endpoint(described, "token_endpoint"),
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        },
        body=body.encode(),
        auth=(asked.client_id, secret) if secret else None,
    )
    token = _good(answer).get("id_token", "")
    keys = KeySet.import_key_set(_good(outside.ask("GET", _endpoint(described, "jwks_uri"))))  # type: ignore[arg-type]
    claims = jwt.decode(str(token), keys, algorithms=SIGNED_BY).claims
    _check(asked, begun, claims)
    return claims


def _check(asked: OpenIdProvider, begun: Begun, claims: dict[str, Any]) -> None:
    """OpenID Connect Core 1.0, 3.1.3.7."""
    jwt.JWTClaimsRegistry(
        now=int(clock.now().timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": asked.issuer},
        aud={"essential": True, "value": asked.client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": begun.nonce},
    ).validate(claims)
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else asked.client_id) != asked.client_id:
        raise ValueError("a token for somebody else")


def _person(asked: OpenIdProvider, claims: dict[str, Any]) -> Person:
    is_theirs = claims.get("email_verified") in (True, "true")
    return Person(
        asked.issuer,
        str(claims["sub"])[:255],
        " ".join(str(claims.get("name", "")).split())[:100],
        str(claims["email"]) if is_theirs and claims.get("email") else None,
    )


def _described(asked: OpenIdProvider) -> dict[str, Any]:
    base = asked.issuer.rstrip("/")
    found = _good(outside.ask("GET", f"{base}/.well-known/openid-configuration"))
    if found.get("issuer") != asked.issuer:
        raise Unreachable("a description of another issuer")
    return found


def _endpoint(described: dict[str, Any], name: str) -> str:
    address = described.get(name)
    if not isinstance(address, str):
        raise Unreachable(f"a description without {name}")
    return address


def _good(answer: Answer) -> dict[str, Any]:
    if not answer.is_good:
        raise Unreachable(f"an answer of {answer.status}")
    return answer.json()


def user_of(person: Person) -> User | None:
    """Who signed in as this before."""
    row = db.session.scalar(
        sa.select(Identity).filter_by(issuer=person.issuer, subject=person.subject)
    )
    if row is None:
        return None
    row.used_at = clock.now()
    user = db.session.get_one(User, row.user_id)
    return user if user.disabled_at is None else None


def connect(user: User, person: Person) -> None:
    """From now on this signs in as the user. Safe to repeat; nobody takes over another's."""
    try:
        with db.session.begin_nested():
            db.session.add(
                Identity(
                    user_id=user.id,
                    issuer=person.issuer,
                    subject=person.subject,
                    used_at=clock.now(),
                )
            )
            db.session.flush()
    except sa.exc.IntegrityError as error:
        mine = user_of(person)
        if mine is None or mine.id != user.id:
            message = _("Another account signs in with this already.")
            raise AnotherAccount(message) from error


def identities_of(user_id: int) -> list[Identity]:
    found = db.session.scalars(sa.select(Identity).filter_by(user_id=user_id).order_by(Identity.id))
    return list(found)


def disconnect(user_id: int, issuer: str) -> None:
    db.session.execute(
        sa.delete(Identity).where(Identity.user_id == user_id, Identity.issuer == issuer)
    )
