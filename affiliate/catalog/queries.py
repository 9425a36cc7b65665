"""What is known of shops and products."""

from collections.abc import Collection, Sequence
from typing import LiteralString, NamedTuple

import sqlalchemy as sa
from flask import current_app

from affiliate import ids
from affiliate.catalog import rules
from affiliate.catalog.models import Product, Shop, Variant
from affiliate.db import alone, db
from affiliate.errors import NotFound
from affiliate.i18n import _


class Door(NamedTuple):
    """What must be known of a shop when it knocks."""

    merchant_id: int
    id: int
    platform: str
    credentials: bytes  # sealed
    domain: str


_DOOR: LiteralString = (
    "SELECT merchant_id, id, platform, credentials, domain FROM shops"
    " WHERE merchant_id = %(merchant_id)s AND id = %(id)s AND disconnected_at IS NULL"
)


def door(merchant_id: int, shop_id: int) -> Door | None:
    """None for a shop that is not connected any more, or never was."""
    row = next(iter(alone(_DOOR, {"merchant_id": merchant_id, "id": shop_id})), None)
    return Door(*row) if row else None


def shop(merchant_id: int, shop_id: int, *, lock: bool = False) -> Shop:
    found = db.session.get(Shop, (merchant_id, shop_id), with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such shop."))
    return found


def shops(merchant_id: int, shop_ids: Collection[int] = ()) -> Sequence[Shop]:
    """The merchant's connected shops, or those of them that are named."""
    query = sa.select(Shop).where(Shop.merchant_id == merchant_id, Shop.disconnected_at.is_(None))
    if shop_ids:
        query = query.where(Shop.id.in_(shop_ids))
    return db.session.scalars(query.order_by(Shop.id)).all()


def shop_of_address(shops: Collection[Shop], address: str) -> Shop | None:
    """On which of these shops a normalised address lies; the most exact host wins."""
    on = [each for each in shops if rules.is_on(address, each.domain)]
    return max(on, key=lambda each: len(each.domain), default=None)


def product(merchant_id: int, product_id: int, *, lock: bool = False) -> Product:
    found = db.session.get(Product, (merchant_id, product_id), with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such product."))
    return found


def external_ids(merchant_id: int, product_ids: Collection[int]) -> dict[int, tuple[int, str]]:
    """Shop and the product's id there, by our id."""
    rows = db.session.execute(
        sa.select(Product.id, Product.shop_id, Product.external_id).where(
            Product.merchant_id == merchant_id, Product.id.in_(set(product_ids))
        )
    )
    return {product_id: (shop_id, external_id) for product_id, shop_id, external_id in rows}


def categories(
    merchant_id: int, products: Collection[tuple[int, str]]
) -> dict[tuple[int, str], str]:
    """The category of products, by shop and their id there; those without one are left out."""
    wanted = sa.tuple_(Product.shop_id, Product.external_id)
    rows = db.session.execute(
        sa.select(Product.shop_id, Product.external_id, Product.category).where(
            Product.merchant_id == merchant_id,
            wanted.in_(list(products)),
            Product.category.is_not(None),
        )
    )
    return {(shop_id, external_id): category or "" for shop_id, external_id, category in rows}


def by_external_ids(
    merchant_id: int, products: Collection[tuple[int, str]]
) -> dict[tuple[int, str], Product]:
    """Products by shop and their id there."""
    wanted = sa.tuple_(Product.shop_id, Product.external_id)
    rows = db.session.scalars(
        sa.select(Product).where(
            Product.merchant_id == merchant_id, wanted.in_(list(set(products)))
        )
    )
    return {(row.shop_id, row.external_id): row for row in rows}


def named(merchant_id: int, shop_ids: Collection[int], text: str) -> list[Product]:
    """Products of these shops that have exactly this number or title, however it is written."""
    return list(
        db.session.scalars(
            sa.select(Product)
            .where(
                Product.merchant_id == merchant_id,
                Product.shop_id.in_(shop_ids),
                sa.or_(
                    Product.external_id == text,
                    sa.func.lower(Product.title) == sa.func.lower(text),
                ),
            )
            .order_by(Product.id)
            .limit(20)
        )
    )


def suggested(merchant_id: int, shop_ids: Collection[int], limit: int = 300) -> list[Product]:
    """The newest of these shops' products, for fields that suggest what may be typed."""
    return list(
        db.session.scalars(
            sa.select(Product)
            .where(Product.merchant_id == merchant_id, Product.shop_id.in_(shop_ids))
            .order_by(Product.id.desc())
            .limit(limit)
        )
    )


def variants_of(merchant_id: int, product_ids: Collection[int]) -> dict[int, list[Variant]]:
    found: dict[int, list[Variant]] = {product_id: [] for product_id in product_ids}
    rows = db.session.scalars(
        sa.select(Variant)
        .where(Variant.merchant_id == merchant_id, Variant.product_id.in_(list(found)))
        .order_by(Variant.product_id, Variant.id)
    )
    for row in rows:
        found[row.product_id].append(row)
    return found


def has_products(merchant_id: int, shop_id: int) -> bool:
    found = sa.exists().where(Product.merchant_id == merchant_id, Product.shop_id == shop_id)
    return bool(db.session.scalar(sa.select(found)))


def hook_path(shop: Shop | Door) -> str:
    return f"/hooks/{ids.encode('shp', shop.merchant_id, shop.id)}"


def hook_url(shop: Shop | Door) -> str:
    """Where this shop sends its webhooks."""
    return f"{current_app.config['SETTINGS'].address}{hook_path(shop)}"
