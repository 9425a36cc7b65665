"""The merchant console: one blueprint, one guard."""

from flask import Blueprint

from affiliate.consoles import layout
from affiliate.consoles.session import guard
from affiliate.errors import AffiliateError
from affiliate.people.models import Role

bp = Blueprint("merchant", __name__, url_prefix="/merchant")
bp.before_request(guard(Role.MERCHANT_OWNER, Role.MERCHANT_STAFF, Role.MERCHANT_ANALYST))
bp.register_error_handler(AffiliateError, layout.show_refusal)

from affiliate.consoles.merchant import (  # noqa: E402
    coupons,
    decisions,
    grades,
    material,
    orders,
    overview,
    product_groups,
    products,
    programs,
    promoters,
    replays,
    reports,
    reviews,
    shop_consents,
    shop_copies,
    shops,
    simulator,
    statements,
)

__all__ = [
    "bp",
    "coupons",
    "decisions",
    "grades",
    "material",
    "orders",
    "overview",
    "product_groups",
    "products",
    "programs",
    "promoters",
    "replays",
    "reports",
    "reviews",
    "shop_consents",
    "shop_copies",
    "shops",
    "simulator",
    "statements",
]
