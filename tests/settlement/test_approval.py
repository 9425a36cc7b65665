"""Four eyes: approved once, by a second person, for exactly what they saw. Also against raw SQL."""

import itertools

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from affiliate import clock
from affiliate.db import db, unit_of_work
from affiliate.people.models import Role, User
from affiliate.people.service import SecondFactorMissing, WrongCode
from affiliate.settlement import queries, rules, service
from affiliate.settlement.models import State
from affiliate.settlement.service.deciding import AlreadyApproved, OtherHash, SelfApproval
from affiliate.settlement.service.states import PeopleOnly, WrongState
from tests.factories.people import a_merchant, a_user
from tests.factories.settlement import (
    THROUGH,
    a_code,
    a_settlement,
    an_entry,
    executed,
    payouts_of,
    with_totp,
)


@pytest.fixture
def settlement(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    return a_settlement(merchant, maker)


def approve(settlement, by, *, seen=None, otp=None):
    with unit_of_work():
        return service.approve(
            settlement.merchant_id,
            settlement.id,
            by=by.id,
            seen=seen or settlement.hash,
            otp=otp or a_code(by),
        )


def test_a_second_person_approves(settlement, checker):
    approve(settlement, checker)

    assert (settlement.state, settlement.approved_by) == ("approved", checker.id)
    assert [each.state for each in payouts_of(settlement)] == ["approved"]


def test_who_made_it_cannot_approve_it(settlement, maker):
    with_totp(maker)

    with pytest.raises(SelfApproval):
        approve(settlement, maker)

    assert settlement.state == "review"


def test_another_hash_is_refused_and_costs_no_code(settlement, checker):
    code = a_code(checker)

    with pytest.raises(OtherHash):
        approve(settlement, checker, seen="0" * 64, otp=code)

    approve(settlement, checker, otp=code)


def test_a_wrong_code_is_refused(settlement, checker):
    with pytest.raises(WrongCode):
        approve(settlement, checker, otp="000000")

    assert settlement.state == "review"


def test_without_a_second_factor_nobody_approves(settlement):
    plain = a_user(Role.FINANCE_CHECKER)

    with pytest.raises(SecondFactorMissing):
        approve(settlement, plain, otp="123456")


def test_a_service_user_does_not_approve(settlement):
    robot = User(name="robot", is_service=True)
    db.session.add(robot)
    db.session.commit()

    with pytest.raises(PeopleOnly):
        approve(settlement, robot, otp="123456")


def test_it_is_approved_once(settlement, checker):
    approve(settlement, checker)

    with pytest.raises(AlreadyApproved):
        approve(settlement, with_totp(a_user(Role.FINANCE_CHECKER)))

    assert settlement.approved_by == checker.id


def test_what_is_still_built_cannot_be_approved(merchant, maker, checker):
    with unit_of_work():
        fresh = service.create(merchant.id, through=THROUGH, by=maker.id, in_background=False)

    with pytest.raises(WrongState):
        approve(fresh, checker, seen="0" * 64)


def test_what_was_approved_cannot_be_discarded(settlement, checker, maker):
    approve(settlement, checker)

    with pytest.raises(WrongState), unit_of_work():
        service.discard(settlement.merchant_id, settlement.id, by=maker.id)


def test_what_was_not_approved_cannot_be_executed(settlement, maker):
    with pytest.raises(WrongState), unit_of_work():
        service.execute(settlement.merchant_id, settlement.id, by=maker.id)


def test_the_hash_speaks_of_accounts_entries_and_amounts(merchant, promoter, maker):
    an_entry(merchant, promoter, 1000)
    settlement = a_settlement(merchant, maker)
    head, line = queries.canonical_lines(settlement)

    (payout,) = payouts_of(settlement)
    assert head.endswith("through 2026-11-01T00:00:00+00:00")
    words = line.split(" ")
    assert words[:5] == ["payout", str(payout.id), "promoter", str(promoter.id), "BRL"]
    assert words[5:7] == ["account", str(payout.account_id)]
    assert words[8:13] == ["file", payout.reference, "1000", "0", "1000"]
    assert words[-2] == "entries"
    assert words[-1].endswith(":1000")
    assert settlement.hash == rules.digest([head, line])


# --- the database itself ---------------------------------------------------------------------


def refused(sql, **given):
    with pytest.raises(DBAPIError) as refusal, db.session.begin_nested():
        db.session.execute(sa.text(sql), given)
    return str(refusal.value.orig)


APPROVE = "UPDATE settlements SET state = 'approved', approved_by = :by, approved_at = now()"


def test_raw_sql_cannot_approve_for_the_maker(settlement, maker):
    assert "four_eyes" in refused(APPROVE, by=maker.id)


def test_raw_sql_cannot_make_somebody_else_the_maker(settlement, checker):
    assert "stay" in refused("UPDATE settlements SET created_by = :by", by=checker.id)
    assert "stay" in refused(
        APPROVE + ", created_by = :other", by=settlement.created_by, other=checker.id
    )


def test_raw_sql_cannot_approve_for_a_service_user(settlement):
    robot = User(name="robot", is_service=True)
    db.session.add(robot)
    db.session.flush()

    assert "service user" in refused(APPROVE, by=robot.id)


def test_raw_sql_cannot_approve_what_does_not_add_up(settlement, checker):
    db.session.execute(sa.text("ALTER TABLE payout_lines DISABLE TRIGGER payout_lines_stay"))
    db.session.execute(sa.text("UPDATE payout_lines SET amount = amount - 1"))

    assert "with gross 1000 and lines of 999" in refused(APPROVE, by=checker.id)
    db.session.rollback()


def test_raw_sql_cannot_change_what_was_approved(settlement, checker):
    approve(settlement, checker)

    assert "stays" in refused("UPDATE settlements SET hash = repeat('0', 64)")
    assert "stays" in refused("UPDATE settlements SET totals = '{}'")
    assert "stays" in refused("UPDATE settlements SET approved_at = now() + interval '1 day'")
    assert "kept" in refused("DELETE FROM settlements")


def test_raw_sql_cannot_approve_a_payout_alone(settlement):
    assert "nobody has approved" in refused("UPDATE payouts SET state = 'approved'")


def test_the_approval_fits_the_state(settlement, checker):
    assert "approved_by_somebody" in refused("UPDATE settlements SET state = 'approved'")
    assert "approved_by_somebody" in refused(
        "UPDATE settlements SET approved_by = :by, approved_at = now()", by=checker.id
    )


def test_the_database_knows_the_same_arrows(merchant, maker, checker):
    """Every step between any two states, asked of both."""
    approval = {"by": checker.id, "now": clock.now()}
    besides = {
        State.APPROVED: ", approved_by = :by, approved_at = :now",
        State.CLOSED: ", ended_at = :now",
        State.DISCARDED: ", ended_at = :now",
    }
    for state, other in itertools.permutations(State, 2):
        row = db.session.begin_nested()
        _put(merchant, maker, state, approval)
        step = f"UPDATE settlements SET state = '{other}'"
        if rules.may_become(state, other):
            db.session.execute(sa.text(step + besides.get(other, "")), approval)
        else:
            assert "does not go this way" in refused(step), (state, other)
        row.rollback()


def _put(merchant, maker, state, approval):
    """A settlement in any state, past the triggers that only allow the way there."""
    db.session.execute(sa.text("SET LOCAL session_replication_role = replica"))
    signed = state in {State.APPROVED, State.EXECUTING, State.CLOSED}
    ended = state in {State.CLOSED, State.DISCARDED}
    db.session.execute(
        sa.text("""
            INSERT INTO settlements (merchant_id, through, currencies, state, created_by, hash,
                                     payees_done, worked_at, totals, version, created_at,
                                     approved_by, approved_at, ended_at)
            VALUES (:merchant, :now, '{}', :state, :maker, 'h', 0, :now, '{}', 1, :now,
                    :signed_by, :signed_at, :ended_at)
        """),
        {
            "merchant": merchant.id,
            "maker": maker.id,
            "state": state,
            "now": approval["now"],
            "signed_by": approval["by"] if signed else None,
            "signed_at": approval["now"] if signed else None,
            "ended_at": approval["now"] if ended else None,
        },
    )
    db.session.execute(sa.text("SET LOCAL session_replication_role = origin"))


def test_a_checker_of_one_payer_approves_there(maker):
    """Whose settlement it is is asked at the door; here only that nothing else is in the way."""
    merchant = a_merchant()
    settlement = a_settlement(merchant, maker)
    theirs = with_totp(a_user(Role.FINANCE_CHECKER, merchant=merchant))

    approve(settlement, theirs)

    executed(settlement, maker)
    assert settlement.state == "closed"
