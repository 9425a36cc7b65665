"""A shop reports while web servers and workers are killed: all it was answered is booked once."""

import http.client
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import current_app
from werkzeug.datastructures import Headers

from affiliate import processes
from affiliate.bench import scene
from affiliate.cli import main
from affiliate.db import db, unit_of_work
from affiliate.intake import queries, service
from affiliate.intake.platforms import Knock
from tests.house.system import ROOT, free_port, wait
from tests.intake.dying import ACCEPTING, WORKING
from workers import clock

POINTS = [*ACCEPTING, *WORKING]
SECONDS = 60  # for what happens within one or two on an idle machine
SELLERS = 20
MESSAGES_BETWEEN = 50  # two kills; whoever was started again has work to do
ORDERS_AT_ONCE = 20  # whose messages are mixed
PAUSE_SECONDS = 0.02  # of each of the shop's threads, so that a second has batches of all sizes


@pytest.mark.parametrize(("seed", "kills"), [(29, 3), pytest.param(50, 50, marks=pytest.mark.long)])
def test_what_was_answered_is_booked_once_whoever_is_killed(seed, kills, committed, tmp_path):
    chance = random.Random(seed)
    wanted = deaths(chance, kills)
    town = scene.set_up(SELLERS)
    copy = copied()
    with House(committed, tmp_path) as house:
        with Shop(house.port, town, chance) as shop:
            died = []
            for each in wanted:
                shop.tell_some_more()
                died.append(house.kill(*each))
        clock.tick()  # the first one rings for every job, the sweep of the inbox among them
        wait(lambda: counts()["waiting"] == 0, SECONDS)
    said = f"seed {seed}: {', '.join(died)}; {len(shop.accepted)} messages"

    assert shop.refused == Counter(), said
    assert counts() == {"waiting": 0, "done": len(shop.accepted), "quarantined": 0}, said
    assert kept() == shop.accepted.keys(), said
    assert newest_facts() == shop.newest_facts(), said
    verified = CliRunner().invoke(main, ["ledger", "verify", "--json"])
    assert json.loads(verified.stdout)["ok"], (said, verified.stdout)
    booked = everything()
    with at(copy):
        book_calmly(town, shop.accepted.values())
        expected = everything()
    for table, rows in expected.items():
        assert sorted(booked[table] - rows)[:5] == sorted(rows - booked[table])[:5], said


def deaths(chance: random.Random, kills: int) -> list[tuple[str, int, str]]:
    """Where, at which pass, and who: every point once before any comes again."""
    points = [
        point for _ in range(0, kills, len(POINTS)) for point in chance.sample(POINTS, len(POINTS))
    ]
    return [
        (point, chance.randint(1, 3), chance.choice(["alone", "alone", "family"]))
        for point in points[:kills]
    ]


class House:
    """The system that reports come to; who dies in it is started again."""

    def __init__(self, place, room) -> None:
        self.port = free_port()
        self._orders = room / "orders to die"
        self._orders.mkdir()
        self._kills = 0
        self._environment = place.environment | {
            "DYING": str(self._orders),
            "AFFILIATE_WORKERS": "2",
            "AFFILIATE_LOG_LEVEL": "ERROR",
        }

    def __enter__(self):
        self._process = processes.start(
            [sys.executable, "-m", "tests.intake.dying", "house", str(self.port)],
            cwd=ROOT,
            env=os.environ | self._environment,
        )
        return self

    def __exit__(self, *_):
        processes.stop(self._process)

    def kill(self, point: str, passes: int, who: str) -> str:
        """Give the order and wait until somebody died of it."""
        self._kills += 1
        order = self._orders / f"{self._kills} {passes} {who} {point}"
        order.touch()
        wait(lambda: not order.exists(), SECONDS)
        return order.name


