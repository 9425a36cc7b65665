"""What is called about payouts, and what the answers change. The calls themselves are made between
these two, outside any transaction (payouts/calling.py).

`claim` stores what is about to be done before it is done: an attempt for each sending, and that its
payout is to be asked about next. So whoever is killed during a call leaves a question, never a
second sending. `record` stores the answers. Both may run twice and at once: providers know
references, so the same one sent twice is one transfer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from affiliate import clock
from affiliate.db import db
from affiliate.money import EXPONENTS, Money
from affiliate.payouts import rails
from affiliate.payouts.models import (
    Payout,
    PayoutAccount,
    PayoutAttempt,
    PayoutCall,
    State,
)
from affiliate.payouts.rails.interface import Answer, Instruction, Said
from affiliate.payouts.service import states
from affiliate.payouts.service.accounts import open_fields
from affiliate.payouts.service.states import Outcome

log = structlog.get_logger(__name__)

Chosen = sa.Select[PayoutCall, Payout, PayoutAccount, int]

# Longer than a whole batch of calls can take; afterwards whoever made them was killed.
LEASE = timedelta(seconds=60)
# Between two questions, or two sendings that nobody took, while nothing is new.
PAUSES = tuple(timedelta(seconds=each) for each in (2, 10, 60, 300, 900, 3600))
LONGEST = max(PAUSES)
SENDS_AT_ONCE = 3  # of what the provider never saw; then with pauses as well
WAITING = (State.SUBMITTING, State.UNKNOWN, State.ACCEPTED, State.ACTION_REQUIRED)
# Said last, but not what decides: asked again.
NOTHING_SAID = (Said.UNKNOWN, Said.UNREACHABLE, Said.NOT_FOUND, Said.AGAIN)
# While a provider can be asked, the same is sent again.
SENT_AGAIN = (Said.NOT_FOUND, Said.AGAIN)
ENDS = {Said.PAID: State.PAID, Said.FAILED: State.FAILED, Said.RETURNED: State.RETURNED}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is to be made: a sending if it has an attempt, else a question.

    `settled` counts the sendings before it that had been answered or cut short: a question made
    while one is on its way, or before the next, may overtake it, so its `not_found` proves nothing.
    """

    merchant_id: int
    payout_id: int
    rail: str
    instruction: Instruction
    attempt_id: int | None
    settled: int = 0


def begin(merchant_id: int, settlement_id: int) -> None:
    """The payouts of a settlement that providers carry out are due at once."""
    db.session.execute(
        BEGIN,
        {
            "merchant": merchant_id,
            "settlement": settlement_id,
            "rails": rails.called(),
            "now": clock.now(),
        },
    )


def claim(
    limit: int, *, rail: str | None = None, settlement: tuple[int, int] | None = None
) -> list[Call]:
    """Calls that are due, for the caller alone while its lease lasts. Of a settlement only those
    that are still to be handed over.
    """
    due = _due()
    if rail is not None:
        due = due.where(PayoutCall.rail == rail)
    if settlement is not None:
        due = due.where(
            PayoutCall.merchant_id == settlement[0],
            PayoutCall.settlement_id == settlement[1],
            Payout.state == State.SUBMITTING,
        )
    return _claimed(due.limit(limit))


def claim_question(merchant_id: int, payout_id: int) -> list[Call]:
    """To ask about this payout now, whatever pause it is in; never to send it."""
    return _claimed(
        _open().where(
            PayoutCall.merchant_id == merchant_id,
            PayoutCall.payout_id == payout_id,
            PayoutCall.next == "ask",
        )
    )


def _open() -> Chosen:
    return (
        sa.select(PayoutCall, Payout, PayoutAccount, _settled())
        .join(
            Payout,
            sa.and_(
                Payout.merchant_id == PayoutCall.merchant_id, Payout.id == PayoutCall.payout_id
            ),
        )
        .join(PayoutAccount, PayoutAccount.id == Payout.account_id)
        .with_for_update(of=PayoutCall, skip_locked=True)
        .execution_options(populate_existing=True)
    )


def _settled() -> sa.ScalarSelect[int]:
    now = clock.now()
    is_over = sa.or_(
        PayoutAttempt.answered_at.is_not(None),
        ~PayoutAttempt.created_at.between(now - LEASE, now + LEASE),
    )
    return (
        sa.select(sa.func.count())
        .where(
            PayoutAttempt.merchant_id == PayoutCall.merchant_id,
            PayoutAttempt.payout_id == PayoutCall.payout_id,
            is_over,
        )
        .scalar_subquery()
    )


