"""Product groups: the same thing in several shops, with its price and stock in each."""

from collections.abc import Sequence

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Instant,
    ListQuery,
    MerchantId,
    Money,
    Page,
    ProductGroupId,
    ProductId,
    Resource,
    ShopId,
    Text,
)
from affiliate.catalog import queries, service
from affiliate.catalog.models import Product, ProductGroup, Shop
from affiliate.catalog.service.groups import PRODUCTS_MOST
from affiliate.db import db
from affiliate.errors import invalid
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right


class NewProductGroup(Body):
    merchant: MerchantId
    name: Text
    products: list[ProductId] = Field([], max_length=PRODUCTS_MOST)


class ProductGroupChange(Body):
    name: Text = ""
    add: list[ProductId] = Field([], max_length=PRODUCTS_MOST)
    remove: list[ProductId] = Field([], max_length=PRODUCTS_MOST)


class ProductGroupQuery(ListQuery):
    merchant: MerchantId | None = None


class GroupedProduct(Resource):
    product: ProductId
    shop: ShopId
    country: str
    title: str
    price: Money | None
    stock: int | None


class ProductGroupShown(Resource):
    id: ProductGroupId
    merchant: MerchantId
    name: str
    products: list[GroupedProduct]
    created_at: Instant
    version: int


@endpoint("POST", "/product-groups", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewProductGroup) -> ProductGroupShown:
    """Say which products are the same thing. A product is in one group at most."""
    caller.require(Right.RUN_MERCHANT, body.merchant)
    own = _own(body.merchant, body.products, "/products")
    return _shown([service.create_product_group(body.merchant, body.name, own)])[0]


@endpoint("GET", "/product-groups", needs=Right.READ_MERCHANT)
def all_product_groups(caller: Caller, query: ProductGroupQuery) -> Page[ProductGroupShown]:
    """Product groups, newest first."""
    merchants = within(ProductGroup.merchant_id, caller.scope(Right.READ_MERCHANT))
    found = sa.select(ProductGroup).where(merchants)
    if query.merchant is not None:
        found = found.where(ProductGroup.merchant_id == query.merchant)
    rows, cursor = paging.rows(found, query, by=[ProductGroup.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/product-groups/{product_group_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, product_group_id: ProductGroupId) -> ProductGroupShown:
    """One product group."""
    caller.require(Right.READ_MERCHANT, product_group_id[0])
    return _shown([queries.product_group(*product_group_id)])[0]


@endpoint("PATCH", "/product-groups/{product_group_id}", needs=Right.RUN_MERCHANT)
def change(
    caller: Caller,
    product_group_id: ProductGroupId,
    body: ProductGroupChange,
    if_match: IfMatch,
) -> ProductGroupShown:
    """Rename a group, let products go and take others in."""
    merchant_id, _ = product_group_id
    caller.require(Right.RUN_MERCHANT, merchant_id)
    group = queries.product_group(*product_group_id, lock=True)
    if_match.check(group.version)
    service.change_product_group(
        group,
        name=body.name or None,
        add=_own(merchant_id, body.add, "/add"),
        remove=_own(merchant_id, body.remove, "/remove"),
    )
    return _shown([group])[0]


def _own(merchant_id: int, products: Sequence[tuple[int, int]], pointer: str) -> list[int]:
    for number, (owner_id, _) in enumerate(products):
        if owner_id != merchant_id:
            raise invalid(f"{pointer}/{number}", "not_found", "There is no such product.")
    return [product_id for _, product_id in products]


def _shown(groups: Sequence[ProductGroup]) -> list[ProductGroupShown]:
    products: dict[int, list[Product]] = {}
    for merchant_id in {group.merchant_id for group in groups}:
        own = [group.id for group in groups if group.merchant_id == merchant_id]
        products |= queries.products_of_groups(merchant_id, own)
    shops = _shops([product for each in products.values() for product in each])
    return [_show(group, products[group.id], shops) for group in groups]


def _shops(products: Sequence[Product]) -> dict[int, Shop]:
    keys = {(product.merchant_id, product.shop_id) for product in products}
    wanted = sa.tuple_(Shop.merchant_id, Shop.id).in_(list(keys))
    return {shop.id: shop for shop in db.session.scalars(sa.select(Shop).where(wanted))}


def _show(
    group: ProductGroup, products: Sequence[Product], shops: dict[int, Shop]
) -> ProductGroupShown:
    return ProductGroupShown(
        id=(group.merchant_id, group.id),
        merchant=group.merchant_id,
        name=group.name,
        products=[_product(each, shops[each.shop_id]) for each in products],
        created_at=group.created_at,
        version=group.version,
    )


def _product(product: Product, shop: Shop) -> GroupedProduct:
    price = None if product.price is None else Money.of(product.price, product.currency)
    return GroupedProduct(
        product=(product.merchant_id, product.id),
        shop=(product.merchant_id, product.shop_id),
        country=shop.country,
        title=product.title,
        price=price,
        stock=product.stock,
    )
