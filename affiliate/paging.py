"""Lists by keyset: the cursor says after which row to go on, signed so that nobody makes one up."""

import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from flask import request

from affiliate import security
from affiliate.db import db
from affiliate.errors import invalid

Row = TypeVar("Row")
Figure = TypeVar("Figure")
SIGNATURE = 8  # bytes
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Asked(Protocol):
    """How much of a list, and after which row."""

    @property
    def limit(self) -> int: ...
    @property
    def cursor(self) -> str | None: ...


def rows(
    statement: sa.Select[Row], query: Asked, *, by: Sequence[Any]
) -> tuple[list[Row], str | None]:
    """The rows of a page and the next cursor, for lists that are shown all at once."""
    if query.cursor is not None:
        statement = statement.where(sa.tuple_(*by) < sa.tuple_(*_read(query.cursor, by)))
    statement = statement.order_by(*(column.desc() for column in by)).limit(query.limit + 1)
    found: list[Row] = list(db.session.scalars(statement))
    shown = found[: query.limit]
    more = len(found) > query.limit
    return shown, _write([getattr(shown[-1], column.key) for column in by]) if more else None


def slice_of(found: Sequence[Figure], query: Asked) -> tuple[list[Figure], str | None]:
    """The same for what is computed anew each time and is short: the cursor is a place in it."""
    begin = json.loads(_text(query.cursor))[0] if query.cursor is not None else 0
    end = begin + query.limit
    return list(found[begin:end]), _write([end]) if end < len(found) else None


def _write(values: list[int | datetime]) -> str:
    numbers = [
        value if isinstance(value, int) else (value - EPOCH) // MICROSECOND for value in values
    ]
    text = json.dumps(numbers, separators=(",", ":")).encode()
    return security.b64url(_sign(text) + text)


def _read(cursor: str, by: Sequence[Any]) -> list[Any]:
    return [
        sa.literal(EPOCH + number * MICROSECOND if column.type.python_type is datetime else number)
        for number, column in zip(json.loads(_text(cursor)), by, strict=True)
    ]


def _text(cursor: str) -> bytes:
    try:
        raw = security.unb64url(cursor)
    except ValueError:
        raw = b""
    signature, text = raw[:SIGNATURE], raw[SIGNATURE:]
    if not security.same(signature, _sign(text)):
        raise invalid("/cursor", "bad_cursor", "This cursor is not one of this list's.")
    return text


def _sign(text: bytes) -> bytes:
    """For this address only: a cursor of one list says nothing in another."""
    message = request.path.encode() + b"\n" + text
    return hmac.digest(security.key("cursor"), message, "sha256")[:SIGNATURE]