def _due() -> Chosen:
    now = clock.now()
    # A time beyond the longest pause was written by a clock that has been put back since.
    due = sa.or_(PayoutCall.call_at <= now, PayoutCall.call_at > now + LONGEST + LEASE)
    return _open().where(due).order_by(PayoutCall.call_at)


def _claimed(due: Chosen) -> list[Call]:
    found = db.session.execute(due).all()
    now = clock.now()
    attempts = {
        payout.id: PayoutAttempt(merchant_id=payout.merchant_id, payout_id=payout.id)
        for call, payout, *_ in found
        if call.next == "send"
    }
    db.session.add_all(attempts.values())
    for call, payout, *_ in found:
        if call.call_at is not None:
            call.call_at = now + LEASE
        if payout.id in attempts:
            call.next, call.sends = "ask", call.sends + 1
            call.first_sent_at = call.first_sent_at or now
    db.session.flush()
    return [
        Call(
            payout.merchant_id,
            payout.id,
            payout.rail,
            Instruction(
                payout.reference,
                payout.net,
                payout.currency,
                account.country,
                open_fields(account.fields) if payout.id in attempts else {},
                payout.provider_reference,
            ),
            attempts[payout.id].id if payout.id in attempts else None,
            settled,
        )
        for _call, payout, account, settled in found
    ]


def record(merchant_id: int, answered: Iterable[tuple[Call, Answer]]) -> None:
    """What was answered about payouts of one merchant. An answer that comes late, or twice, finds
    its payout where it is and moves it no way back.
    """
    answers = {call.payout_id: (call, answer) for call, answer in answered}
    now = clock.now()
    _note_attempts(merchant_id, answers.values(), now)
    payouts = states.locked_all(merchant_id, list(answers))
    calls = _calls(merchant_id, list(answers))
    ends = []
    for payout in payouts:
        answer = _believed(payout, answers[payout.id][1])
        outcome = _take_in(payout, calls[payout.id], answers[payout.id][0], answer, now)
        if outcome:
            ends.append((payout, outcome))
    # What the provider said stands there before the database is asked to believe it.
    db.session.flush()
    states.conclude(ends, by=None)


def _note_attempts(
    merchant_id: int, answered: Iterable[tuple[Call, Answer]], now: datetime
) -> None:
    sent = {call.attempt_id: answer for call, answer in answered if call.attempt_id}
    found = db.session.scalars(
        sa.select(PayoutAttempt).where(
            PayoutAttempt.merchant_id == merchant_id,
            PayoutAttempt.id.in_(sent),
            PayoutAttempt.answered_at.is_(None),
        )
    )
    for attempt in found:
        answer = sent[attempt.id]
        attempt.said, attempt.detail, attempt.answered_at = answer.said, answer.detail or None, now


