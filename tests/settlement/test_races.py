"""Real connections at the same moment: nothing is paid twice, and somebody always wins."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from affiliate.commissions import service as commissions
from affiliate.commissions.models import Commission, Entry, State
from affiliate.db import db, unit_of_work
from affiliate.payouts import calling
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Payout, PayoutLine
from affiliate.payouts.service import WrongState
from affiliate.people.models import Role
from affiliate.settlement import queries, runs, service
from affiliate.settlement.service.deciding import AlreadyApproved, OtherHash
from tests.factories.people import a_promoter, a_user
from tests.factories.settlement import (
    THROUGH,
    a_code,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    states_of,
    with_totp,
)
from tests.payouts.sandbox import owed


@pytest.fixture
def at_once(app, committed):
    """Run these at the same moment, each with its own session; what they raise is returned."""

    def run(*functions):
        begin = threading.Barrier(len(functions))

        def one(function):
            with app.app_context():
                begin.wait()
                try:
                    return function()
                except Exception as error:
                    return error

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(one, functions))

    return run


def begun(merchant, maker):
    with unit_of_work():
        return service.create(merchant.id, through=THROUGH, by=maker.id, in_background=False)


def payees(merchant, count):
    with unit_of_work():
        for _ in range(count):
            promoter = a_promoter()
            an_account(promoter)
            an_entry(merchant, promoter, 100)
            an_entry(merchant, promoter, -30)


def build(merchant_id, settlement_id, size=5):
    return lambda: list(runs.build(merchant_id, settlement_id, size=size))


def test_two_settlements_of_one_payer_never_pay_an_entry_twice(merchant, maker, at_once):
    payees(merchant, 24)
    ours = [begun(merchant, maker).id for _ in range(3)]

    results = at_once(*(build(merchant.id, each) for each in ours))

    assert not [each for each in results if isinstance(each, Exception)]
    counts = db.session.execute(
        sa.select(sa.func.count(), sa.func.count(PayoutLine.entry_id.distinct()))
    ).one()
    assert tuple(counts) == (48, 48)
    assert db.session.scalar(sa.select(sa.func.sum(Payout.gross))) == 24 * 70


def test_two_workers_share_one_settlement(merchant, maker, at_once):
    payees(merchant, 24)
    settlement = begun(merchant, maker)

    results = at_once(*[build(merchant.id, settlement.id)] * 3)

    assert not [each for each in results if isinstance(each, Exception)]
    db.session.refresh(settlement)
    assert settlement.state == "review"
    assert (settlement.payees_done, settlement.payees_total) == (24, 24)
    assert settlement.totals["BRL"]["payouts"] == 24


def test_a_refund_in_the_same_moment_is_seen_or_waits(merchant, promoter, maker, app, committed):
    with unit_of_work():
        entry = an_entry(merchant, promoter, 1000)
        stays = an_entry(merchant, promoter, 50, on_hold="risk")
    settlement = begun(merchant, maker)
    commission = db.session.get_one(Commission, (merchant.id, entry.commission_id))
    # The refund has taken the money in the books, but is not stored yet.
    lost = an_entry(merchant, promoter, -1000, commission=commission)

    def in_another_session():
        with app.app_context():
            return list(runs.build(merchant.id, settlement.id))

    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(in_another_session)
        _wait_until_somebody_waits()
        db.session.commit()
        building.result(timeout=30)

    # The build read 1000, was refused by the books, read again, and saw that nothing is left.
    db.session.expire_all()
    assert payouts_of(settlement) == []
    assert states_of(entry, lost, stays) == [State.RESERVED, State.RESERVED, State.AVAILABLE]
    assert settlement.state == "review"


def _wait_until_somebody_waits():
    waiting = sa.text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """)
    with db.engine.connect() as other:
        for _ in range(500):
            if other.scalar(waiting):
                return
            other.rollback()
            threading.Event().wait(0.02)
    raise AssertionError("the build did not meet the refund")


def test_of_two_approvers_one_wins(merchant, promoter, maker, checker, at_once):
    with unit_of_work():
        second = with_totp(a_user(Role.FINANCE_CHECKER))
        an_entry(merchant, promoter, 1000)
    settlement = a_settlement(merchant, maker)
    codes = {each.id: a_code(each) for each in (checker, second)}
    db.session.commit()

    def approve(user_id):
        def run():
            with unit_of_work():
                return service.approve(
                    merchant.id, settlement.id, by=user_id, seen=settlement.hash, otp=codes[user_id]
                ).approved_by

        return run

    results = at_once(*(approve(each) for each in codes))

    (winner,) = [each for each in results if each in codes]
    assert [type(each) for each in results if each != winner] == [AlreadyApproved]
    db.session.refresh(settlement)
    assert settlement.approved_by == winner


@pytest.mark.parametrize("steps", [1, 3])
def test_two_who_release_in_many_steps_share_what_is_due(merchant, at_once, steps):
    with unit_of_work():
        promoters = [a_promoter() for _ in range(4)]
        for number in range(40):
            an_entry(merchant, promoters[number % 4], 100 + number, state=State.PENDING)

    def release():
        ahead, done = commissions.Ahead(steps), 0
        while True:
            with unit_of_work():
                changed = commissions.release(merchant.id, THROUGH, 3, ahead)
            if not changed:
                return done
            done += changed

    assert sum(at_once(release, release, release)) + release() == 40
    assert set(db.session.scalars(sa.select(Entry.state))) == {State.AVAILABLE}


