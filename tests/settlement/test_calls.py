"""Payouts through a provider that misbehaves: the real server, and its own log to compare with."""

import time as real
from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.payouts import calling, queries, rails, service
from affiliate.payouts.models import PayoutCall
from affiliate.payouts.rails import wire
from affiliate.payouts.rails.interface import Answer, Said
from affiliate.payouts.sandbox import behaviour
from affiliate.payouts.service import NeedsTwo, ProviderSays, WrongState, calls
from affiliate.payouts.service.proofs import PeopleOnly, SelfConfirmation
from affiliate.people.models import Role
from affiliate.settlement import runs
from tests.factories.people import a_promoter, a_user
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
)
from tests.payouts.sandbox import offered, owed


@pytest.fixture
def handed_over(merchant, maker, checker, sandbox):
    """Executes a settlement of payees with these accounts; returns its payouts."""

    def run(*accounts):
        owed(merchant, *accounts)
        run.settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
        return payouts_of(run.settlement)

    return run


def seen(payouts):
    for each in payouts:
        db.session.refresh(each)
    return [each.state for each in payouts]


def asked(payouts, clock=None, times=1):
    """Ask about all that can be asked about, as hints would make us."""
    for _ in range(times):
        for each in payouts:
            calling.ask(each.merchant_id, each.id)
    return seen(payouts)


def until(payouts, states, seconds=8):
    """Ask until it is so; the sandbox lives in real time."""
    ends = real.monotonic() + seconds
    while (found := asked(payouts)) != states:
        assert real.monotonic() < ends, found
        real.sleep(0.1)


def said(payout):
    return queries.call(payout).said


# --- each misbehaviour ---------------------------------------------------------------------------


def test_an_ordinary_payout_is_accepted_then_paid(handed_over, sandbox):
    (payout,) = handed_over("ordinary")
    assert payout.state == "accepted"
    assert handed_over.settlement.state == "closed"

    until([payout], ["paid"])

    transfer = sandbox.transfers()[payout.reference]
    assert (transfer["amount"], transfer["currency"]) == (payout.net, "BRL")
    assert payout.provider_reference == transfer["number"]
    assert sandbox.calls("sent") == {payout.reference: 1}
    assert queries.call(payout).call_at is None


def test_what_is_paid_at_once_is_paid(handed_over):
    (payout,) = handed_over("at-once")

    assert payout.state == "paid"
    assert [each.state for each in queries.timeline(payout)][-3:] == [
        "submitting", "accepted", "paid",
    ]  # fmt: skip


@pytest.mark.parametrize("account", ["error-after", "cut-after", "nonsense"])
def test_no_answer_after_success_leaves_it_unknown_until_it_is_asked(handed_over, sandbox, account):
    (payout,) = handed_over(account)
    assert payout.state == "unknown"

    until([payout], ["paid"])

    assert sandbox.calls("sent") == {payout.reference: 1}
    assert len(sandbox.transfers()) == 1


@pytest.mark.parametrize("account", ["error-before", "cut-before"])
def test_what_the_provider_never_saw_is_sent_again_under_its_reference(
    handed_over, sandbox, clock, account
):
    (payout,) = handed_over(account)
    assert payout.state == "unknown"
    assert sandbox.transfers() == {}

    clock.move(seconds=5)
    list(calling.ask_due())  # asks: not found; sends again

    assert seen([payout]) == ["accepted"]
    assert sandbox.calls("sent") == {payout.reference: 2}
    assert list(sandbox.transfers()) == [payout.reference]
    assert [each.said for each in queries.attempts(payout)] == ["accepted", "unknown"]


def test_a_provider_that_forgets_for_a_while_is_sent_the_same_again(handed_over, sandbox, clock):
    """It took the transfer, answered 500, and says at first that it never saw it."""
    (payout,) = handed_over("forgetful")

    clock.move(seconds=5)
    list(calling.ask_due())

    assert sandbox.calls("sent")[payout.reference] == 2
    assert len(sandbox.transfers()) == 1
    until([payout], ["paid"])


def test_a_provider_that_takes_too_long_has_not_answered(handed_over, sandbox, monkeypatch):
    monkeypatch.setattr(wire, "SECONDS", 0.3)

    (payout,) = handed_over("hang-after")

    assert payout.state == "unknown"
    assert "ReadTimeout" in queries.attempts(payout)[0].detail
    until([payout], ["paid"])


