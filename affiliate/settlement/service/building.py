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
from affiliate.ledger import service as ledger
from affiliate.money import EXPONENTS
from affiliate.payouts import service as payouts
from affiliate.payouts.models import State as PayoutState
from affiliate.payouts.service import drafts
from affiliate.people.models import Merchant, PayoutMode
from affiliate.settlement import queries, rules
from affiliate.settlement.models import Offset, Settlement, State
from affiliate.settlement.service.states import locked, move, person

ALL: payouts.Payee = ("", "all", 0)  # where the cursor stands once there is nobody left to draft


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
    chunk = payouts.draft(run, after=after, size=size) if after != ALL else None
    if chunk is None:
        settlement.cursor = [str(part) for part in ALL]
        return _finish(settlement, size)
    _write_the_rest(drafts.given(run, after, chunk.last))
    settlement.cursor = [str(part) for part in chunk.last]
    settlement.payees_done += chunk.payees
    settlement.worked_at = clock.now()
    db.session.flush()
    ledger.post(payouts.recovered(payouts.standing(run.merchant_id, IN_CHUNK)))
    payouts.reserve(run)
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
        payer=payouts.payer(merchant.id, merchant.withholding, merchant.timezone),
        invoices=merchant.invoice_required,
    )


def _payee(cursor: list[str]) -> payouts.Payee:
    currency, payee_kind, payee_id = cursor
    return currency, payee_kind, int(payee_id)


def _write_the_rest(given: dict[str, object]) -> None:
    if db.session.execute(OFFSET, given).first():
        raise drafts.Changed(_("Entries changed while they were taken."))
    for statement in (CARRY_OVER, FLAG):
        db.session.execute(statement, given)


def _finish(settlement: Settlement, size: int) -> bool:
    """All payouts are there: they wait for approval, so many at once. False when all do."""
    key = (settlement.merchant_id, settlement.id)
    state, to = PayoutState.DRAFT, PayoutState.AWAITING_APPROVAL
    settlement.worked_at = clock.now()
    if payouts.move_all(*key, state, to, by=None, limit=size):
        return True
    add_up(settlement)
    move(settlement, State.REVIEW)
    return False


def add_up(settlement: Settlement) -> None:
    """Totals and hash of what is in it now. Whoever approves names this hash."""
    settlement.totals = queries.totals([settlement])[settlement.id]
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
    SELECT :merchant, :settlement, payee_kind, payee_id, currency, left_over.amount, reason, :now
    FROM verdicts
    CROSS JOIN LATERAL (VALUES
      (CASE WHEN verdict NOT IN ('pay', 'offset', 'asked', 'nothing') THEN verdict END,
       CASE WHEN verdict <> 'negative' AND withdrawal_id IS NOT NULL THEN asked
            ELSE verdicts.amount END),
      (CASE WHEN withdrawal_id IS NOT NULL AND verdicts.amount > 0 THEN 'not_requested' END,
       verdicts.amount),
      (CASE WHEN verdict <> 'on_hold' AND held > 0 THEN 'on_hold' END, held)
    ) AS left_over (reason, amount)
    WHERE reason IS NOT NULL
""")

# Entries that cancel each other out; taken as those of payouts are.
OFFSET = sa.text(f"""
    WITH {drafts.taking("offset")}, written AS (
        INSERT INTO offsets (merchant_id, settlement_id, entry_id, payee_kind, payee_id, currency,
                             amount, live)
        SELECT :merchant, :settlement, id, payee_kind, payee_id, currency, amount, true FROM taken
    )
    SELECT payee_id FROM taken GROUP BY currency, payee_kind, payee_id
    HAVING sum(amount) <> 0 LIMIT 1
""")  # noqa: S608

# Set beside what the payee was paid before, the last six times.
FLAG = sa.text("""
    INSERT INTO settlement_flags (merchant_id, settlement_id, payout_id, code, detail, created_at)
    SELECT :merchant, :settlement, payout_id, flag.code, flag.detail, :now
    FROM verdicts
    CROSS JOIN LATERAL (
        SELECT round(avg(gross)) AS usual, bool_or(account_id = verdicts.account_id) AS known
        FROM (SELECT gross, account_id FROM payouts
               WHERE merchant_id = :merchant AND payee_kind = verdicts.payee_kind
                 AND payee_id = verdicts.payee_id AND currency = verdicts.currency
                 AND state = 'paid'
               ORDER BY id DESC LIMIT 6) AS last
    ) AS before
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT (other.payee_kind, other.payee_id)) AS others
          FROM payout_accounts account
          JOIN payout_accounts other
            ON other.fingerprint = account.fingerprint AND other.replaced_at IS NULL
           AND (other.payee_kind, other.payee_id) <> (account.payee_kind, account.payee_id)
         WHERE account.id = verdicts.account_id
    ) AS shared
    CROSS JOIN LATERAL (
        SELECT name_differs FROM payout_accounts WHERE id = verdicts.account_id
    ) AS holder
    CROSS JOIN LATERAL (VALUES
        (CASE WHEN gross >= 10 * before.usual THEN 'far_above_usual' END,
         jsonb_build_object('usual', before.usual)),
        (CASE WHEN NOT before.known THEN 'new_account' END, '{}'),
        (CASE WHEN shared.others > 0 THEN 'shared_account' END,
         jsonb_build_object('others', shared.others)),
        (CASE WHEN holder.name_differs THEN 'other_name' END, '{}')
    ) AS flag (code, detail)
    WHERE payout_id IS NOT NULL AND flag.code IS NOT NULL
""")

IN_CHUNK = """
    SELECT payee_kind, payee_id, currency FROM verdicts WHERE verdict IN ('pay', 'offset')
"""
