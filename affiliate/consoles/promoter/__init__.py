"""The promoter's console, for the phone: one blueprint, one guard."""

from typing import Any

from flask import Blueprint

from affiliate import ids
from affiliate.consoles import layout
from affiliate.consoles.session import guard
from affiliate.errors import AffiliateError
from affiliate.people.models import Role

bp = Blueprint("promoter", __name__, url_prefix="/promoter")
bp.before_request(guard(Role.PROMOTER))
bp.register_error_handler(AffiliateError, layout.show_refusal)

from affiliate.consoles.promoter import (  # noqa: E402
    agencies,
    claims,
    market,
    orders,
    payout_accounts,
    reports,
    sharing,
    statements,
    tax,
    team,
    today,
    wallet,
    withdrawing,
)


@bp.context_processor
def _on_every_page() -> dict[str, Any]:
    return {"public_id": ids.encode}


__all__ = [
    "agencies",
    "bp",
    "claims",
    "market",
    "orders",
    "payout_accounts",
    "reports",
    "sharing",
    "statements",
    "tax",
    "team",
    "today",
    "wallet",
    "withdrawing",
]
