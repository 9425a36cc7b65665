"""Products and their variants: one at a time, or a thousand by the shop's own ids."""

from collections.abc import Sequence
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Instant,
    ListQuery,
    MerchantId,
    Money,
    MoneyIn,
    Page,
    ProductId,
    Resource,
    ShopId,
    Text,
    VariantId,
)
from affiliate.catalog import queries, service
from affiliate.catalog.models import Product, Variant
from affiliate.catalog.service import ProductFacts, VariantFacts
from affiliate.db import db
from affiliate.errors import NotFound, invalid
from affiliate.money import LARGEST
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries as programs

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Stock = Annotated[int, Field(ge=-LARGEST, le=LARGEST, description="null: not counted")]


Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)]
Images = Annotated[list[Address], Field(max_length=service.PICTURES_MAX)]


class VariantGiven(Body):
    external_id: Text
    title: Title
    sku: Text | None = None
    price: MoneyIn | None = None
    stock: Stock | None = None


class ProductGiven(Body):
    external_id: Text
    title: Title
    url: Address = Field(description="On the shop's domain or a subdomain of it")
    image_url: Address | None = None
    price: MoneyIn | None = None
    category: Text | None = None
    stock: Stock | None = None
    description: Description | None = None
    images: Images = Field([], description="Further pictures")
    list_price: MoneyIn | None = Field(None, description="What it costs otherwise, if reduced")
    price_until: Instant | None = Field(None, description="Then it costs `list_price` again")
    variants: list[VariantGiven] = Field([], max_length=250)


class NewProduct(ProductGiven):
    shop: ShopId


class ManyProducts(Body):
    shop: ShopId
    products: list[ProductGiven] = Field(max_length=service.BULK_MAX)


class ProductChange(Body):
    title: Title = ""
    url: Address = ""
    image_url: Address | None = None
    price: MoneyIn | None = None
    category: Text | None = None
    stock: Stock | None = None
    description: Description | None = None
    images: Images = Field([])
    list_price: MoneyIn | None = None
    price_until: Instant | None = None
    hidden: bool = False
    variants: list[VariantGiven] = Field([], max_length=250, description="All there are from now")


class ProductQuery(ListQuery):
    shop: ShopId | None = None
    external_id: str | None = None


class VariantShown(Resource):
    id: VariantId
    external_id: str
    title: str
    sku: str | None
    price: Money | None
    stock: int | None


class ProductShown(Resource):
    id: ProductId
    merchant: MerchantId
    shop: ShopId
    external_id: str
    title: str
    url: str
    image_url: str | None
    price: Money | None
    category: str | None
    stock: int | None
    description: str | None
    images: list[str]
    list_price: Money | None
    price_until: Instant | None
    sold: int | None = Field(description="So many ever, as the shop says")
    hidden_at: Instant | None
    gone_at: Instant | None = Field(description="Since then the shop sells it no more")
    synced_at: Instant | None = Field(description="When the shop last told of it")
    variants: list[VariantShown]
    created_at: Instant
    version: int


class StoredProduct(Resource):
    id: ProductId
    external_id: str


class ManyStored(Resource):
    created: int
    updated: int
    unchanged: int
    data: list[StoredProduct]


@endpoint("POST", "/products", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewProduct) -> ProductShown:
    """Enter a product by hand."""
    caller.require(Right.RUN_MERCHANT, body.shop[0])
    shop = queries.shop(*body.shop)
    product = service.create_product(shop, _facts(body, shop.currency, ""))
    return _shown([product])[0]


@endpoint("PUT", "/products/bulk", needs=Right.RUN_MERCHANT)
def put_many(caller: Caller, body: ManyProducts) -> ManyStored:
    """Create or update up to 1000 products by the shop's ids: all of them, or none.

    What is wrong is named by pointer, every item at once.
    """
    caller.require(Right.RUN_MERCHANT, body.shop[0])
    shop = queries.shop(*body.shop)
    facts = [
        _facts(each, shop.currency, f"/products/{number}")
        for number, each in enumerate(body.products)
    ]
    stored = service.put_products(shop, facts)
    return ManyStored(
        created=stored.created,
        updated=stored.updated,
        unchanged=stored.unchanged,
        data=[
            StoredProduct(
                id=(shop.merchant_id, stored.ids[each.external_id]), external_id=each.external_id
            )
            for each in facts
        ],
    )


