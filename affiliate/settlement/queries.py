"""Reads about settlements: what is in them, what was left out and why, what to look at twice."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.payouts.models import Payout
from affiliate.payouts.models import State as PayoutState
from affiliate.settlement.models import CarryOver, Flag, PayIn, PayoutFile, Settlement, State

Totals = Mapping[str, Mapping[str, int]]  # sums by currency

QUIET = timedelta(minutes=1)  # a job that works writes `worked_at` many times a minute


class SettlementNotThere(NotFound):
    pass


def find(merchant_id: int, settlement_id: int) -> Settlement:
    found = db.session.get(Settlement, (merchant_id, settlement_id))
    if found is None:
        raise SettlementNotThere(_("There is no such settlement."))
    return found


def progress(merchant_id: int, settlement_id: int) -> sa.Row[*tuple[Any, ...]]:
    """As it is stored now, whatever this session has seen before."""
    return db.session.execute(
        sa.select(
            Settlement.state,
            Settlement.through,
            Settlement.cursor,
            Settlement.payees_done,
            Settlement.payees_total,
        ).where(Settlement.merchant_id == merchant_id, Settlement.id == settlement_id)
    ).one()


def quiet() -> Sequence[Settlement]:
    """Settlements with work left that nobody does: the bell was lost or the worker was killed."""
    return db.session.scalars(
        sa.select(Settlement)
        .where(
            Settlement.state.in_([State.BUILDING, State.EXECUTING]),
            Settlement.worked_at < clock.now() - QUIET,
        )
        .order_by(Settlement.worked_at)
        .limit(100)
    ).all()


def merchants_with_money(through: datetime, scope: frozenset[int] | None) -> list[int]:
    """Those who have anything to settle: something available, or due for release by then."""
    given = {"through": through, "scope": None if scope is None else sorted(scope)}
    return list(db.session.scalars(MERCHANTS, given))


def to_pay(settlements: Sequence[Settlement]) -> Mapping[int, Totals]:
    """What each of them pays. What was approved stays written in it, also when payouts are
    cancelled afterwards; here they are left out.
    """
    written: dict[int, Totals] = {each.id: each.totals for each in settlements}
    approved = [each for each in settlements if each.approved_by is not None]
    return written | dict(totals(approved)) if approved else written


def totals(settlements: Sequence[Settlement]) -> Mapping[int, Totals]:
    """By currency: how many payouts that may still be paid or were, and their sums."""
    rows = db.session.execute(
        sa.select(
            Payout.settlement_id,
            Payout.currency,
            sa.func.count(),
            sa.cast(sa.func.sum(Payout.gross), sa.BigInteger),
            sa.cast(sa.func.sum(Payout.withheld), sa.BigInteger),
            sa.cast(sa.func.sum(Payout.net), sa.BigInteger),
        )
        .where(_of(Payout, settlements), Payout.state != PayoutState.CANCELLED)
        .group_by(Payout.settlement_id, Payout.currency)
        .order_by(Payout.currency)
    )
    found: dict[int, dict[str, dict[str, int]]] = {each.id: {} for each in settlements}
    for settlement_id, currency, count, gross, withheld, net in rows:
        sums = {"payouts": count, "gross": gross, "withheld": withheld, "net": net}
        found[settlement_id][currency] = sums
    return found


def canonical_lines(settlement: Settlement) -> Iterator[str]:
    """What an approval is about, in one agreed form: docs/decisions/settlement.md describes it.

    Read in portions, so that a million entries need no more memory than a thousand.
    """
    key = (settlement.merchant_id, settlement.id)
    yield f"settlement {key[0]} {key[1]} through {settlement.through.isoformat()}"
    given = dict(zip(("merchant", "settlement"), key, strict=True))
    for lines in (PAYOUTS, OFFSETS):
        yield from db.session.scalars(lines, given, execution_options={"yield_per": 2000})


def payouts_by_state(settlements: Sequence[Settlement]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {each.id: {} for each in settlements}
    rows = db.session.execute(
        sa.select(Payout.settlement_id, Payout.state, sa.func.count())
        .where(_of(Payout, settlements))
        .group_by(Payout.settlement_id, Payout.state)
    )
    for settlement_id, state, count in rows:
        found[settlement_id][state] = count
    return found


def carried_over(settlements: Sequence[Settlement]) -> dict[int, list[Any]]:
    """By reason and currency: how many payees, and how much."""
    found: dict[int, list[Any]] = {each.id: [] for each in settlements}
    rows = db.session.execute(
        sa.select(
            CarryOver.settlement_id,
            CarryOver.reason,
            CarryOver.currency,
            sa.func.count().label("payees"),
            sa.cast(sa.func.sum(CarryOver.amount), sa.BigInteger).label("amount"),
        )
        .where(_of(CarryOver, settlements))
        .group_by(CarryOver.settlement_id, CarryOver.reason, CarryOver.currency)
        .order_by(CarryOver.settlement_id, CarryOver.currency, CarryOver.reason)
    )
    for row in rows:
        found[row.settlement_id].append(row)
    return found


def reversed_since(settlement: Settlement, limit: int = 200) -> Sequence[sa.Row[Any]]:
    """Payouts not yet paid whose payees lost money after they were built (DOMAIN 4, example 8).

    The payout goes out as approved and the loss waits for the next settlement, so the approver
    is told.
    """
    given = {"merchant": settlement.merchant_id, "settlement": settlement.id, "limit": limit}
    return db.session.execute(REVERSED_SINCE, given).all()


def flags(settlement: Settlement, limit: int = 200) -> Sequence[sa.Row[Any]]:
    """What the build found to look at twice, of payouts that are not cancelled; largest first."""
    return db.session.execute(
        sa.select(Flag.payout_id, Flag.code, Flag.detail, Payout.net, Payout.currency)
        .join(Payout, sa.and_(Payout.merchant_id == Flag.merchant_id, Payout.id == Flag.payout_id))
        .where(
            Flag.merchant_id == settlement.merchant_id,
            Flag.settlement_id == settlement.id,
            Payout.state != PayoutState.CANCELLED,
        )
        .order_by(Payout.net.desc(), Flag.id)
        .limit(limit)
    ).all()


def before(settlement: Settlement) -> Settlement | None:
    """The merchant's last one before this that was approved."""
    return db.session.scalar(
        sa.select(Settlement)
        .where(
            Settlement.merchant_id == settlement.merchant_id,
            Settlement.id < settlement.id,
            Settlement.state.in_([State.APPROVED, State.EXECUTING, State.CLOSED]),
        )
        .order_by(Settlement.id.desc())
        .limit(1)
    )


