"""The sponsor tree has no circles whoever writes, and its history is kept."""

import random
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.people import queries, service
from affiliate.people.models import Promoter, Sponsorship
from affiliate.people.service import SponsorCycle
from tests.factories.people import a_promoter

CIRCLES = sa.text("""
    WITH RECURSIVE up AS (
        SELECT id AS start, sponsor_id, 1 AS depth FROM promoters WHERE sponsor_id IS NOT NULL
        UNION ALL
        SELECT up.start, p.sponsor_id, depth + 1
          FROM up JOIN promoters p ON p.id = up.sponsor_id
         WHERE p.sponsor_id IS NOT NULL AND depth < 200
    )
    SELECT count(*) FROM up WHERE sponsor_id = start OR depth >= 200
""")


def a_line(length: int) -> list[Promoter]:
    """The first is at the top, each is sponsored by the one before."""
    line = [a_promoter()]
    while len(line) < length:
        line.append(a_promoter(sponsor=line[-1]))
    return line


def names(*promoters: Promoter) -> list[int]:
    return [promoter.id for promoter in promoters]


def test_a_branch_moves_with_everybody_below():
    top, middle, low = a_line(3)
    other = a_promoter()

    service.move_sponsor(middle, other.id)

    now = datetime.now(UTC)
    assert queries.uplines([(low.id, now)], 5) == {(low.id, now): names(middle, other)}
    assert top.id not in queries.uplines([(low.id, now)], 5)[low.id, now]


@pytest.mark.parametrize("below", [0, 1, 2])
def test_nobody_comes_under_their_own_branch(below):
    line = a_line(3)

    with pytest.raises(SponsorCycle):
        service.move_sponsor(line[0], line[below].id)

    assert line[0].sponsor_id is None
    assert db.session.scalar(CIRCLES) == 0


def test_the_database_itself_refuses_a_circle_in_raw_sql():
    top, low = a_line(2)

    with pytest.raises(sa.exc.IntegrityError, match="above its own sponsor"):
        db.session.execute(
            sa.text("UPDATE promoters SET sponsor_id = :low WHERE id = :top"),
            {"low": low.id, "top": top.id},
        )


def test_one_statement_that_turns_a_tree_round_is_refused():
    first, second = a_promoter(), a_promoter()

    with pytest.raises(sa.exc.IntegrityError, match="above its own sponsor"):
        db.session.execute(
            sa.text(
                "UPDATE promoters SET sponsor_id = CASE id WHEN :a THEN :b ELSE :a END"
                " WHERE id IN (:a, :b)"
            ),
            {"a": first.id, "b": second.id},
        )


def test_two_new_rows_cannot_name_each_other():
    with pytest.raises(sa.exc.IntegrityError, match="is not there yet"):
        db.session.execute(
            sa.text("""
                INSERT INTO promoters (id, name, sponsor_id, locale, profile, version, created_at)
                VALUES (901, 'a', 902, 'en', '{}', 1, now()), (902, 'b', 901, 'en', '{}', 1, now())
            """)
        )


def test_an_unknown_sponsor_is_refused():
    with pytest.raises(Invalid):
        service.move_sponsor(a_promoter(), 10**12)


def test_a_move_under_an_old_snapshot_is_refused(committed):
    with unit_of_work():
        _top, low = a_line(2)

    move = sa.text("UPDATE promoters SET sponsor_id = NULL WHERE id = :low")
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        with pytest.raises(sa.exc.NotSupportedError, match="REPEATABLE READ"):
            connection.execute(move, {"low": low.id})
        connection.rollback()


def test_history_answers_for_every_instant(clock):
    clock.stand("2026-01-01T00:00:00Z")
    first, second = a_promoter(), a_promoter()
    bruna = a_promoter(sponsor=first)
    clock.stand("2026-02-01T00:00:00Z")
    service.move_sponsor(bruna, second.id)
    clock.stand("2026-03-01T00:00:00Z")
    service.move_sponsor(bruna, None)

    def above(text: str) -> list[int]:
        at = datetime.fromisoformat(text)
        return queries.uplines([(bruna.id, at)], 3)[bruna.id, at]

    assert above("2025-12-31T23:59:59Z") == []
    assert above("2026-01-01T00:00:00Z") == names(first)
    assert above("2026-01-31T23:59:59.999999Z") == names(first)
    assert above("2026-02-01T00:00:00Z") == names(second)
    assert above("2026-03-01T00:00:00Z") == []


def test_many_are_asked_for_in_one_statement():
    line = a_line(5)
    lone = a_promoter()
    now = datetime.now(UTC)
    asked = [(promoter.id, now) for promoter in [*line, lone]]
    seen = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))

    found = queries.uplines([*asked, *asked], 3)

    assert len(seen) == 1
    assert found[line[4].id, now] == names(line[3], line[2], line[1])
    assert found[line[0].id, now] == []
    assert found[lone.id, now] == []
    assert queries.uplines([], 3) == {}


def test_a_raw_update_keeps_the_history_too():
    top, low = a_line(2)

    db.session.execute(sa.text("UPDATE promoters SET sponsor_id = NULL WHERE id = :id"),
                       {"id": low.id})  # fmt: skip

    (row,) = db.session.scalars(sa.select(Sponsorship).filter_by(promoter_id=low.id))
    assert row.until is not None
    assert row.sponsor_id == top.id


def test_a_clock_that_goes_back_leaves_no_gap_and_no_overlap(clock):
    clock.stand("2026-02-01T00:00:00Z")
    first, second = a_promoter(), a_promoter()
    bruna = a_promoter(sponsor=first)
    clock.move(hours=-1)

    service.move_sponsor(bruna, second.id)

    rows = db.session.scalars(
        sa.select(Sponsorship).filter_by(promoter_id=bruna.id).order_by(Sponsorship.id)
    ).all()
    assert rows[0].since == rows[0].until == rows[1].since


def test_suspensions_are_judged_as_of_their_time(clock):
    begin = clock.stand("2026-02-01T00:00:00Z")
    bruna = a_promoter()
    clock.move(days=1)
    service.suspend(bruna)
    service.suspend(bruna)
    clock.move(days=1)
    service.resume(bruna)
    service.resume(bruna)

    days = [(bruna.id, begin + timedelta(days=day)) for day in range(4)]

    assert queries.suspended(days) == {days[1]}
    assert bruna.suspended_at is None


def test_branches_moved_at_random_by_eight_threads_never_close_a_circle(app, committed):
    with unit_of_work():
        ids = names(*a_line(12))
    stop = time.monotonic() + 1
    moved, refused, broken = [], [], []

    def move(seed: int) -> None:
        dice = random.Random(seed)
        while time.monotonic() < stop:
            one, other = dice.sample(ids, 2)
            try:
                with app.app_context(), unit_of_work():
                    service.move_sponsor(db.session.get_one(Promoter, one), other)
                moved.append(one)
            except SponsorCycle:
                refused.append(one)
            except BaseException as error:
                broken.append(error)
                raise

    threads = [threading.Thread(target=move, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert broken == []
    assert moved
    assert refused
    assert db.session.scalar(CIRCLES) == 0
    assert db.session.scalar(sa.text(OVERLAPS)) == 0


OVERLAPS = """
    SELECT count(*) FROM sponsorships a JOIN sponsorships b
        ON a.promoter_id = b.promoter_id AND a.id < b.id
       AND a.since < coalesce(b.until, 'infinity') AND b.since < coalesce(a.until, 'infinity')
"""
