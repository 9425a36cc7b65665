"""The promoter's console, for the phone: one blueprint, one guard."""

from typing import Any

from flask import Blueprint, Response, request

from affiliate import ids, security
from affiliate.consoles import layout
from affiliate.consoles.session import current_person, guard
from affiliate.errors import AffiliateError
from affiliate.people.models import Role

bp = Blueprint("promoter", __name__, url_prefix="/promoter")
bp.before_request(guard(Role.PROMOTER))
bp.register_error_handler(AffiliateError, layout.show_refusal)

from affiliate.consoles.promoter import (  # noqa: E402
    agencies,
    claims,
    contents,
    customers,
    linking,
    market,
    material,
    me,
    news,
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

# What a phone may keep to show without a connection (frontend/worker), for this person alone.
KEPT = frozenset(f"promoter.{name}" for name in ("today", "wallet", "links", "sheet"))


@bp.after_request
def _may_be_kept(response: Response) -> Response:
    if request.endpoint in KEPT and response.status_code == 200:
        whose = security.keyed_hash(f"{current_person().session.id}", purpose="keep")
        response.headers["X-Keep"] = whose.hex()
    return response


@bp.context_processor
def _on_every_page() -> dict[str, Any]:
    return {"public_id": ids.encode}


__all__ = [
    "agencies",
    "bp",
    "claims",
    "contents",
    "customers",
    "linking",
    "market",
    "material",
    "me",
    "news",
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
