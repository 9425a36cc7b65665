"""The agency's console: one blueprint, one guard."""

from typing import Any

from flask import Blueprint

from affiliate import ids
from affiliate.consoles import layout
from affiliate.consoles.session import guard
from affiliate.errors import AffiliateError
from affiliate.people.models import Role

bp = Blueprint("agency", __name__, url_prefix="/agency")
bp.before_request(guard(Role.AGENCY))
bp.register_error_handler(AffiliateError, layout.show_refusal)

from affiliate.consoles.agency import (  # noqa: E402
    money,
    orders,
    promoters,
    shares,
    statements,
    tax,
    withdrawing,
)


@bp.context_processor
def _on_every_page() -> dict[str, Any]:
    return {"public_id": ids.encode}


__all__ = ["bp", "money", "orders", "promoters", "shares", "statements", "tax", "withdrawing"]
