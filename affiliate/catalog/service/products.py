"""Keeping the products of a shop and their variants."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import rules
from affiliate.catalog.models import Product, Shop, Variant
from affiliate.catalog.service import news
from affiliate.db import among, db
from affiliate.errors import Conflict, FieldError, Invalid, invalid
from affiliate.i18n import _

BULK_MAX = 1000
PICTURES_MAX = 20
VARIANTS_AT_ONCE = 10_000


class ProductExists(Conflict):
    code = "product_exists"


@dataclass(frozen=True, slots=True)
class VariantFacts:
    external_id: str
    title: str
    sku: str | None = None
    price: int | None = None
    stock: int | None = None


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """A product as the shop or a person gives it. Prices are in the shop's currency."""

    external_id: str
    title: str
    url: str
    image_url: str | None = None
    price: int | None = None
    category: str | None = None
    stock: int | None = None
    variants: Sequence[VariantFacts] = field(default=())
    description: str | None = None
    images: Sequence[str] = field(default=())
    list_price: int | None = None
    price_until: datetime | None = None
    sold: int | None = None
    gone: bool = False
    # Of a product as its shop tells it: the change of which this is the state, and when it was
    # there for sure, if the shop was asked.
    shop_version: int | None = None
    seen_at: datetime | None = None


