"""Writes about people: users, roles, second factors, keys, merchants, promoters, sponsors."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pyotp
import sqlalchemy as sa
from flask import current_app
from redis import Redis
from redis.exceptions import RedisError

from affiliate import audit, clock, ids, security
from affiliate.db import db
from affiliate.errors import (
    AffiliateError,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    invalid,
)
from affiliate.i18n import _
from affiliate.people import queries, rules, sessions
from affiliate.people.models import (
    ApiKey,
    Grant,
    Merchant,
    OneTimeLink,
    PayoutMode,
    Promoter,
    Role,
    Suspension,
    User,
)

TOTP_PLACE = "users.totp_secret"
TRIES = 5
LOCKED_SECONDS = 300
LINK_LIVES = timedelta(days=7)
# Only these set a password; a link that confirms an address must not.
FOR_PASSWORDS = frozenset({"password", "reset"})
PASSWORD_LENGTH = range(10, 1025)
MONEY_TERMS = (
    "credit_limit", "minimum_payout", "payout_mode", "platform_fee_ppm", "timezone",
    "withholding", "invoice_required",
)  # fmt: skip
TREE_LOCK = 7_238_001  # the same number stands in migration 0003


class PeopleOnly(Forbidden):
    code = "people_only"


class EmailTaken(Conflict):
    code = "email_taken"


class PhoneTaken(Conflict):
    code = "phone_taken"


class SponsorCycle(Conflict):
    code = "sponsor_cycle"


class RoleNotHeld(Conflict):
    code = "role_not_held"


class PasswordTooWeak(Invalid):
    code = "password_too_weak"


class SecondFactorMissing(AffiliateError):
    """The user never set up a second factor, so nothing that needs one can be done."""

    status = 403
    code = "second_factor_missing"


class WrongCode(Invalid):
    code = "wrong_code"


class TooManyCodes(AffiliateError):
    status = 429
    code = "too_many_codes"
    retry_after = LOCKED_SECONDS


class SecondFactorUnavailable(AffiliateError):
    status = 503
    code = "second_factor_unavailable"


def create_user(
    email: str,
    *,
    name: str | None = None,
    password: str | None = None,
    locale: str = "en",
    timezone: str = "UTC",
) -> User:
    address = normal_address(email)
    user = User(email=address, name=name or address.split("@")[0], locale=locale, timezone=timezone)
    if password is not None:
        set_password(user, password)
    _add_unique(user, address)
    return user


def create_person(
    name: str,
    *,
    email: str | None = None,
    phone: str | None = None,
    locale: str = "en",
    timezone: str = "UTC",
) -> User:
    """Without a password: they were reached where they can be reached again."""
    user = User(email=email, phone=phone, name=name, locale=locale, timezone=timezone)
    _add_unique(user, email or phone)
    return user


def set_password(user: User, password: str) -> None:
    check_password_length(password)
    user.password_hash = security.hash_password(password)


def change_user(user: User, *, name: str, locale: str, timezone: str) -> None:
    user.name, user.locale, user.timezone = name, locale, timezone
    db.session.flush()


def disable_user(user: User) -> None:
    """Signed out everywhere, and no way in: neither password nor link nor key. Safe to repeat."""
    if user.disabled_at is not None:
        return
    user.disabled_at = clock.now()
    sessions.end_all(user.id)
    _void_links(user.id)
    db.session.flush()
    audit.record("user.disabled", subject=f"usr:{user.id}")


def enable_user(user: User) -> None:
    if user.disabled_at is None:
        return
    user.disabled_at = None
    db.session.flush()
    audit.record("user.enabled", subject=f"usr:{user.id}")


def person(user_id: int) -> User:
    """Four eyes are people's eyes: a service user is nobody's."""
    user = db.session.get_one(User, user_id)
    if user.is_service or user.disabled_at is not None:
        raise PeopleOnly(_("Only a person can decide this, not a service key."))
    return user


def _void_links(user_id: int) -> None:
    db.session.execute(
        sa.update(OneTimeLink)
        .where(OneTimeLink.user_id == user_id, OneTimeLink.used_at.is_(None))
        .values(used_at=clock.now())
    )


def check_password_length(password: str) -> None:
    if len(password) not in PASSWORD_LENGTH:
        raise PasswordTooWeak(
            _("A password needs %(least)s characters or more.", least=PASSWORD_LENGTH.start)
        )


def grant(
    user: User,
    role: Role,
    *,
    merchant_id: int | None = None,
    promoter_id: int | None = None,
    agency_id: int | None = None,
) -> Grant:
    """Give a role. Giving it again changes nothing."""
    _check_scope(role, merchant_id, promoter_id, agency_id)
    place = {"merchant_id": merchant_id, "promoter_id": promoter_id, "agency_id": agency_id}
    known = queries.grant_of(user.id, role, **place)
    if known:
        return known
    new = Grant(user_id=user.id, role=role, **place)
    db.session.add(new)
    db.session.flush()
    if role is not Role.PROMOTER:  # power over nothing but one's own
        agency = None if agency_id is None else f"agn:{agency_id}"
        audit.record(
            "role.granted",
            subject=f"usr:{user.id}",
            merchant_id=merchant_id,
            role=role,
            agency=agency,
        )
    return new


def _check_scope(
    role: Role, merchant_id: int | None, promoter_id: int | None, agency_id: int | None
) -> None:
    if role.startswith("merchant_") and merchant_id is None:
        raise invalid("/merchant", "missing", _("The role %(role)s needs a merchant.", role=role))
    if merchant_id is not None and not role.startswith(("merchant_", "finance_")):
        raise invalid(
            "/merchant", "not_for_role", _("The role %(role)s takes no merchant.", role=role)
        )
    if (role is Role.PROMOTER) != (promoter_id is not None):
        raise invalid(
            "/promoter", "not_for_role", _("A promoter goes with the role promoter only.")
        )
    if (role is Role.AGENCY) != (agency_id is not None):
        raise invalid("/agency", "not_for_role", _("An agency goes with the role agency only."))


def create_link(user: User, purpose: str = "password", *, lives: timedelta = LINK_LIVES) -> str:
    """The secret of a link that signs in once; only its fingerprint is kept."""
    secret = security.new_secret()
    link = OneTimeLink(
        user_id=user.id,
        purpose=purpose,
        secret_hash=security.fingerprint(secret),
        expires_at=clock.now() + lives,
    )
    db.session.add(link)
    db.session.flush()
    return secret


def use_link(secret: str, password: str) -> User:
    """Set the password that the link is for. Of two uses at once one gets through.

    Every other link of the user is void afterwards, and the address is proven: the link came by it.
    """
    with db.session.begin_nested():  # a password too weak leaves the link as it was
        user = take_link(secret, FOR_PASSWORDS)
        set_password(user, password)
        user.unconfirmed_since = None
    _void_links(user.id)
    return user


def take_link(secret: str, purposes: Collection[str]) -> User:
    """Whom the link is for; it is used up by this."""
    user_id = db.session.scalar(
        sa.update(OneTimeLink)
        .where(
            OneTimeLink.secret_hash == security.fingerprint(secret),
            OneTimeLink.purpose.in_(purposes),
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > clock.now(),
        )
        .values(used_at=clock.now())
        .returning(OneTimeLink.user_id)
    )
    if user_id is None:
        raise NotFound(_("This link was used before or is too old. Ask for a new one."))
    return db.session.get_one(User, user_id)


def set_up_totp(user: User, secret: str | None = None) -> str:
    """A new second factor, replacing any before it; the otpauth URI is shown once."""
    secret = secret or pyotp.random_base32()
    user.totp_secret = security.seal(secret.encode(), place=TOTP_PLACE)
    user.totp_last_step = 0
    db.session.flush()
    audit.record("second_factor.set_up", subject=f"usr:{user.id}")
    return pyotp.TOTP(secret).provisioning_uri(name=user.email or user.name, issuer_name="Tuike")


def check_totp(user: User, code: str) -> None:
    """Returns if the code is right and was never used before; refuses otherwise.

    Five codes may be tried in five minutes. They are counted before they are looked at, and in
    Valkey: neither many tries at once nor a rolled-back transaction gets around the limit.
    """
    if user.totp_secret is None:
        raise SecondFactorMissing(_("Set up a second factor first."))
    tries = f"totp:tries:{user.id}"
    _count(tries)
    secret = security.unseal(user.totp_secret, place=TOTP_PLACE).decode()
    step = rules.matching_step(secret, code.replace(" ", ""), int(clock.now().timestamp()))
    if step is None or not _use_step(user, step):
        message = _("This code is wrong, too old, or was used before.")
        raise WrongCode(message, errors=(FieldError("/otp", "wrong_code", str(message)),))
    _redis().delete(tries)


def _count(tries: str) -> None:
    try:
        both = _redis().pipeline()
        both.incr(tries)
        both.expire(tries, LOCKED_SECONDS, nx=True)
        count, _is_first = both.execute()
        if count == TRIES + 1:  # the lock runs from the first try too many
            _redis().expire(tries, LOCKED_SECONDS)
    except RedisError as error:
        raise SecondFactorUnavailable(_("Codes cannot be checked at the moment.")) from error
    if count > TRIES:
        raise TooManyCodes(_("Too many wrong codes. Wait five minutes."))


def _use_step(user: User, step: int) -> bool:
    """Asked of the database in one statement: of two at once with one code, one gets through."""
    used = db.session.scalar(
        sa.update(User)
        .where(User.id == user.id, User.totp_last_step < step)
        .values(totp_last_step=step)
        .returning(User.id)
    )
    return used is not None


def _redis() -> Redis:
    redis: Redis = current_app.extensions["redis"]
    return redis


def create_key(
    name: str,
    role: Role,
    *,
    merchant_id: int | None = None,
    promoter_id: int | None = None,
    agency_id: int | None = None,
    user: User | None = None,
) -> tuple[ApiKey, str]:
    """A key and its text, which is shown this once.

    It acts as the user by that one role, which the user must hold. Without a user it gets a
    service user of its own, who can neither make nor approve settlements.
    """
    place = {"merchant_id": merchant_id, "promoter_id": promoter_id, "agency_id": agency_id}
    if user is None:
        user = User(name=name, is_service=True)
        db.session.add(user)
        db.session.flush()
        held: Grant | None = grant(user, role, **place)
    else:
        held = queries.grant_of(user.id, role, **place)
    if held is None:
        raise RoleNotHeld(
            _("%(email)s does not hold the role %(role)s there.", email=user.email, role=role)
        )
    secret = security.new_secret()
    key = ApiKey(
        user_id=user.id,
        grant_id=held.id,
        name=name,
        secret_hash=security.fingerprint(secret),
        hint=secret[-4:],
    )
    db.session.add(key)
    db.session.flush()
    audit.record(
        "key.made",
        subject=f"key:{key.id}",
        merchant_id=merchant_id,
        role=role,
        user=f"usr:{user.id}",
        name=name,
    )
    return key, f"aff_live_{ids.encode('key', key.id).removeprefix('key_')}_{secret}"


def rename_key(key: ApiKey, name: str) -> None:
    key.name = name
    key.version += 1
    db.session.flush()


def revoke_key(key: ApiKey) -> None:
    """From the next request on the key opens nothing. Safe to call again."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.version += 1
        db.session.flush()
        merchant_id = db.session.get_one(Grant, key.grant_id).merchant_id
        audit.record("key.revoked", subject=f"key:{key.id}", merchant_id=merchant_id, name=key.name)