def test_a_refusal_makes_the_money_available_again(handed_over, merchant, maker):
    (payout,) = handed_over("refused")

    assert payout.state == "failed"
    assert payout.reason == "the account cannot receive"
    (again,) = payouts_of(a_settlement(merchant, maker))
    assert (again.net, again.reference != payout.reference) == (payout.net, True)


def test_what_fails_later_and_what_lapses_makes_the_money_available_again(
    handed_over, merchant, maker, monkeypatch
):
    payouts = handed_over("fails", "expires")
    assert seen(payouts) == ["accepted", "action_required"]
    assert queries.call(payouts[1]).until is not None

    until(payouts, ["failed", "failed"])

    assert payouts[1].reason == "nobody confirmed in time"
    assert len(payouts_of(a_settlement(merchant, maker))) == 2


def test_what_needs_the_payee_waits_for_it(handed_over):
    (payout,) = handed_over("confirms")
    assert payout.state == "action_required"

    until([payout], ["paid"])


def test_what_comes_back_is_available_again(handed_over, merchant, maker):
    (payout,) = handed_over("returned")
    assert payout.state == "paid"

    until([payout], ["returned"])

    assert len(payouts_of(a_settlement(merchant, maker))) == 1


def test_a_provider_that_names_other_money_is_not_believed(handed_over, clock):
    (payout,) = handed_over("other-amount")
    assert payout.state == "unknown"

    assert asked([payout]) == ["unknown"]
    assert queries.call(payout).detail == "names another amount: 10.01 BRL"


def test_what_is_never_confirmed_is_asked_with_growing_pauses(handed_over, sandbox, clock):
    clock.stand("2026-11-23T10:00:00Z")
    (payout,) = handed_over("never")

    for minutes in [1] * 60 + [5] * 276:  # a day
        clock.move(minutes=minutes)
        list(calling.ask_due())

    assert seen([payout]) == ["accepted"]
    assert 20 < sandbox.calls("asked")[payout.reference] < 40


# --- a rail that is down -------------------------------------------------------------------------


def test_a_rail_that_is_down_keeps_its_payouts_and_no_others(
    merchant, promoter, maker, checker, sandbox, clock, rung
):
    clock.stand("2026-11-23T10:00:00Z")
    owed(merchant, "ordinary", "ordinary")
    an_entry(merchant, promoter, 700)
    settlement = approved(a_settlement(merchant, maker), checker)
    sandbox.stop()

    executed(settlement, maker)

    assert settlement.state == "executing"
    by_rail = {(each.rail, each.state) for each in payouts_of(settlement)}
    assert by_rail == {("sandbox", "submitting"), ("file", "accepted")}
    first = next(each for each in payouts_of(settlement) if each.rail == "sandbox")
    assert queries.attempts(first)[0].said == "unreachable"

    sandbox.start()
    runs.execute(settlement.merchant_id, settlement.id)  # its pause is not over
    assert first.state == "submitting"
    from workers import settlement as jobs

    clock.move(seconds=61)
    rung.clear()
    jobs.sweep()
    jobs.execute(*next(each for each in rung if each[0] == "workers.settlement.execute")[1:])

    db.session.refresh(settlement)
    assert settlement.state == "closed"
    assert len(sandbox.transfers()) == 2
    assert sandbox.calls("sent").total() == 2


def test_a_rail_that_is_no_longer_set_up_is_as_one_that_is_down(
    app, merchant, maker, checker, sandbox
):
    owed(merchant, "ordinary")
    settlement = approved(a_settlement(merchant, maker), checker)
    before, app.config["SETTINGS"] = (
        app.config["SETTINGS"],
        app.config["SETTINGS"].model_copy(update={"sandbox_url": None}),
    )

    executed(settlement, maker)

    assert settlement.state == "executing"
    assert said(payouts_of(settlement)[0]) == "unreachable"
    with pytest.raises(rails.UnknownRail):
        rails.find("sandbox")
    app.config["SETTINGS"] = before


def test_without_the_setting_money_waits_for_the_rail(app, merchant, maker, sandbox):
    owed(merchant, "ordinary")
    with offered(app, None):
        settlement = a_settlement(merchant, maker)

    assert payouts_of(settlement) == []


# --- killed between a call and its answer --------------------------------------------------------


class Killed(BaseException):
    pass