@endpoint("GET", "/products", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_products(caller: Caller, query: ProductQuery) -> Page[ProductShown]:
    """Products, newest first. A promoter sees those of the programs they take part in."""
    found = sa.select(Product).where(_visible(caller))
    if query.shop is not None:
        found = found.where(Product.merchant_id == query.shop[0], Product.shop_id == query.shop[1])
    if query.external_id is not None:
        found = found.where(Product.external_id == query.external_id)
    rows, cursor = paging.rows(found, query, by=[Product.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/products/{product_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, product_id: ProductId) -> ProductShown:
    """One product."""
    merchant_id, row_id = product_id
    find = sa.select(Product).where(
        Product.merchant_id == merchant_id, Product.id == row_id, _visible(caller)
    )
    product = db.session.scalar(find)
    if product is None:
        raise NotFound("There is no such product here.")
    return _shown([product])[0]


@endpoint("PATCH", "/products/{product_id}", needs=Right.RUN_MERCHANT)
def change(
    caller: Caller, product_id: ProductId, body: ProductChange, if_match: IfMatch
) -> ProductShown:
    """Change a product, hide it or show it again."""
    caller.require(Right.RUN_MERCHANT, product_id[0])
    product = queries.product(*product_id, lock=True)
    if_match.check(product.version)
    shop = queries.shop(product.merchant_id, product.shop_id)
    changes = body.given()
    if "price" in changes:
        changes["price"] = _amount(body.price, shop.currency, "/price")
    if "list_price" in changes:
        changes["list_price"] = _amount(body.list_price, shop.currency, "/list_price")
    if "variants" in changes:
        changes["variants"] = _variants(body.variants, shop.currency, "")
    service.change_product(shop, product, changes)
    return _shown([product])[0]


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    merchants = within(Product.merchant_id, caller.scope(Right.READ_MERCHANT))
    mine = programs.products_of_promoters(caller.promoter_ids)
    return sa.or_(merchants, sa.and_(mine, Product.hidden_at.is_(None), Product.gone_at.is_(None)))


def _facts(given: ProductGiven, currency: str, at: str) -> ProductFacts:
    return ProductFacts(
        external_id=given.external_id,
        title=given.title,
        url=given.url,
        image_url=given.image_url,
        price=_amount(given.price, currency, f"{at}/price"),
        category=given.category,
        stock=given.stock,
        description=given.description,
        images=given.images,
        list_price=_amount(given.list_price, currency, f"{at}/list_price"),
        price_until=given.price_until,
        variants=_variants(given.variants, currency, at),
    )


def _variants(given: Sequence[VariantGiven], currency: str, at: str) -> list[VariantFacts]:
    return [
        VariantFacts(
            external_id=each.external_id,
            title=each.title,
            sku=each.sku,
            price=_amount(each.price, currency, f"{at}/variants/{number}/price"),
            stock=each.stock,
        )
        for number, each in enumerate(given)
    ]


def _amount(price: Money | None, currency: str, at: str) -> int | None:
    if price is None:
        return None
    if price.currency != currency:
        raise invalid(f"{at}/currency", "currency_mismatch", f"This shop sells in {currency}.")
    return price.amount


def _shown(products: Sequence[Product]) -> list[ProductShown]:
    merchant_ids = {product.merchant_id for product in products}
    variants: dict[int, list[Variant]] = {}
    for merchant_id in merchant_ids:
        own = [product.id for product in products if product.merchant_id == merchant_id]
        variants |= queries.variants_of(merchant_id, own)
    return [_show(product, variants[product.id]) for product in products]


def _show(product: Product, variants: Sequence[Variant]) -> ProductShown:
    return ProductShown(
        id=(product.merchant_id, product.id),
        merchant=product.merchant_id,
        shop=(product.merchant_id, product.shop_id),
        external_id=product.external_id,
        title=product.title,
        url=product.url,
        image_url=product.image_url,
        price=_money(product.price, product.currency),
        category=product.category,
        stock=product.stock,
        description=product.description,
        images=product.images,
        list_price=_money(product.list_price, product.currency),
        price_until=product.price_until,
        sold=product.sold,
        hidden_at=product.hidden_at,
        gone_at=product.gone_at,
        synced_at=product.synced_at,
        variants=[_show_variant(variant, product.currency) for variant in variants],
        created_at=product.created_at,
        version=product.version,
    )


def _show_variant(variant: Variant, currency: str) -> VariantShown:
    return VariantShown(
        id=(variant.merchant_id, variant.id),
        external_id=variant.external_id,
        title=variant.title,
        sku=variant.sku,
        price=_money(variant.price, currency),
        stock=variant.stock,
    )


def _money(amount: int | None, currency: str) -> Money | None:
    return None if amount is None else Money.of(amount, currency)
