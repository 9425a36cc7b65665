"""Six digits by e-mail or phone: who types them has that address, and needs no password.

They are good for ten minutes, once, in the browser that asked for them. How often one may ask and
guess is counted for the address, whatever browser it is tried from; the doors count their own
addresses as well. Whether there is an account is told by the letter alone.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.dialects import postgresql

from affiliate import clock, events, security
from affiliate.config import Settings
from affiliate.db import db
from affiliate.errors import Conflict, Invalid, NotFound, invalid
from affiliate.i18n import _
from affiliate.people import queries, rules, tries
from affiliate.people.models import OneTimeCode, User

LIVES = timedelta(minutes=10)
DIGITS = 6
ASKED = tries.Limit("codes", 4, timedelta(hours=1))  # of one address or phone
ASKED_AGAIN = tries.Limit("code-again", 1, timedelta(seconds=30))  # in one browser
MESSAGES = "messages"  # all phones of a day together: they cost money
GUESSED = tries.Limit("code", 5, timedelta(minutes=10))  # of one code
GUESSED_OF = tries.Limit("codes-of", 15, timedelta(hours=1))  # of all codes of one address


class WrongCode(Invalid):
    code = "wrong_code"


class CodeGone(NotFound):
    """Too old, or never asked for in this browser."""

    code = "code_gone"


class CodeUsed(Conflict):
    """By the same form, sent twice."""

    code = "code_used"


@dataclass(frozen=True, slots=True)
class Contact:
    """Where somebody can be reached."""

    channel: str  # mail, sms
    target: str


def offers_phones() -> bool:
    return _settings().sms_url is not None


def contact(typed: str, country: str | None) -> Contact:
    """An e-mail address or, where messages can be sent, a mobile number of any country."""
    if "@" in typed or not offers_phones():
        address = rules.normal_email(typed)
        if address is None:
            raise invalid("/contact", "not_an_email", _("This is not an e-mail address."))
        return Contact("mail", address)
    number = rules.mobile_number(typed, country)
    if number is None:
        message = _(
            "This is neither an e-mail address nor a mobile number. For a number of another "
            "country begin with + and its code."
        )
        raise invalid("/contact", "not_a_contact", message)
    return Contact("sms", number)


def ask(secret: str, to: Contact, *, locale: str, newcomer: dict[str, Any] | None = None) -> None:
    """A code for the browser with this secret. The same form sent twice asks once."""
    row = {
        "secret_hash": security.fingerprint(secret),
        "channel": to.channel,
        "target": to.target,
        "locale": locale,
        "newcomer": newcomer,
        "created_at": clock.now(),
        "expires_at": clock.now() + LIVES,
    }
    made = db.session.scalar(
        postgresql.insert(OneTimeCode)
        .values(row)
        .on_conflict_do_nothing(index_elements=["secret_hash"])
        .returning(OneTimeCode.id)
    )
    if made is not None:
        _send(made, to)


def again(secret: str) -> None:
    """Another code for the same purpose; the one before is void. Not more often than every 30 s."""
    row = _row(secret)
    tries.count(ASKED_AGAIN, str(row.id))
    row.expires_at = clock.now() + LIVES
    _send(row.id, Contact(row.channel, row.target))


def _send(code_id: int, to: Contact) -> None:
    """Too many are left out in silence: who asked for them by accident has one already."""
    if not tries.allows(ASKED, to.target):
        return
    a_day = tries.Limit(MESSAGES, _settings().sms_per_day, timedelta(days=1))
    if to.channel == "sms" and not tries.allows(a_day, ""):
        return
    events.record("code.asked", payload={"code": code_id})


def asked(secret: str) -> OneTimeCode | None:
    """What this browser waits for, while a code for it is good."""
    try:
        return _row(secret)
    except (CodeGone, CodeUsed):
        return None


def make(code_id: int) -> tuple[OneTimeCode, str] | None:
    """The code, for the letter that is being written; None where nobody is to get one."""
    row = db.session.get(OneTimeCode, code_id, with_for_update=True)
    if row is None or row.used_at is not None or row.expires_at <= clock.now():
        return None
    known = user_at(Contact(row.channel, row.target))
    if row.newcomer is None and known is None:
        return None
    if known is not None and known.disabled_at is not None:
        return None
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    row.code_hash = _hash(row, code)
    db.session.flush()
    return row, code


def use(secret: str, code: str) -> OneTimeCode:
    """Used up by this; of two at once with the same code one gets through.

    Tries are counted before they are looked at, and in Valkey, which no rollback undoes.
    """
    row = _row(secret)
    tries.count(GUESSED_OF, row.target)
    tries.count(GUESSED, str(row.id))
    given = "".join(code.split())
    if not row.code_hash or not security.same(row.code_hash, _hash(row, given)):
        raise WrongCode(_("This code is wrong. Take the one that came last."))
    used = db.session.scalar(
        sa.update(OneTimeCode)
        .where(OneTimeCode.id == row.id, OneTimeCode.used_at.is_(None))
        .values(used_at=clock.now())
        .returning(OneTimeCode.id)
    )
    if used is None:
        raise CodeUsed
    tries.forget(GUESSED_OF, row.target)
    return row


def user_at(to: Contact) -> User | None:
    if to.channel == "sms":
        return db.session.scalar(sa.select(User).filter_by(phone=to.target))
    return queries.user_by_email(to.target)


def forget_old() -> None:
    """With what newcomers said who never came."""
    old = clock.now() - timedelta(days=1)
    db.session.execute(sa.delete(OneTimeCode).where(OneTimeCode.expires_at < old))


def _row(secret: str) -> OneTimeCode:
    found = db.session.scalar(
        sa.select(OneTimeCode).filter_by(secret_hash=security.fingerprint(secret))
    )
    if found is None or found.expires_at <= clock.now():
        raise CodeGone(_("This took too long. Ask for a new code."))
    if found.used_at is not None:
        raise CodeUsed
    return found


def _hash(row: OneTimeCode, code: str) -> bytes:
    return security.keyed_hash(f"{row.id}/{code}", purpose="code")


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