class Gone(NamedTuple):
    """A product that the shop has no more."""

    external_id: str
    shop_version: int
    # Also of a product we never heard of: what was told of it before may still be on its way.
    leaves_trace: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What a bulk upsert did. `ids` by external id."""

    created: int
    updated: int
    unchanged: int
    ids: dict[str, int]


def create_product(shop: Shop, facts: ProductFacts) -> Product:
    _refuse(_faults(shop, [facts], "{}"))
    taken = sa.select(Product.id).filter_by(
        merchant_id=shop.merchant_id, shop_id=shop.id, external_id=facts.external_id
    )
    if db.session.scalar(taken) or not (stored := _store(shop, [facts])).created:
        raise ProductExists(
            _("The shop already has a product %(external_id)s.", external_id=facts.external_id)
        )
    return db.session.get_one(Product, (shop.merchant_id, stored.ids[facts.external_id]))


def put_products(shop: Shop, products: Sequence[ProductFacts]) -> Stored:
    """Create or update up to 1000 products by their external ids. All of them, or none."""
    if len(products) > BULK_MAX:
        raise invalid(
            "/products",
            "too_many",
            _("At most %(most)s products at a time.", most=BULK_MAX),
        )
    _refuse(faults_of(shop, products))
    return _store(shop, products)


def faults_of(shop: Shop, products: Sequence[ProductFacts]) -> list[FieldError]:
    """All that is wrong with these, `/products/<number>/…`."""
    return [*_faults(shop, products, "/products/{}"), *_repeated(products)]


def take_products(shop: Shop, products: Sequence[ProductFacts], gone: Sequence[Gone] = ()) -> int:
    """What the shop tells of its products, in whatever order it comes; returns how many changed.

    Facts that are older than what is known change nothing, and `hidden_at` is the merchant's own.
    """
    changed: set[int] = set()
    for start in range(0, len(products), BULK_MAX):
        changed |= _take(shop, products[start : start + BULK_MAX])
    if gone:
        told = json.dumps([each._asdict() for each in gone])
        given = _owner(shop) | {"home": f"https://{shop.domain}/", "products": told}
        changed.update(row.id for row in db.session.execute(_LEAVE, given) if row.left_now)
    news.changed(shop.merchant_id, changed)
    return len(changed)


def see_products(shop: Shop, external_ids: Sequence[str]) -> None:
    """The shop has these, whatever else it told of them."""
    db.session.execute(
        sa.update(Product)
        .where(
            Product.merchant_id == shop.merchant_id,
            Product.shop_id == shop.id,
            among(Product.external_id, external_ids),
            Product.synced_at.is_not(None),
        )
        .values(synced_at=clock.now())
        .execution_options(synchronize_session=False)
    )


def leave_unseen(shop: Shop, since: datetime) -> int:
    """The shop was read from one end to the other: what it told of last before that is gone."""
    unseen = (
        sa.update(Product)
        .where(
            Product.merchant_id == shop.merchant_id,
            Product.shop_id == shop.id,
            Product.gone_at.is_(None),
            Product.synced_at < since,
        )
        .values(gone_at=clock.now(), version=Product.version + 1)
        .returning(Product.id)
        .execution_options(synchronize_session=False)
    )
    left = db.session.scalars(unseen).all()
    news.changed(shop.merchant_id, left)
    return len(left)


def change_product(shop: Shop, product: Product, changes: Mapping[str, Any]) -> Product:
    """Change some fields. `variants`, when given, are all there are from now on."""
    facts = ProductFacts(
        external_id=product.external_id,
        title=changes.get("title", product.title),
        url=changes.get("url", product.url),
        image_url=changes.get("image_url", product.image_url),
        price=changes.get("price", product.price),
        category=changes.get("category", product.category),
        stock=changes.get("stock", product.stock),
        variants=changes.get("variants", ()),
        description=changes.get("description", product.description),
        images=changes.get("images", product.images),
        list_price=changes.get("list_price", product.list_price),
        price_until=changes.get("price_until", product.price_until),
    )
    _refuse(_faults(shop, [facts], "{}"))
    for name, value in _columns(facts).items():
        setattr(product, name, value)
    if "hidden" in changes:
        product.hidden_at = (product.hidden_at or clock.now()) if changes["hidden"] else None
    product.version += 1
    db.session.flush()
    if "variants" in changes:
        _store_variants(shop.merchant_id, {product.id: facts.variants})
    news.changed(product.merchant_id, [product.id])
    return product


def _columns(facts: ProductFacts) -> dict[str, Any]:
    return {
        "title": facts.title,
        "url": rules.web_address(facts.url),
        "image_url": rules.picture_address(facts.image_url) if facts.image_url else None,
        "price": facts.price,
        "category": facts.category,
        "stock": facts.stock,
        "description": facts.description,
        "images": [rules.picture_address(each) for each in facts.images],
        "list_price": facts.list_price,
        "price_until": facts.price_until,
    }


def _faults(shop: Shop, products: Sequence[ProductFacts], place: str) -> list[FieldError]:
    """What is wrong, by pointer; `place` leads to one product, `{}` standing for its number."""
    faults: list[FieldError] = []
    for number, facts in enumerate(products):
        at = place.format(number) if place != "{}" else ""
        faults += _url_faults(shop, facts, at)
        seen: set[str] = set()
        for index, variant in enumerate(facts.variants):
            if variant.external_id in seen:
                pointer = f"{at}/variants/{index}/external_id"
                faults.append(FieldError(pointer, "repeated", _("This id stands here twice.")))
            seen.add(variant.external_id)
    return faults


def _url_faults(shop: Shop, facts: ProductFacts, at: str) -> list[FieldError]:
    faults = []
    try:
        if not rules.is_on(rules.web_address(facts.url), shop.domain):
            message = _("A product's page is on %(domain)s.", domain=shop.domain)
            faults.append(FieldError(f"{at}/url", "foreign_host", message))
    except rules.BadAddress as error:
        faults.append(FieldError(f"{at}/url", "bad_url", str(error)))
    pictures = {"image_url": facts.image_url} if facts.image_url else {}
    pictures |= {f"images/{number}": each for number, each in enumerate(facts.images)}
    for name, address in pictures.items():
        try:
            rules.picture_address(address)
        except rules.BadAddress as error:
            faults.append(FieldError(f"{at}/{name}", "bad_url", str(error)))
    return faults


def _repeated(products: Sequence[ProductFacts]) -> list[FieldError]:
    seen: set[str] = set()
    faults = []
    for number, facts in enumerate(products):
        if facts.external_id in seen:
            pointer = f"/products/{number}/external_id"
            faults.append(FieldError(pointer, "repeated", _("This id stands here twice.")))
        seen.add(facts.external_id)
    return faults


def _refuse(faults: Sequence[FieldError]) -> None:
    if faults:
        raise Invalid(_("Some values cannot be taken."), errors=tuple(faults))


# Sorted by external id, so that two uploads at once cannot wait for each other in a ring. An
# unchanged row is left alone: no new version, no write. What a shop tells of it that is older than
# what it told before is no news; unless the shop was asked after it had taken the product away.
_UPSERT = sa.text("""
    INSERT INTO products (merchant_id, shop_id, external_id, title, url, image_url, price,
                          currency, category, stock, description, images, list_price, price_until,
                          sold, gone_at, synced_at, shop_version, created_at, version)
    SELECT :merchant, :shop, given.external_id, given.title, given.url, given.image_url,
           given.price, :currency, given.category, given.stock, given.description, given.images,
           given.list_price, given.price_until, given.sold, CASE WHEN given.gone THEN :now END,
           CASE WHEN given.shop_version IS NOT NULL THEN :now END,
           CASE WHEN known.gone_at < given.seen_at
                THEN greatest(given.shop_version, known.shop_version)
                ELSE given.shop_version END,
           :now, 1
    FROM jsonb_to_recordset(CAST(:products AS jsonb)) AS given
         (external_id text, title text, url text, image_url text, price bigint,
          category text, stock bigint, description text, images text[], list_price bigint,
          price_until timestamptz, sold bigint, gone boolean, shop_version bigint,
          seen_at timestamptz)
    LEFT JOIN products known
      ON (known.merchant_id, known.shop_id, known.external_id)
       = (:merchant, :shop, given.external_id)
    ORDER BY given.external_id
    ON CONFLICT (merchant_id, shop_id, external_id) DO UPDATE
    SET (title, url, image_url, price, category, stock, description, images, list_price,
         price_until, sold, gone_at, synced_at, shop_version, version)
        = (excluded.title, excluded.url, excluded.image_url, excluded.price, excluded.category,
           excluded.stock, excluded.description, excluded.images, excluded.list_price,
           excluded.price_until, coalesce(excluded.sold, products.sold),
           CASE WHEN excluded.gone_at IS NOT NULL
                THEN coalesce(products.gone_at, excluded.gone_at) END,
           coalesce(excluded.synced_at, products.synced_at),
           coalesce(excluded.shop_version, products.shop_version), products.version + 1)
    WHERE coalesce(excluded.shop_version >= products.shop_version, true)
      AND (products.title, products.url, products.image_url, products.price, products.category,
           products.stock, products.description, products.images, products.list_price,
           products.price_until, products.sold, products.gone_at IS NULL)
          IS DISTINCT FROM
          (excluded.title, excluded.url, excluded.image_url, excluded.price, excluded.category,
           excluded.stock, excluded.description, excluded.images, excluded.list_price,
           excluded.price_until, coalesce(excluded.sold, products.sold), excluded.gone_at IS NULL)
    RETURNING external_id, version
