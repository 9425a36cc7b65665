"""Clicks that were answered and not written down: told to operators, as nobody else can know."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from affiliate import clock, events
from affiliate.db import db
from affiliate.events import Event
from affiliate.links.models import LostClicks
from affiliate.links.spool import Lost

EVENT = "clicks.lost"
TOLD_AGAIN = timedelta(hours=1)
SHOWN = timedelta(days=1)
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Losses:
    clicks: int
    last_at: datetime
    trouble: str


def note(lost: Lost) -> None:
    """A letter goes out for the first of them, and while it goes on once an hour, however many
    processes lose clicks.
    """
    db.session.execute(ALONE, {"name": EVENT})
    now = clock.now()
    db.session.add(LostClicks(clicks=lost.clicks, trouble=lost.trouble))
    recent = sa.select(Event.id).where(Event.name == EVENT, Event.happened_at > now - TOLD_AGAIN)
    if db.session.scalar(recent.limit(1)) is None:
        events.record(EVENT, payload={"clicks": lost.clicks, "trouble": lost.trouble})


def latest() -> Losses | None:
    """Of the last day; None: there were none."""
    found = db.session.execute(
        sa.select(
            sa.func.sum(LostClicks.clicks),
            sa.func.max(LostClicks.at),
            sa.func.max(LostClicks.trouble),
        ).where(LostClicks.at > clock.now() - SHOWN)
    ).one()
    return Losses(int(found[0]), found[1], found[2]) if found[0] else None


def forget() -> None:
    db.session.execute(sa.delete(LostClicks).where(LostClicks.at < clock.now() - KEPT))


ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
