"""What is owed, by stage and age, and the entries that every figure of it is the sum of."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import render_template, request
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.commissions.models import Commission, Entry
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.finance.orders import owners
from affiliate.db import db
from affiliate.money import Money
from affiliate.orders.models import Order
from affiliate.payouts.models import Payout
from affiliate.settlement import outlook


@dataclass(frozen=True, slots=True)
class Row:
    """An entry with what it was earned by, and the payout that owns it."""

    entry: Entry
    order: str
    order_key: str
    role: str
    payout: tuple[Payout, str] | None


@bp.get("/owed/")
def owed() -> ResponseReturnValue:
    found = outlook.owed(access.asked_scope(), clock.now())
    return render_template(
        "finance/owed.html",
        found=found,
        stages=outlook.STAGES,
        ages=words.AGES,
        holds=words.HOLDS,
        choices=access.merchants(),
        charts={each.currency: _bars(each) for each in found},
    )


@bp.get("/entries/")
def entries() -> ResponseReturnValue:
    chosen = _chosen()
    found, cursor = lists.page(chosen, [Entry.id])
    return render_template(
        "finance/entries.html",
        rows=_rows(found),
        sums=_sums(chosen),
        merchants=words.merchant_names({each.merchant_id for each in found}),
        payees=words.payees((each.payee_kind, each.payee_id) for each in found),
        choices=access.merchants(),
        stages=[(each, words.KINDS[each]) for each in outlook.STAGES],
        ages=words.AGES,
        holds=words.HOLDS,
        next=cursor,
    )


def _chosen() -> sa.Select[Any]:
    found = sa.select(Entry).where(outlook.still_owed(access.asked_scope()))
    if (stage := request.args.get("stage")) in list(outlook.STAGES):
        found = found.where(Entry.state == stage)
    if currency := request.args.get("currency", "").strip().upper():
        found = found.where(Entry.currency == currency[:3])
    if (age := request.args.get("age", "")) in outlook.AGES:
        found = found.where(outlook.of_age(age, clock.now()))
    if held := request.args.get("held", "").strip():
        found = found.where(Entry.on_hold == held, Entry.state != "reserved")
    return found


def _sums(chosen: sa.Select[Any]) -> list[tuple[Money, int]]:
    of = chosen.subquery()
    rows = db.session.execute(
        sa.select(of.c.currency, sa.cast(sa.func.sum(of.c.amount), sa.BigInteger), sa.func.count())
        .group_by(of.c.currency)
        .order_by(of.c.currency)
    )
    return [(Money(amount, currency), count) for currency, amount, count in rows]


def _rows(found: list[Entry]) -> list[Row]:
    about = {
        (merchant_id, entry_id): (number, external_id, role)
        for merchant_id, entry_id, number, external_id, role in db.session.execute(
            sa.select(Entry.merchant_id, Entry.id, Order.number, Order.external_id, Commission.role)
            .join(Order, _same(Order, Entry.order_id))
            .join(Commission, _same(Commission, Entry.commission_id))
            .where(
                sa.tuple_(Entry.merchant_id, Entry.id).in_(
                    [(each.merchant_id, each.id) for each in found]
                )
            )
        )
    }
    payouts = owners(found)
    rows = []
    for each in found:
        key = (each.merchant_id, each.id)
        number, external_id, role = about[key]
        rows.append(
            Row(
                each,
                number or external_id,
                ids.encode("ord", each.merchant_id, each.order_id),
                role,
                payouts.get(key),
            )
        )
    return rows


def _same(table: Any, id_: Any) -> sa.ColumnElement[bool]:
    return sa.and_(table.merchant_id == Entry.merchant_id, table.id == id_)


def _bars(found: outlook.Owed) -> list[tuple[Any, list[tuple[Any, int]]]]:
    """A bar for each stage, in parts by age; what was taken back makes no part."""
    return [
        (
            words.KINDS[stage],
            [(said, max(0, found.of(stage, age))) for age, said in words.AGES.items()],
        )
        for stage in outlook.STAGES
    ]
