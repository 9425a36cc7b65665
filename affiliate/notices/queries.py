"""Reads about letters: what is due, what somebody chose, what an operator sees in the outbox."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from affiliate import clock, security
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.events import Event
from affiliate.links import losses
from affiliate.links import queries as links
from affiliate.notices.models import Channel, Choice, Follower, Kind, Notice, Subscription
from affiliate.people import queries as people
from affiliate.people.models import User, UserSession
from affiliate.people.sessions import IDLE

PLACE = "notices.letter"
CHOOSABLE = (Channel.IN_APP, Channel.MAIL, Channel.PUSH, Channel.WECHAT)
# Until somebody chooses.
DEFAULTS: Mapping[Kind, frozenset[Channel]] = {
    Kind.ORDERS: frozenset({Channel.IN_APP, Channel.PUSH}),  # too many for letters
    Kind.MONEY: frozenset(CHOOSABLE),
    Kind.PROGRAMS: frozenset(CHOOSABLE),
    Kind.TEAM: frozenset({Channel.IN_APP, Channel.MAIL, Channel.PUSH}),
}
OF_OPERATORS = frozenset({losses.EVENT, "domain.failed"})


@dataclass(frozen=True, slots=True)
class Text:
    """A letter as it was written; messages have plain words only."""

    plain: str
    html: str = ""


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


def chosen(user_id: int) -> dict[Kind, frozenset[Channel]]:
    """By which channels somebody is told of each kind."""
    rows = db.session.scalars(sa.select(Choice).filter_by(user_id=user_id))
    own = {Kind(row.kind): frozenset(map(Channel, row.channels)) for row in rows}
    return {**DEFAULTS, **own}


def subscriptions_of(user_id: int) -> list[Subscription]:
    """Browsers that they are signed in with."""
    return list(
        db.session.scalars(
            sa.select(Subscription)
            .join(UserSession, UserSession.id == Subscription.session_id)
            .where(
                Subscription.user_id == user_id,
                UserSession.revoked_at.is_(None),
                UserSession.seen_at > clock.now() - IDLE,
            )
            .order_by(Subscription.id)
        )
    )


def follower(user_id: int) -> Follower | None:
    return db.session.get(Follower, user_id)


def subscription(user_id: int | None, endpoint: str) -> Subscription | None:
    """The browser behind this address, while they are signed in with it."""
    found = subscriptions_of(user_id) if user_id is not None else []
    return next((each for each in found if each.endpoint == endpoint), None)


def due(limit: int) -> list[int]:
    """What is to be sent now, also what was cut short; parts of others go out with those."""
    return list(
        db.session.scalars(
            sa.select(Notice.id)
            .where(
                Notice.state.in_(("waiting", "sending")),
                Notice.due_at <= clock.now(),
                Notice.with_id.is_(None),
            )
            .order_by(Notice.due_at)
            .limit(limit)
        )
    )


def outbox(limit: int = 100, before: int | None = None) -> list[Notice]:
    """The latest letters, whoever they are for: for operators."""
    older = Notice.id < before if before else sa.true()
    letters = Notice.channel != Channel.IN_APP
    found = sa.select(Notice).where(older, letters).order_by(Notice.id.desc()).limit(limit)
    return list(db.session.scalars(found))


def news_of(user_id: int, limit: int, before: int | None = None) -> list[Notice]:
    """What one person reads on their own pages, the latest first."""
    older = Notice.id < before if before else sa.true()
    mine = sa.select(Notice).where(
        Notice.user_id == user_id, Notice.channel == Channel.IN_APP, older
    )
    return list(db.session.scalars(mine.order_by(Notice.id.desc()).limit(limit)))


def has_news(user_id: int) -> bool:
    unseen = sa.exists().where(
        Notice.user_id == user_id, Notice.channel == Channel.IN_APP, Notice.seen_at.is_(None)
    )
    return bool(db.session.scalar(sa.select(unseen)))


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