@pytest.mark.parametrize("account", ["ordinary", "error-after", "error-before", "refused"])
def test_killed_before_the_answer_is_stored_it_is_asked_first(
    merchant, maker, checker, sandbox, clock, monkeypatch, account
):
    owed(merchant, account)
    settlement = approved(a_settlement(merchant, maker), checker)
    with monkeypatch.context() as deadly, suppress(Killed):
        deadly.setattr(calls, "record", lambda *_: (_ for _ in ()).throw(Killed))
        executed(settlement, maker)
    db.session.rollback()
    (payout,) = payouts_of(settlement)
    assert payout.state == "submitting"
    assert sandbox.calls("sent")[payout.reference] == 1
    assert queries.attempts(payout)[0].answered_at is None

    runs.execute(settlement.merchant_id, settlement.id)
    assert sandbox.calls("asked").total() == 0  # somebody may still be at it
    clock.move(seconds=61)
    runs.execute(settlement.merchant_id, settlement.id)

    events = [row["event"] for row in sandbox.rows("sent") + sandbox.rows("asked")]
    assert sandbox.calls("asked")[payout.reference] >= 1
    assert events.count("sent") == (2 if account == "error-before" else 1)
    assert len(sandbox.transfers()) == 1
    assert seen([payout])[0] in ({"failed"} if account == "refused" else {"accepted", "paid"})
    db.session.refresh(settlement)
    assert settlement.state == "closed"


def test_killed_before_the_call_it_is_asked_and_then_sent(
    merchant, maker, checker, sandbox, clock, monkeypatch
):
    owed(merchant, "ordinary")
    settlement = approved(a_settlement(merchant, maker), checker)
    with monkeypatch.context() as deadly, suppress(Killed):
        deadly.setattr(calling.Office, "call", lambda *_: (_ for _ in ()).throw(Killed))
        executed(settlement, maker)
    assert sandbox.rows("sent") == []

    clock.move(seconds=61)
    runs.execute(settlement.merchant_id, settlement.id)

    (payout,) = payouts_of(settlement)
    assert (payout.state, sandbox.calls("asked").total()) == ("accepted", 1)
    assert sandbox.calls("sent") == {payout.reference: 1}


def test_killed_before_the_call_a_hint_sends_nothing_while_somebody_may_be_at_it(
    merchant, maker, checker, sandbox, clock, monkeypatch
):
    owed(merchant, "ordinary")
    settlement = approved(a_settlement(merchant, maker), checker)
    with monkeypatch.context() as deadly, suppress(Killed):
        deadly.setattr(calling.Office, "call", lambda *_: (_ for _ in ()).throw(Killed))
        executed(settlement, maker)
    db.session.rollback()
    payouts = payouts_of(settlement)

    asked(payouts)
    list(calling.ask_due())
    assert sandbox.rows("sent") == []
    clock.move(seconds=61)
    asked(payouts)
    list(calling.ask_due())

    assert sandbox.calls("sent") == {payouts[0].reference: 1}


def test_a_question_that_overtakes_the_sending_does_not_send_again(
    handed_over, sandbox, monkeypatch
):
    send = calling.Office.call

    def hinted(office, wanted):
        if wanted[0].attempt_id and not sandbox.rows("asked"):
            calling.ask(wanted[0].merchant_id, wanted[0].payout_id)
            list(calling.ask_due())
        return send(office, wanted)

    monkeypatch.setattr(calling.Office, "call", hinted)
    (payout,) = handed_over("ordinary")

    assert sandbox.calls("asked")[payout.reference] == 1
    assert sandbox.calls("sent") == {payout.reference: 1}
    assert (payout.state, queries.call(payout).next) == ("accepted", "ask")


def test_an_answer_from_before_the_last_sending_does_not_send_again(handed_over):
    (payout,) = handed_over("error-before")
    with unit_of_work():
        early = calls.claim_question(payout.merchant_id, payout.id)
    asked([payout])
    with unit_of_work():
        (sending,) = calls.claim(1)

    with unit_of_work():
        calls.record(payout.merchant_id, [(early[0], Answer(Said.NOT_FOUND))])

    assert sending.attempt_id
    assert (queries.call(payout).sends, queries.call(payout).next) == (2, "ask")


def test_the_attempt_is_stored_before_the_call(handed_over, monkeypatch, sandbox):
    stored = []
    send = calling.Office.call

    def watched(office, wanted):
        assert not db.session().in_transaction()
        stored.extend(queries.call(payout).next for payout in _of(wanted))
        db.session.rollback()
        return send(office, wanted)

    monkeypatch.setattr(calling.Office, "call", watched)
    handed_over("ordinary", "ordinary")

    assert stored == ["ask", "ask"]


