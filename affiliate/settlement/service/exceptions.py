"""Payers with one person only: an operator may let who made a settlement approve it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Conflict, NotFound, invalid
from affiliate.i18n import _
from affiliate.people.service import person
from affiliate.settlement.models import ApprovalException


class OneAlready(Conflict):
    code = "exception_open"


def record_exception(
    merchant_id: int, *, reason: str, limits: dict[str, int], until: datetime, by: int
) -> ApprovalException:
    """Up to these amounts by currency, in one settlement; in other currencies not at all."""
    person(by)
    if until <= clock.now():
        raise invalid("/until", "too_early", _("It must end later than now."))
    found = ApprovalException(
        merchant_id=merchant_id, reason=reason, limits=limits, until=until, created_by=by
    )
    try:
        with db.session.begin_nested():
            db.session.add(found)
            db.session.flush()
    except IntegrityError as error:
        message = _("This merchant has an exception already: end it before recording another.")
        raise OneAlready(message) from error
    audit.record(
        "exception.recorded", subject=f"exc:{found.id}", by=by, merchant_id=merchant_id,
        reason=reason, limits=limits, until=until.isoformat(),
    )  # fmt: skip
    return found


def end_exception(found: ApprovalException) -> ApprovalException:
    """From now on its settlements need two people again. Ending it twice changes nothing."""
    if found.ended_at is None:
        found.ended_at = clock.now()
        found.version += 1
        db.session.flush()
        subject = f"exc:{found.id}"
        audit.record("exception.ended", subject=subject, merchant_id=found.merchant_id)
    return found


def exception(merchant_id: int, exception_id: int, *, lock: bool = False) -> ApprovalException:
    found = db.session.get(
        ApprovalException,
        (merchant_id, exception_id),
        with_for_update={"key_share": True} if lock else None,
        populate_existing=lock,
    )
    if found is None:
        raise NotFound(_("There is no such exception."))
    return found


def open_exception(merchant_id: int) -> ApprovalException | None:
    """The one that holds now."""
    return db.session.scalar(
        sa.select(ApprovalException)
        .where(
            ApprovalException.merchant_id == merchant_id,
            ApprovalException.ended_at.is_(None),
            ApprovalException.until > clock.now(),
        )
        .with_for_update(read=True, key_share=True)
    )
