"""Somebody leaves: the person is made nameless, what the books rest on stays."""

import sqlalchemy as sa

from affiliate import audit, clock
from affiliate.db import db
from affiliate.people import pictures, service, sessions
from affiliate.people.models import (
    ApiKey,
    Device,
    Identity,
    OneTimeCode,
    OneTimeLink,
    Promoter,
    RecoveryCode,
    User,
    UserSession,
)

NAMELESS = "–"
OF_USERS = (RecoveryCode, Device, Identity, OneTimeLink, UserSession)


def erase(user: User, promoters: list[Promoter]) -> None:
    """The promoters stay in the tree and in the books, without anything that tells who they were.

    Whoever calls has seen that no money is open.
    """
    reached = [each for each in (user.email, user.phone) if each]
    db.session.execute(sa.delete(OneTimeCode).where(OneTimeCode.target.in_(reached)))
    for promoter in promoters:
        service.suspend(promoter)
        pictures.remove(promoter.id)
        promoter.name = NAMELESS
        promoter.email = promoter.phone = promoter.email_hash = promoter.phone_hash = None
        promoter.profile = {}
        promoter.version += 1
    sessions.end_all(user.id)
    for table in OF_USERS:
        db.session.execute(sa.delete(table).where(table.user_id == user.id))
    db.session.execute(
        sa.update(ApiKey)
        .where(ApiKey.user_id == user.id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )
    user.name, user.email, user.phone = NAMELESS, None, None
    user.password_hash = user.totp_secret = None
    user.erased_at = user.disabled_at = clock.now()
    db.session.flush()
    audit.record("user.erased", subject=f"usr:{user.id}")
