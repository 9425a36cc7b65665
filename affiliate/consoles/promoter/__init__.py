"""The promoter's console, for the phone: one blueprint, one guard."""

from flask import Blueprint

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
    sharing,
    statements,
    team,
    today,
    wallet,
)

__all__ = [
    "agencies",
    "bp",
    "claims",
    "market",
    "orders",
    "payout_accounts",
    "sharing",
    "statements",
    "team",
    "today",
    "wallet",
]
