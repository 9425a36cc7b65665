"""A settlement from beginning to end, and the golden examples of DOMAIN 4 that pass through it."""

import sqlalchemy as sa

from affiliate.commissions.models import State
from affiliate.db import db, unit_of_work
from affiliate.ledger.models import Account, Kind
from affiliate.payouts import queries as payout_queries
from affiliate.payouts import service as payouts
from affiliate.settlement import queries, service
from tests.factories.settlement import (
    a_settlement,
    an_entry,
    approved,
    executed,
    payouts_of,
    states_of,
)


def balance(merchant, kind, owner_id=0, currency="BRL"):
    """Credits less debits, as the books have them now."""
    return db.session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(Account.credits - Account.debits), 0)).where(
            Account.merchant_id == merchant.id,
            Account.kind == kind,
            Account.currency == currency,
            sa.true() if not owner_id else Account.owner_id == owner_id,
        )
    )


def paid(payout, by, **given):
    with unit_of_work():
        return payouts.mark_paid(payout.merchant_id, payout.id, by=by.id, **given)


def test_released_money_goes_out_once(merchant, promoter, maker, checker):
    entries = [an_entry(merchant, promoter, amount) for amount in (3000, 1500)]

    settlement = a_settlement(merchant, maker)

    assert settlement.state == "review"
    assert settlement.totals == {"BRL": {"payouts": 1, "gross": 4500, "withheld": 0, "net": 4500}}
    assert states_of(*entries) == [State.RESERVED] * 2
    assert balance(merchant, Kind.AVAILABLE) == 0
    assert balance(merchant, Kind.RESERVED) == 4500

    executed(approved(settlement, checker), maker)
    assert settlement.state == "closed"
    (payout,) = payouts_of(settlement)
    assert payout.state == "accepted"

    paid(payout, maker, reference="BANK-1")
    assert states_of(*entries) == [State.PAID] * 2
    assert balance(merchant, Kind.RESERVED) == 0
    assert balance(merchant, Kind.CLEARING) == 4500

    again = a_settlement(merchant, maker)
    assert payouts_of(again) == []


def test_the_timeline_tells_every_step_and_who_took_it(merchant, promoter, maker, checker):
    an_entry(merchant, promoter, 3000)
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(settlement)

    paid(payout, checker, reference="BANK-1")

    steps = [(step.state, step.user_id) for step in payout_queries.timeline(payout)]
    assert steps == [
        ("draft", None),
        ("awaiting_approval", None),
        ("approved", checker.id),
        ("submitting", maker.id),
        ("accepted", maker.id),
        ("paid", checker.id),
    ]


def test_golden_7_what_was_paid_and_refunded_is_kept_back_from_later_money(
    merchant, promoter, maker, checker
):
    first = an_entry(merchant, promoter, 5000)
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    paid(payouts_of(settlement)[0], maker)

    lost = an_entry(merchant, promoter, -5000, commission=_commission(first))
    assert balance(merchant, Kind.AVAILABLE) == -5000
    small = an_entry(merchant, promoter, 3000)
    assert balance(merchant, Kind.AVAILABLE) == -2000
    waiting = a_settlement(merchant, maker)
    assert payouts_of(waiting) == []
    assert [(each.reason, each.amount) for each in _carried(waiting)] == [("negative", -2000)]

    large = an_entry(merchant, promoter, 4000)
    settlement = a_settlement(merchant, maker)

    (payout,) = payouts_of(settlement)
    assert payout.gross == 2000
    owned = [(line.entry_id, line.amount) for line in payout_queries.lines(payout)]
    assert owned == [(lost.id, -5000), (small.id, 3000), (large.id, 4000)]


def test_golden_8_a_refund_of_reserved_money_waits_and_is_flagged(
    merchant, promoter, maker, checker
):
    entry = an_entry(merchant, promoter, 5000)
    settlement = a_settlement(merchant, maker)
    (payout,) = payouts_of(settlement)

    lost = an_entry(merchant, promoter, -2000, commission=_commission(entry))

    assert balance(merchant, Kind.AVAILABLE) == -2000
    flags = queries.reversed_since(settlement)
    assert [(flag.id, flag.amount) for flag in flags] == [(payout.id, -2000)]
    executed(approved(settlement, checker), maker)
    paid(payouts_of(settlement)[0], maker)
    assert balance(merchant, Kind.CLEARING) == 5000
    assert states_of(lost) == [State.AVAILABLE]
    assert queries.reversed_since(settlement) == []


