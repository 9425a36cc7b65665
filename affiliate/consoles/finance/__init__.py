"""The finance console: one blueprint, one guard."""

from typing import Any

from flask import Blueprint

from affiliate import ids
from affiliate.attribution import trace
from affiliate.consoles import layout
from affiliate.consoles.session import guard
from affiliate.errors import AffiliateError
from affiliate.people.models import Role
from affiliate.people.rules import Right

bp = Blueprint("finance", __name__, url_prefix="/finance")
bp.before_request(guard(Role.FINANCE_MAKER, Role.FINANCE_CHECKER, Role.FINANCE_AUDITOR))
bp.register_error_handler(AffiliateError, layout.show_refusal)

from affiliate.consoles.finance import (  # noqa: E402
    access,
    audit_log,
    closes,
    deciding,
    downloads,
    funding,
    ledger,
    orders,
    overview,
    owed,
    pay_ins,
    payouts,
    rails,
    reconciliation,
    settlements,
    standing_in,
    statements,
    tax,
    withdrawals,
    words,
    write_offs,
)


@bp.context_processor
def _on_every_page() -> dict[str, Any]:
    return {
        "to_review": overview.count_to_review,
        "last_day": words.last_day,
        "public_id": ids.encode,
        "kinds": words.KINDS,
        "codes": words.CODES,
        "role": trace.role,
        "may_stand_in": lambda: access.may(Right.APPROVE_SETTLEMENTS),
    }


__all__ = [
    "audit_log", "bp", "closes", "deciding", "downloads", "funding", "ledger", "orders", "overview",
    "owed", "pay_ins", "payouts", "rails", "reconciliation", "settlements", "standing_in",
    "statements", "tax", "withdrawals", "write_offs",
]  # fmt: skip
