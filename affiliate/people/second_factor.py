"""Setting up a second factor by an authenticator app, and the codes for when the phone is lost."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

import pyotp
import sqlalchemy as sa

from affiliate import audit, clock, events, security
from affiliate.db import db
from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.people import rules, service, tries
from affiliate.people.models import RecoveryCode, User

PLACE = "users.totp_setup"
CODES = 8
LETTERS = "abcdefghjkmnpqrstvwxyz23456789"  # none that is taken for another
LENGTH = 12  # 58 bits
RECOVERIES = tries.Limit("recovery", 10, timedelta(minutes=15))


class OfferTooOld(Invalid):
    code = "offer_too_old"


@dataclass(frozen=True, slots=True)
class Offer:
    """A second factor that is not in force yet: its holder must show first that it works.

    It travels sealed in the form, so asking for one changes nothing.
    """

    secret: str
    uri: str
    sealed: str


def offer(user: User, sealed: str | None = None) -> Offer:
    """A new offer, or the one that a form brought back."""
    secret = _open(user, sealed) if sealed else pyotp.random_base32()
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email or user.name, issuer_name="Tuike")
    closed = security.seal(secret.encode(), place=f"{PLACE}/{user.id}")
    return Offer(secret, uri, sealed or security.b64url(closed))


def _open(user: User, sealed: str) -> str:
    try:
        return security.unseal(security.unb64url(sealed), place=f"{PLACE}/{user.id}").decode()
    except ValueError as error:
        raise OfferTooOld(_("This page was too old. Here is a new code to scan.")) from error


def accept(user: User, sealed: str, code: str) -> list[str]:
    """The offer is in force from now on, if the app shows the right code. Returns recovery codes,
    to be shown once.
    """
    secret = _open(user, sealed)
    step = rules.matching_step(secret, code.replace(" ", ""), int(clock.now().timestamp()))
    if step is None:
        raise service.WrongCode(_("This code is wrong. Is the clock of your phone right?"))
    service.set_up_totp(user, secret)
    user.totp_last_step = step
    events.record("second_factor.added", user_id=user.id)
    return new_recovery_codes(user)


def new_recovery_codes(user: User) -> list[str]:
    """Those before are worth nothing any more. Only keyed hashes are kept."""
    codes = [_new_code() for _number in range(CODES)]
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    db.session.add_all(RecoveryCode(user_id=user.id, code_hash=_hash(code)) for code in codes)
    db.session.flush()
    return codes


def use_recovery_code(user: User, code: str) -> None:
    """Instead of a code of the app; each is good once."""
    tries.count(RECOVERIES, str(user.id))
    used = db.session.scalar(
        sa.update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.code_hash == _hash(code),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=clock.now())
        .returning(RecoveryCode.id)
    )
    if used is None:
        raise service.WrongCode(_("This recovery code is wrong or was used before."))
    tries.forget(RECOVERIES, str(user.id))
    events.record("recovery_code.used", user_id=user.id, payload={"left": codes_left(user.id)})


def remove(user: User) -> None:
    user.totp_secret = None
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    db.session.flush()
    events.record("second_factor.removed", user_id=user.id)
    audit.record("second_factor.removed", subject=f"usr:{user.id}")


def codes_left(user_id: int) -> int:
    count = sa.select(sa.func.count()).where(
        RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    )
    return db.session.scalar(count) or 0


def _new_code() -> str:
    text = "".join(secrets.choice(LETTERS) for _number in range(LENGTH))
    return "-".join(text[i : i + 4] for i in range(0, LENGTH, 4))


def _hash(code: str) -> bytes:
    plain = "".join(each for each in code.lower() if each in LETTERS)
    return security.keyed_hash(plain, purpose="recovery")
