"""Signing in, and what stays of it: sessions that can be listed and ended, known devices.

A session ends 30 days after it was last used. Who handles money or runs the instance signs in
every working day: theirs ends 12 hours after it began, used or not. The cookie has a random secret,
the database only its fingerprint, so neither a copy of the database nor a log opens a session.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock, events, security
from affiliate.db import db
from affiliate.people import queries, tries
from affiliate.people.models import Device, Grant, OneTimeLink, Role, User, UserSession
from affiliate.people.rules import coarse_ip

IDLE = timedelta(days=30)
WORKDAY = timedelta(hours=12)
HALF_LIVES = timedelta(minutes=10)  # between the password and the second factor
SEEN = timedelta(minutes=1)
KEPT = timedelta(days=90)
FRESH = timedelta(minutes=5)
BY_THE_DAY = frozenset(
    {Role.OPERATOR, Role.FINANCE_MAKER, Role.FINANCE_CHECKER, Role.FINANCE_AUDITOR}
)
PASSWORDS = tries.Limit("password", 10, timedelta(minutes=15))
USER_AGENT_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody signs in from, as the request shows it."""

    ip: str | None
    user_agent: str
    device: str | None = None  # the secret of the device cookie


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that begins: what goes into the cookies, and the row."""

    secret: str
    device: str | None
    session: UserSession


def check_password(email: str, password: str, browser: Browser) -> User | None:
    """The user with this address and password; None for every reason why not, in the same time.

    Ten tries in fifteen minutes, counted for the account. A device the account knows is counted
    apart, so that a stranger who guesses does not lock the owner out.
    """
    user = queries.user_by_email(email)
    known = user and browser.device and queries.device_of(user.id, browser.device)
    account = f"{email.strip().lower()[:320]}/{known.id if known else ''}"
    tries.count(PASSWORDS, account)
    if not security.password_fits(user.password_hash if user else None, password):
        return None
    if user is None or user.disabled_at is not None or user.is_service:
        return None
    tries.forget(PASSWORDS, account)
    return user


def open_half(user: User, browser: Browser) -> str:
    """The password was right; the second factor is still to come. Opens nothing by itself."""
    secret, _ = _add(user, browser, is_half=True)
    return secret


def open_whole(user: User, browser: Browser, *, by_otp: bool = False) -> Opened:
    """Sign in. Always a new secret, so that one planted before is worth nothing."""
    secret, session = _add(user, browser, is_half=False)
    if by_otp:
        prove(session)
    device = _know_device(user, browser, session)
    return Opened(secret, device, session)


def _add(user: User, browser: Browser, *, is_half: bool) -> tuple[str, UserSession]:
    secret = security.new_secret()
    session = UserSession(
        user_id=user.id,
        secret_hash=security.fingerprint(secret),
        is_half=is_half,
        seen_at=clock.now(),
        network=coarse_ip(browser.ip),
        user_agent=browser.user_agent[:USER_AGENT_LENGTH],
    )
    db.session.add(session)
    db.session.flush()
    return secret, session


def _know_device(user: User, browser: Browser, session: UserSession) -> str | None:
    """The secret for the cookie of a device that is new; its user is told, but for the first."""
    if browser.device and queries.device_of(user.id, browser.device):
        return None
    is_first = not queries.has_devices(user.id)
    # A browser that another user signed in with keeps its secret: people share computers.
    secret = browser.device or security.new_secret()
    db.session.add(Device(user_id=user.id, secret_hash=security.fingerprint(secret)))
    if not is_first:
        payload = {"network": session.network, "user_agent": session.user_agent}
        events.record("device.added", user_id=user.id, payload=payload)
    return secret


def find(secret: str, *, is_half: bool = False) -> tuple[UserSession, User, list[Grant]] | None:
    """Who is signed in by this secret, while it is good."""
    row = db.session.execute(
        sa.select(UserSession, User)
        .join(User, User.id == UserSession.user_id)
        .where(
            UserSession.secret_hash == security.fingerprint(secret),
            UserSession.is_half.is_(is_half),
            UserSession.revoked_at.is_(None),
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    session, user = row
    grants = queries.grants_of(user.id)
    return None if is_over(session, grants) else (session, user, grants)


def is_over(session: UserSession, grants: Iterable[Grant]) -> bool:
    age, idle = clock.now() - session.created_at, clock.now() - session.seen_at
    if session.is_half:
        return age >= HALF_LIVES
    by_the_day = any(grant.role in BY_THE_DAY for grant in grants)
    return idle >= IDLE or (by_the_day and age >= WORKDAY)


def touch(session_id: int) -> None:
    """Note that a session is in use, at most once a minute."""
    now = clock.now()
    stale = UserSession.seen_at <= now - SEEN
    db.session.execute(
        sa.update(UserSession).where(UserSession.id == session_id, stale).values(seen_at=now)
    )


def needs_touch(session: UserSession) -> bool:
    return session.seen_at <= clock.now() - SEEN


def is_fresh(session: UserSession) -> bool:
    """Whether the second factor was proven within the last five minutes."""
    return session.otp_at is not None and clock.now() - session.otp_at < FRESH


def prove(session: UserSession) -> None:
    """The second factor was right just now."""
    session.otp_at = clock.now()
    db.session.flush()


def choose(session: UserSession, grant_id: int) -> None:
    """Where this session is, of the places its person may be."""
    session.grant_id = grant_id
    db.session.flush()


def end(user_id: int, session_id: int) -> None:
    """Somebody ends one of their own sessions. Safe to call again."""
    _end(UserSession.user_id == user_id, UserSession.id == session_id)


def end_all(user_id: int, *, but: int | None = None) -> None:
    """Everywhere, or everywhere else: after a new password, or because somebody lost a phone."""
    _end(UserSession.user_id == user_id, UserSession.id != (but or 0))


def _end(*which: sa.ColumnElement[bool]) -> None:
    db.session.execute(
        sa.update(UserSession)
        .where(*which, UserSession.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )


def forget_old() -> None:
    """Where somebody signed in from is of use to them for a while, and then to nobody."""
    old = clock.now() - KEPT
    db.session.execute(sa.delete(UserSession).where(UserSession.seen_at < old))
    db.session.execute(sa.delete(OneTimeLink).where(OneTimeLink.expires_at < old))


def all_of(user_id: int) -> list[UserSession]:
    """The sessions of a person that are still good, the latest used first."""
    found = db.session.scalars(
        sa.select(UserSession)
        .where(
            UserSession.user_id == user_id,
            UserSession.revoked_at.is_(None),
            UserSession.is_half.is_(False),
            UserSession.seen_at > clock.now() - IDLE,
        )
        .order_by(UserSession.seen_at.desc(), UserSession.id.desc())
        .limit(100)
    ).all()
    grants = queries.grants_of(user_id)
    return [each for each in found if not is_over(each, grants)]