""")

# What is as it was has been seen all the same. Its rows are locked already, in their order.
_SEE = sa.text("""
    UPDATE products
       SET synced_at = :now, shop_version = greatest(products.shop_version, given.shop_version)
      FROM jsonb_to_recordset(CAST(:products AS jsonb)) AS given
           (external_id text, shop_version bigint, seen_at timestamptz)
     WHERE products.merchant_id = :merchant AND products.shop_id = :shop
       AND products.external_id = given.external_id
       AND (coalesce(given.shop_version >= products.shop_version, true)
            OR coalesce(products.gone_at < given.seen_at, false))
    RETURNING products.external_id
""")

_LEAVE = sa.text("""
    INSERT INTO products (merchant_id, shop_id, external_id, title, url, currency, gone_at,
                          synced_at, shop_version, created_at, version)
    SELECT :merchant, :shop, external_id, external_id, :home, :currency, :now, :now,
           max(shop_version), :now, 1
    FROM jsonb_to_recordset(CAST(:products AS jsonb)) AS given
         (external_id text, shop_version bigint, leaves_trace boolean)
    WHERE leaves_trace OR EXISTS (
      SELECT FROM products known
      WHERE (known.merchant_id, known.shop_id, known.external_id)
          = (:merchant, :shop, given.external_id))
    GROUP BY external_id
    ORDER BY external_id
    ON CONFLICT (merchant_id, shop_id, external_id) DO UPDATE
    SET gone_at = coalesce(products.gone_at, excluded.gone_at), synced_at = excluded.synced_at,
        shop_version = excluded.shop_version,
        version = products.version + CASE WHEN products.gone_at IS NULL THEN 1 ELSE 0 END
    WHERE coalesce(products.shop_version < excluded.shop_version, true)
    RETURNING id, gone_at = :now AS left_now
