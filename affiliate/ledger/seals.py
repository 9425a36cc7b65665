"""A chain of hashes over everything booked, so that tampering shows even where no trigger ran.

A seal covers the transfers of all transactions in a range of transaction numbers. Its end is the
snapshot's xmin: every transaction below it is over, so nothing can be added to the range later,
and no writer ever waits for the sealer.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import aggregate_order_by

from affiliate import clock
from affiliate.db import db
from affiliate.ledger.models import Seal, Transfer

# The database's refusal of a transfer that would come under a seal already made.
BEHIND = "ledger_transfers_unsealed_check"

Number = sa.ColumnElement[int]
Bytes = sa.ColumnElement[bytes]
Header = dict[str, sa.ColumnElement[Any]]

# Does not depend on any setting of the session. The texts stand last and apart from each other, so
# no two rows give the same bytes.
ROW: Bytes = sa.literal_column(
    "int8send(id) || int8send(merchant_id) || int8send(source_id) || int8send(target_id)"
    " || int8send(amount) || timestamptz_send(created_at)"
    " || convert_to(currency || ' ' || code || ' ' || cause || chr(10), 'UTF8')",
    sa.LargeBinary,
)
EMPTY: Bytes = sa.literal_column("''::bytea", sa.LargeBinary)


def seal() -> int:
    """Seal what was booked since the last seal; returns how many transfers that were.

    Two at once make one seal: the second waits, and finds nothing left to do.
    """
    db.session.execute(sa.select(func.pg_advisory_xact_lock(func.hashtextextended("seals", 0))))
    last = db.session.scalar(sa.select(Seal).order_by(Seal.to_xact.desc()).limit(1))
    begin, shift = (last.to_xact, last.shift) if last else (0, 0)
    horizon = db.session.scalars(HORIZON).one()
    if horizon + shift >= begin:
        return _add(last, begin, horizon + shift, shift)
    # Restored on a server that has counted less far than the one that made the last seal. Nothing
    # was booked here yet (the database refuses it), so all there is may be sealed; from here on
    # the shift keeps the numbers growing.
    end = max(begin, db.session.scalar(sa.select(func.max(Transfer.xact))) or 0) + 1
    return _add(last, begin, end, end - horizon, even_empty=True)


def _add(last: Seal | None, begin: int, end: int, shift: int, *, even_empty: bool = False) -> int:
    batch = batch_between(sa.literal(begin), sa.literal(end))
    header: Header = {
        "from_xact": sa.literal(begin),
        "to_xact": sa.literal(end),
        "shift": sa.literal(shift),
        "created_at": sa.literal(clock.now(), sa.DateTime(timezone=True)),
    }
    previous = sa.literal(last.hash if last else b"")
    found = sa.select(*header.values(), batch.c.transfers, digest(previous, header, batch)).where(
        sa.or_(batch.c.transfers > 0, sa.literal(even_empty))
    )
    add = sa.insert(Seal).from_select([*header, "transfers", "hash"], found)
    return db.session.scalar(add.returning(Seal.transfers)) or 0


def batch_between(begin: Number, end: Number) -> sa.FromClause:
    """How many transfers there are in [begin, end), and a leaf for each transaction of them."""
    leaves = (
        sa.select(
            Transfer.xact,
            func.count().label("transfers"),
            func.sha256(func.string_agg(ROW, aggregate_order_by(EMPTY, Transfer.id))).label("leaf"),
        )
        .where(Transfer.xact >= begin, Transfer.xact < end)
        .group_by(Transfer.xact)
        .subquery()
    )
    return sa.select(
        func.coalesce(func.sum(leaves.c.transfers), 0).label("transfers"),
        func.string_agg(leaves.c.leaf, aggregate_order_by(EMPTY, leaves.c.xact)).label("leaves"),
    ).lateral()


def digest(previous: Bytes, header: Header, batch: sa.FromClause) -> Bytes:
    """The hash of a seal: over the one before, its own header, and its leaves."""
    whole: sa.ColumnElement[Any] = func.coalesce(previous, EMPTY)
    for part in (
        *(func.int8send(header[name]) for name in ("from_xact", "to_xact", "shift")),
        func.timestamptz_send(header["created_at"]),
        func.coalesce(batch.c.leaves, EMPTY),
    ):
        whole = whole.op("||")(part)
    return func.sha256(whole, type_=sa.LargeBinary)


HORIZON: sa.TextClause = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
