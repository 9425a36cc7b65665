"""A worker that is killed in the middle, and several at once: booked exactly once, nothing lost."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from rq import Queue
from rq.serializers import JSONSerializer

import workers.intake
from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.intake import queries, service
from affiliate.ledger.verify import verify
from affiliate.links import token
from affiliate.people import queries as people
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.orders import an_order, send
from tests.factories.programs import a_program
from tests.house.system import ROOT
from tests.intake.dying import BOOKING


@pytest.fixture
def town(committed, client):
    with unit_of_work():
        shop = a_shop()
        link = a_link(a_program(people.merchant(shop.merchant_id)))
    for _ in range(5):
        tk = token.make(link.id, time.now(), b"abc")
        assert send(client, shop, an_order(tk)).status_code == 200
    return shop


def booked():
    db.session.rollback()
    return db.session.execute(
        sa.text(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM commissions),"
            " (SELECT count(*) FROM entries), (SELECT count(*) FROM ledger_transfers)"
        )
    ).one()


@pytest.mark.parametrize("where", BOOKING)
def test_a_worker_killed_anywhere_books_nothing_and_the_next_one_everything(
    town, committed, where, tmp_path
):
    (tmp_path / f"1 1 alone {where}").touch()
    died = subprocess.run(
        [sys.executable, "-m", "tests.intake.dying", "drain", str(town.merchant_id), str(town.id)],
        check=False, cwd=ROOT, env=os.environ | committed.environment | {"DYING": str(tmp_path)},
        capture_output=True,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert booked() == (0, 0, 0, 0)
    assert queries.counts() == {"waiting": 5, "done": 0, "quarantined": 0}

    service.drain(town.merchant_id, town.id)

    assert booked() == (5, 5, 5, 5)
    assert verify().ok


def test_eight_workers_at_one_shop_book_every_order_once(town, app, client):
    orders = [an_order(id=f"many{i}") for i in range(40)]
    for order in orders * 2:
        send(client, town, order)

    def work(_):
        with app.app_context():
            return service.drain(town.merchant_id, town.id, batch=3)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))

    assert queries.counts() == {"waiting": 0, "done": 85, "quarantined": 0}
    assert booked()[0] == 45
    assert verify().ok


def test_a_webhook_that_comes_while_a_worker_looks_rings_again(town, app, client):
    """The bell is held back for a moment; who arrives in it must not wait for the sweep."""
    workers.intake.drain(town.merchant_id, town.id)
    app.extensions["redis"].flushdb()

    send(client, town, an_order(id="first"))
    workers.intake.drain(town.merchant_id, town.id)
    send(client, town, an_order(id="just after"))

    assert jobs_waiting(app) == 2


def jobs_waiting(app):
    return len(Queue("intake", connection=app.extensions["redis"], serializer=JSONSerializer))