def test_a_returned_payout_flows_back_and_is_paid_next_time(merchant, promoter, maker, checker):
    entries = [an_entry(merchant, promoter, amount) for amount in (3000, 1500)]
    first = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(first)
    paid(payout, maker)

    with unit_of_work():
        payouts.mark_returned(merchant.id, payout.id, by=maker.id, reason="account closed")

    assert states_of(*entries) == [State.AVAILABLE] * 2
    assert balance(merchant, Kind.AVAILABLE) == 4500
    assert balance(merchant, Kind.CLEARING) == 0
    second = executed(approved(a_settlement(merchant, maker), checker), maker)
    (again,) = payouts_of(second)
    assert again.gross == 4500
    assert again.reference != payout.reference
    paid(again, maker)
    assert states_of(*entries) == [State.PAID] * 2


def test_a_failed_payout_flows_back_and_is_paid_next_time(merchant, promoter, maker, checker):
    entry = an_entry(merchant, promoter, 3000)
    first = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(first)

    with unit_of_work():
        payouts.mark_failed(merchant.id, payout.id, by=maker.id, reason="no such account")

    assert states_of(entry) == [State.AVAILABLE]
    assert balance(merchant, Kind.RESERVED) == 0
    assert [each.gross for each in payouts_of(a_settlement(merchant, maker))] == [3000]


def test_a_cancelled_payout_leaves_the_others_approved(merchant, promoter, maker, checker):
    entry = an_entry(merchant, promoter, 3000)
    an_entry(merchant, other := _another_payee(), 700)
    settlement = approved(a_settlement(merchant, maker), checker)
    stopped = next(each for each in payouts_of(settlement) if each.payee_id == promoter.id)

    with unit_of_work():
        service.cancel_payout(merchant.id, stopped.id, by=maker.id, reason="asked to wait")

    executed(settlement, maker)
    states = {each.payee_id: each.state for each in payouts_of(settlement)}
    assert states == {promoter.id: "cancelled", other.id: "accepted"}
    assert states_of(entry) == [State.AVAILABLE]
    assert queries.files(merchant.id, settlement.id)[0].payouts == 1


def test_cancelling_before_the_approval_changes_the_hash(merchant, promoter, maker):
    an_entry(merchant, promoter, 3000)
    an_entry(merchant, other := _another_payee(), 700)
    settlement = a_settlement(merchant, maker)
    before = settlement.hash
    payout = next(each for each in payouts_of(settlement) if each.payee_id == promoter.id)

    with unit_of_work():
        service.cancel_payout(merchant.id, payout.id, by=maker.id, reason="wrong person")

    assert settlement.hash != before
    assert settlement.totals["BRL"] == {"payouts": 1, "gross": 700, "withheld": 0, "net": 700}
    assert other.id in {each.payee_id for each in payouts_of(settlement)}


def test_a_discarded_settlement_gives_everything_back(merchant, promoter, maker):
    entries = [an_entry(merchant, promoter, 3000), *_that_cancel_out(merchant)]
    settlement = a_settlement(merchant, maker)

    with unit_of_work():
        service.discard(merchant.id, settlement.id, by=maker.id)
    with unit_of_work():
        service.discard(merchant.id, settlement.id, by=maker.id)  # again changes nothing

    assert settlement.state == "discarded"
    assert states_of(*entries) == [State.AVAILABLE] * 3
    assert balance(merchant, Kind.RESERVED) == 0
    assert [each.state for each in payouts_of(settlement)] == ["cancelled"]
    assert a_settlement(merchant, maker).totals["BRL"]["gross"] == 3000


def test_a_sum_of_exactly_0_closes_without_a_payout(merchant, maker, checker):
    entries = _that_cancel_out(merchant)

    settlement = a_settlement(merchant, maker)

    assert payouts_of(settlement) == []
    assert _carried(settlement) == []
    assert states_of(*entries) == [State.RESERVED] * 2
    executed(approved(settlement, checker), maker)
    assert settlement.state == "closed"
    assert states_of(*entries) == [State.PAID] * 2
    assert _carried(a_settlement(merchant, maker)) == []


def _that_cancel_out(merchant):
    payee = _another_payee()
    plus = an_entry(merchant, payee, 900)
    return [plus, an_entry(merchant, payee, -900, commission=_commission(plus))]


def _another_payee():
    from tests.factories.people import a_promoter
    from tests.factories.settlement import an_account

    promoter = a_promoter("Caio")
    an_account(promoter)
    return promoter


def _commission(entry):
    from affiliate.commissions.models import Commission

    return db.session.get_one(Commission, (entry.merchant_id, entry.commission_id))


def _carried(settlement):
    return queries.carried_over([settlement])[settlement.id]
