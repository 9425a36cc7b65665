"""What the way of an order asks of the database: counted, so that it does not creep up."""

import itertools

import pytest
import sqlalchemy as sa
from psycopg import pq

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.intake import queries, service
from affiliate.links import token
from affiliate.people import queries as people
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.orders import an_order, send
from tests.factories.programs import a_program

_numbers = itertools.count(1)


def _sold(client, shop, link, count):
    for _ in range(count):
        tk = token.make(link.id, time.now(), b"abc")
        buyer = {"email": f"buyer{next(_numbers)}@example.com", "id": f"{next(_numbers)}"}
        send(client, shop, an_order(tk, customer=buyer))


@pytest.fixture
def trade(app):
    with unit_of_work():
        shop = a_shop()
        return shop, a_link(a_program(people.merchant(shop.merchant_id)))


@pytest.fixture
def asked():
    """The statements, each as often as it is sent: `executemany` sends one for each row."""
    sent = []

    def note(_conn, _cursor, statement, parameters, _context, many):
        if "SAVEPOINT" not in statement:
            sent.extend([statement] * (len(parameters) if many else 1))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_two_hundred_orders_are_as_many_statements_as_ten(client, trade, asked):
    shop, link = trade
    told = []
    for count in (1, 10, 200):  # the first one opens accounts
        _sold(client, shop, link, count)
        db.session.expunge_all()
        asked.clear()
        assert service.drain(shop.merchant_id, shop.id) == count
        told.append(list(asked))

    assert told[2] == told[1]
    assert len(told[1]) < 50
    assert queries.counts() == {"waiting": 0, "done": 211, "quarantined": 0}


def test_a_webhook_is_one_round_trip(committed, client, trade, rung, tmp_path):
    """And one transaction: without a statement of its own for its beginning and its end."""
    shop, link = trade
    _sold(client, shop, link, 1)  # now the shop is known
    db.session.remove()
    pooled = db.engine.raw_connection()
    pgconn = pooled.driver_connection.pgconn
    pooled.close()

    with (tmp_path / "wire").open("w+") as wire:
        pgconn.trace(wire.fileno())
        pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS | pq.Trace.REGRESS_MODE)
        _sold(client, shop, link, 3)
        pgconn.untrace()
        wire.seek(0)
        said = [line.split("\t")[2].split()[0] for line in wire if line.startswith("F")]

    assert said.count("Sync") == said.count("Execute") == 3
    assert "Query" not in said
    assert queries.counts()["waiting"] == 4