def compared(settlement: Settlement, with_: Settlement) -> dict[str, tuple[int, int]]:
    """By currency: how many more payouts, and how much more money, than then."""
    nothing = {"payouts": 0, "net": 0}
    sums = to_pay([settlement, with_])
    ours, theirs = sums[settlement.id], sums[with_.id]
    found = {}
    for currency in sorted(ours.keys() | theirs.keys()):
        now, then = ours.get(currency, nothing), theirs.get(currency, nothing)
        found[currency] = (now["payouts"] - then["payouts"], now["net"] - then["net"])
    return found


def files(merchant_id: int, settlement_id: int) -> Sequence[PayoutFile]:
    return db.session.scalars(
        sa.select(PayoutFile)
        .where(PayoutFile.merchant_id == merchant_id, PayoutFile.settlement_id == settlement_id)
        .order_by(PayoutFile.id)
    ).all()


def file(settlement: tuple[int, int], file: tuple[int, int]) -> PayoutFile:
    """A file of this settlement; any other does not exist."""
    found = db.session.get(PayoutFile, file)
    if found is None or (found.merchant_id, found.settlement_id) != settlement:
        raise NotFound(_("There is no such file."))
    return found


def pay_in(merchant_id: int, pay_in_id: int, *, lock: bool = False) -> PayIn:
    found = db.session.get(
        PayIn, (merchant_id, pay_in_id), with_for_update=lock or None, populate_existing=lock
    )
    if found is None:
        raise NotFound(_("There is no such pay-in."))
    return found


def _of(table: type[Payout] | type[CarryOver], settlements: Sequence[Settlement]) -> Any:
    keys = [(each.merchant_id, each.id) for each in settlements]
    return sa.tuple_(table.merchant_id, table.settlement_id).in_(keys)


MERCHANTS = sa.text("""
    SELECT id FROM merchants
    WHERE (CAST(:scope AS bigint[]) IS NULL OR id = ANY(:scope))
      AND EXISTS (
        SELECT FROM entries
        WHERE entries.merchant_id = merchants.id AND payee_kind <> 'platform'
          AND (state = 'available'
               OR state = 'pending' AND on_hold IS NULL AND hold_until <= :through))
    ORDER BY id
""")

PAYOUTS = sa.text("""
    SELECT concat_ws(' ', 'payout', payout.id, payout.payee_kind, payout.payee_id, payout.currency,
                     'account', account.id, encode(account.fingerprint, 'hex'), payout.rail,
                     payout.reference, payout.gross, payout.withheld, payout.net, 'entries',
                     string_agg(line.entry_id || ':' || line.amount, ',' ORDER BY line.entry_id))
    FROM payouts AS payout
    JOIN payout_accounts AS account ON account.id = payout.account_id
    JOIN payout_lines AS line
      ON line.merchant_id = payout.merchant_id AND line.payout_id = payout.id
    WHERE payout.merchant_id = :merchant AND payout.settlement_id = :settlement
      AND payout.state <> 'cancelled'
    GROUP BY payout.merchant_id, payout.id, account.id
    ORDER BY payout.id
""")

OFFSETS = sa.text("""
    SELECT concat_ws(' ', 'offset', payee_kind, payee_id, currency, 'entries',
                     string_agg(entry_id || ':' || amount, ',' ORDER BY entry_id))
    FROM offsets WHERE merchant_id = :merchant AND settlement_id = :settlement
    GROUP BY payee_kind, payee_id, currency
    ORDER BY currency, payee_kind, payee_id
""")

REVERSED_SINCE = sa.text("""
    SELECT payout.id, payout.currency, CAST(sum(entry.amount) AS bigint) AS amount
    FROM payouts AS payout
    JOIN entries AS entry
      ON entry.merchant_id = payout.merchant_id AND entry.currency = payout.currency
     AND entry.payee_kind = payout.payee_kind AND entry.payee_id = payout.payee_id
     AND entry.state = 'available' AND entry.amount < 0
    WHERE payout.merchant_id = :merchant AND payout.settlement_id = :settlement
      AND payout.state NOT IN ('paid', 'returned', 'failed', 'cancelled')
    GROUP BY payout.id, payout.currency
    ORDER BY payout.id LIMIT :limit
""")
