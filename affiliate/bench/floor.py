"""What the machine could do at best: the same rows, by the shortest way there is."""

import os
import sys
import threading
import time
from collections.abc import Iterable

import psycopg
import sqlalchemy as sa
from werkzeug.wrappers import Request, Response

from affiliate import wsgi
from affiliate.db import db

BATCH = 500
BODIES = (
    "CREATE TABLE bench_bodies (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)"
)
# Each table an order is written to, and which of its rows belong to the orders of a batch.
OF_ORDERS = {
    "orders": "id = ANY (:ids)",
    "order_lines": "order_id = ANY (:ids)",
    "attributions": "order_id = ANY (:ids)",
    "commissions": "order_id = ANY (:ids)",
    "entries": "order_id = ANY (:ids)",
    "bindings": "order_id = ANY (:ids)",
    "ledger_transfers": "cause IN (SELECT 'entry:' || id FROM entries WHERE order_id = ANY (:ids))",
}


def copied(merchant_id: int) -> tuple[float, dict[str, int]]:
    """Seconds to write all rows of this merchant's orders once more into tables with the same
    columns, defaults, checks and indexes (but no foreign keys, no triggers), one statement and
    one transaction per batch; and the rows per order.
    """
    ids = db.session.scalars(sa.text("SELECT id FROM orders ORDER BY id")).all()
    with db.engine.begin() as connection:
        for table in OF_ORDERS:
            connection.execute(sa.text(f"CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)"))
    inserts = ", ".join(
        f"t{number} AS (INSERT INTO bench_{table} OVERRIDING SYSTEM VALUE"
        f" SELECT * FROM {table} WHERE merchant_id = :merchant AND {which} RETURNING 1)"
        for number, (table, which) in enumerate(OF_ORDERS.items())
    )
    counts = ", ".join(f"(SELECT count(*) FROM t{number})" for number in range(len(OF_ORDERS)))
    statement = sa.text(f"WITH {inserts} SELECT {counts}")
    sums = [0] * len(OF_ORDERS)
    began = time.perf_counter()
    for first in range(0, len(ids), BATCH):
        batch = {"merchant": merchant_id, "ids": ids[first : first + BATCH]}
        with db.engine.begin() as connection:
            row = connection.execute(statement, batch).one()
        sums = [sum(pair) for pair in zip(sums, row, strict=True)]
    seconds = time.perf_counter() - began
    return seconds, dict(zip(OF_ORDERS, sums, strict=True))


_of_thread = threading.local()


def bare(environ: dict[str, object], start_response: object) -> Iterable[bytes]:
    """A WSGI endpoint that stores the body and does nothing else."""
    connection = getattr(_of_thread, "connection", None)
    if connection is None:
        connection = _of_thread.connection = psycopg.connect(
            os.environ["DATABASE_URL"].replace("+psycopg", ""), autocommit=True
        )
    body = Request(environ).get_data()
    connection.execute("INSERT INTO bench_bodies (body) VALUES (%s)", (body,))
    return Response("ok")(environ, start_response)  # type: ignore[arg-type]


def make() -> object:
    return bare


if __name__ == "__main__":
    wsgi.serve("127.0.0.1", int(sys.argv[1]), target="affiliate.bench.floor:make")
