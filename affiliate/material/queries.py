"""What a poster is about, whose words there are, and what may be passed on."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import offers
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Product, Shop
from affiliate.catalog.offers import Offer
from affiliate.config import shipped
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.links import domains, share
from affiliate.links import queries as links
from affiliate.links.models import Link
from affiliate.material.models import (
    Caption,
    DrawnPoster,
    Look,
    Material,
    MaterialFile,
    ShopPicture,
)
from affiliate.people.models import Promoter

FRESH = timedelta(days=7)  # a shop may change a picture without changing its address
PATIENCE = timedelta(minutes=10)  # before a shop that gave no picture is asked again
LATELY = timedelta(days=14)  # posters that were looked at since are drawn ahead
OWN = "/static/"


@dataclass(frozen=True, slots=True)
class Subject:
    """All that posters of a link are made from, read at once."""

    merchant_id: int
    link_id: int
    short_url: str
    product_version: int
    look_version: int
    title: str
    shop: str
    country: str
    promoter: str
    offer: Offer | None
    color: str | None
    logo: str | None
    address: str | None  # of the picture at the shop
    picture: str | None  # as we have it
    wants_picture: bool  # the shop should be asked for it

    def with_picture(self, name: str | None) -> "Subject":
        return replace(self, picture=name, wants_picture=False)


def subject(link: Link) -> Subject:
    rows = (
        sa.select(Shop, Promoter.name, Product, Look, ShopPicture)
        .select_from(Link)
        .join(Shop, sa.and_(Shop.merchant_id == Link.merchant_id, Shop.id == Link.shop_id))
        .join(Promoter, Promoter.id == Link.promoter_id)
        .outerjoin(
            Product,
            sa.and_(Product.merchant_id == Link.merchant_id, Product.id == Link.product_id),
        )
        .outerjoin(Look, Look.merchant_id == Link.merchant_id)
        .outerjoin(
            ShopPicture,
            sa.and_(
                ShopPicture.merchant_id == Link.merchant_id,
                ShopPicture.address == Product.image_url,
            ),
        )
        .where(Link.id == link.id, Link.merchant_id == link.merchant_id)
    )
    shop, promoter, product, look, picture = db.session.execute(rows).one()
    address = product.image_url if product else None
    own = _own_picture(address)
    return Subject(
        merchant_id=link.merchant_id,
        link_id=link.id,
        short_url=share.short_url(link.word, domains.base_of(link)),
        product_version=product.version if product else 0,
        look_version=look.version if look else 0,
        title=product.title if product else shop.name,
        shop=shop.name,
        country=shop.country,
        promoter=promoter,
        offer=_offer(product) if product else None,
        color=look.color if look else None,
        logo=look.logo if look else None,
        address=address,
        picture=own or (picture.file if picture else None),
        wants_picture=address is not None and own is None and _is_due(picture),
    )


def own_picture(name: str) -> Path:
    """A picture that this instance ships: of a drawing there is a JPEG beside it."""
    return (shipped("static") / name.removeprefix(OWN)).with_suffix(".jpg")


def look(merchant_id: int, *, lock: bool = False) -> Look | None:
    return db.session.get(Look, merchant_id, with_for_update=lock or None)


def logo_of(word: str) -> str | None:
    """The logo of the merchant whose link this is."""
    link = links.by_word(word)
    found = look(link.merchant_id) if link else None
    return found.logo if found else None


def outdated(most: int) -> list[tuple[int, int]]:
    """Merchant and link of posters that were looked at lately and show what is no more."""
    rows = db.session.execute(
        sa.select(DrawnPoster.merchant_id, DrawnPoster.link_id)
        .distinct()
        .join(Link, Link.id == DrawnPoster.link_id)
        .outerjoin(
            Product,
            sa.and_(Product.merchant_id == Link.merchant_id, Product.id == Link.product_id),
        )
        .outerjoin(Look, Look.merchant_id == Link.merchant_id)
        .where(
            DrawnPoster.used_at > clock.now() - LATELY,
            sa.or_(
                DrawnPoster.product_version != sa.func.coalesce(Product.version, 0),
                DrawnPoster.look_version != sa.func.coalesce(Look.version, 0),
            ),
        )
        .limit(most)
    )
    return [(row.merchant_id, row.link_id) for row in rows]


def languages_of(link_id: int) -> set[str]:
    """In which its posters were looked at."""
    rows = sa.select(DrawnPoster.language).distinct().where(DrawnPoster.link_id == link_id)
    return set(db.session.scalars(rows))


# --- words ---------------------------------------------------------------------------------------


def words_for(link: Link, language: str) -> Caption | None:
    """The promoter's for this link, else the merchant's for the product, else for the program."""
    of = [Caption.link_id == link.id, Caption.program_id == link.program_id]
    if link.product_id is not None:
        of.append(Caption.product_id == link.product_id)
    rows = db.session.scalars(
        sa.select(Caption).where(
            Caption.merchant_id == link.merchant_id, Caption.language == language, sa.or_(*of)
        )
    )
    found = {_rank(each): each for each in rows}
    return found[min(found)] if found else None


def caption(merchant_id: int, caption_id: int, *, lock: bool = False) -> Caption:
    found = db.session.get(Caption, (merchant_id, caption_id), with_for_update=lock or None)
    if found is None or found.link_id is not None:  # a promoter's words are the promoter's
        raise NotFound(_("There are no such words."))
    return found


def captions_of(
    merchant_id: int, *, product_id: int | None = None, program_id: int | None = None
) -> dict[str, Caption]:
    """By language."""
    rows = db.session.scalars(
        sa.select(Caption).where(
            Caption.merchant_id == merchant_id,
            Caption.link_id.is_(None),
            Caption.product_id.is_not_distinct_from(product_id),
            Caption.program_id.is_not_distinct_from(program_id),
        )
    )
    return {each.language: each for each in rows}


def _rank(caption: Caption) -> int:
    return 0 if caption.link_id else 1 if caption.product_id else 2


# --- material ------------------------------------------------------------------------------------


def material(merchant_id: int, material_id: int, *, lock: bool = False) -> Material:
    found = db.session.get(Material, (merchant_id, material_id), with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such material."))
    return found


def materials_of(merchant_id: int, product_id: int) -> list[Material]:
    """What may be passed on now, newest first."""
    rows = sa.select(Material).where(
        Material.merchant_id == merchant_id,
        Material.product_id == product_id,
        Material.ended_at.is_(None),
    )
    return list(db.session.scalars(rows.order_by(Material.id.desc())))


def files_of(merchant_id: int, material_ids: Collection[int]) -> dict[int, list[MaterialFile]]:
    found: dict[int, list[MaterialFile]] = {each: [] for each in material_ids}
    if not found:
        return found
    rows = sa.select(MaterialFile).where(
        MaterialFile.merchant_id == merchant_id, MaterialFile.material_id.in_(list(found))
    )
    for row in db.session.scalars(rows.order_by(MaterialFile.position)):
        found[row.material_id].append(row)
    return found


# --- many links ----------------------------------------------------------------------------------


def links_in(
    merchant_id: int, program_id: int, promoter_id: int | None = None
) -> Iterator[tuple[str, str, str | None]]:
    """Word, a name and the domain for each link of a program: of all its promoters, or of one."""
    columns = (sa.func.coalesce(Link.slug, Link.code), domains.BASE, Product.title, Promoter.name)
    rows = (
        sa.select(*columns)
        .select_from(Link)
        .join(Shop, sa.and_(Shop.merchant_id == Link.merchant_id, Shop.id == Link.shop_id))
        .join(Promoter, Promoter.id == Link.promoter_id)
        .outerjoin(
            Product,
            sa.and_(Product.merchant_id == Link.merchant_id, Product.id == Link.product_id),
        )
        .where(Link.merchant_id == merchant_id, Link.program_id == program_id)
        .order_by(Link.id)
    )
    if promoter_id is not None:
        rows = rows.where(Link.promoter_id == promoter_id)
    for word, base, title, promoter in db.session.execute(rows.execution_options(yield_per=500)):
        name = f"{promoter} {title or ''}" if promoter_id is None else title or ""
        yield word, name, base


def _offer(product: Product) -> Offer:
    variants = catalog.variants_of(product.merchant_id, [product.id])[product.id]
    return offers.offer(product, variants, clock.now())


def _own_picture(address: str | None) -> str | None:
    if address is None or not address.startswith(OWN):
        return None
    return address if own_picture(address).is_file() else None


def _is_due(picture: ShopPicture | None) -> bool:
    if picture is None:
        return True
    return picture.tried_at < clock.now() - (FRESH if picture.file else PATIENCE)
