"""What is known of shops and products."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import LiteralString, NamedTuple

import sqlalchemy as sa
from flask import current_app

from affiliate import ids
from affiliate.catalog import rules
from affiliate.catalog.models import Product, ProductGroup, Review, Sales, Shop, Variant
from affiliate.db import alone, among, db
from affiliate.errors import NotFound
from affiliate.i18n import _


@dataclass(frozen=True, slots=True)
class Reviews:
    """All that are stored of a product, in figures, and the newest of them."""

    count: int
    stars: int  # of all together
    newest: Sequence[Review]


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


def product_group(merchant_id: int, group_id: int, *, lock: bool = False) -> ProductGroup:
    found = db.session.get(ProductGroup, (merchant_id, group_id), with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such group of products."))
    return found


def products_of_groups(merchant_id: int, group_ids: Collection[int]) -> dict[int, list[Product]]:
    found: dict[int, list[Product]] = {group_id: [] for group_id in group_ids}
    rows = db.session.scalars(
        sa.select(Product)
        .where(Product.merchant_id == merchant_id, Product.group_id.in_(list(found)))
        .order_by(Product.shop_id, Product.id)
    )
    for row in rows:
        assert row.group_id is not None
        found[row.group_id].append(row)
    return found


# Numbers of goods (GTIN, 8 to 14 digits) and stock numbers mean the same in every shop; a shop's
# own running number does not, so two shops with the same one prove nothing unless it is that long.
_ALIKE = sa.text(r"""
    WITH free AS (
        SELECT id, shop_id, title, external_id FROM products
        WHERE merchant_id = :merchant AND group_id IS NULL
              AND hidden_at IS NULL AND gone_at IS NULL
    ), keyed AS (
        SELECT id, shop_id, 'n:' || external_id AS key FROM free
        WHERE external_id ~ '^\d{8}(\d{4,6})?$'
        UNION
        SELECT free.id, shop_id, 's:' || lower(sku) FROM free
        JOIN variants ON variants.merchant_id = :merchant AND variants.product_id = free.id
        WHERE length(sku) >= 3
        UNION
        SELECT id, shop_id, 't:' || lower(regexp_replace(btrim(title), '\s+', ' ', 'g')) FROM free
    )
    SELECT DISTINCT array_agg(id ORDER BY id) FROM keyed
    GROUP BY key HAVING count(DISTINCT shop_id) > 1 AND count(*) <= 20
    ORDER BY 1 LIMIT :most
""")


def alike(merchant_id: int, most: int = 20) -> list[list[Product]]:
    """Products of different shops that look like the same thing and are in no group."""
    sets = db.session.scalars(_ALIKE, {"merchant": merchant_id, "most": most}).all()
    wanted = {product_id for each in sets for product_id in each}
    products = {
        row.id: row
        for row in db.session.scalars(
            sa.select(Product).where(Product.merchant_id == merchant_id, among(Product.id, wanted))
        )
    }
    return [[products[product_id] for product_id in each] for each in sets]


def reviews_of(merchant_id: int, product_id: int, limit: int) -> Reviews:
    rows = db.session.execute(
        sa.select(Review, sa.func.count().over(), sa.func.sum(Review.rating).over())
        .where(Review.merchant_id == merchant_id, Review.product_id == product_id)
        .order_by(Review.written_on.desc().nulls_last(), Review.id.desc())
        .limit(limit)
    ).all()
    if not rows:
        return Reviews(0, 0, ())
    return Reviews(rows[0][1], int(rows[0][2]), [row[0] for row in rows])


def origins_of_reviews(merchant_id: int) -> list[tuple[str, int]]:
    """Where the merchant's reviews are from, with how many there are from each."""
    rows = db.session.execute(
        sa.select(Review.origin, sa.func.count())
        .where(Review.merchant_id == merchant_id)
        .group_by(Review.origin)
        .order_by(Review.origin)
    )
    return [(origin, count) for origin, count in rows]


def sales_of(merchant_id: int, product_id: int) -> int:
    """Pieces sold in the last days, as counted last."""
    found = db.session.get(Sales, (merchant_id, product_id))
    return found.pieces if found else 0


def has_products(merchant_id: int, shop_id: int) -> bool:
    found = sa.exists().where(Product.merchant_id == merchant_id, Product.shop_id == shop_id)
    return bool(db.session.scalar(sa.select(found)))


def hook_path(shop: Shop | Door) -> str:
    return f"/hooks/{ids.encode('shp', shop.merchant_id, shop.id)}"


def hook_url(shop: Shop | Door) -> str:
    """Where this shop sends its webhooks."""
    return f"{current_app.config['SETTINGS'].address}{hook_path(shop)}"
