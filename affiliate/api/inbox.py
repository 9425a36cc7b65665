"""The inbox: events of a merchant's shops, and trying quarantined ones again."""

from typing import Literal

import sqlalchemy as sa

from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import EventId, Instant, ListQuery, Page, Resource, ShopId
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.intake import service
from affiliate.intake.models import Event
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right


class EventQuery(ListQuery):
    shop: ShopId | None = None
    state: Literal["waiting", "done", "quarantined"] | None = None


class Trouble(Resource):
    code: str
    pointer: str
    message: str


class EventShown(Resource):
    """Never its body: it may name a buyer."""

    id: EventId
    shop: ShopId
    topic: str
    order: str
    state: str
    received_at: Instant
    done_at: Instant | None
    attempts: int
    error: Trouble | None


@endpoint("GET", "/inbox", needs=Right.READ_MERCHANT)
def all_events(caller: Caller, query: EventQuery) -> Page[EventShown]:
    """Events, newest first."""
    found = sa.select(Event).where(within(Event.merchant_id, caller.scope(Right.READ_MERCHANT)))
    if query.shop is not None:
        merchant_id, shop_id = query.shop
        found = found.where(Event.merchant_id == merchant_id, Event.shop_id == shop_id)
    if query.state is not None:
        found = found.where(Event.state == query.state)
    return paging.page(found, query, by=[Event.id], show=_shown)


@endpoint("GET", "/inbox/{event_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, event_id: EventId) -> EventShown:
    """One event."""
    return _shown(_event(caller, Right.READ_MERCHANT, event_id))


@endpoint("POST", "/inbox/{event_id}/retry", needs=Right.RUN_MERCHANT)
def retry(caller: Caller, event_id: EventId) -> EventShown:
    """Put a quarantined event back into the queue; one that is not in quarantine stays."""
    event = _event(caller, Right.RUN_MERCHANT, event_id)
    service.retry(event.merchant_id, [event.id])
    db.session.refresh(event)
    return _shown(event)


def _event(caller: Caller, right: Right, event_id: EventId) -> Event:
    caller.require(right, event_id[0])
    event = db.session.get(Event, event_id)
    if event is None:
        raise NotFound("There is no such event here.")
    return event


def _shown(event: Event) -> EventShown:
    return EventShown(
        id=(event.merchant_id, event.id),
        shop=(event.merchant_id, event.shop_id),
        topic=event.topic,
        order=event.order_key,
        state=event.state,
        received_at=event.received_at,
        done_at=event.done_at,
        attempts=event.attempts,
        error=Trouble(**event.error) if event.error else None,
    )
