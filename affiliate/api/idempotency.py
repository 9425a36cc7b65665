"""`Idempotency-Key`: the same POST again gets the first answer again, and the work is done once.

The answer is stored in the transaction of the work itself, so there is never one without the
other. A refused or failed request rolls back and leaves nothing: its key may be used again.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
from flask import Response, request

from affiliate import clock, security
from affiliate.api.models import Answer
from affiliate.api.problems import Problem
from affiliate.db import db
from affiliate.errors import AffiliateError

PLACE = "idempotency_keys.body"
KEPT = timedelta(days=2)
KEPT_HEADERS = ("Content-Type", "ETag", "Location")
LONGEST = 255


class InFlight(AffiliateError):
    code = "idempotency_in_flight"
    retry_after = 1


class Mismatch(AffiliateError):
    status = 422
    code = "idempotency_mismatch"


def once(user_id: int, key: str, work: Callable[[], Response]) -> Response:
    if not key.isascii() or not 0 < len(key.strip()) <= LONGEST:
        raise Problem(400, "bad_request", f"Idempotency-Key takes 1 to {LONGEST} ASCII characters.")
    if not _alone(user_id, key):
        raise InFlight("The first request with this key is still running.")
    asked = _fingerprint()
    # A new statement, so it sees what the holder of the lock before us committed.
    known = db.session.scalar(sa.select(Answer).filter_by(user_id=user_id, key=key))
    if known is not None and known.created_at < clock.now() - KEPT:
        db.session.delete(known)
        db.session.flush()
        known = None
    if known is None:
        return _first(user_id, key, asked, work)
    if not security.same(known.request_hash, asked):
        raise Mismatch("This key was used for another request.")
    return _again(known)


def forget_old() -> int:
    """Drop answers nobody will ask for any more; how many."""
    old = sa.delete(Answer).where(Answer.created_at < clock.now() - KEPT)
    return len(db.session.scalars(old.returning(Answer.id)).all())


def _alone(user_id: int, key: str) -> bool:
    """Held to the end of the transaction; asked for without waiting."""
    digest = hashlib.sha256(f"idempotency/{user_id}/{key}".encode()).digest()
    number = int.from_bytes(digest[:8], signed=True)
    return bool(db.session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(number))))


def _fingerprint() -> bytes:
    parts = (request.method.encode(), request.full_path.encode(), request.get_data())
    return hashlib.sha256(b"\n".join(parts)).digest()


def _first(user_id: int, key: str, asked: bytes, work: Callable[[], Response]) -> Response:
    response = work()
    answer = Answer(
        user_id=user_id,
        key=key,
        request_hash=asked,
        status=response.status_code,
        headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
        body=security.seal(response.get_data(), place=PLACE),
    )
    db.session.add(answer)
    db.session.flush()
    return response


def _again(known: Answer) -> Response:
    body = security.unseal(known.body, place=PLACE)
    response = Response(body, known.status)
    response.headers.update(known.headers)
    response.headers["Idempotent-Replayed"] = "true"
    return response
