"""What an order's first accrual freezes: terms, rates and the winner's upline as of paid_at."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from affiliate.attribution.rules import moment
from affiliate.attribution.service import Credit
from affiliate.commissions import rules
from affiliate.commissions.rules import Share, Upline
from affiliate.db import db
from affiliate.orders.queries import Stored
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.programs import queries as programs
from affiliate.programs.models import Terms

PLATFORM = ("platform_fee", "platform", 0)


def freeze(merchant_id: int, orders: Sequence[Stored], credited: dict[int, Credit]) -> list[int]:
    """Terms and upline as of paid_at, kept from the first accrual on.

    Returns the orders that are not paid yet: they are estimated by the terms at their creation,
    and nothing of it is to be kept.
    """
    fresh = [
        (order, credit)
        for order in orders
        if (credit := credited[order.id]).program_id is not None and credit.frozen is None
    ]
    if not fresh:
        return []
    versions = programs.terms_of({(merchant_id, credit.program_id or 0) for _, credit in fresh})
    merchant = db.session.get_one(Merchant, merchant_id)
    terms = {
        order.id: programs.as_of(
            versions[merchant_id, credit.program_id or 0], _moment(order, credit)
        )
        for order, credit in fresh
    }
    deepest = max(len(each.tiers_ppm) for each in terms.values())
    uplines = _uplines(merchant_id, fresh) if deepest else {}
    for order, credit in fresh:
        credit.frozen = _frozen(credit, terms[order.id], uplines.get(order.id, []), merchant)
        credit.frozen["at"] = _moment(order, credit).isoformat()
    return [order.id for order, _ in fresh if order.facts.paid_at is None]


def _moment(order: Stored, credit: Credit) -> datetime:
    at = order.facts.paid_at or order.facts.placed_at
    assert at, "a stub has no winner"
    return moment(at, credit.touched_at)


def _uplines(merchant_id: int, wanted: Sequence[tuple[Stored, Credit]]) -> dict[int, list[Upline]]:
    """Each order's upline as of its payment, and who of them is active.

    Compressing needs to look past inactive people, so the whole way up is read.
    """
    asked = {
        order.id: (credit.promoter_id or 0, _moment(order, credit)) for order, credit in wanted
    }
    paths = people.uplines(set(asked.values()), levels=64)
    above = {(person, at) for (_, at), path in paths.items() for person in path}
    stopped = people.suspended(above)
    programs_of = {credit.program_id or 0 for _, credit in wanted}
    members = programs.memberships(
        {(merchant_id, program_id, person) for program_id in programs_of for person, _ in above}
    )

    def active(person: int, program_id: int, at: datetime) -> bool:
        member = members.get((merchant_id, program_id, person))
        return member is not None and member.was_active(at) and (person, at) not in stopped

    found = {}
    for order, credit in wanted:
        who, at = asked[order.id]
        path = paths.get((who, at), [])
        found[order.id] = [Upline(each, active(each, credit.program_id or 0, at)) for each in path]
    return found


def _frozen(
    credit: Credit, terms: Terms, uplines: Sequence[Upline], merchant: Merchant
) -> dict[str, Any]:
    role = "rebate" if credit.refusal == "rebate" else "direct"
    shares = [Share(role, "promoter", credit.promoter_id or 0, terms.default_rate_ppm)]
    shares += rules.tier_shares(uplines, terms.tiers_ppm, inactive_upline=terms.inactive_upline)
    if merchant.platform_fee_ppm:
        shares.append(Share(*PLATFORM, merchant.platform_fee_ppm))
    return {
        "terms_id": terms.id,
        "base": terms.base,
        "max_total_ppm": terms.max_total_ppm,
        "hold_days": terms.hold_days,
        "hold_fallback_days": terms.hold_fallback_days,
        "shares": [[each.role, each.payee_kind, each.payee_id, each.ppm] for each in shares],
        "inactive": [each.promoter_id for each in uplines if not each.active],
    }
