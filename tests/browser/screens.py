"""Pictures of the main pages with the data of the demo: `make screens` → var/screens/."""

from itertools import product
from pathlib import Path

import pytest
import sqlalchemy as sa

from affiliate import demo, ids
from affiliate.attribution.models import Coupon
from affiliate.catalog.models import Shop
from affiliate.commissions.models import Simulation
from affiliate.db import db
from affiliate.links.models import Link
from affiliate.people import queries as people
from affiliate.people.models import Grant, User
from tests.browser.conftest import DESK, PHONE

pytestmark = pytest.mark.browser
FOLDER = Path("var/screens")
STRANGER = None
PAGES = {
    "front": ("/", DESK, STRANGER),
    "sign-in": ("/sign-in", PHONE, STRANGER),
    "components": ("/-/components", DESK, STRANGER),
    "merchant": ("/merchant/", DESK, "owner"),
    "merchant-orders": ("/merchant/orders/", DESK, "owner"),
    "merchant-products": ("/merchant/products/", DESK, "owner"),
    "merchant-product-groups": ("/merchant/product-groups/", DESK, "owner"),
    "merchant-reviews": ("/merchant/reviews/", DESK, "owner"),
    "merchant-programs": ("/merchant/programs/", DESK, "owner"),
    "merchant-simulator": ("/merchant/programs/{program}/simulator", DESK, "owner"),
    "merchant-simulated": (
        "/merchant/programs/{program}/simulator?promoter=Larissa+Campos&product_1=Camisas"
        "&quantity_1=2&price_1=100&ask=1", DESK, "owner",
    ),
    "merchant-replays": ("/merchant/programs/{program}/replays", DESK, "owner"),
    "merchant-replay": ("/merchant/programs/{program}/replays/{replay}", DESK, "owner"),
    "merchant-promoters": ("/merchant/promoters/", DESK, "owner"),
    "merchant-decisions": ("/merchant/decisions/", DESK, "owner"),
    "merchant-reports": ("/merchant/reports/", DESK, "owner"),
    "merchant-shops": ("/merchant/shops/", DESK, "owner"),
    "merchant-connect": ("/merchant/shops/new", DESK, "owner"),
    "merchant-connect-shop": ("/merchant/shops/new?platform=shopify", DESK, "owner"),
    "merchant-shop": ("/merchant/shops/{shop}/", DESK, "owner"),
    "merchant-shop-copy": (
        "/merchant/shops/{shop}/copy?country=US&currency=BRL&domain=us.example.com", DESK, "owner",
    ),
    "merchant-material": ("/merchant/material/", DESK, "owner"),
    "merchant-product-material": ("/merchant/products/{product}/material", DESK, "owner"),
    "promoter": ("/promoter/", PHONE, "xunian"),
    "promoter-sheet": ("/promoter/share/{sheet}", PHONE, "xunian"),
    "promoter-market": ("/promoter/market/", PHONE, "xunian"),
    "landing": ("/p/{link}", PHONE, STRANGER),
    "promoter-orders": ("/promoter/orders/", PHONE, "xunian"),
    "promoter-customers": ("/promoter/orders/customers", PHONE, "xunian"),
    "promoter-reports": ("/promoter/reports/", PHONE, "xunian"),
    "promoter-link": ("/promoter/share/{own_link}/settings", PHONE, "xunian"),
    "promoter-content": ("/promoter/content/", PHONE, "xunian"),
    "spoken": ("/kl?text=nothing", PHONE, STRANGER),
    "operator-domains": ("/operator/domains/", DESK, "operator"),
    "promoter-claims": ("/promoter/claims/", PHONE, "ana"),
    "promoter-me": ("/promoter/me/", PHONE, "xunian"),
    "promoter-news": ("/promoter/news", PHONE, "xunian"),
    "promoter-notices": ("/promoter/notices", PHONE, "xunian"),
    "promoter-data": ("/account/data", PHONE, "xunian"),
    "by-code": ("/by-code", PHONE, STRANGER),
    "promoter-team": ("/promoter/team/", PHONE, "xunian"),
    "promoter-wallet": ("/promoter/wallet/", PHONE, "xunian"),
    "finance": ("/finance/", DESK, "maker"),
    "finance-settlements": ("/finance/settlements/", DESK, "maker"),
    "finance-payouts": ("/finance/payouts/", DESK, "maker"),
    "finance-withdrawals": ("/finance/withdrawals/", DESK, "maker"),
    "finance-write-offs": ("/finance/write-offs/", DESK, "maker"),
    "finance-standing-in": ("/finance/standing-in/", DESK, "checker"),
    "finance-by-hand": ("/finance/payouts/by-hand", DESK, "maker"),
    "finance-owed": ("/finance/owed/", DESK, "maker"),
    "finance-entries": ("/finance/entries/", DESK, "maker"),
    "finance-funding": ("/finance/funding/", DESK, "maker"),
    "finance-reconciliation": ("/finance/reconciliation/", DESK, "maker"),
    "finance-exports": ("/finance/exports/", DESK, "maker"),
    "finance-ledger": ("/finance/ledger/", DESK, "maker"),
    "finance-statement": ("/finance/statements/", DESK, "maker"),
    "finance-closes": ("/finance/closes/", DESK, "maker"),
    "finance-decided": ("/finance/decided/", DESK, "maker"),
    "merchant-statement": ("/merchant/statement/", DESK, "owner"),
    "promoter-statement": ("/promoter/wallet/statement", PHONE, "xunian"),
    "agency-statement": ("/agency/statement", DESK, "agency"),
    "operator-decided": ("/operator/decided/", DESK, "operator"),
    "merchant-coupons": ("/merchant/coupons/", DESK, "owner"),
    "merchant-coupon": ("/merchant/coupons/{coupon}", DESK, "owner"),
    "merchant-coupon-form": ("/merchant/coupons/new", DESK, "owner"),
    "merchant-grades": ("/merchant/grades/", DESK, "owner"),
    "merchant-grade": ("/merchant/grades/new", DESK, "owner"),
    "agency": ("/agency/", DESK, "agency"),
    "agency-promoters": ("/agency/promoters/", DESK, "agency"),
    "agency-orders": ("/agency/orders", DESK, "agency"),
    "agency-shares": ("/agency/shares", DESK, "agency"),
    "operator-agencies": ("/operator/agencies/", DESK, "operator"),
    "operator": ("/operator/", DESK, "operator"),
    "operator-approvals": ("/operator/approvals/", DESK, "operator"),
    "operator-users": ("/operator/users/", DESK, "operator"),
}  # fmt: skip


