"""What a settlement takes, what it leaves and why, and that it may be killed anywhere."""

from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from affiliate.commissions.models import State
from affiliate.db import db, unit_of_work
from affiliate.errors import Forbidden, Invalid
from affiliate.ids import decode_pair, encode
from affiliate.money import LARGEST
from affiliate.payouts.models import Payout
from affiliate.people.models import User
from affiliate.settlement import queries, runs, service
from affiliate.settlement.service import building
from tests.factories.people import a_merchant, a_promoter
from tests.factories.settlement import (
    LONG_AGO,
    THROUGH,
    a_settlement,
    an_account,
    an_entry,
    payouts_of,
    states_of,
)


def carried(settlement):
    found = queries.carried_over([settlement])[settlement.id]
    return {(each.reason, each.currency): (each.payees, each.amount) for each in found}


def a_payee(**fields):
    promoter = a_promoter()
    an_account(promoter, **fields)
    return promoter


# --- what is taken ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_through", "state"),
    [
        pytest.param(timedelta(0), State.RESERVED, id="due at the very instant"),
        pytest.param(timedelta(microseconds=1), State.AVAILABLE, id="due a moment later"),
    ],
)
def test_through_has_a_sharp_edge(merchant, promoter, maker, after_through, state):
    entry = an_entry(merchant, promoter, 1000, hold_until=THROUGH + after_through)

    a_settlement(merchant, maker)

    assert states_of(entry) == [state]


def test_what_is_due_is_released_first(merchant, promoter, maker):
    due = an_entry(merchant, promoter, 1000, state=State.PENDING, hold_until=THROUGH)
    later = an_entry(
        merchant, promoter, 500, state=State.PENDING, hold_until=THROUGH + timedelta(seconds=1)
    )

    settlement = a_settlement(merchant, maker)

    assert states_of(due, later) == [State.RESERVED, State.PENDING]
    assert settlement.totals["BRL"]["gross"] == 1000


