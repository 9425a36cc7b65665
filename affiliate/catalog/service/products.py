"""Keeping the products of a shop and their variants."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import rules
from affiliate.catalog.models import Product, Shop, Variant
from affiliate.catalog.service import news
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, Invalid, invalid
from affiliate.i18n import _

BULK_MAX = 1000


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
    """A product as the shop or a person gives it. `price` is in the shop's currency."""

    external_id: str
    title: str
    url: str
    image_url: str | None = None
    price: int | None = None
    category: str | None = None
    stock: int | None = None
    variants: Sequence[VariantFacts] = field(default=())


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
    _refuse([*_faults(shop, products, "/products/{}"), *_repeated(products)])
    return _store(shop, products)


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
    )
    _refuse(_faults(shop, [facts], "{}"))
    for name, value in _columns(facts).items():
        setattr(product, name, value)
    if "hidden" in changes:
        product.hidden_at = (product.hidden_at or clock.now()) if changes["hidden"] else None
    product.version += 1
    db.session.flush()
    news.changed(product.merchant_id, [product.id])
    if "variants" in changes:
        _store_variants(shop.merchant_id, {product.id: facts.variants})
    return product


def _columns(facts: ProductFacts) -> dict[str, Any]:
    return {
        "title": facts.title,
        "url": rules.web_address(facts.url),
        "image_url": rules.picture_address(facts.image_url) if facts.image_url else None,
        "price": facts.price,
        "category": facts.category,
        "stock": facts.stock,
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
    try:
        if facts.image_url:
            rules.picture_address(facts.image_url)
    except rules.BadAddress as error:
        faults.append(FieldError(f"{at}/image_url", "bad_url", str(error)))
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
# unchanged row is left alone: no new version, no write.
_UPSERT = sa.text("""
    INSERT INTO products (merchant_id, shop_id, external_id, title, url, image_url, price,
                          currency, category, stock, created_at, version)
    SELECT :merchant, :shop, external_id, title, url, image_url, price,
           :currency, category, stock, :now, 1
    FROM jsonb_to_recordset(CAST(:products AS jsonb)) AS given
         (external_id text, title text, url text, image_url text, price bigint,
          category text, stock bigint)
    ORDER BY external_id
    ON CONFLICT (merchant_id, shop_id, external_id) DO UPDATE
    SET (title, url, image_url, price, category, stock, version)
        = (excluded.title, excluded.url, excluded.image_url, excluded.price, excluded.category,
           excluded.stock, products.version + 1)
    WHERE (products.title, products.url, products.image_url, products.price, products.category,
           products.stock)
          IS DISTINCT FROM (excluded.title, excluded.url, excluded.image_url, excluded.price,
                            excluded.category, excluded.stock)
    RETURNING id, version = 1
""")


def _store(shop: Shop, products: Sequence[ProductFacts]) -> Stored:
    rows = [{"external_id": facts.external_id, **_columns(facts)} for facts in products]
    written = db.session.execute(
        _UPSERT,
        {
            "merchant": shop.merchant_id,
            "shop": shop.id,
            "currency": shop.currency,
            "now": clock.now(),
            "products": json.dumps(rows),
        },
    ).all()
    ids = _ids(shop, [facts.external_id for facts in products])
    touched = _store_variants(
        shop.merchant_id, {ids[facts.external_id]: facts.variants for facts in products}
    )
    new = {product_id for product_id, is_new in written if is_new}
    news.changed(shop.merchant_id, ({row.id for row in written} | touched) - new)
    created = len(new)
    return Stored(created, len(written) - created, len(products) - len(written), ids)


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
    """Those given are all the variants a product has from now on. The products that had others."""
    rows = [
        {"product_id": product_id, **asdict(variant)}
        for product_id, given in variants.items()
        for variant in given
    ]
    kept = sa.select(
        sa.func.unnest(sa.cast([row["product_id"] for row in rows], sa.ARRAY(sa.BigInteger))),
        sa.func.unnest(sa.cast([row["external_id"] for row in rows], sa.ARRAY(sa.Text))),
    )
    changed = db.session.scalars(
        sa.delete(Variant)
        .where(
            Variant.merchant_id == merchant_id,
            Variant.product_id.in_(list(variants)),
            sa.tuple_(Variant.product_id, Variant.external_id).not_in(kept),
        )
        .returning(Variant.product_id)
    ).all()
    if rows:
        values = {"merchant": merchant_id, "now": clock.now(), "variants": json.dumps(rows)}
        changed = [*changed, *db.session.scalars(_UPSERT_VARIANTS, values)]
    return set(changed)
