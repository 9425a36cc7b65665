"""The test bed itself: what the other tests rely on."""

import sqlalchemy as sa

from affiliate import clock as time
from affiliate import jobs
from affiliate.db import db, unit_of_work

COUNT = sa.text("SELECT count(*) FROM bed")


def test_what_a_test_commits_is_gone_in_the_next(app):
    for _ in range(2):
        assert not db.session.scalar(sa.text("SELECT to_regclass('bed')"))
    with unit_of_work():
        db.session.execute(sa.text("CREATE TABLE bed (n int)"))
    db.session.rollback()

    assert db.session.scalar(sa.text("SELECT to_regclass('bed')"))


def test_what_a_test_commits_is_gone_in_the_next_again(app):
    test_what_a_test_commits_is_gone_in_the_next(app)


def test_committed_work_is_seen_by_other_connections(committed):
    with unit_of_work():
        db.session.execute(sa.text("CREATE TABLE bed (n int)"))
        db.session.execute(sa.text("INSERT INTO bed VALUES (1)"))

    with db.engine.connect() as other:
        assert other.scalar(COUNT) == 1


def test_bells_are_noted_after_the_commit(rung):
    with unit_of_work():
        jobs.ring(jobs.Job.DRAIN_INBOX, 7, once_per_ms=100)
        assert rung == []

    assert rung == [("workers.intake.drain", 7)]


def test_the_clock_stands_and_moves(clock):
    began = clock.stand("2026-11-22T10:00:00Z")

    assert time.now() == began
    clock.move(hours=1)
    assert time.now().hour == 11