def touch_key(key_id: int) -> None:
    """Note that a key is in use, at most once a minute."""
    now = clock.now()
    stale = sa.or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - timedelta(minutes=1))
    db.session.execute(sa.update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=now))


def create_merchant(
    name: str,
    *,
    country: str,
    currency: str,
    timezone: str,
    payout_mode: PayoutMode = PayoutMode.AUTOMATIC,
    credit_limit: int | None = None,
    minimum_payout: int = 0,
    platform_fee_ppm: int = 0,
    withholding: str | None = None,
    invoice_required: bool = False,
    grade_period: str = "month",
    grade_demotion: str = "one",
) -> Merchant:
    merchant = Merchant(
        name=name,
        country=country,
        currency=currency,
        timezone=timezone,
        payout_mode=payout_mode,
        credit_limit=credit_limit,
        minimum_payout=minimum_payout,
        platform_fee_ppm=platform_fee_ppm,
        withholding=withholding,
        invoice_required=invoice_required,
        grade_period=grade_period,
        grade_demotion=grade_demotion,
    )
    db.session.add(merchant)
    db.session.flush()
    audit.record(
        "merchant.made", subject=f"mer:{merchant.id}", merchant_id=merchant.id,
        **{name: getattr(merchant, name) for name in MONEY_TERMS},
    )  # fmt: skip
    return merchant