def test_all_that_was_taken_back_counts_whatever_its_age(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    an_entry(merchant, promoter, 500, hold_until=THROUGH + timedelta(days=1))
    an_entry(merchant, promoter, -300)

    settlement = a_settlement(merchant, maker)

    assert settlement.totals["BRL"]["gross"] == 700


def test_held_money_stays_and_is_named(merchant, promoter, maker):
    held = an_entry(merchant, promoter, 400, on_hold="risk")
    an_entry(merchant, promoter, 1000)

    settlement = a_settlement(merchant, maker)

    assert settlement.totals["BRL"]["gross"] == 1000
    assert states_of(held) == [State.AVAILABLE]
    assert carried(settlement) == {("on_hold", "BRL"): (1, 400)}


def test_currencies_are_apart(merchant, maker):
    promoter = a_payee()
    an_account(promoter, currency="CLP")
    an_entry(merchant, promoter, 1000)
    an_entry(merchant, promoter, 9990, currency="CLP")

    settlement = a_settlement(merchant, maker)

    gross = {currency: each["gross"] for currency, each in settlement.totals.items()}
    assert gross == {"BRL": 1000, "CLP": 9990}


def test_only_the_wanted_currencies(merchant, maker):
    promoter = a_payee()
    an_account(promoter, currency="CLP")
    an_entry(merchant, promoter, 1000)
    other = an_entry(merchant, promoter, 9990, currency="CLP")

    settlement = a_settlement(merchant, maker, currencies=["BRL"])

    assert list(settlement.totals) == ["BRL"]
    assert settlement.payees_total == 1
    assert states_of(other) == [State.AVAILABLE]


def test_nobody_pays_for_another_merchant(merchant, promoter, maker):
    other = a_merchant("Other")
    theirs = an_entry(other, promoter, 5000)
    an_entry(merchant, promoter, 1000)

    settlement = a_settlement(merchant, maker)

    assert settlement.totals["BRL"]["gross"] == 1000
    assert states_of(theirs) == [State.AVAILABLE]


def test_the_largest_amounts_are_paid(merchant, promoter, maker):
    for _ in range(3):
        an_entry(merchant, promoter, LARGEST)

    settlement = a_settlement(merchant, maker)

    assert payouts_of(settlement)[0].gross == 3 * LARGEST


def test_an_empty_settlement_is_ready_for_review(merchant, maker):
    settlement = a_settlement(merchant, maker)

    assert settlement.state == "review"
    assert settlement.totals == {}
    assert (settlement.payees_done, settlement.payees_total) == (0, 0)


# --- what is left, and why -------------------------------------------------------------------


def test_what_is_not_paid_carries_over_with_its_reason(app, maker):
    merchant = a_merchant(minimum_payout=1000)
    an_entry(merchant, a_payee(), 1000)  # paid
    an_entry(merchant, a_payee(), 999)
    an_entry(merchant, a_promoter(), 5000)
    an_entry(merchant, a_payee(currency="USD"), 2000)
    an_entry(merchant, a_payee(), -70)

    settlement = a_settlement(merchant, maker)

    assert [each.gross for each in payouts_of(settlement)] == [1000]
    assert carried(settlement) == {
        ("below_minimum", "BRL"): (1, 999),
        ("no_account", "BRL"): (2, 7000),
        ("negative", "BRL"): (1, -70),
    }
    assert (settlement.payees_done, settlement.payees_total) == (5, 5)


def test_an_account_of_a_rail_that_is_gone_carries_over(merchant, promoter, maker, monkeypatch):
    an_entry(merchant, promoter, 1000)
    monkeypatch.setattr("affiliate.payouts.rails.offered", lambda: ["pix"])

    settlement = a_settlement(merchant, maker)

    assert carried(settlement) == {("no_rail", "BRL"): (1, 1000)}


def test_who_has_to_ask_is_not_paid_unasked(maker):
    merchant = a_merchant(payout_mode="on_request")
    an_entry(merchant, a_payee(), 1000)

    settlement = a_settlement(merchant, maker)

    assert carried(settlement) == {("not_requested", "BRL"): (1, 1000)}


def test_a_replaced_account_is_not_used(merchant, promoter, maker):
    new = an_account(promoter)
    an_entry(merchant, promoter, 1000)

    (payout,) = payouts_of(a_settlement(merchant, maker))

    assert payout.account_id == new.id


# --- who may make one ------------------------------------------------------------------------


def test_the_future_is_refused(merchant, maker, app, monkeypatch, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    strict = app.config["SETTINGS"].model_copy(update={"allow_future": False})
    monkeypatch.setitem(app.config, "SETTINGS", strict)

    with pytest.raises(Invalid) as refusal:
        service.create(merchant.id, through=now + timedelta(seconds=1), by=maker.id)

    assert refusal.value.errors[0].pointer == "/through"
    service.create(merchant.id, through=now, by=maker.id)


def test_a_service_user_makes_none(merchant):
    robot = User(name="robot", is_service=True)
    db.session.add(robot)
    db.session.flush()

    with pytest.raises(Forbidden):
        service.create(merchant.id, through=THROUGH, by=robot.id)

    assert "service user" in refused(
        """INSERT INTO settlements (merchant_id, through, currencies, state, created_by,
                                    payees_done, worked_at, totals, version, created_at)
           VALUES (:m, now(), '{}', 'building', :robot, 0, now(), '{}', 1, now())""",
        m=merchant.id,
        robot=robot.id,
    )


def test_the_bell_rings_after_the_commit(merchant, maker, rung):
    with unit_of_work():
        settlement = service.create(merchant.id, through=THROUGH, by=maker.id)
        assert rung == []

    assert rung == [("workers.settlement.build", merchant.id, settlement.id)]


# --- chunks and kills ------------------------------------------------------------------------


def begun(merchant, maker):
    with unit_of_work():
        return service.create(merchant.id, through=THROUGH, by=maker.id, in_background=False)


def three_payees(merchant):
    with unit_of_work():
        return [an_entry(merchant, a_payee(), amount) for amount in (100, 200, 300)]


@pytest.mark.parametrize("size", [1, 2, 5000])
def test_chunks_of_any_size_make_the_same_payouts(merchant, maker, size):
    three_payees(merchant)
    settlement = begun(merchant, maker)

    progress = [
        (each.done, each.total)
        for each in runs.build(merchant.id, settlement.id, size=size)
        if each.step == "building"
    ]

    assert sorted(each.gross for each in payouts_of(settlement)) == [100, 200, 300]
    assert progress[-1] == (3, 3)
    assert len(set(progress)) == -(-3 // size)


class Killed(BaseException):
    """Like a SIGKILL: nothing in the program gets to handle it."""


def die(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    ("module", "name", "chunks_before"),
    [
        (building.commissions, "release", 0),
        (building.payouts, "count_payees", 0),
        (building.payouts, "draft", 1),
        (building, "_write_the_rest", 0),
        (building.payouts, "reserve", 2),
        (building, "_finish", 0),
        (building.payouts, "move_all", 0),
        (building, "add_up", 0),
    ],
)
def test_a_build_killed_anywhere_goes_on_and_pays_once(
    merchant, maker, monkeypatch, module, name, chunks_before
):
    entries = three_payees(merchant)
    settlement = begun(merchant, maker)
    steps = runs.build(merchant.id, settlement.id, size=1)
    for _ in range(chunks_before):
        next(steps)
    with monkeypatch.context() as deadly, suppress(Killed):
        deadly.setattr(module, name, die)
        for _ in steps:
            pass
    db.session.rollback()

    for _ in runs.build(merchant.id, settlement.id, size=1):
        pass

    assert sorted(each.gross for each in payouts_of(settlement)) == [100, 200, 300]
    assert states_of(*entries) == [State.RESERVED] * 3
    db.session.refresh(settlement)
    assert settlement.state == "review"
    assert settlement.payees_done == 3


def test_building_again_changes_nothing(merchant, maker):
    three_payees(merchant)
    settlement = begun(merchant, maker)
    for _ in range(2):
        for _ in runs.build(merchant.id, settlement.id):
            pass

    assert len(payouts_of(settlement)) == 3
    db.session.refresh(settlement)
    assert settlement.version == 2


def test_what_is_released_meanwhile_waits_for_the_next_one(merchant, maker):
    three_payees(merchant)
    settlement = begun(merchant, maker)
    steps = runs.build(merchant.id, settlement.id, size=1)
    next(steps)
    (first,) = payouts_of(settlement)
    late = an_entry(merchant, db_promoter(first.payee_id), 50, hold_until=LONG_AGO)
    db.session.commit()

    for _ in steps:
        pass

    assert sorted(each.gross for each in payouts_of(settlement)) == [100, 200, 300]
    assert states_of(late) == [State.AVAILABLE]


def db_promoter(promoter_id):
    from affiliate.people import queries as people

    return people.promoter(promoter_id)


def test_a_discarded_settlement_is_built_no_further(merchant, maker):
    three_payees(merchant)
    settlement = begun(merchant, maker)
    steps = runs.build(merchant.id, settlement.id, size=1)
    next(steps)
    with unit_of_work():
        service.discard(merchant.id, settlement.id, by=maker.id)

    assert len(list(steps)) == 1

    assert [each.state for each in payouts_of(settlement)] == ["cancelled"]
    db.session.refresh(settlement)
    assert settlement.state == "discarded"


def test_the_job_builds_and_the_sweep_finds_what_was_lost(merchant, maker, rung, clock):
    from workers import settlement as jobs

    clock.stand("2026-11-22T10:00:00Z")
    three_payees(merchant)
    settlement = begun(merchant, maker)
    jobs.sweep()
    assert rung == []  # it was touched just now
    clock.move(seconds=61)

    jobs.sweep()

    assert rung == [("workers.settlement.build", merchant.id, settlement.id)]
    jobs.build(*rung[0][1:])
    db.session.refresh(settlement)
    assert settlement.state == "review"
    rung.clear()
    clock.move(hours=1)
    jobs.sweep()
    assert rung == []


def test_a_long_build_takes_turns(merchant, maker, rung, monkeypatch):
    from workers import settlement as jobs

    monkeypatch.setattr(jobs, "TURN_SECONDS", 0)
    monkeypatch.setattr(jobs.runs.build, "__kwdefaults__", {"size": 1})
    three_payees(merchant)
    settlement = begun(merchant, maker)

    turns = 0
    while settlement.state == "building":
        jobs.build(merchant.id, settlement.id)
        assert rung.pop() == ("workers.settlement.build", merchant.id, settlement.id)
        db.session.refresh(settlement)
        turns += 1

    assert turns == 7  # three to make the payouts, three to have them wait, one to look
    assert sorted(each.gross for each in payouts_of(settlement)) == [100, 200, 300]


# --- what the database itself refuses --------------------------------------------------------


def refused(sql, **given):
    """This raw statement is refused, whoever sends it."""
    with pytest.raises(DBAPIError) as refusal, db.session.begin_nested():
        db.session.execute(sa.text(sql), given)
    return str(refusal.value.orig)


def copied(settlement_id, **changes):
    """SQL that copies the only payout there is into another settlement, as a draft."""
    columns = [each.key for each in Payout.__table__.columns if each.key != "id"]
    changes = {"settlement_id": settlement_id, "state": "'draft'", "reference": "'TK1'"} | changes
    values = ", ".join(str(changes.get(each, each)) for each in columns)
    return f"INSERT INTO payouts ({', '.join(columns)}) SELECT {values} FROM payouts"


def test_an_entry_has_one_live_payout(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    a_settlement(merchant, maker)
    other = begun(merchant, maker)
    db.session.execute(sa.text(copied(other.id)))
    second = db.session.scalar(sa.select(Payout).filter_by(settlement_id=other.id))

    assert "one_live" in refused(
        "INSERT INTO payout_lines SELECT merchant_id, :p, entry_id, amount, true FROM payout_lines",
        p=second.id,
    )
    db.session.rollback()


def test_a_line_lives_as_long_as_its_payout_and_is_never_changed(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    a_settlement(merchant, maker)

    assert "its payout lives" in refused("UPDATE payout_lines SET live = false")
    assert "kept" in refused("DELETE FROM payout_lines")
    assert "stays" in refused("UPDATE payout_lines SET amount = 2000")


def test_amount_account_and_reference_of_a_payout_stay(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    a_settlement(merchant, maker)
    other = an_account(promoter)

    for change in ("gross = 1, net = 1", f"account_id = {other.id}", "reference = 'TK0'",
                   "payee_id = payee_id + 1", "settlement_id = settlement_id + 1"):  # fmt: skip
        assert "stay" in refused(f"UPDATE payouts SET {change}")
    assert "kept" in refused("DELETE FROM payouts")


def test_nothing_is_slipped_into_a_finished_settlement(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    settlement = a_settlement(merchant, maker)
    (payout,) = payouts_of(settlement)
    extra = an_entry(merchant, promoter, 500)

    assert "draft of its own payee" in refused(
        "INSERT INTO payout_lines VALUES (:m, :p, :e, 500, true)",
        m=merchant.id, p=payout.id, e=extra.id,
    )  # fmt: skip
    assert "only while its settlement is built" in refused(
        copied(settlement.id, payee_id="payee_id + 1")
    )


def test_a_line_is_of_a_payout_and_an_entry_that_are_there(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    a_settlement(merchant, maker)
    other = begun(merchant, maker)
    db.session.execute(sa.text(copied(other.id)))
    draft = db.session.scalar(sa.select(Payout).filter_by(settlement_id=other.id))
    extra = an_entry(merchant, promoter, 500)

    for payout_id, entry_id in ((draft.id, extra.id + 10**6), (draft.id + 10**6, extra.id)):
        assert "draft of its own payee" in refused(
            "INSERT INTO payout_lines VALUES (:m, :p, :e, 500, true)",
            m=merchant.id, p=payout_id, e=entry_id,
        )  # fmt: skip
    db.session.rollback()


def test_what_was_earned_stays_where_payouts_find_it(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    a_settlement(merchant, maker)

    assert "what was earned is kept" in refused("DELETE FROM entries")
    assert "kept" in refused("TRUNCATE entries CASCADE")
    assert "keeps its key" in refused("UPDATE entries SET id = id + 1000000")


def test_a_payout_goes_to_an_account_of_its_own_payee(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    a_settlement(merchant, maker)
    stranger = an_account(a_promoter())
    other = begun(merchant, maker)

    assert "its own payee" in refused(copied(other.id, account_id=stranger.id))


def test_public_ids_lead_to_the_settlement(merchant, maker):
    settlement = a_settlement(merchant, maker)

    shown = encode("stl", merchant.id, settlement.id)

    assert queries.find(*decode_pair("stl", shown)).id == settlement.id