def test_what_was_read_ahead_and_changed_since_is_passed_over(merchant, promoter):
    with unit_of_work():
        entries = [
            an_entry(merchant, promoter, 100 + number, state=State.PENDING) for number in range(4)
        ]
    ahead = commissions.Ahead()
    with unit_of_work():
        assert commissions.release(merchant.id, THROUGH, 1, ahead) == 1
    with unit_of_work():
        db.session.execute(
            sa.update(Entry).where(Entry.id == entries[1].id).values(on_hold="dispute")
        )

    for left in (1, 1, 0):
        with unit_of_work():
            assert commissions.release(merchant.id, THROUGH, 1, ahead) == left
    states = db.session.scalars(sa.select(Entry.state).order_by(Entry.id)).all()
    assert states == ["available", "pending", "available", "available"]


def test_a_payout_is_either_cancelled_or_handed_over(merchant, promoter, maker, checker, at_once):
    with unit_of_work():
        entry = an_entry(merchant, promoter, 1000)
    settlement = approved(a_settlement(merchant, maker), checker)
    with unit_of_work():
        service.execute(merchant.id, settlement.id, by=maker.id)
    (payout,) = payouts_of(settlement)

    def cancel():
        with unit_of_work():
            service.cancel_payout(merchant.id, payout.id, by=maker.id, reason="stop")

    results = at_once(cancel, lambda: runs.execute(merchant.id, settlement.id))

    db.session.expire_all()
    files = queries.files(merchant.id, settlement.id)
    if payouts_of(settlement)[0].state == "cancelled":
        assert (files, states_of(entry)) == ([], [State.AVAILABLE])
    else:
        assert isinstance(results[0], WrongState)
        assert (len(files), states_of(entry)) == (1, [State.RESERVED])


def test_two_accounts_at_once_leave_one_live(promoter, at_once):
    from affiliate.payouts.models import PayoutAccount
    from affiliate.people import queries as people

    def add(number):
        def run():
            with unit_of_work():
                an_account(
                    people.promoter(promoter.id),
                    account_holder="Bruna", bank_code="1", account_number=number,
                )  # fmt: skip

        return run

    results = at_once(*(add(f"1000{number}") for number in range(6)))

    assert results == [None] * 6
    live = sa.select(PayoutAccount).where(PayoutAccount.replaced_at.is_(None))
    assert len(db.session.scalars(live).all()) == 1


def test_two_executions_hints_and_polls_at_once_send_each_payout_once(
    merchant, maker, checker, sandbox, at_once
):
    owed(merchant, *["ordinary"] * 30)
    settlement = approved(a_settlement(merchant, maker), checker)
    key = (merchant.id, settlement.id)
    with unit_of_work():
        service.execute(*key, by=maker.id)
    ids = [each.id for each in payouts_of(settlement)]

    results = at_once(
        *[lambda: runs.execute(*key)] * 3,
        lambda: list(calling.ask_due()),
        lambda: [calling.ask(merchant.id, each) for each in ids],
    )

    assert not [each for each in results if isinstance(each, Exception)]
    assert {each.state for each in payouts_of(settlement)} <= {"accepted", "paid"}
    assert sandbox.calls("sent") == {each.reference: 1 for each in payouts_of(settlement)}


def test_a_payout_is_cancelled_or_sent_but_not_both(merchant, maker, checker, sandbox, at_once):
    owed(merchant, *["at-once"] * 6)
    settlement = approved(a_settlement(merchant, maker), checker)
    key = (merchant.id, settlement.id)
    with unit_of_work():
        service.execute(*key, by=maker.id)

    def cancel(payout_id):
        with unit_of_work():
            service.cancel_payout(merchant.id, payout_id, by=maker.id, reason="stop")

    ids = [each.id for each in payouts_of(settlement)]
    at_once(*[lambda each=each: cancel(each) for each in ids[:3]], lambda: runs.execute(*key))

    for payout in payouts_of(settlement):
        assert (payout.state, payout.reference in sandbox.transfers()) in {
            ("paid", True),
            ("cancelled", False),
        }


def test_two_confirmations_at_once_end_it_once(merchant, maker, checker, sandbox, at_once):
    owed(merchant, "error-after")
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(settlement)
    key = (merchant.id, payout.id)
    with unit_of_work():
        third = a_user(Role.FINANCE_CHECKER)
        payouts.state_outcome(*key, by=maker.id, outcome="failed", proof="a letter")

    def confirm(by):
        with unit_of_work():
            payouts.confirm_outcome(*key, by=by)

    results = at_once(lambda: confirm(checker.id), lambda: confirm(third.id))

    assert len([each for each in results if isinstance(each, WrongState)]) == 1
    assert payouts_of(settlement)[0].state == "failed"


def test_a_hold_against_an_approval_pays_nothing_that_is_held(
    merchant, promoter, maker, checker, at_once
):
    with unit_of_work():
        held = an_entry(merchant, promoter, 1000)
        other = a_promoter()
        an_account(other)
        an_entry(merchant, other, 300)
    settlement = a_settlement(merchant, maker)
    code = a_code(checker)
    db.session.commit()

    def approve():
        with unit_of_work():
            service.approve(
                merchant.id, settlement.id, by=checker.id, seen=settlement.hash, otp=code
            )

    def hold():
        with unit_of_work():
            commissions.hold_payees(merchant.id, [("promoter", promoter.id)], "risk")
        with unit_of_work():
            service.cancel_held(merchant.id)

    approval, holding = at_once(approve, hold)

    assert holding is None
    db.session.expire_all()
    if isinstance(approval, OtherHash):  # the payout was taken out first
        executed(approved(db.session.merge(settlement), checker), maker)
    else:
        assert approval is None
        executed(db.session.merge(settlement), maker)
    states = {each.payee_id: each.state for each in payouts_of(settlement)}
    assert states == {promoter.id: "cancelled", other.id: "accepted"}
    assert states_of(held) == [State.AVAILABLE]
