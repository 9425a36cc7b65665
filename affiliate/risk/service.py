"""Opening cases, holding what they are about, and what follows from a person's decision."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import audit, clock, events
from affiliate.attribution.models import Binding
from affiliate.attribution.service import Credit
from affiliate.commissions import service as commissions
from affiliate.db import among, db
from affiliate.errors import Conflict
from affiliate.events import Happening
from affiliate.i18n import _
from affiliate.orders import queries as orders_of
from affiliate.orders.models import Order
from affiliate.orders.queries import Stored
from affiliate.people import queries as people
from affiliate.programs import queries as programs
from affiliate.programs.models import Membership, MembershipState
from affiliate.risk import rules
from affiliate.risk.models import Case, CaseState
from affiliate.risk.rules import Seen, Signal

HELD = "risk"


class CaseDecided(Conflict):
    code = "case_decided"


def look(merchant_id: int, orders: Sequence[Stored], credited: Mapping[int, Credit]) -> None:
    """Look at orders that are being booked, and hold those that score too high.

    An order has one case for life: one that was cleared is not opened again by the next webhook.
    """
    paid = [
        order
        for order in orders
        if order.facts.paid_at is not None
        and not order.facts.test
        and credited[order.id].promoter_id is not None
    ]
    if not paid:
        return
    seen = _seen(merchant_id, paid, credited)
    odd = {order_id: found for order_id, each in seen.items() if (found := rules.signals(each))}
    if not odd:
        return
    keys = {(merchant_id, credited[order_id].program_id or 0) for order_id in odd}
    thresholds = {key[1]: row.risk_threshold for key, row in programs.by_keys(keys).items()}
    too_odd = {
        order_id: found
        for order_id, found in odd.items()
        if rules.score(found) >= thresholds[credited[order_id].program_id or 0]
    }
    opened = _open(merchant_id, {("order_id", key): found for key, found in too_odd.items()})
    commissions.place(merchant_id, [order_id for _, order_id in opened], HELD)


def _seen(
    merchant_id: int, orders: Sequence[Stored], credited: Mapping[int, Credit]
) -> dict[int, Seen]:
    repeated = _orders_of_buyers(merchant_id, [order.id for order in orders])
    above = {
        order.id: {
            other[2]
            for seller in (credited[order.id].frozen or {}).get("sellers", ())
            for other in seller["others"]
            if other[1] == "promoter"
        }
        for order in orders
    }
    everybody = people.promoters({who for each in above.values() for who in each})
    found = {}
    for order in orders:
        buyer = order.facts.customer
        hashes = {each for each in (buyer.email_hash, buyer.phone_hash) if each}
        found[order.id] = Seen(
            seller_is_buyer=credited[order.id].refusal == "self_purchase",
            buyer_is_above=any(
                hashes & {everybody[who].email_hash, everybody[who].phone_hash}
                for who in above[order.id]
            ),
            pieces=sum(line.quantity for line in order.facts.lines if not line.removed),
            orders_of_buyer=repeated.get(order.id, 1),
        )
    return found


def _orders_of_buyers(merchant_id: int, order_ids: Collection[int]) -> dict[int, int]:
    """How many orders each of these orders' buyers made through the same promoter lately.

    Bindings tell: every paid order of a known buyer left one.
    """
    mine, other = sa.orm.aliased(Binding), sa.orm.aliased(Binding)
    rows = db.session.execute(
        sa.select(mine.order_id, sa.func.count(other.order_id.distinct()))
        .join(
            other,
            sa.and_(
                other.merchant_id == mine.merchant_id,
                other.customer == mine.customer,
                other.promoter_id == mine.promoter_id,
                other.since <= mine.since,
                other.since > mine.since - rules.SAME_BUYER_TIME,
            ),
        )
        .where(mine.merchant_id == merchant_id, among(mine.order_id, order_ids))
        .group_by(mine.order_id)
    )
    return {order_id: count for order_id, count in rows}  # noqa: C416


def flag_shared_account(promoter_ids: Collection[int]) -> None:
    """Several promoters are to be paid to one account: at each merchant with which they work or
    worked, their money waits. A merchant learns how many others there are, not who.
    """
    rows = db.session.execute(
        sa.select(Membership.merchant_id, Membership.promoter_id)
        .distinct()
        .where(
            among(Membership.promoter_id, promoter_ids),
            Membership.state.in_([MembershipState.ACTIVE, MembershipState.ENDED]),
        )
        .order_by(Membership.merchant_id, Membership.promoter_id)
    )
    by_merchant: dict[int, list[int]] = {}
    for merchant_id, promoter_id in rows:
        by_merchant.setdefault(merchant_id, []).append(promoter_id)
    found = [rules.shared_account(len(set(promoter_ids)) - 1)]
    for merchant_id, mine in by_merchant.items():
        opened = _open(merchant_id, {("promoter_id", each): found for each in mine})
        if opened:
            payees = [("promoter", promoter_id) for _, promoter_id in opened]
            commissions.hold_payees(merchant_id, payees, HELD)


Subject = tuple[str, int]  # order_id or promoter_id, and which


def _open(merchant_id: int, odd: Mapping[Subject, Sequence[Signal]]) -> list[Subject]:
    """Open cases; returns those that were not there yet."""
    rows = [
        {
            "merchant_id": merchant_id,
            "order_id": key if kind == "order_id" else None,
            "promoter_id": key if kind == "promoter_id" else None,
            "score": rules.score(signals),
            "signals": [each.as_json() for each in signals],
            "state": CaseState.OPEN,
            "version": 1,
            "created_at": clock.now(),
        }
        for (kind, key), signals in sorted(odd.items(), key=lambda each: each[0])
    ]
    if not rows:
        return []
    made = db.session.execute(
        insert(Case).on_conflict_do_nothing().returning(Case.id, Case.order_id, Case.promoter_id),
        rows,
    ).all()
    events.record_all(
        Happening("risk.opened", merchant_id=merchant_id, payload={"case": row.id}) for row in made
    )
    return [
        ("order_id", row.order_id) if row.order_id else ("promoter_id", row.promoter_id)
        for row in made
    ]


def clear(case: Case, *, by: int, note: str | None) -> Case:
    """Nothing is wrong: the money goes its way. The caller holds the case's row locked."""
    if case.state == CaseState.CLEARED:
        return case
    _decide(case, CaseState.CLEARED, by, note)
    order = _order_of(case)
    if order is not None:
        commissions.lift_order(order)
    elif case.promoter_id is not None and not _has_another(case):
        commissions.lift_payee(case.merchant_id, ("promoter", case.promoter_id))
    return case


