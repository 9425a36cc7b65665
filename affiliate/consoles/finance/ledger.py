"""The ledger: accounts, what moved on each and why, and the proof that it all adds up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.commissions.models import Entry
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_scope
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.ledger import queries, rules, verify
from affiliate.ledger.models import Account, Kind, OwnerKind, Transfer
from affiliate.ledger.queries import Movement
from affiliate.money import Money
from affiliate.orders.models import Order
from affiliate.payouts.models import Payout
from affiliate.people.models import Promoter
from affiliate.people.queries import within
from affiliate.people.rules import Right
from affiliate.settlement.models import PayIn

MOST_NAMES = 200


@dataclass(frozen=True, slots=True)
class AccountRow:
    account: Account
    key: str
    merchant: str
    owner: str
    balance: Money


@dataclass(frozen=True, slots=True)
class Cause:
    """The row a transfer was made for, as people find it."""

    words: str
    url: str | None


@dataclass(frozen=True, slots=True)
class MovementRow:
    movement: Movement
    amount: Money
    after: Money  # the balance once it was booked
    cause: Cause
    other: str


@bp.get("/ledger/")
def accounts() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [Account.id])
    return render_template(
        "finance/accounts.html",
        rows=_rows(found),
        choices=access.merchants(),
        owners=words.OWNERS,
        next=cursor,
    )


@bp.get("/ledger/<account_id>")
def account(account_id: str) -> ResponseReturnValue:
    key = access.key_of("lac", account_id)
    row = db.session.get(Account, key, populate_existing=True) or abort(404)
    before = _before()
    moved = queries.movements(*key, before=before, limit=lists.ROWS + 1)
    shown = moved[: lists.ROWS]
    after = _standing(row, shown[0].id) if shown else 0
    return render_template(
        "finance/account.html",
        row=_rows([row])[0],
        sides=(Money(row.debits, row.currency), Money(row.credits, row.currency)),
        movements=_movements(row, shown, after),
        first=before is None,
        older=ids.encode("trf", key[0], shown[-1].id) if len(moved) > lists.ROWS else None,
    )


@bp.post("/ledger/verify")
def prove() -> ResponseReturnValue:
    """Reads every account of the instance, so only who may see them all is told the counts."""
    scope = current_scope(Right.READ_MONEY)
    report = verify.verify()
    template = "_verdict" if request.headers.get("HX-Request") else "verified"
    return render_template(
        f"finance/{template}.html",
        report=report,
        sees_all=scope is None,
        checks=list(verify.CHECKS),
        broken={each.check for each in report.breaches},
        proves=words.PROVES,
        counted=words.COUNTED,
    )


def _chosen() -> sa.Select[Any]:
    found = (
        sa.select(Account)
        .where(within(Account.merchant_id, current_scope(Right.READ_MONEY)))
        .execution_options(populate_existing=True)  # totals change without the session knowing
    )
    if merchant_id := access.asked_merchant():
        found = found.where(Account.merchant_id == merchant_id)
    if (kind := request.args.get("kind")) in list(Kind):
        found = found.where(Account.kind == kind)
    if (owner := request.args.get("owner")) in list(OwnerKind):
        found = found.where(Account.owner_kind == owner)
    if currency := request.args.get("currency", "").strip().upper():
        found = found.where(Account.currency == currency[:3])
    if wanted := request.args.get("q", "").strip():
        found = found.where(Account.owner_kind == "promoter", Account.owner_id.in_(_named(wanted)))
    return found


def _named(wanted: str) -> sa.Select[Any]:
    like = f"%{wanted.replace('%', '').replace('_', '')}%"
    return sa.select(Promoter.id).where(Promoter.name.ilike(like)).limit(MOST_NAMES)


def _rows(found: Sequence[Account]) -> list[AccountRow]:
    names = words.merchant_names({each.merchant_id for each in found})
    payees = words.payees((each.owner_kind, each.owner_id) for each in found)
    return [
        AccountRow(
            each,
            ids.encode("lac", each.merchant_id, each.id),
            names[each.merchant_id],
            names[each.merchant_id]
            if each.owner_kind == OwnerKind.MERCHANT
            else payees[each.owner_kind, each.owner_id],
            Money(rules.balance(each.kind, each.debits, each.credits), each.currency),
        )
        for each in found
    ]


def _before() -> int | None:
    text = request.args.get("before")
    try:
        return ids.decode_pair("trf", text)[1] if text else None
    except NotFound:
        abort(404)


def _standing(row: Account, transfer_id: int) -> int:
    """The balance once this transfer was booked: today's, less all that came later. One statement,
    so both are of one instant.
    """
    amount = sa.case((Transfer.source_id == row.id, -Transfer.amount), else_=Transfer.amount)
    later = (
        sa.select(sa.func.coalesce(sa.func.sum(amount), 0))
        .where(
            Transfer.merchant_id == row.merchant_id,
            Transfer.id > transfer_id,
            sa.or_(Transfer.source_id == row.id, Transfer.target_id == row.id),
        )
        .scalar_subquery()
    )
    credits_ = db.session.scalar(
        sa.select(Account.credits - Account.debits - later).where(
            Account.merchant_id == row.merchant_id, Account.id == row.id
        )
    )
    return rules.balance(row.kind, 0, int(credits_ or 0))


def _movements(row: Account, moved: Sequence[Movement], after: int) -> list[MovementRow]:
    causes = _causes(row.merchant_id, {each.cause for each in moved})
    others = words.payees((each.other.owner_kind, each.other.owner_id) for each in moved)
    found = []
    for each in moved:
        other = (each.other.owner_kind, each.other.owner_id)
        found.append(
            MovementRow(
                each,
                Money(each.amount, row.currency),
                Money(after, row.currency),
                causes[each.cause],
                f"{words.KINDS[each.other.kind]} · {others[other]}",
            )
        )
        after -= each.amount
    return found


def _causes(merchant_id: int, wanted: set[str]) -> dict[str, Cause]:
    """`entry:7` as its order, `payout:3` as its reference, each with the way there."""
    split = {each: each.partition(":")[::2] for each in wanted}
    numbers = {
        kind: {int(id_) for name, id_ in split.values() if name == kind and id_.isdigit()}
        for kind in ("entry", "payout", "pay_in")
    }
    found = {
        **_orders(merchant_id, numbers["entry"]),
        **_payouts(merchant_id, numbers["payout"]),
        **_pay_ins(merchant_id, numbers["pay_in"]),
    }
    return {each: found.get(each, Cause(each, None)) for each in wanted}


def _orders(merchant_id: int, entry_ids: set[int]) -> dict[str, Cause]:
    if not entry_ids:
        return {}
    rows = db.session.execute(
        sa.select(Entry.id, Order.id, Order.number, Order.external_id)
        .join(Order, sa.and_(Order.merchant_id == Entry.merchant_id, Order.id == Entry.order_id))
        .where(Entry.merchant_id == merchant_id, Entry.id.in_(entry_ids))
    )
    return {
        f"entry:{entry_id}": Cause(
            number or external_id,
            url_for("finance.order", order_id=ids.encode("ord", merchant_id, order_id)),
        )
        for entry_id, order_id, number, external_id in rows
    }


def _payouts(merchant_id: int, payout_ids: set[int]) -> dict[str, Cause]:
    if not payout_ids:
        return {}
    rows = db.session.execute(
        sa.select(Payout.id, Payout.reference).where(
            Payout.merchant_id == merchant_id, Payout.id.in_(payout_ids)
        )
    )
    return {
        f"payout:{id_}": Cause(
            reference,
            url_for("finance.payout", payout_id=ids.encode("pay", merchant_id, id_)),
        )
        for id_, reference in rows
    }


def _pay_ins(merchant_id: int, pay_in_ids: set[int]) -> dict[str, Cause]:
    if not pay_in_ids:
        return {}
    rows = db.session.execute(
        sa.select(PayIn.id, PayIn.reference).where(
            PayIn.merchant_id == merchant_id, PayIn.id.in_(pay_in_ids)
        )
    )
    return {
        f"pay_in:{id_}": Cause(reference, url_for("finance.pay_ins", q=reference))
        for id_, reference in rows
    }
