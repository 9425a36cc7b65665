"""Promoters who come by an invite link and can be reached where they say."""

from dataclasses import dataclass
from datetime import timedelta

from affiliate import clock, events, ids
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.people import codes, queries, service, tries
from affiliate.people.codes import Contact
from affiliate.people.models import Consent, Promoter, Role, User

CONFIRM = "confirm"
CONFIRM_LIVES = timedelta(days=7)
LETTERS = tries.Limit("letters", 3, timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What somebody says of themselves before we know that they can be reached."""

    name: str
    country: str
    locale: str
    timezone: str
    terms: str  # the words they agreed to
    terms_url: str | None = None
    sponsor_id: int | None = None
    program: tuple[int, int] | None = None  # that the invitation is into


@dataclass(frozen=True, slots=True)
class Joined:
    user: User
    promoter: Promoter | None  # null: had an account already, and is let in


def invite_code(promoter_id: int) -> str:
    """What stands in `/join/<code>`."""
    return ids.encode("prm", promoter_id).removeprefix("prm_")


def sponsor_of(code: str) -> Promoter:
    """Whose invitation this is; NotFound for a code we never made or a sponsor who was stopped."""
    sponsor = queries.promoter(ids.decode_one("prm", f"prm_{code}"))
    if sponsor.suspended_at is not None:
        raise NotFound
    return sponsor


def join(newcomer: Newcomer, to: Contact | None) -> Joined:
    """A promoter below the sponsor, or below nobody, who was reached there just now.

    Whoever has an account there already is let into that one, and nothing of it changes. With
    nothing to reach them by (an OpenID provider said who it is) there is no such account.
    """
    if to and (known := codes.user_at(to) or _user_of_promoter(to)):
        _take_possession(known)
        return Joined(known, None)
    try:
        with db.session.begin_nested():
            return _new(newcomer, to)
    except (service.EmailTaken, service.PhoneTaken):  # by the same person in another tab
        known = codes.user_at(to) if to else None
        if known is None:
            raise
        return Joined(known, None)


def _new(newcomer: Newcomer, to: Contact | None) -> Joined:
    where = {"mail": {"email": to.target}, "sms": {"phone": to.target}}[to.channel] if to else {}
    user = service.create_person(
        newcomer.name, locale=newcomer.locale, timezone=newcomer.timezone, **where
    )
    user.terms_accepted_at = clock.now()
    consent = Consent(
        user_id=user.id,
        kind="terms",
        locale=newcomer.locale,
        words=newcomer.terms,
        terms_url=newcomer.terms_url,
    )
    db.session.add(consent)
    promoter = service.create_promoter(
        newcomer.name,
        country=newcomer.country,
        locale=newcomer.locale,
        sponsor_id=newcomer.sponsor_id,
        **where,
    )
    service.grant(user, Role.PROMOTER, promoter_id=promoter.id)
    if newcomer.sponsor_id is not None:
        told = {"promoter": promoter.id, "name": promoter.name}
        events.record("promoter.joined", promoter_id=newcomer.sponsor_id, payload=told)
    return Joined(user, promoter)


def enter(to: Contact) -> User:
    """Who has this address or phone, and proved it just now; NotFound for nobody."""
    user = codes.user_at(to)
    if user is None or user.disabled_at is not None:
        raise NotFound
    _take_possession(user)
    return user


def _take_possession(user: User) -> None:
    """A password that was set before the address was proven may be a stranger's."""
    if user.unconfirmed_since is not None:
        user.unconfirmed_since = user.password_hash = None


def _user_of_promoter(to: Contact) -> User | None:
    """A promoter whom a merchant wrote down gets a user, now that its owner was reached."""
    promoter = queries.promoter_by_email(to.target) if to.channel == "mail" else None
    if promoter is None or queries.users_of_promoters([promoter.id]):
        return None
    user = service.create_user(to.target, name=promoter.name, locale=promoter.locale)
    service.grant(user, Role.PROMOTER, promoter_id=promoter.id)
    return user


def ask_for_confirmation(user: User) -> None:
    """Once more, for somebody who has the password but not confirmed the address."""
    _write(user, "confirmation.asked")


def _write(user: User, about: str) -> None:
    """Strangers can make us write to an address, so only a few times an hour."""
    if tries.allows(LETTERS, user.email or ""):
        events.record(about, user_id=user.id)


def confirm(secret: str) -> User:
    """The address is theirs: they got the letter. NotFound for a link used before or too old."""
    user = service.take_link(secret, {CONFIRM})
    user.unconfirmed_since = None
    return user
