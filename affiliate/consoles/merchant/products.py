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
from affiliate.intake import product_files
from affiliate.intake import products as intake
from affiliate.intake.sheets import BadFile
from affiliate.money import Money, share
from affiliate.people.rules import Right
from affiliate.programs import queries as programs
from affiliate.programs import service as program_service
from affiliate.programs.models import Program, Terms


@dataclass(frozen=True, slots=True)
class Offer:
    program_id: int
    program: str
    rate_ppm: int
    own: bool  # the product's own rate, not the program's
    earns: Money | None


@dataclass(frozen=True, slots=True)
class Row:
    product: Product
    shop: Shop
    offers: list[Offer]


@bp.get("/products/")
def products() -> ResponseReturnValue:
    return _list()


def _list(refusal: AffiliateError | None = None) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    found, cursor = lists.page(_chosen(merchant_id), [Product.id])
    shops = {shop.id: shop for shop in catalog.shops(merchant_id)}
    page = render_template(
        "merchant/products.html",
        products=_rows(merchant_id, found, shops),
        shops=shops,
        syncs=[each for each in intake.syncs(shops.values()) if each.is_told],
        columns=product_files.COLUMNS,
        refusal=refusal,
        next=cursor,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200


@bp.post("/products/file")
def take_products() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    shop = catalog.shop(merchant_id, int(request.form.get("shop") or 0))
    sent = request.files.get("file")
    try:
        taken = product_files.take(shop, sent.read() if sent else b"")
    except BadFile as refusal:
        return _list(refusal)
    words = _("%(products)s products read, of which %(changed)s are new or changed.",
              **taken._asdict())  # fmt: skip
    flash(words, "done")
    return redirect(url_for("merchant.products"), 303)


@bp.post("/shops/<int:shop_id>/read-again")
def read_again(shop_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    if intake.read_again(merchant_id, shop_id):
        flash(_("The shop's products are being read."), "done")
    else:
        flash(_("This shop cannot be asked: it gave no access token."), "failed")
    return redirect(url_for("merchant.products"), 303)


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


@bp.post("/products/<int:product_id>/rate")
def change_rate(product_id: int) -> ResponseReturnValue:
    """One product's rate in one program; empty gives it back to the program's."""
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    product = catalog.product(merchant_id, product_id, lock=True)
    program = programs.program(merchant_id, int(request.form.get("program") or 0))
    typed = request.form.get("rate", "").strip()
    program_service.set_product_rate(
        program,
        product.id,
        formats.typed_ppm(typed) if typed else None,
        by=current_caller().user_id,
    )
    if not request.headers.get("HX-Request"):
        return redirect(url_for("merchant.products"), 303)
    shop = catalog.shop(merchant_id, product.shop_id)
    (row,) = _rows(merchant_id, [product], {shop.id: shop})
    return render_template("merchant/_product_row.html", each=row, may_write=True)


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
    connected = sa.select(Shop.id).where(
        Shop.merchant_id == merchant_id, Shop.disconnected_at.is_(None)
    )
    found = sa.select(Product).where(
        Product.merchant_id == merchant_id, Product.shop_id.in_(connected)
    )
    wanted = request.args.get("q", "").strip()
    if wanted:
        like = f"%{wanted.replace('%', '').replace('_', '')}%"
        found = found.where(sa.or_(Product.title.ilike(like), Product.external_id == wanted))
    return found


def _rows(merchant_id: int, products: list[Product], shops: dict[int, Shop]) -> list[Row]:
    running = programs.running(merchant_id)
    own = programs.inline_rates(merchant_id, [each.id for each in products])
    return [Row(each, shops[each.shop_id], _offers(each, running, own)) for each in products]


def _offers(
    product: Product, running: list[tuple[Program, Terms]], own: dict[tuple[int, int], int]
) -> list[Offer]:
    return [
        _offer(product, program, terms, own.get((program.id, product.id)))
        for program, terms in running
        if not program.shop_ids or product.shop_id in program.shop_ids
    ]


def _offer(product: Product, program: Program, terms: Terms, rate: int | None) -> Offer:
    ppm = terms.default_rate_ppm if rate is None else rate
    earns = None if product.price is None else Money(share(product.price, ppm), product.currency)
    return Offer(program.id, program.name, ppm, rate is not None, earns)