def _of(wanted):
    return [queries.find(each.merchant_id, each.payout_id) for each in wanted]


# --- clocks that jump ----------------------------------------------------------------------------


def test_a_clock_that_was_put_back_asks_all_the_same(handed_over, clock):
    clock.stand("2026-11-23T10:00:00Z")
    (payout,) = handed_over("slow")
    clock.move(days=-3)

    list(calling.ask_due())

    assert queries.call(payout).said_at == clock.stand("2026-11-20T10:00:00Z")


def test_when_a_provider_can_no_longer_be_asked_not_found_says_nothing(handed_over, sandbox, clock):
    """Also after a clock that jumped ahead: nothing is sent again on the word of that."""
    (payout,) = handed_over("error-before")
    clock.move(days=31)

    list(calling.ask_due())

    assert seen([payout]) == ["unknown"]
    assert said(payout) == "not_found"
    assert sandbox.calls("sent").total() == 1


def test_what_was_accepted_and_can_no_longer_be_asked_is_unknown(handed_over, sandbox, clock):
    (payout,) = handed_over("never")
    sandbox.stop()
    clock.move(days=31)

    list(calling.ask_due())

    assert seen([payout]) == ["unknown"]


# --- nobody but the provider, or two people ------------------------------------------------------


@pytest.mark.parametrize("account", ["never", "error-after"])
def test_nobody_marks_by_hand_what_the_provider_can_tell(handed_over, maker, account):
    (payout,) = handed_over(account)
    key = (payout.merchant_id, payout.id)
    refused = NeedsTwo if account == "error-after" else ProviderSays

    with pytest.raises(refused), unit_of_work():
        service.mark_paid(*key, by=maker.id, reference="B1")
    with pytest.raises(refused), unit_of_work():
        service.mark_failed(*key, by=maker.id, reason="I think so")


@pytest.fixture
def unknown(handed_over, sandbox):
    (payout,) = handed_over("error-after")
    sandbox.stop()
    return payout


def stated(payout, by, outcome="failed", **given):
    with unit_of_work():
        return service.state_outcome(
            payout.merchant_id, payout.id, by=by.id, outcome=outcome, proof="letter of 3 May",
            **given,
        )  # fmt: skip


def confirmed(payout, by):
    with unit_of_work():
        return service.confirm_outcome(payout.merchant_id, payout.id, by=by.id)


def test_two_people_with_a_proof_end_it(unknown, maker, checker):
    stated(unknown, maker, "paid", reference="B77")
    assert seen([unknown]) == ["unknown"]

    confirmed(unknown, checker)

    assert (seen([unknown]), unknown.provider_reference) == (["paid"], "B77")
    assert queries.call(unknown).call_at is None


def test_two_people_let_the_money_be_paid_again(unknown, maker, checker, merchant):
    stated(unknown, maker)
    confirmed(unknown, checker)

    assert seen([unknown]) == ["failed"]
    assert len(payouts_of(a_settlement(merchant, maker))) == 1


def test_one_person_is_not_two(unknown, maker):
    stated(unknown, maker)

    with pytest.raises(SelfConfirmation):
        confirmed(unknown, maker)
    with pytest.raises(IntegrityError, match="four_eyes"), db.session.begin_nested():
        db.session.execute(
            sa.text("UPDATE payout_proofs SET confirmed_by = stated_by, confirmed_at = now()")
        )


def test_a_key_is_nobody(unknown, maker):
    with unit_of_work():
        key = a_user(Role.FINANCE_CHECKER)
        key.is_service = True

    with pytest.raises(PeopleOnly):
        stated(unknown, key)
    stated(unknown, maker)
    with pytest.raises(PeopleOnly):
        confirmed(unknown, key)
    with pytest.raises(DBAPIError, match="service user"), db.session.begin_nested():
        db.session.execute(
            sa.text("UPDATE payout_proofs SET confirmed_by = :key, confirmed_at = now()"),
            {"key": key.id},
        )


@pytest.mark.parametrize("end", ["paid", "failed"])
def test_the_database_wants_a_word_of_the_provider_or_of_two(unknown, maker, end):
    stated(unknown, maker, "failed")
    paid_at = ", paid_at = now()" if end == "paid" else ""

    with pytest.raises(DBAPIError, match="neither its provider"), db.session.begin_nested():
        db.session.execute(
            sa.text(f"UPDATE payouts SET state = '{end}'{paid_at} WHERE id = :id"),
            {"id": unknown.id},
        )