def _calls(merchant_id: int, payout_ids: Sequence[int]) -> dict[int, PayoutCall]:
    found = db.session.scalars(
        sa.select(PayoutCall)
        .where(PayoutCall.merchant_id == merchant_id, PayoutCall.payout_id.in_(payout_ids))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {call.payout_id: call for call in found}


def _believed(payout: Payout, answer: Answer) -> Answer:
    """A provider that speaks of other money does not speak of this payout."""
    told = (answer.amount, answer.currency)
    if told in {(None, None), (payout.net, payout.currency)}:
        return answer
    log.error("a provider names other money", payout=payout.id, told=told)
    detail = f"names another amount: {_written(answer)}"
    return Answer(Said.UNKNOWN, answer.provider_reference, detail)


def _written(answer: Answer) -> str:
    if answer.amount is None or answer.currency not in EXPONENTS:
        return f"{answer.amount} {answer.currency}"
    return str(Money(answer.amount, answer.currency))


def _take_in(
    payout: Payout, call: PayoutCall, made: Call, answer: Answer, now: datetime
) -> Outcome | None:
    """Moves the payout as far as it does not end; how it ends, if it does."""
    before = payout.state
    is_sending = made.attempt_id is not None
    call.said, call.detail, call.said_at = answer.said, answer.detail or None, now
    call.until = answer.until
    call.action = answer.action or call.action
    if answer.provider_reference and payout.paid_at is None:
        payout.provider_reference = answer.provider_reference
    outcome = None
    if answer.said in ENDS:
        outcome = _end(payout, answer)
    elif answer.said not in NOTHING_SAID:
        _go_on(payout, answer)
    elif is_sending and answer.said == Said.UNREACHABLE:
        call.next = "send"  # surely not sent, and everything before it was settled
    elif payout.state == State.SUBMITTING and answer.said not in SENT_AGAIN:
        states.move(payout, State.UNKNOWN, None, _detail(answer))
    if not is_sending and answer.said in NOTHING_SAID:
        _unanswered(payout, call, made, answer, now)
    call.pauses = 0 if payout.state != before else call.pauses + 1
    call.call_at = None if outcome or payout.state not in WAITING else now + _pause(call, answer)
    return outcome


def _pause(call: PayoutCall, answer: Answer) -> timedelta:
    if answer.said in SENT_AGAIN and call.next == "send" and call.sends < SENDS_AT_ONCE:
        return timedelta(0)
    return PAUSES[min(call.pauses, len(PAUSES) - 1)]


def _unanswered(
    payout: Payout, call: PayoutCall, made: Call, answer: Answer, now: datetime
) -> None:
    """Asked, and it knows nothing. While it can be asked `not_found` means that it never saw the
    reference, which is then sent again unless a sending was on its way; later nobody but people
    can tell.
    """
    limit = rails.call_rail(payout.rail).asks_for
    is_too_late = call.first_sent_at is not None and now - call.first_sent_at > limit
    state = State(payout.state)
    if is_too_late and state in {State.SUBMITTING, State.ACCEPTED, State.ACTION_REQUIRED}:
        states.move(payout, State.UNKNOWN, None, _detail(answer))
    elif is_too_late or answer.said not in SENT_AGAIN:
        return
    elif state in {State.SUBMITTING, State.UNKNOWN}:
        if made.settled == call.sends:
            call.next = "send"
    elif state in WAITING:
        log.error("a provider forgot what it took", payout=payout.id)


def _end(payout: Payout, answer: Answer) -> Outcome | None:
    state, end = State(payout.state), ENDS[answer.said]
    reason = answer.detail or None
    if state in WAITING:
        if end == State.FAILED:
            return Outcome(end, reason or "failed")
        if state == State.SUBMITTING:
            states.move(payout, State.ACCEPTED, None, {})
            db.session.flush()  # the database follows every step
        return Outcome(end, reason, reference=payout.provider_reference, fee=_fee(payout, answer))
    if state == State.PAID and end == State.RETURNED:
        return Outcome(end, reason)
    if state != end and (state, end) != (State.RETURNED, State.PAID):
        log.error("a provider contradicts what is known", payout=payout.id, told=answer.said)
    return None


def _fee(payout: Payout, answer: Answer) -> int:
    """In another currency it cannot stand in these books."""
    if not answer.fee:
        return 0
    if answer.fee_currency != payout.currency:
        log.warning("a fee in another currency", payout=payout.id, fee=answer.fee_currency)
        return 0
    return answer.fee


def _go_on(payout: Payout, answer: Answer) -> None:
    """Accepted, or waiting for the payee."""
    if payout.state in {State.SUBMITTING, State.UNKNOWN}:
        states.move(payout, State.ACCEPTED, None, _detail(answer))
        db.session.flush()
    if answer.said == Said.ACTION_REQUIRED and payout.state == State.ACCEPTED:
        until = {"until": answer.until.isoformat()} if answer.until else {}
        states.move(payout, State.ACTION_REQUIRED, None, until)
        states.tell([payout])


def _detail(answer: Answer) -> dict[str, str]:
    return {"reason": answer.detail} if answer.detail else {}


BEGIN = sa.text("""
    INSERT INTO payout_calls (merchant_id, payout_id, settlement_id, rail, next, call_at, sends,
                              pauses)
    SELECT merchant_id, id, settlement_id, rail, 'send', :now, 0, 0 FROM payouts
    WHERE merchant_id = :merchant AND settlement_id = :settlement AND state = 'submitting'
      AND rail = ANY(CAST(:rails AS text[]))
    ON CONFLICT DO NOTHING
""")