def change_merchant(merchant: Merchant, changes: dict[str, Any]) -> None:
    """What it pays, when and on which terms is a decision about money, with before and after."""
    changed: dict[str, Any] = {
        name: [before, changes[name]]
        for name in MONEY_TERMS
        if name in changes and (before := getattr(merchant, name)) != changes[name]
    }
    _change(merchant, changes)
    if changed:
        audit.record(
            "merchant.changed", subject=f"mer:{merchant.id}", merchant_id=merchant.id, **changed
        )


def create_promoter(
    name: str,
    *,
    email: str | None = None,
    phone: str | None = None,
    country: str | None = None,
    locale: str = "en",
    sponsor_id: int | None = None,
) -> Promoter:
    promoter = Promoter(name=name, country=country, locale=locale, sponsor_id=sponsor_id)
    if sponsor_id is not None:
        _check_sponsor(sponsor_id)
    _set_contact(promoter, {"email": email, "phone": phone})
    _add_unique(promoter, promoter.email)
    return promoter


def change_promoter(promoter: Promoter, changes: dict[str, Any]) -> None:
    with unique_email(changes.get("email")):
        _set_contact(promoter, changes)
        _change(promoter, {k: v for k, v in changes.items() if k not in {"email", "phone"}})


def move_sponsor(promoter: Promoter, sponsor_id: int | None) -> None:
    """Hang a promoter, with everybody below, under another sponsor, or under nobody.

    Moves happen one after the other, so that two of them cannot close a circle together; the
    trigger of migration 0003 refuses what would, whoever writes.
    """
    # First the lock, then the row: the trigger alone would take them the other way round.
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(TREE_LOCK)))
    db.session.refresh(promoter, with_for_update=True)
    before = promoter.sponsor_id
    if before == sponsor_id:
        return
    if sponsor_id is not None:
        _check_sponsor(sponsor_id)
    try:
        with db.session.begin_nested():
            promoter.sponsor_id = sponsor_id
            promoter.sponsor_since = clock.now()
            promoter.version += 1
            db.session.flush()
    except sa.exc.IntegrityError as error:
        if _constraint(error) not in {"promoters_no_cycle", "promoters_not_own_sponsor_check"}:
            raise
        message = _("This sponsor stands below the promoter.")
        wrong = FieldError("/sponsor", "sponsor_cycle", message)
        raise SponsorCycle(message, errors=(wrong,)) from error
    audit.record(
        "promoter.moved",
        subject=f"prm:{promoter.id}",
        sponsor=[each and f"prm:{each}" for each in (before, sponsor_id)],
    )