def confirm(case: Case, *, by: int, note: str | None) -> Case:
    """It is as bad as it looks. Of an order nobody is paid; a promoter's money stays held."""
    if case.state == CaseState.CONFIRMED:
        return case
    _decide(case, CaseState.CONFIRMED, by, note)
    order = _order_of(case)
    if order is not None:
        commissions.void_order(order)
    return case


def _order_of(case: Case) -> Order | None:
    return None if case.order_id is None else orders_of.find(case.merchant_id, case.order_id)


def _has_another(case: Case) -> bool:
    """Whether this promoter has a case here that is open, or was confirmed."""
    other = sa.exists().where(
        Case.merchant_id == case.merchant_id,
        Case.promoter_id == case.promoter_id,
        Case.id != case.id,
        Case.state != CaseState.CLEARED,
    )
    return bool(db.session.scalar(sa.select(other)))


def _decide(case: Case, state: CaseState, by: int, note: str | None) -> None:
    if case.state != CaseState.OPEN:
        raise CaseDecided(_("Somebody has decided about this case already."))
    case.state, case.decided_at, case.decided_by, case.note = state, clock.now(), by, note
    case.version += 1
    db.session.flush()
    audit.record(
        f"case.{state}", subject=f"rsk:{case.id}", by=by, merchant_id=case.merchant_id, note=note
    )
