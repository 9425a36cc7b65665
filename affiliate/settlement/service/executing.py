"""Executing an approved settlement: payouts are frozen first, then handed over rail by rail.

References are stored, and the payouts say `submitting`, before anything is made of them. Every
step looks at the rows first, so it may be repeated after a kill and run twice at once.
"""

import hashlib
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from affiliate import audit, clock, ids, jobs, security
from affiliate.db import db
from affiliate.payouts import queries as payout_queries
from affiliate.payouts import rails
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Payout, PayoutAccount
from affiliate.payouts.models import State as PayoutState
from affiliate.payouts.rails.interface import Instruction
from affiliate.settlement.models import PayoutFile, Settlement, State
from affiliate.settlement.service.states import locked, move

SEALED = "payout_files.content"


def execute(merchant_id: int, settlement_id: int, *, by: int) -> Settlement:
    """Ask for an approved settlement to be carried out. Asking again changes nothing."""
    settlement = locked(merchant_id, settlement_id)
    if settlement.state in (State.EXECUTING, State.CLOSED):
        return settlement
    settlement.executed_by, settlement.executed_at = by, clock.now()
    move(settlement, State.EXECUTING)
    jobs.ring(jobs.Job.EXECUTE_SETTLEMENT, merchant_id, settlement_id)
    audit.record(
        "settlement.executed", subject=f"stl:{settlement_id}", by=by, merchant_id=merchant_id,
        hash=settlement.hash, totals=settlement.totals,
    )  # fmt: skip
    return settlement


def submit(merchant_id: int, settlement_id: int) -> None:
    """From here on no payout of it can be cancelled, and calls to providers are due."""
    settlement = locked(merchant_id, settlement_id)
    if settlement.state != State.EXECUTING:
        return
    settlement.worked_at = clock.now()
    for payout_id in payout_queries.held(merchant_id, settlement_id):
        payouts.cancel(merchant_id, payout_id, by=None, reason="on_hold")
    payouts.move_all(
        merchant_id,
        settlement_id,
        PayoutState.APPROVED,
        PayoutState.SUBMITTING,
        by=settlement.executed_by,
    )
    payouts.begin_calls(merchant_id, settlement_id)


def write_files(merchant_id: int, settlement_id: int) -> None:
    """One file for each rail and currency, made once; its payouts are then with the bank."""
    settlement = locked(merchant_id, settlement_id)
    if settlement.state != State.EXECUTING:
        return
    settlement.worked_at = clock.now()
    for rail, currency in _left(settlement, rails.in_files()):
        _write_file(settlement, rail, currency)


def hand_out(merchant_id: int, settlement_id: int) -> None:
    """What people pay by hand is with them from now on."""
    settlement = locked(merchant_id, settlement_id)
    for rail, currency in _left(settlement, rails.by_hand()):
        payouts.move_all(
            merchant_id,
            settlement_id,
            PayoutState.SUBMITTING,
            PayoutState.ACCEPTED,
            by=settlement.executed_by,
            rail=rail,
            currency=currency,
        )


def still_at_work(merchant_id: int, settlement_id: int) -> None:
    """So that the sweep does not take a long execution for a lost one."""
    locked(merchant_id, settlement_id).worked_at = clock.now()


def close(merchant_id: int, settlement_id: int) -> None:
    """Nothing is left to submit. What the bank says later concerns the payouts alone."""
    settlement = locked(merchant_id, settlement_id)
    if settlement.state != State.EXECUTING or _left(settlement):
        return
    settlement.ended_at = clock.now()
    move(settlement, State.CLOSED)


def _left(settlement: Settlement, some: Sequence[str] | None = None) -> Sequence[tuple[str, str]]:
    """Rails and currencies with something to submit: all, or those of some rails."""
    chosen = sa.true() if some is None else Payout.rail.in_(some)
    rows = db.session.execute(
        sa.select(Payout.rail, Payout.currency)
        .where(*_submitting(settlement), chosen)
        .distinct()
        .order_by(Payout.rail, Payout.currency)
    )
    return [(rail, currency) for rail, currency in rows]


def _write_file(settlement: Settlement, rail: str, currency: str) -> None:
    key = (settlement.merchant_id, settlement.id)
    payouts_in = (*_submitting(settlement), Payout.rail == rail, Payout.currency == currency)
    # Held until the file is stored: else one that is marked as failed meanwhile would stay in it.
    nets = db.session.scalars(
        sa.select(Payout.net).where(*payouts_in).order_by(Payout.id).with_for_update()
    ).all()
    count, total = len(nets), sum(nets)
    writer = rails.RAILS[rail]
    assert isinstance(writer, rails.BatchRail)
    content = writer.batch(_instructions(payouts_in))
    name = f"{ids.encode('stl', *key)}-{currency}.{writer.ending}"
    db.session.add(
        PayoutFile(
            merchant_id=settlement.merchant_id,
            settlement_id=settlement.id,
            rail=rail,
            currency=currency,
            name=name,
            content=security.seal(content, place=SEALED),
            sha256=hashlib.sha256(content).hexdigest(),
            payouts=count,
            total=total,
        )
    )
    db.session.flush()
    moved = payouts.move_all(
        *key,
        PayoutState.SUBMITTING,
        PayoutState.ACCEPTED,
        by=settlement.executed_by,
        rail=rail,
        currency=currency,
        detail={"file": name},
    )
    assert moved == count, "the file holds exactly the payouts that it hands over"


def _instructions(which: tuple[sa.ColumnElement[bool], ...]) -> Iterator[Instruction]:
    """In the order of their ids, so that making the file again makes the same bytes."""
    rows = db.session.execute(
        sa.select(Payout, PayoutAccount)
        .join(PayoutAccount, PayoutAccount.id == Payout.account_id)
        .where(*which)
        .order_by(Payout.id),
        execution_options={"yield_per": 2000},
    )
    for payout, account in rows:
        fields = payouts.open_fields(account.fields)
        yield Instruction(payout.reference, payout.net, payout.currency, account.country, fields)


def _submitting(settlement: Settlement) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Payout.merchant_id == settlement.merchant_id,
        Payout.settlement_id == settlement.id,
        Payout.state == PayoutState.SUBMITTING,
    )


def open_file(file: PayoutFile) -> bytes:
    return security.unseal(file.content, place=SEALED)