def suspend(promoter: Promoter) -> None:
    """Stop a promoter from earning, from now on. Safe to call again."""
    if promoter.suspended_at is not None:
        return
    promoter.suspended_at = clock.now()
    promoter.version += 1
    db.session.add(Suspension(promoter_id=promoter.id, since=promoter.suspended_at))
    db.session.flush()
    audit.record("promoter.suspended", subject=f"prm:{promoter.id}")


def resume(promoter: Promoter) -> None:
    """Let a promoter earn again, from now on: what was missed meanwhile stays missed."""
    if promoter.suspended_at is None:
        return
    promoter.suspended_at = None
    promoter.version += 1
    db.session.execute(
        sa.update(Suspension)
        .where(Suspension.promoter_id == promoter.id, Suspension.until.is_(None))
        .values(until=sa.func.greatest(Suspension.since, clock.now()))
    )
    audit.record("promoter.resumed", subject=f"prm:{promoter.id}")


def _check_sponsor(sponsor_id: int) -> None:
    if not queries.promoters([sponsor_id]):
        raise invalid("/sponsor", "not_found", _("There is no such sponsor."))


def _set_contact(promoter: Promoter, contact: dict[str, Any]) -> None:
    if "email" in contact:
        promoter.email = contact["email"] and normal_address(contact["email"])
        promoter.email_hash = rules.buyer_email_hash(promoter.email)
    if "phone" in contact:
        country = contact.get("country", promoter.country)
        promoter.phone = contact["phone"] and _number(contact["phone"], country)
        promoter.phone_hash = rules.buyer_phone_hash(promoter.phone)


def normal_address(email: str) -> str:
    normal = rules.normal_email(email)
    if normal is None:
        raise invalid("/email", "not_an_email", _("This is not an e-mail address."))
    return normal


def _number(phone: str, country: str | None) -> str:
    normal = rules.normal_phone(phone, country)
    if normal is None:
        raise invalid(
            "/phone", "not_a_phone", _("This is not a phone number; begin with + and code.")
        )
    return normal


def _change(row: Merchant | Promoter, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    row.version += 1
    db.session.flush()


def _add_unique(row: User | Promoter, email: str | None) -> None:
    with unique_email(email):
        db.session.add(row)
        db.session.flush()


@contextmanager
def unique_email(email: str | None) -> Iterator[None]:
    """Asked of the unique index, so that of two at once one is refused."""
    try:
        with db.session.begin_nested():
            yield
    except sa.exc.IntegrityError as error:
        if _constraint(error) == "users_phone_key":
            raise PhoneTaken(_("%(phone)s is taken.", phone=email)) from error
        if not (_constraint(error) or "").endswith("_email_key"):
            raise
        message = str(_("%(email)s is taken.", email=email))
        raise EmailTaken(message, errors=(FieldError("/email", "email_taken", message),)) from error


def _constraint(error: sa.exc.IntegrityError) -> str | None:
    diagnosis = getattr(error.orig, "diag", None)
    return getattr(diagnosis, "constraint_name", None)
