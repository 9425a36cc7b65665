"""Reads about letters: what is due, and what an operator sees in the outbox."""

import json
from dataclasses import dataclass

import sqlalchemy as sa

from affiliate import clock, security
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.events import Event
from affiliate.links import losses
from affiliate.links import queries as links
from affiliate.notices.models import Notice
from affiliate.people import queries as people
from affiliate.people.models import User

PLACE = "notices.letter"
OF_OPERATORS = frozenset({losses.EVENT})


@dataclass(frozen=True, slots=True)
class Text:
    """A letter as it was written."""

    plain: str
    html: str


def readers_of(event: Event) -> list[User]:
    """Who is told of an event: the user it names, all promoters it concerns, or operators."""
    if event.user_id is not None:
        user = db.session.get(User, event.user_id)
        return [user] if user else []
    if event.name in OF_OPERATORS:
        return people.operators()
    if event.name == "rate.cut" and event.merchant_id is not None:
        sharing = links.sharing(event.merchant_id, event.payload["program"])
        return people.users_of_promoters(sharing)
    if event.promoter_id is not None:
        return people.users_of_promoters([event.promoter_id])
    return []


def due(limit: int) -> list[int]:
    """Letters to be sent now, also those whose sending was cut short."""
    return list(
        db.session.scalars(
            sa.select(Notice.id)
            .where(Notice.state.in_(("waiting", "sending")), Notice.due_at <= clock.now())
            .order_by(Notice.due_at)
            .limit(limit)
        )
    )


def outbox(limit: int = 100, before: int | None = None) -> list[Notice]:
    """The latest letters, whoever they are for: for operators."""
    older = Notice.id < before if before else sa.true()
    found = sa.select(Notice).where(older).order_by(Notice.id.desc()).limit(limit)
    return list(db.session.scalars(found))


def notice(notice_id: int) -> Notice:
    found = db.session.get(Notice, notice_id)
    if found is None:
        raise NotFound
    return found


def text_of(notice: Notice) -> Text | None:
    """None once it was forgotten."""
    if notice.letter is None:
        return None
    place = f"{PLACE}/{notice.event_id}/{notice.user_id}"
    return Text(**json.loads(security.unseal(notice.letter, place=place)))
