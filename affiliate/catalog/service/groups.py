"""Product groups: the same thing in several shops."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from affiliate.catalog import queries
from affiliate.catalog.models import Product, ProductGroup
from affiliate.db import among, db
from affiliate.errors import Conflict, FieldError, Invalid, invalid
from affiliate.i18n import _

PRODUCTS_MOST = 100


class GroupExists(Conflict):
    code = "product_group_exists"


def create_product_group(
    merchant_id: int, name: str, product_ids: Collection[int] = ()
) -> ProductGroup:
    _require_free(merchant_id, name)
    group = ProductGroup(merchant_id=merchant_id, name=name)
    db.session.add(group)
    db.session.flush()
    _take_in(group, product_ids, "/products")
    return group


def change_product_group(
    group: ProductGroup,
    *,
    name: str | None = None,
    add: Collection[int] = (),
    remove: Collection[int] = (),
) -> ProductGroup:
    """The caller holds the group's row locked."""
    if name is not None and name != group.name:
        _require_free(group.merchant_id, name)
        group.name = name
    for product in _products(group.merchant_id, remove):
        if product.group_id == group.id:
            product.group_id = None
    db.session.flush()
    _take_in(group, add, "/add")
    group.version += 1
    db.session.flush()
    return group


def dissolve_product_group(group: ProductGroup) -> None:
    """Its products stay, each for itself."""
    for product in queries.products_of_groups(group.merchant_id, [group.id])[group.id]:
        product.group_id = None
    db.session.flush()
    db.session.delete(group)
    db.session.flush()


def _take_in(group: ProductGroup, product_ids: Collection[int], pointer: str) -> None:
    """Those in another group are refused: nobody may lose a product without a word."""
    wanted = list(dict.fromkeys(product_ids))
    found = {product.id: product for product in _products(group.merchant_id, wanted)}
    faults = []
    for number, product_id in enumerate(wanted):
        product = found.get(product_id)
        if product is None:
            faults.append(_fault(pointer, number, "not_found", _("There is no such product.")))
        elif product.group_id not in (None, group.id):
            message = _("%(title)s is in another group.", title=product.title[:100])
            faults.append(_fault(pointer, number, "in_other_group", message))
        else:
            product.group_id = group.id
    if faults:
        raise Invalid(faults[0].message, errors=tuple(faults))
    db.session.flush()
    if len(queries.products_of_groups(group.merchant_id, [group.id])[group.id]) > PRODUCTS_MOST:
        message = _("At most %(most)s products in a group.", most=PRODUCTS_MOST)
        raise invalid(pointer, "too_many", message)


def _fault(pointer: str, number: int, code: str, message: object) -> FieldError:
    return FieldError(f"{pointer}/{number}", code, message)


def _products(merchant_id: int, product_ids: Iterable[int]) -> list[Product]:
    """Locked in one order, so that two who change groups at once do not wait for each other."""
    return list(
        db.session.scalars(
            sa.select(Product)
            .where(Product.merchant_id == merchant_id, among(Product.id, product_ids))
            .order_by(Product.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def _require_free(merchant_id: int, name: str) -> None:
    """Two at once: the second waits here, and is told so."""
    lock = sa.func.hashtextextended(f"product group:{merchant_id}", 0)
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
    same = sa.select(ProductGroup.id).where(
        ProductGroup.merchant_id == merchant_id, ProductGroup.name == name
    )
    if db.session.scalar(same) is not None:
        message = _("There is a group %(name)s already.", name=name)
        raise GroupExists(message, errors=(FieldError("/name", "taken", message),))
