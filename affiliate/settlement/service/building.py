"""Building: which money of a payer goes out, chunk by chunk, as many small transactions.

A chunk's rows and the settlement's cursor are stored together, so a killed build goes on where
it stood, and two builds at once share the work.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from flask import current_app

from affiliate import audit, clock, jobs
from affiliate.commissions import service as commissions
from affiliate.commissions.models import State as EntryState
from affiliate.db import db
from affiliate.errors import invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS
from affiliate.payouts import service as payouts
from affiliate.payouts.models import State as PayoutState
from affiliate.payouts.service import drafts
from affiliate.people.models import Merchant, PayoutMode
from affiliate.settlement import queries, rules
from affiliate.settlement.models import Offset, Settlement, State
from affiliate.settlement.service.states import locked, move, person


def create(
    merchant_id: int,
    *,
    through: datetime,
    by: int,
    currencies: Collection[str] = (),
    note: str | None = None,
    in_background: bool = True,
) -> Settlement:
    """Begin a settlement; a job builds it, unless the caller does so itself."""
    person(by)
    now = clock.now()
    if through > now and not current_app.config["SETTINGS"].allow_future:
        message = _("A settlement cannot run through the future.")
        raise invalid("/through", "in_the_future", message)
    for currency in currencies:
        if currency not in EXPONENTS:
            raise invalid(
                "/currencies",
                "unknown_currency",
                _("%(currency)s is no ISO 4217 currency.", currency=currency),
            )
    settlement = Settlement(
        merchant_id=merchant_id,
        through=through,
        currencies=sorted(set(currencies)),
        state=State.BUILDING,
        created_by=by,
        worked_at=now,
        note=note,
    )
    db.session.add(settlement)
    db.session.flush()
    audit.record(
        "settlement.made", subject=f"stl:{settlement.id}", by=by, merchant_id=merchant_id,
        through=through.isoformat(), currencies=settlement.currencies,
    )  # fmt: skip
    if in_background:
        jobs.ring(jobs.Job.BUILD_SETTLEMENT, merchant_id, settlement.id)
    return settlement


def build_chunk(merchant_id: int, settlement_id: int, size: int) -> bool:
    """Make the payouts of the next payees; False when nothing is left to build."""
    settlement = locked(merchant_id, settlement_id)
    if settlement.state != State.BUILDING:
        return False
    _one_build_at_a_time(merchant_id)
    run = _run(settlement)
    if settlement.payees_total is None:
        settlement.payees_total = payouts.count_payees(run)
    after = _payee(settlement.cursor) if settlement.cursor else drafts.NOBODY
    chunk = payouts.draft(run, after=after, size=size)
    if chunk is None:
        _finish(settlement)
        return False
    _write_the_rest(run, after, chunk.last)
    settlement.cursor = [str(part) for part in chunk.last]
    settlement.payees_done += chunk.payees
    settlement.worked_at = clock.now()
    db.session.flush()
    payouts.reserve(run, chunk)
    return True


def _one_build_at_a_time(merchant_id: int) -> None:
    # Two settlements of one payer would only wait for each other's entries, row by row.
    name = f"settlement build:{merchant_id}"
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def _run(settlement: Settlement) -> payouts.Run:
    merchant = db.session.get_one(Merchant, settlement.merchant_id)
    return payouts.Run(
        merchant_id=settlement.merchant_id,
        settlement_id=settlement.id,
        through=settlement.through,
        currencies=tuple(settlement.currencies),
        minimum=merchant.minimum_payout,
        on_request=merchant.payout_mode == PayoutMode.ON_REQUEST,
    )


def _payee(cursor: list[str]) -> payouts.Payee:
    currency, payee_kind, payee_id = cursor
    return currency, payee_kind, int(payee_id)


def _write_the_rest(run: payouts.Run, after: payouts.Payee, last: payouts.Payee) -> None:
    given = drafts.given(run, after, last)
    db.session.execute(CARRY_OVER, given)
    db.session.execute(CARRY_OVER_HELD, given)
    db.session.execute(OFFSET, given)


def _finish(settlement: Settlement) -> None:
    key = (settlement.merchant_id, settlement.id)
    payouts.move_all(*key, PayoutState.DRAFT, PayoutState.AWAITING_APPROVAL, by=None)
    add_up(settlement)
    move(settlement, State.REVIEW)


def add_up(settlement: Settlement) -> None:
    """Totals and hash of what is in it now. Whoever approves names this hash."""
    settlement.totals = queries.totals(settlement.merchant_id, settlement.id)
    settlement.hash = rules.digest(queries.canonical_lines(settlement))


def move_offsets(settlement: Settlement, to: EntryState) -> None:
    """Entries that cancel each other out leave the pool for good, or come back."""
    lines = sa.select(Offset.entry_id).where(
        Offset.merchant_id == settlement.merchant_id,
        Offset.settlement_id == settlement.id,
        Offset.live,
    )
    commissions.move_entries(settlement.merchant_id, lines, EntryState.RESERVED, to)


CARRY_OVER = sa.text("""
    INSERT INTO carry_overs (merchant_id, settlement_id, payee_kind, payee_id, currency, amount,
                             reason, created_at)
    SELECT :merchant, :settlement, payee_kind, payee_id, currency, amount, verdict, :now
    FROM verdicts WHERE verdict NOT IN ('pay', 'offset')
""")

CARRY_OVER_HELD = sa.text(f"""
    INSERT INTO carry_overs (merchant_id, settlement_id, payee_kind, payee_id, currency, amount,
                             reason, created_at)
    SELECT :merchant, :settlement, payee_kind, payee_id, currency, sum(amount), 'on_hold', :now
    {drafts.OPEN} {drafts.UP_TO_LAST}
      AND amount > 0 AND on_hold IS NOT NULL AND {drafts.DUE}
    GROUP BY currency, payee_kind, payee_id
""")

OFFSET = sa.text("""
    INSERT INTO offsets (merchant_id, settlement_id, entry_id, payee_kind, payee_id, currency,
                         amount, live)
    SELECT :merchant, :settlement, entry_id, payee_kind, payee_id, currency, picked.amount, true
    FROM picked JOIN verdicts USING (currency, payee_kind, payee_id)
    WHERE verdict = 'offset'
""")
