"""Webhooks that arrive at once are stored together, and each is answered for itself."""

from threading import Event as Signal
from threading import Thread

import pytest
import sqlalchemy as sa

from affiliate.catalog import queries as catalog
from affiliate.db import db, unit_of_work
from affiliate.intake import service
from affiliate.intake.models import Event
from tests.factories.catalog import a_shop


@pytest.fixture
def shop(committed):
    with unit_of_work():
        made = a_shop()
    return catalog.door(made.merchant_id, made.id)


def a_row(shop, key, **changed):
    return {
        "merchant_id": shop.merchant_id,
        "shop_id": shop.id,
        "credentials": shop.credentials,
        "dedup_key": key,
        "order_key": key,
        "topic": "orders/paid",
        "body": b"\x00sealed",
        "thin": False,
        "goods": False,
        "now": service.clock.now(),
    } | changed


def at_once(app, monkeypatch, rows):
    """All of them while the first is being stored. What each was told, by its place, and how many
    went into each statement.
    """
    together, begun, go = service.Together(), Signal(), Signal()
    sizes, told, store = [], {}, service._keep_all

    def slow(batch):
        sizes.append(len(batch))
        begun.set()
        assert go.wait(20)
        store(batch)

    def keep(place, row):
        with app.app_context():
            try:
                told[place] = together.keep(row)
            except Exception as error:
                told[place] = type(error).__name__

    monkeypatch.setattr(service, "_keep_all", slow)
    threads = [Thread(target=keep, args=each) for each in enumerate(rows)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len(together._waiting) < len(rows) - 1:
        pass
    go.set()
    for thread in threads:
        thread.join(20)
    return told, sizes


def stored():
    return sorted(db.session.scalars(sa.select(Event.dedup_key)))


def test_what_waits_goes_into_one_statement_and_rings_once_for_it(app, shop, monkeypatch, rung):
    rows = [a_row(shop, f"d{number}") for number in range(9)]

    told, sizes = at_once(app, monkeypatch, rows)

    assert sizes == [1, 8]
    assert set(told.values()) == {True}
    assert stored() == [f"d{number}" for number in range(9)]
    assert len(rung) == len(sizes)


def test_no_statement_takes_more_than_some(app, shop, monkeypatch):
    rows = [a_row(shop, f"d{number:02}") for number in range(20)]

    told, sizes = at_once(app, monkeypatch, rows)

    assert sizes == [1, 16, 3]
    assert set(told.values()) == {True}
    assert len(stored()) == 20


def test_the_same_is_kept_once_and_a_shop_that_changed_takes_nothing(app, shop, monkeypatch):
    rows = [a_row(shop, "a"), a_row(shop, "b"), a_row(shop, "b"), a_row(shop, "a"),
            a_row(shop, "c", credentials=b"old")]  # fmt: skip

    told, _ = at_once(app, monkeypatch, rows)

    assert told[0] is True
    assert sorted([told[1], told[2]]) == [False, True]
    assert (told[3], told[4]) == (False, False)
    assert stored() == ["a", "b"]


def test_what_spoils_the_statement_fails_alone(app, shop, monkeypatch):
    rows = [a_row(shop, "a"), a_row(shop, "b"), a_row(shop, "c", topic="\0"), a_row(shop, "d")]

    told, _ = at_once(app, monkeypatch, rows)

    assert told == {0: True, 1: True, 2: "DataError", 3: True}
    assert stored() == ["a", "b", "d"]


def test_nobody_is_told_yes_when_nothing_could_be_stored(app, shop, monkeypatch):
    def broken(*_):
        raise SystemExit

    monkeypatch.setattr(service, "alone", broken)
    together = service.Together()

    with pytest.raises(SystemExit):
        together.keep(a_row(shop, "a"))
    monkeypatch.undo()

    assert together.keep(a_row(shop, "b")) is True  # the next finds the place free
    assert stored() == ["b"]