def address(path, lang):
    """With the demo's own keys in it, and the language: a person's comes before the browser's."""
    replay = db.session.scalars(sa.select(Simulation)).one()
    coupon = db.session.scalars(sa.select(Coupon)).one()
    link = db.session.scalars(
        sa.select(Link).where(Link.product_id.is_not(None)).order_by(Link.id).limit(1)
    ).one()
    hers = db.session.scalars(
        sa.select(Link)
        .join(Grant, Grant.promoter_id == Link.promoter_id)
        .join(User, User.id == Grant.user_id)
        .where(User.email == "xunian@demo.tuike.example", Link.product_id.is_not(None))
        .order_by(Link.id)
        .limit(1)
    ).one()
    mine = sa.select(sa.func.min(Shop.id)).where(Shop.merchant_id == replay.merchant_id)
    here = path.format(
        program=replay.program_id,
        replay=replay.id,
        coupon=coupon.id,
        link=link.code,
        own_link=ids.encode("lnk", hers.merchant_id, hers.id),
        product=link.product_id,
        sheet=ids.encode("lnk", hers.merchant_id, hers.id),
        shop=db.session.scalar(mine),
    )
    return f"{here}{'&' if '?' in here else '?'}lang={lang}"


def test_pictures(visit):
    demo.load()
    FOLDER.mkdir(parents=True, exist_ok=True)

    for name, lang, theme in product(PAGES, ["zh-Hans", "pt-BR"], ["day", "night"]):
        path, size, who = PAGES[name]
        person = people.user_by_email(f"{who}@demo.tuike.example") if who else None
        page = visit(address(path, lang), size=size, lang=lang, theme=theme, as_=person)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=FOLDER / f"{name}-{lang}-{theme}.png")
        page.screenshot(path=FOLDER / f"{name}-{lang}-{theme}-whole.png", full_page=True)
        visit.leave(page)
