"""A server that went away between two requests is noticed before the next one is served."""

import sqlalchemy as sa

from affiliate.db import db, unit_of_work


def _me():
    return db.session.scalar(sa.text("SELECT pg_backend_pid()"))


def test_a_dead_connection_is_replaced_before_it_is_used(committed):
    with unit_of_work():
        before = _me()
    _end(before)

    with unit_of_work():
        after = _me()

    assert after != before


def test_with_one_dead_all_idle_ones_are_replaced(committed):
    engine = db.engine
    held = [engine.connect() for _ in range(5)]
    pids = [each.scalar(sa.text("SELECT pg_backend_pid()")) for each in held]
    for each in held:
        each.close()
    for pid in pids:
        _end(pid)

    again = [engine.connect() for _ in range(5)]
    for each in again:
        assert each.scalar(sa.text("SELECT 1")) == 1
        each.close()


def test_a_living_connection_is_kept(committed):
    with unit_of_work():
        before = _me()
    with unit_of_work():
        assert _me() == before


def _end(pid):
    """From outside, and until it is gone."""
    outside = sa.create_engine(db.engine.url, poolclass=sa.NullPool)
    with outside.connect() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
