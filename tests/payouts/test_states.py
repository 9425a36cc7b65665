"""The steps of a payout: which there are, that they may be repeated, and who refuses the others."""

import itertools
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.ledger.verify import verify
from affiliate.payouts import queries, rules, service
from affiliate.payouts.models import PayoutCall, State
from affiliate.payouts.service import PayoutNotThere, WrongState
from affiliate.people.models import Role
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)


@pytest.fixture
def maker(app):
    return a_user(Role.FINANCE_MAKER)


@pytest.fixture
def draft(app, maker):
    """A payout in a settlement that waits for its approval."""
    merchant, promoter = a_merchant(), a_promoter()
    an_account(promoter)
    an_entry(merchant, promoter, 1000)
    return a_settlement(merchant, maker)


@pytest.fixture
def payout(draft, maker):
    """A payout that is with the bank."""
    checker = with_totp(a_user(Role.FINANCE_CHECKER))
    return payouts_of(executed(approved(draft, checker), maker))[0]


def again(payout):
    db.session.refresh(payout)
    return payout


@pytest.fixture(autouse=True)
def clean_books(database):
    yield
    assert verify().breaches == []


def marked(verb, payout, maker, **given):
    with unit_of_work():
        return verb(payout.merchant_id, payout.id, by=maker.id, **given)


def test_marking_paid_again_changes_nothing(payout, maker):
    first = marked(service.mark_paid, payout, maker, reference="B1")
    at, version = first.paid_at, first.version

    second = marked(service.mark_paid, payout, maker, reference="B1", paid_at=at)

    assert (second.paid_at, second.version) == (at, version)
    assert [each.state for each in queries.timeline(payout)].count("paid") == 1


@pytest.mark.parametrize("other", [{"reference": "B2"}, {"paid_at": "earlier"}])
def test_marking_paid_otherwise_is_refused(payout, maker, other):
    paid = marked(service.mark_paid, payout, maker, reference="B1")
    if "paid_at" in other:
        other = {"paid_at": paid.paid_at - timedelta(days=1)}

    with pytest.raises(WrongState):
        marked(service.mark_paid, payout, maker, **other)


def test_nothing_is_paid_in_the_future(payout, maker):
    with pytest.raises(Invalid) as refused:
        marked(service.mark_paid, payout, maker, paid_at=time.now() + timedelta(minutes=1))

    assert refused.value.errors[0].pointer == "/paid_at"


@pytest.mark.parametrize(
    ("verb", "state"),
    [(service.mark_failed, State.FAILED), (service.cancel, State.CANCELLED)],
)
def test_failing_or_cancelling_again_changes_nothing(draft, payout_of, maker, verb, state):
    payout = payout_of(verb)
    marked(verb, payout, maker, reason="first")
    marked(verb, payout, maker, reason="second")

    assert (payout.state, payout.reason) == (state, "first")


@pytest.fixture
def payout_of(request, draft):
    """Cancelling is for what is not handed over; failing for what is."""
    return lambda verb: (
        payouts_of(draft)[0] if verb is service.cancel else request.getfixturevalue("payout")
    )


def test_returning_again_changes_nothing(payout, maker):
    marked(service.mark_paid, payout, maker)
    for _ in range(2):
        marked(service.mark_returned, payout, maker, reason="closed account")

    assert again(payout).state == State.RETURNED
    assert payout.paid_at is not None


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        (service.mark_failed, {"reason": "x"}),
        (service.cancel, {"reason": "x"}),
    ],
)
def test_what_was_paid_neither_fails_nor_is_cancelled(payout, maker, verb, given):
    marked(service.mark_paid, payout, maker)

    with pytest.raises(WrongState):
        marked(verb, payout, maker, **given)

    assert again(payout).state == State.PAID


@pytest.mark.parametrize("verb", [service.mark_paid, service.mark_failed, service.mark_returned])
def test_nothing_happens_to_what_is_not_handed_over(draft, maker, verb):
    (payout,) = payouts_of(draft)
    given = {} if verb is service.mark_paid else {"reason": "x"}

    with pytest.raises(WrongState):
        marked(verb, payout, maker, **given)


def test_what_failed_is_not_paid_afterwards(payout, maker):
    marked(service.mark_failed, payout, maker, reason="no such account")

    with pytest.raises(WrongState):
        marked(service.mark_paid, payout, maker)


def test_an_unknown_payout_is_not_there(app, maker):
    with pytest.raises(PayoutNotThere):
        service.mark_paid(1, 10**12, by=maker.id)


def test_the_time_of_a_payment_stays(payout, maker):
    marked(service.mark_paid, payout, maker)

    with pytest.raises(DBAPIError, match="stays"), db.session.begin_nested():
        db.session.execute(sa.text("UPDATE payouts SET paid_at = paid_at + interval '1 day'"))


def test_the_timeline_is_only_added_to(payout):
    for statement in ("UPDATE payout_events SET state = 'x'", "DELETE FROM payout_events"):
        with pytest.raises(DBAPIError, match="refused"), db.session.begin_nested():
            db.session.execute(sa.text(statement))


def test_the_database_knows_the_same_arrows(payout):
    """Every step between any two states, asked of both."""
    sent = {State.PAID, State.RETURNED}
    for state, other in itertools.permutations(State, 2):
        row = db.session.begin_nested()
        _put(payout, state)
        step = f"UPDATE payouts SET state = '{other}'"
        if other in sent and state not in sent:
            step += ", paid_at = now()"
        if state == State.UNKNOWN:
            _told(payout, other)
        if rules.may_become(state, other):
            db.session.execute(sa.text(step))
        else:
            with pytest.raises(DBAPIError, match="does not go this way"), db.session.begin_nested():
                db.session.execute(sa.text(step))
        row.rollback()


def _put(payout, state):
    """Into any state, past the triggers that only allow the way there."""
    paid_at = "now()" if state in {State.PAID, State.RETURNED} else "NULL"
    db.session.execute(sa.text("SET LOCAL session_replication_role = replica"))
    db.session.execute(sa.text(f"UPDATE payouts SET state = '{state}', paid_at = {paid_at}"))
    db.session.execute(sa.text("SET LOCAL session_replication_role = origin"))


def _told(payout, state):
    """Of what nobody knows the database wants to hear from its provider."""
    db.session.add(
        PayoutCall(
            merchant_id=payout.merchant_id, payout_id=payout.id,
            settlement_id=payout.settlement_id, rail="sandbox", said=state,
        )
    )  # fmt: skip
    db.session.flush()
