"""What happened, written down in the transaction in which it happened.

`record` costs one INSERT and a bell after the commit. Who is told, and how, is no business of
whoever records: notices/ reads the rows afterwards. Names are `<noun>.<past participle>`.
A payload holds ids, numbers and codes; never a secret, never a buyer.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate import clock, jobs
from affiliate.db import Json, Key, Model, db
from affiliate.jobs import Job


class Event(Model):
    """The subject may be a user, a promoter, a merchant, or several; keys without foreign keys,
    as the event stays true when its subject is gone.
    """

    __tablename__ = "events"

    id: Mapped[Key]
    name: Mapped[str]
    merchant_id: Mapped[int | None]
    user_id: Mapped[int | None]
    promoter_id: Mapped[int | None]
    payload: Mapped[Json] = mapped_column(default=dict)
    happened_at: Mapped[datetime] = mapped_column(default=clock.now)
    told_at: Mapped[datetime | None]  # when notices/ decided who is told

    __table_args__ = (
        sa.Index("events_untold_idx", "id", postgresql_where=sa.text("told_at IS NULL")),
        sa.Index("events_merchant_idx", "merchant_id", "id"),
    )


@dataclass(frozen=True, slots=True)
class Happening:
    """An event before it is a row: for those who record many at once."""

    name: str
    merchant_id: int | None = None
    user_id: int | None = None
    promoter_id: int | None = None
    payload: dict[str, Any] = field(default_factory=dict)


def record(
    name: str,
    *,
    merchant_id: int | None = None,
    user_id: int | None = None,
    promoter_id: int | None = None,
    payload: dict[str, Any] | None = None,
) -> None:
    """Write down that this happened; told after the commit, forgotten with a rollback."""
    record_all([Happening(name, merchant_id, user_id, promoter_id, payload or {})])


def record_all(happenings: Iterable[Happening]) -> None:
    """Any number of events in one statement, with one bell."""
    now = clock.now()
    rows = [asdict(each) | {"happened_at": now} for each in happenings]
    if rows:
        db.session.execute(sa.insert(Event), rows)
        jobs.ring(Job.TELL)