def test_a_statement_can_be_dropped_but_not_changed(unknown, maker, checker):
    stated(unknown, maker)
    with pytest.raises(WrongState):
        stated(unknown, checker)
    with pytest.raises(DBAPIError, match="stays"), db.session.begin_nested():
        db.session.execute(sa.text("UPDATE payout_proofs SET outcome = 'paid', reference = 'x'"))

    with unit_of_work():
        service.drop_outcome(unknown.merchant_id, unknown.id, by=checker.id)
    stated(unknown, checker, "paid", reference="B1")
    confirmed(unknown, maker)

    assert seen([unknown]) == ["paid"]


def test_what_is_stated_is_checked(unknown, maker):
    with pytest.raises(Invalid, match="reference"):
        stated(unknown, maker, "paid")
    later = time.now() + timedelta(hours=1)
    with pytest.raises(Invalid, match="later than now"):
        stated(unknown, maker, "paid", reference="x", paid_at=later)


def test_what_the_provider_tells_meanwhile_counts(unknown, maker, checker, sandbox):
    stated(unknown, maker, "failed")
    sandbox.start()
    real.sleep(behaviour.SOON)

    assert asked([unknown]) == ["paid"]
    with pytest.raises(WrongState):
        confirmed(unknown, checker)


def test_a_provider_that_contradicts_two_people_moves_nothing(unknown, maker, checker, sandbox):
    stated(unknown, maker, "failed")
    confirmed(unknown, checker)
    sandbox.start()
    real.sleep(behaviour.SOON)

    assert asked([unknown]) == ["failed"]
    assert said(unknown) == "paid"


# --- late and repeated answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "late", [Said.ACCEPTED, Said.UNKNOWN, Said.NOT_FOUND, Said.UNREACHABLE, Said.FAILED, Said.PAID]
)
def test_a_late_answer_moves_nothing_back(handed_over, late):
    (payout,) = handed_over("at-once")
    made = calls.Call(payout.merchant_id, payout.id, "sandbox", None, None)

    for _ in range(2):
        with unit_of_work():
            calls.record(payout.merchant_id, [(made, Answer(late))])

    assert seen([payout]) == ["paid"]
    assert queries.call(payout).call_at is None


# --- by hand -------------------------------------------------------------------------------------


@pytest.fixture
def by_hand(merchant, maker, checker):
    with unit_of_work():
        promoter = a_promoter()
        service.add_account(
            "promoter", promoter.id, rail="manual", country="MX", currency="BRL",
            fields={"account_holder": "Ana", "instructions": "OXXO card 4152 3134 5678 9012"},
        )  # fmt: skip
        an_entry(merchant, promoter, 500)
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    assert settlement.state == "closed"
    return payouts_of(settlement)[0]


def test_what_is_paid_by_hand_needs_a_proof(by_hand, maker):
    assert by_hand.state == "accepted"
    with pytest.raises(Invalid) as refused, unit_of_work():
        service.mark_paid(by_hand.merchant_id, by_hand.id, by=maker.id)
    assert refused.value.errors[0].pointer == "/reference"

    with unit_of_work():
        service.mark_paid(by_hand.merchant_id, by_hand.id, by=maker.id, reference="receipt 9")

    assert seen([by_hand]) == ["paid"]


def test_what_could_not_be_paid_by_hand_is_available_again(by_hand, maker):
    with unit_of_work():
        service.mark_failed(by_hand.merchant_id, by_hand.id, by=maker.id, reason="card blocked")

    assert seen([by_hand]) == ["failed"]


# --- many ----------------------------------------------------------------------------------------


def test_many_payouts_are_sent_in_batches_each_once(handed_over, sandbox, monkeypatch):
    sizes = []
    call = calling.Office.call
    monkeypatch.setattr(
        calling.Office, "call", lambda office, some: sizes.append(len(some)) or call(office, some)
    )

    payouts = handed_over(*["ordinary"] * 50)

    assert max(sizes) == calling.BATCH
    assert {each.state for each in payouts} == {"accepted"}
    assert sandbox.calls("sent") == {each.reference: 1 for each in payouts}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(PayoutCall)) == 50


def test_a_payout_of_another_rail_is_never_called_about(
    merchant, promoter, maker, checker, sandbox
):
    an_account(promoter)
    an_entry(merchant, promoter, 500)
    (payout,) = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))

    calling.ask(payout.merchant_id, payout.id)

    assert queries.call(payout) is None
    assert not sandbox.rows("asked")
