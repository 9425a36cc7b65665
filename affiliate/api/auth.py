"""Who calls: bearer keys."""

from datetime import timedelta

from flask import Response, g, request

from affiliate import clock
from affiliate.db import unit_of_work
from affiliate.errors import AffiliateError
from affiliate.people import queries, service
from affiliate.people.rules import Caller

SEEN = timedelta(minutes=1)


class NotSignedIn(AffiliateError):
    status = 401
    code = "not_signed_in"


def caller() -> Caller:
    """The user behind the request's key; unknown, revoked and disabled all look the same."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    key = queries.key_of(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise NotSignedIn("Send a valid API key: Authorization: Bearer aff_live_…")
    if key.last_used_at is None or key.last_used_at < clock.now() - SEEN:
        g.touch_key = key.id
    return queries.caller_of(key)


def note_use(response: Response) -> Response:
    """After the request, in a transaction of its own: its row lock would make requests with one
    key wait for each other, and a refused request would forget it.
    """
    key_id = g.pop("touch_key", None)
    if key_id is not None and response.status_code < 500:
        with unit_of_work():
            service.touch_key(key_id)
    return response
