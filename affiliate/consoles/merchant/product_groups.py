"""The same thing in several shops: groups, and products that look as if they belong together."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock
from affiliate.catalog import offers, queries, service
from affiliate.catalog.models import Product, ProductGroup, Shop
from affiliate.catalog.offers import Offer
from affiliate.consoles import lists
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _
from affiliate.people.rules import Right

GROUPS = 30
NAME_MOST = 200


@dataclass(frozen=True, slots=True)
class Member:
    product: Product
    shop: Shop
    offer: Offer


@dataclass(frozen=True, slots=True)
class Row:
    group: ProductGroup
    members: list[Member]


@bp.get("/product-groups/")
def product_groups() -> ResponseReturnValue:
    return _page()


@bp.post("/product-groups/")
def create_product_group() -> ResponseReturnValue:
    merchant_id = _merchant()
    wanted = [int(each) for each in request.form.getlist("product") if each.isdecimal()]
    try:
        with db.session.begin_nested():
            service.create_product_group(merchant_id, _name(), wanted)
    except AffiliateError as refusal:
        return _page(refusal)
    flash(_("The products are one thing in several shops from now on."), "done")
    return redirect(url_for("merchant.product_groups"), 303)


@bp.post("/product-groups/<int:group_id>")
def change_product_group(group_id: int) -> ResponseReturnValue:
    """Its name, one product more by the number in its shop, or one fewer."""
    merchant_id = _merchant()
    group = queries.product_group(merchant_id, group_id, lock=True)
    removed = request.form.get("remove", "")
    try:
        with db.session.begin_nested():
            service.change_product_group(
                group,
                name=_name() if "name" in request.form else None,
                add=_named(merchant_id),
                remove=[int(removed)] if removed.isdecimal() else [],
            )
    except AffiliateError as refusal:
        return _page(refusal)
    flash(_("Saved."), "done")
    return redirect(url_for("merchant.product_groups"), 303)


@bp.post("/product-groups/<int:group_id>/end")
def end_product_group(group_id: int) -> ResponseReturnValue:
    group = queries.product_group(_merchant(), group_id, lock=True)
    service.dissolve_product_group(group)
    flash(_("%(group)s is dissolved; its products stay.", group=group.name), "done")
    return redirect(url_for("merchant.product_groups"), 303)


def _merchant() -> int:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    return merchant_id


def _name() -> str:
    name = request.form.get("name", "").strip()[:NAME_MOST]
    if not name:
        raise invalid("/name", "missing", _("A name, please."))
    return name


def _named(merchant_id: int) -> list[int]:
    """The product with this number in this shop."""
    number = request.form.get("external_id", "").strip()
    if not number:
        return []
    shop = request.form.get("shop", "")
    key = (int(shop) if shop.isdecimal() else 0, number)
    found = queries.by_external_ids(merchant_id, [key])
    if key not in found:
        raise invalid("/external_id", "not_found", _("This shop has no product with this number."))
    return [found[key].id]


def _page(refusal: AffiliateError | None = None) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    mine = sa.select(ProductGroup).where(ProductGroup.merchant_id == merchant_id)
    groups, cursor = lists.page(mine, [ProductGroup.id], limit=GROUPS)
    products = queries.products_of_groups(merchant_id, [group.id for group in groups])
    alike = queries.alike(merchant_id)
    everything = [*products.values(), *alike]
    members = _members(merchant_id, (each for some in everything for each in some))
    page = render_template(
        "merchant/product_groups.html",
        groups=[Row(group, [members[p.id] for p in products[group.id]]) for group in groups],
        alike=[[members[product.id] for product in each] for each in alike],
        shops=queries.shops(merchant_id),
        next=cursor,
        refusal=refusal,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200


def _members(merchant_id: int, products: Iterable[Product]) -> dict[int, Member]:
    found = {product.id: product for product in products}
    variants = queries.variants_of(merchant_id, list(found))
    shops = {
        shop.id: shop
        for shop in db.session.scalars(
            sa.select(Shop).where(
                Shop.merchant_id == merchant_id,
                Shop.id.in_({product.shop_id for product in found.values()}),
            )
        )
    }
    now = clock.now()
    return {
        key: Member(product, shops[product.shop_id], offers.offer(product, variants[key], now))
        for key, product in found.items()
    }
