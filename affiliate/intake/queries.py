"""How the inbox stands: counts, and what is in quarantine and why."""

from collections.abc import Sequence

import sqlalchemy as sa

from affiliate.db import db
from affiliate.intake.models import Event

READ_BY_US = ("fetched", "pulled", "file", "checkout")  # topics of what no webhook brought
FIRST_FEW = 100


def counts(merchant_id: int | None = None) -> dict[str, int]:
    """How many events are waiting, done and quarantined."""
    chosen = [] if merchant_id is None else [Event.merchant_id == merchant_id]
    rows = db.session.execute(
        sa.select(Event.state, sa.func.count()).where(*chosen).group_by(Event.state)
    )
    found = {state: count for state, count in rows}  # noqa: C416
    return {state: found.get(state, 0) for state in ("waiting", "done", "quarantined")}


def quarantined(merchant_id: int | None = None, limit: int = 100) -> Sequence[Event]:
    chosen = [] if merchant_id is None else [Event.merchant_id == merchant_id]
    return db.session.scalars(
        sa.select(Event)
        .where(Event.state == "quarantined", *chosen)
        .order_by(Event.merchant_id, Event.id)
        .limit(limit)
    ).all()


def heard(merchant_id: int, shop_id: int) -> Event | None:
    """The newest of the first few webhooks of a shop. (Who has more has no question about them.)"""
    few = (
        sa.select(Event.id)
        .where(
            Event.merchant_id == merchant_id,
            Event.shop_id == shop_id,
            Event.topic.not_in(READ_BY_US),
        )
        .limit(FIRST_FEW)
        .subquery()
    )
    mine = sa.and_(Event.merchant_id == merchant_id, Event.id == few.c.id)
    found = sa.select(Event).join(few, mine).order_by(Event.id.desc()).limit(1)
    return db.session.scalar(found)
