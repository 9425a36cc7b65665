"""Who approves while an approver is away: a grant with dates, within that one's limits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Forbidden, NotFound, invalid
from affiliate.i18n import _
from affiliate.people.models import ApprovalLimit, Grant, Role
from affiliate.people.service import person

LONGEST = timedelta(days=366)


class NotYours(Forbidden):
    code = "not_an_approver"


def delegate(
    by: int, to: int, *, since: datetime, until: datetime, merchant_id: int | None = None
) -> Grant:
    """Let `to` approve in the place of `by`: for one merchant, or wherever `by` may."""
    giver, taker = person(by), person(to)
    if giver.id == taker.id:
        raise invalid("/to", "yourself", _("Name another person than yourself."))
    if until <= max(since, clock.now()):
        raise invalid("/until", "too_early", _("It must end later than now, and than it begins."))
    if until - since > LONGEST:
        raise invalid("/until", "too_long", _("For a year at most; then renew it."))
    _require_own(giver.id, merchant_id)
    given = Grant(
        user_id=taker.id,
        role=Role.FINANCE_CHECKER,
        merchant_id=merchant_id,
        delegated_by=giver.id,
        since=since,
        until=until,
    )
    db.session.add(given)
    db.session.flush()
    audit.record(
        "approval.delegated", subject=f"usr:{taker.id}", by=by, merchant_id=merchant_id,
        since=since.isoformat(), until=until.isoformat(),
    )  # fmt: skip
    return given


def _require_own(user_id: int, merchant_id: int | None) -> None:
    """What was delegated to oneself cannot be passed on."""
    scopes = db.session.scalars(
        sa.select(Grant.merchant_id).where(
            Grant.user_id == user_id,
            Grant.role == Role.FINANCE_CHECKER,
            Grant.delegated_by.is_(None),
        )
    ).all()
    if None not in scopes and (merchant_id is None or merchant_id not in scopes):
        raise NotYours(_("You approve no settlements there yourself."))


def end(given: Grant) -> Grant:
    """From now on. What was approved stays approved."""
    assert given.until is not None
    assert given.since is not None
    given.until = max(given.since, min(given.until, clock.now()))
    db.session.flush()
    subject = f"usr:{given.user_id}"
    audit.record("delegation.ended", subject=subject, merchant_id=given.merchant_id)
    return given


def find(grant_id: int) -> Grant:
    found = db.session.get(Grant, grant_id)
    if found is None or found.delegated_by is None:
        raise NotFound(_("There is no such delegation."))
    return found


def of_user(user_id: int | None) -> sa.Select[Any]:
    """Those that this user gave or was given; None: all."""
    found = sa.select(Grant).where(Grant.delegated_by.is_not(None))
    if user_id is None:
        return found
    return found.where(sa.or_(Grant.user_id == user_id, Grant.delegated_by == user_id))


def approves_for(user_id: int, merchant_id: int) -> list[int | None]:
    """In whose place this user may approve there now; None is their own, and comes first."""
    now = clock.now()
    rows = db.session.scalars(
        sa.select(Grant.delegated_by).where(
            Grant.user_id == user_id,
            Grant.role == Role.FINANCE_CHECKER,
            sa.or_(Grant.merchant_id.is_(None), Grant.merchant_id == merchant_id),
            sa.or_(Grant.until.is_(None), sa.and_(Grant.since <= now, Grant.until > now)),
        )
    )
    return sorted(set(rows), key=lambda giver: giver or 0)


def limits_of(user_id: int) -> dict[str, int] | None:
    """By currency; None: every amount."""
    rows = db.session.execute(
        sa.select(ApprovalLimit.currency, ApprovalLimit.amount).where(
            ApprovalLimit.user_id == user_id
        )
    ).all()
    return {row.currency: row.amount for row in rows} or None


def set_limit(user_id: int, currency: str, amount: int) -> ApprovalLimit:
    """The most they may approve at once in this currency, from now on."""
    found = db.session.scalar(
        sa.select(ApprovalLimit)
        .filter_by(user_id=user_id, currency=currency)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        found = ApprovalLimit(user_id=user_id, currency=currency, amount=amount)
        db.session.add(found)
    else:
        found.amount = amount
        found.version += 1
    db.session.flush()
    audit.record("limit.set", subject=f"usr:{user_id}", amount=amount, currency=currency)
    return found


def limit(limit_id: int, *, lock: bool = False) -> ApprovalLimit:
    found = db.session.get(
        ApprovalLimit, limit_id, with_for_update=lock or None, populate_existing=lock
    )
    if found is None:
        raise NotFound(_("There is no such limit."))
    return found


def drop_limit(found: ApprovalLimit) -> None:
    db.session.delete(found)
    db.session.flush()
    audit.record("limit.dropped", subject=f"usr:{found.user_id}", currency=found.currency)


def limits(user_ids: Sequence[int]) -> Sequence[ApprovalLimit]:
    return db.session.scalars(
        sa.select(ApprovalLimit)
        .where(ApprovalLimit.user_id.in_(user_ids))
        .order_by(ApprovalLimit.user_id, ApprovalLimit.currency)
    ).all()
