"""Claims: an order that is missing, told to the merchant with what speaks for it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.attribution import service
from affiliate.attribution.models import Claim
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Shop
from affiliate.consoles import lists
from affiliate.consoles.promoter import bp, market
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import AffiliateError, Invalid
from affiliate.i18n import _
from affiliate.programs.models import MembershipState, Program

LONGEST = 5000


@bp.get("/claims/")
def claims() -> ResponseReturnValue:
    return _page({}, None)


@bp.post("/claims/")
def make_claim() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    market.require_running(promoter_id)
    number = request.form.get("order_number", "").strip()
    evidence = request.form.get("evidence", "").strip()
    try:
        program, shop = _chosen(promoter_id, request.form.get("shop", ""))
        if not number or len(number) > 200 or not evidence or len(evidence) > LONGEST:
            raise Invalid(_("Tell the order number, and why the order is yours."))
        service.claim(program, promoter_id, shop, number, evidence)
    except AffiliateError as refusal:
        return _page(request.form, refusal)
    flash(_("The merchant looks at it. You see the answer here."), "done")
    return redirect(url_for("promoter.claims"), 303)


def _page(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    mine = sa.select(Claim).where(Claim.promoter_id == promoter_id)
    found, cursor = lists.page(mine, [Claim.id], limit=50)
    page = render_template(
        "promoter/claims.html",
        claims=found,
        shops=[(f"{program.id}-{shop.id}", shop.name) for program, shop in _places(promoter_id)],
        names=_names(found),
        next=cursor,
        typed=typed,
        refusal=refusal,
    )
    return page, refusal.status if refusal else 200


def _places(promoter_id: int) -> list[tuple[Program, Shop]]:
    """Each shop once, with the first program in which its orders can be the promoter's."""
    found: dict[int, tuple[Program, Shop]] = {}
    for place in market.places_of(promoter_id):
        if place.state == MembershipState.ACTIVE:
            for shop in catalog.shops(place.program.merchant_id, place.program.shop_ids):
                found.setdefault(shop.id, (place.program, shop))
    return list(found.values())


def _chosen(promoter_id: int, key: str) -> tuple[Program, Shop]:
    for program, shop in _places(promoter_id):
        if key == f"{program.id}-{shop.id}":
            return program, shop
    raise Invalid(_("Choose the shop."))


def _names(found: Sequence[Claim]) -> dict[int, str]:
    wanted = sa.tuple_(Shop.merchant_id, Shop.id)
    keys = [(each.merchant_id, each.shop_id) for each in found]
    shops = db.session.scalars(sa.select(Shop).where(wanted.in_(keys)))
    return {shop.id: shop.name for shop in shops}
