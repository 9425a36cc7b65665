"""Clicks that could not be written down are told, once an hour and by nobody twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.events import Event
from affiliate.links import lookup, losses
from affiliate.links.lookup import Lookup, Watch
from affiliate.links.models import LostClicks
from affiliate.links.spool import Lost

FULL = Lost(3, "[Errno 28] No space left on device")


def letters():
    return db.session.scalar(
        sa.select(sa.func.count()).select_from(Event).where(Event.name == losses.EVENT)
    )


def test_a_letter_goes_out_at_first_and_once_an_hour(clock):
    clock.stand("2026-11-22T12:00:00Z")
    for minutes, expected in ((0, 1), (59, 1), (2, 2)):
        clock.move(minutes=minutes)
        with unit_of_work():
            losses.note(FULL)
        assert letters() == expected

    assert losses.latest() == losses.Losses(9, clock.move(), FULL.trouble)
    clock.move(days=2)
    assert losses.latest() is None
    clock.move(days=30)
    losses.forget()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(LostClicks)) == 0


def test_processes_that_lose_clicks_at_once_write_one_letter(app, committed):
    begin = threading.Barrier(4)

    def one(_):
        with app.app_context():
            begin.wait()
            with unit_of_work():
                losses.note(FULL)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))

    assert letters() == 1
    assert losses.latest().clicks == 12


def test_what_could_not_be_told_is_told_the_next_time(app, monkeypatch):
    spool = app.extensions["spool"]
    spool._lost, spool._trouble = 5, FULL.trouble
    watch = Watch(app, Lookup())
    with monkeypatch.context() as away:
        away.setattr(lookup.losses, "note", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watch._tell_lost()

    watch._tell_lost()
    watch._tell_lost()

    assert losses.latest().clicks == 5
    assert spool.take_lost() is None