class Shop:
    """Tells of orders, edits and refunds, again what was not answered, and some things twice."""

    def __init__(self, port: int, town: scene.Scene, chance: random.Random) -> None:
        self.accepted: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.refused: Counter[int] = Counter()
        self._port, self._scene, self._chance = port, town, chance
        self._messages = self._all_messages()
        self._app = current_app._get_current_object()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._tell) for _ in range(4)]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        """What was begun is told until it is answered, the rest never."""
        self._closing.set()
        for each in self._threads:
            each.join()

    def tell_some_more(self) -> None:
        enough = len(self.accepted) + MESSAGES_BETWEEN
        wait(lambda: len(self.accepted) >= enough, SECONDS)

    def _tell(self) -> None:
        with self._app.app_context():
            while not self._closing.is_set():
                with self._lock:
                    body, headers = next(self._messages)
                end = time.monotonic() + SECONDS
                while not self._is_accepted(body, headers) and time.monotonic() < end:
                    time.sleep(0.1)
                time.sleep(PAUSE_SECONDS)

    def _is_accepted(self, body: bytes, headers: dict[str, str]) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            line.request("POST", self._scene.hook, body, headers)
            status = line.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()
        if status != 200:
            self.refused[status] += 1
            return False
        self.accepted[headers["X-Shopify-Webhook-Id"]] = (body, headers)
        return True

    def _all_messages(self) -> Iterator[tuple[bytes, dict[str, str]]]:
        number = 0
        while True:
            mixed = []
            for _ in range(ORDERS_AT_ONCE):
                number += 1
                mixed += self._of_order(number)
            mixed += self._chance.sample(mixed, len(mixed) // 5)  # exact repeats
            self._chance.shuffle(mixed)
            yield from mixed

    def _of_order(self, number: int) -> Iterator[tuple[bytes, dict[str, str]]]:
        """What a shop tells of it, in its time."""
        told = scene.paid_order(self._scene, number)
        yield scene.signed(told, f"{number} paid")
        if self._chance.random() < 0.5:
            told = edited(told)
            told["line_items"][0]["quantity"] = self._chance.randint(1, 9)
            yield scene.signed(told, f"{number} edited", "orders/updated")
        if self._chance.random() < 0.3:
            yield scene.signed(refund_of(told), f"{number} refunded", "refunds/create")
        if self._chance.random() < 0.2:
            told = edited(told)
            told["cancelled_at"] = told["updated_at"]
            yield scene.signed(told, f"{number} cancelled", "orders/cancelled")

    def newest_facts(self) -> dict[str, tuple[object, ...]]:
        """Of each order, from what was answered: pieces, amount, whether cancelled, refunds."""
        newest: dict[str, dict[str, object]] = {}
        refunds: Counter[str] = Counter()
        for told in (json.loads(body) for body, _ in self.accepted.values()):
            if "order_id" in told:
                refunds[str(told["order_id"])] += 1
                continue
            before = newest.get(str(told["id"]))
            if before is None or before["updated_at"] < told["updated_at"]:
                newest[str(told["id"])] = told
        return {
            key: (*_line_of(newest.get(key)), refunds[key])
            for key in newest.keys() | refunds.keys()
        }


def _line_of(told) -> tuple[object, ...]:
    if told is None:  # only its refund was told before the shop closed
        return (None, None, False)
    (line,) = told["line_items"]
    amount = int(Decimal(line["price"]) * 100) * line["quantity"]
    return (line["quantity"], amount, told["cancelled_at"] is not None)


def edited(told):
    """A second after what was told before."""
    later = datetime.fromisoformat(told["updated_at"]) + timedelta(seconds=1)
    return deepcopy(told) | {"updated_at": later.isoformat()}


def refund_of(told):
    """One piece, in cash."""
    (line,) = told["line_items"]
    money = {"amount": line["price"], "currency_code": "BRL"}
    return {
        "id": told["id"] + 10**12,
        "order_id": told["id"],
        "created_at": told["updated_at"],
        "refund_line_items": [
            {
                "line_item_id": line["id"],
                "line_item": line,
                "quantity": 1,
                "subtotal": line["price"],
                "subtotal_set": {"shop_money": money},
            }
        ],
        "transactions": [
            {"kind": "refund", "status": "success", "amount": line["price"], "currency": "BRL"}
        ],
    }


# --- what is left of it --------------------------------------------------------------------------


def rows(statement: str, **given: object):
    with unit_of_work():
        return db.session.execute(sa.text(statement), given).all()


def counts() -> dict[str, int]:
    with unit_of_work():
        return queries.counts()


def kept() -> set[str]:
    """The deliveries in the inbox, each of them once."""
    found = [row[0].rpartition(":")[0] for row in rows("SELECT dedup_key FROM inbox")]
    assert len(found) == len(set(found))
    return set(found)


def newest_facts() -> dict[str, tuple[object, ...]]:
    found = rows(
        "SELECT o.external_id, l.quantity, l.amount, o.cancelled_at IS NOT NULL,"
        "  (SELECT count(*) FROM refunds r WHERE r.order_id = o.id)"
        " FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id"
    )
    assert len(found) == len({row[0] for row in found})
    return {row[0]: tuple(row[1:]) for row in found}


OF_ORDER = "SELECT o.external_id || ' ' || (to_jsonb(t) - 'id' - 'order_id' - 'created_at')::text"
EVERYTHING = {
    "orders": "SELECT (to_jsonb(o) - 'id' - 'created_at')::text FROM orders o",
    "lines": f"{OF_ORDER} FROM order_lines t JOIN orders o ON o.id = t.order_id",
    "refunds": f"{OF_ORDER} FROM refunds t JOIN orders o ON o.id = t.order_id",
    "credits": "SELECT concat_ws(' ', o.external_id, a.program_id, a.credited, a.refusal)"
    " FROM attributions a JOIN orders o ON o.id = a.order_id",
    "commissions": "SELECT concat_ws(' ', o.external_id, c.payee_kind, c.payee_id, c.role,"
    "   c.program_id, c.terms_id, c.base, c.rate_ppm, c.allowed,"
    "   (SELECT string_agg(concat_ws(' ', amount, state, hold_until), ', ') FROM"
    "     (SELECT e.state, e.hold_until, sum(e.amount) AS amount FROM entries e"
    "       WHERE e.commission_id = c.id GROUP BY 1, 2 HAVING sum(e.amount) <> 0 ORDER BY 1, 2) s))"
    " FROM commissions c JOIN orders o ON o.id = c.order_id",
    "balances": "SELECT concat_ws(' ', kind, owner_kind, owner_id, currency, credits - debits)"
    " FROM ledger_accounts WHERE credits <> debits",
}


def everything() -> dict[str, set[str]]:
    """All that was booked, but not when and in how many steps: what nets to nothing is nothing."""
    found = {}
    for table, statement in EVERYTHING.items():
        texts = [row[0] for row in rows(statement)]
        found[table] = set(texts)
        assert len(texts) == len(found[table]), f"{table}: the same twice"
    return found


def copied() -> sa.URL:
    """A copy of the database as it is now."""
    url = db.engine.url
    copy = url.set(database=f"{url.database}_copy")
    db.session.remove()
    db.engine.dispose()
    with administrator(url) as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{copy.database}" TEMPLATE "{url.database}"'))
    return copy


@contextmanager
def administrator(url: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(
        url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        yield connection


@contextmanager
def at(url: sa.URL) -> Iterator[None]:
    """Inside it the app works on that database, which nobody needs after it."""
    db.session.remove()
    before, db.engines[None] = db.engine, sa.create_engine(url)
    try:
        yield
    finally:
        db.session.remove()
        db.engine.dispose()
        db.engines[None] = before
        with administrator(url) as connection:
            connection.execute(sa.text(f'DROP DATABASE "{url.database}"'))


def book_calmly(town: scene.Scene, messages) -> None:
    """The same bodies once each, in this process, with nobody dying."""
    with unit_of_work():
        for body, headers in messages:
            assert service.keep(town.shop, Knock(Headers(headers), body))
    service.drain(town.shop.merchant_id, town.shop.id)
    assert counts()["waiting"] == counts()["quarantined"] == 0