""")


def _store(shop: Shop, products: Sequence[ProductFacts]) -> Stored:
    written = _upsert(shop, products)
    ids = _ids(shop, [facts.external_id for facts in products])
    touched = _store_variants(
        shop.merchant_id, {ids[facts.external_id]: facts.variants for facts in products}
    )
    news.changed(shop.merchant_id, {ids[each] for each in written} | touched)
    created = sum(version == 1 for version in written.values())
    return Stored(created, len(written) - created, len(products) - len(written), ids)


def _take(shop: Shop, products: Sequence[ProductFacts]) -> set[int]:
    written = _upsert(shop, products)
    same = [facts for facts in products if facts.external_id not in written]
    rows = [
        {"external_id": each.external_id, "shop_version": each.shop_version,
         "seen_at": each.seen_at}
        for each in same
    ]  # fmt: skip
    seen = set(db.session.scalars(_SEE, _owner(shop) | {"products": _json(rows)}) if rows else ())
    taken = [each for each in products if each.external_id in written or each.external_id in seen]
    ids = _ids(shop, [each.external_id for each in taken])
    changed = _store_variants(
        shop.merchant_id, {ids[each.external_id]: each.variants for each in taken}
    )
    return changed | {ids[each] for each in written}


def _upsert(shop: Shop, products: Sequence[ProductFacts]) -> dict[str, int]:
    """The versions that rows have which were made or changed."""
    rows = [
        {
            "external_id": facts.external_id,
            **_columns(facts),
            "sold": facts.sold,
            "gone": facts.gone,
            "shop_version": facts.shop_version,
            "seen_at": facts.seen_at,
        }
        for facts in products
    ]
    written = db.session.execute(_UPSERT, _owner(shop) | {"products": _json(rows)})
    return {row.external_id: row.version for row in written}


def _owner(shop: Shop) -> dict[str, Any]:
    return {
        "merchant": shop.merchant_id,
        "shop": shop.id,
        "currency": shop.currency,
        "now": clock.now(),
    }


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=datetime.isoformat)


def _ids(shop: Shop, external_ids: Sequence[str]) -> dict[str, int]:
    rows = db.session.execute(
        sa.select(Product.external_id, Product.id).where(
            Product.merchant_id == shop.merchant_id,
            Product.shop_id == shop.id,
            Product.external_id == sa.func.any(sa.cast(external_ids, sa.ARRAY(sa.Text))),
        )
    )
    return {row.external_id: row.id for row in rows}


_UPSERT_VARIANTS = sa.text("""
    INSERT INTO variants (merchant_id, product_id, external_id, title, sku, price, stock,
                          created_at)
    SELECT :merchant, product_id, external_id, title, sku, price, stock, :now
    FROM jsonb_to_recordset(CAST(:variants AS jsonb)) AS given
         (product_id bigint, external_id text, title text, sku text, price bigint, stock bigint)
    ORDER BY product_id, external_id
    ON CONFLICT (merchant_id, product_id, external_id) DO UPDATE
    SET (title, sku, price, stock)
        = (excluded.title, excluded.sku, excluded.price, excluded.stock)
    WHERE (variants.title, variants.sku, variants.price, variants.stock)
          IS DISTINCT FROM (excluded.title, excluded.sku, excluded.price, excluded.stock)
    RETURNING product_id
""")


def _store_variants(merchant_id: int, variants: Mapping[int, Sequence[VariantFacts]]) -> set[int]:
    """Those given are all the variants a product has from now on. The products that changed."""
    rows = [
        {
            "product_id": product_id,
            "external_id": variant.external_id,
            "title": variant.title,
            "sku": variant.sku,
            "price": variant.price,
            "stock": variant.stock,
        }
        for product_id, given in variants.items()
        for variant in given
    ]
    kept = sa.select(
        sa.func.unnest(sa.cast([row["product_id"] for row in rows], sa.ARRAY(sa.BigInteger))),
        sa.func.unnest(sa.cast([row["external_id"] for row in rows], sa.ARRAY(sa.Text))),
    )
    gone = (
        sa.delete(Variant)
        .where(
            Variant.merchant_id == merchant_id,
            among(Variant.product_id, variants),
            sa.tuple_(Variant.product_id, Variant.external_id).not_in(kept),
        )
        .returning(Variant.product_id)
        .execution_options(synchronize_session=False)
    )
    changed = set(db.session.scalars(gone)) if variants else set()
    for start in range(0, len(rows), VARIANTS_AT_ONCE):
        part = json.dumps(rows[start : start + VARIANTS_AT_ONCE])
        values = {"merchant": merchant_id, "now": clock.now(), "variants": part}
        changed.update(db.session.scalars(_UPSERT_VARIANTS, values))
    return changed
