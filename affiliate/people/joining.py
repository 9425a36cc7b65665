"""Promoters who come by an invite link, and prove afterwards that the address is theirs."""

from dataclasses import dataclass
from datetime import timedelta

from affiliate import clock, events, ids, security
from affiliate.errors import NotFound
from affiliate.people import queries, service, tries
from affiliate.people.models import Promoter, Role, User

CONFIRM = "confirm"
CONFIRM_LIVES = timedelta(days=7)
LETTERS = tries.Limit("letters", 3, timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Newcomer:
    name: str
    email: str
    password: str
    country: str
    locale: str
    timezone: str


def invite_code(promoter_id: int) -> str:
    """What stands in `/join/<code>`."""
    return ids.encode("prm", promoter_id).removeprefix("prm_")


def sponsor_of(code: str) -> Promoter:
    """Whose invitation this is; NotFound for a code we never made or a sponsor who was stopped."""
    sponsor = queries.promoter(ids.decode_one("prm", f"prm_{code}"))
    if sponsor.suspended_at is not None:
        raise NotFound
    return sponsor


def join(newcomer: Newcomer, sponsor: Promoter | None) -> Promoter | None:
    """A promoter below the sponsor, or below nobody, with a user who may sign in once the address
    is confirmed.

    None when the address is known. Whoever owns it is told by mail; the page says the same as
    always, so that nobody learns who has an account.
    """
    address = service.normal_address(newcomer.email)
    if known := queries.user_by_email(address) or _user_of_promoter(address):
        service.check_password_length(newcomer.password)
        security.password_fits(None, newcomer.password)  # takes as long as keeping a password
        _write(known, "join.repeated")
        return None
    try:
        user = service.create_user(
            address,
            name=newcomer.name,
            password=newcomer.password,
            locale=newcomer.locale,
            timezone=newcomer.timezone,
        )
    except service.EmailTaken:  # by the same form, sent twice at once
        return None
    user.unconfirmed_since = user.terms_accepted_at = clock.now()
    promoter = service.create_promoter(
        newcomer.name,
        email=address,
        country=newcomer.country,
        locale=newcomer.locale,
        sponsor_id=sponsor.id if sponsor else None,
    )
    service.grant(user, Role.PROMOTER, promoter_id=promoter.id)
    events.record("promoter.joined", user_id=user.id, promoter_id=promoter.id)
    return promoter


def _user_of_promoter(email: str) -> User | None:
    """A promoter whom a merchant wrote down gets a user; the letter lets its owner in."""
    promoter = queries.promoter_by_email(email)
    if promoter is None:
        return None
    user = service.create_user(email, name=promoter.name, locale=promoter.locale)
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
