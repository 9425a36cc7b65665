"""The operator's console: one blueprint, one guard."""

from flask import Blueprint

from affiliate import ids
from affiliate.consoles import layout
from affiliate.consoles.session import ROLE_WORDS, guard
from affiliate.errors import AffiliateError
from affiliate.people.models import Role

bp = Blueprint("operator", __name__, url_prefix="/operator")
bp.before_request(guard(Role.OPERATOR))
bp.register_error_handler(AffiliateError, layout.show_refusal)
bp.context_processor(lambda: {"public_id": ids.encode, "role_words": ROLE_WORDS})

from affiliate.consoles.operator import (  # noqa: E402
    agencies,
    approvals,
    audit_log,
    domains,
    health,
    keys,
    merchants,
    users,
)

__all__ = [
    "agencies",
    "approvals",
    "audit_log",
    "bp",
    "domains",
    "health",
    "keys",
    "merchants",
    "users",
]
