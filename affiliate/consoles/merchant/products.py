"""Products with what a promoter earns of each."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats
from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Product, Shop
from affiliate.catalog.service import ProductFacts
from affiliate.consoles import lists
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.money import Money, share
from affiliate.people.rules import Right
from affiliate.programs import queries as programs


@dataclass(frozen=True, slots=True)
class Offer:
    program: str
    rate_ppm: int
    earns: Money | None


@dataclass(frozen=True, slots=True)
class Row:
    product: Product
    shop: Shop
    offers: list[Offer]


@bp.get("/products/")
def products() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    found, cursor = lists.page(_chosen(merchant_id), [Product.id])
    shops = {shop.id: shop for shop in catalog.shops(merchant_id)}
    running = programs.running(merchant_id)
    return render_template(
        "merchant/products.html",
        products=[_row(each, shops[each.shop_id], running) for each in found],
        shops=shops,
        next=cursor,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )


@bp.get("/products/new")
def new_product() -> ResponseReturnValue:
    return _form({}, None)


@bp.post("/products/new")
def create_product() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    typed = request.form
    shop = catalog.shop(merchant_id, int(typed.get("shop") or 0))
    try:
        price = formats.typed_minor(typed["price"], shop.currency) if typed.get("price") else None
        service.create_product(
            shop,
            ProductFacts(
                external_id=typed.get("external_id", "").strip(),
                title=typed.get("title", "").strip(),
                url=typed.get("url", "").strip(),
                image_url=typed.get("image_url", "").strip() or None,
                price=price,
                category=typed.get("category", "").strip() or None,
            ),
        )
    except AffiliateError as refusal:
        return _form(typed, refusal)
    flash(_("The product is in the market."), "done")
    return redirect(url_for("merchant.products"), 303)


@bp.post("/products/<int:product_id>/visibility")
def show_or_hide(product_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    product = catalog.product(merchant_id, product_id, lock=True)
    shop = catalog.shop(merchant_id, product.shop_id)
    service.change_product(shop, product, {"hidden": product.hidden_at is None})
    return redirect(request.referrer or url_for("merchant.products"), 303)


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    page = render_template(
        "merchant/product_form.html",
        typed=typed,
        refusal=refusal,
        faults={each.pointer.strip("/"): each.message for each in refusal.errors}
        if refusal
        else {},
        shops=catalog.shops(current_merchant_id()),
    )
    return page, refusal.status if refusal else 200


def _chosen(merchant_id: int) -> sa.Select[Any]:
    found = sa.select(Product).where(Product.merchant_id == merchant_id)
    wanted = request.args.get("q", "").strip()
    if wanted:
        like = f"%{wanted.replace('%', '').replace('_', '')}%"
        found = found.where(sa.or_(Product.title.ilike(like), Product.external_id == wanted))
    return found


def _row(product: Product, shop: Shop, running: list[Any]) -> Row:
    offers = [
        Offer(
            program.name,
            terms.default_rate_ppm,
            None
            if product.price is None
            else Money(share(product.price, terms.default_rate_ppm), product.currency),
        )
        for program, terms in running
        if not program.shop_ids or product.shop_id in program.shop_ids
    ]
    return Row(product, shop, offers)
