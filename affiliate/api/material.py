"""How a merchant looks, its own words, pictures and videos; and all that goes along with a link."""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from flask import current_app, url_for
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    CaptionId,
    Instant,
    LinkId,
    ListQuery,
    MaterialId,
    MerchantId,
    Page,
    ProductId,
    ProgramId,
    Query,
    Resource,
)
from affiliate.catalog import queries as catalog
from affiliate.db import db
from affiliate.errors import invalid
from affiliate.links import captions, domains, share
from affiliate.links import queries as links
from affiliate.links.models import Link
from affiliate.material import queries, service
from affiliate.material.models import Caption, Look, Material, MaterialFile
from affiliate.material.posters import TEMPLATES
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries as programs

MEGABYTE = 1024 * 1024
Tag = Literal["zh-Hans", "en", "es", "pt-BR"]
Words = Annotated[str, StringConstraints(min_length=1, max_length=4 * captions.TEXT_MOST)]
WORDS: Any = Field(
    description="Without the label, which is put in front; {title}, {price}, {saves} and {link} "
    "are filled in when they are shown"
)
FILE: Any = Field(description="A picture or a video in Base64")


class LookChange(Body):
    color: Annotated[str, StringConstraints(pattern="^#[0-9a-fA-F]{6}$")] | None = None
    logo: str | None = Field(None, description="A picture in Base64; null: none any more")


class NewCaption(Body):
    program: ProgramId | None = Field(None, description="Either of a program")
    product: ProductId | None = Field(None, description="or of a product")
    language: Tag
    text: Words = WORDS


class CaptionChange(Body):
    text: Words = WORDS


class CaptionQuery(ListQuery):
    merchant: MerchantId | None = None


class NewMaterial(Body):
    product: ProductId
    text: Words = WORDS


class MaterialChange(Body):
    text: Annotated[str, StringConstraints(max_length=4 * captions.TEXT_MOST)] = ""
    ended: bool = Field(False, description="It is offered no more")


class MaterialQuery(ListQuery):
    merchant: MerchantId | None = None
    product: ProductId | None = None


class File(Body):
    content: str = FILE


class OwnWords(Body):
    language: Tag
    text: Annotated[str, StringConstraints(max_length=4 * captions.TEXT_MOST)] = Field(
        description="Nothing: take them away"
    )


class ShareQuery(Query):
    language: Tag | None = Field(None, description="Without it that of the market")


class LookShown(Resource):
    merchant: MerchantId
    color: str | None
    logo_url: str | None
    version: int


class CaptionShown(Resource):
    id: CaptionId
    merchant: MerchantId
    program: ProgramId | None
    product: ProductId | None
    language: str
    text: str
    version: int


class FileShown(Resource):
    position: int
    kind: Literal["picture", "video"]
    url: str
    bytes: int
    width: int | None
    height: int | None


class MaterialShown(Resource):
    id: MaterialId
    merchant: MerchantId
    product: ProductId
    text: str
    files: list[FileShown]
    created_at: Instant
    ended_at: Instant | None
    version: int


class Shared(Resource):
    link: LinkId
    language: str
    short_url: str
    label: str = Field(description="Stands in front of every caption")
    caption: str
    qr_svg: str
    qr_png: str
    posters: dict[str, str] = Field(description="By template: the address of a JPEG")
    materials: list[MaterialShown]


@endpoint("GET", "/merchants/{merchant_id}/look", needs=Right.READ_MERCHANT)
def look(caller: Caller, merchant_id: MerchantId) -> LookShown:
    """Colour and logo of posters and QR codes."""
    caller.require(Right.READ_MERCHANT, merchant_id)
    return _look(merchant_id, queries.look(merchant_id))


@endpoint("PATCH", "/merchants/{merchant_id}/look", needs=Right.RUN_MERCHANT, room=32 * MEGABYTE)
def change_look(
    caller: Caller, merchant_id: MerchantId, body: LookChange, if_match: IfMatch
) -> LookShown:
    """Change them. Posters that were looked at lately are drawn again."""
    caller.require(Right.RUN_MERCHANT, merchant_id)
    known = queries.look(merchant_id, lock=True)
    if_match.check(known.version if known else 0)
    changes = body.given()
    if changes.get("logo"):
        changes["logo"] = _decoded(changes["logo"], "/logo")
    return _look(merchant_id, service.change_look(merchant_id, changes))


@endpoint("POST", "/captions", needs=Right.RUN_MERCHANT, status=201)
def create_caption(caller: Caller, body: NewCaption) -> CaptionShown:
    """Say what promoters of a program or a product start from, in one language."""
    key = body.program or body.product
    if key is None or (body.program and body.product):
        raise invalid("/program", "one_target", "Words belong to a program or to a product.")
    caller.require(Right.RUN_MERCHANT, key[0])
    found = programs.program(*key) if body.program else catalog.product(*key)
    row = service.set_caption(
        found.merchant_id, body.language, body.text,
        program_id=found.id if body.program else None,
        product_id=found.id if body.product else None,
    )  # fmt: skip
    if row is None:
        raise invalid("/text", "empty", "Write something.")
    return show_caption(row)


@endpoint("GET", "/captions", needs=Right.READ_MERCHANT)
def all_captions(caller: Caller, query: CaptionQuery) -> Page[CaptionShown]:
    """Merchants' own words, newest first."""
    merchants = within(Caption.merchant_id, caller.scope(Right.READ_MERCHANT))
    found = sa.select(Caption).where(merchants, Caption.link_id.is_(None))
    if query.merchant is not None:
        found = found.where(Caption.merchant_id == query.merchant)
    return paging.page(found, query, by=[Caption.id], show=show_caption)


@endpoint("GET", "/captions/{caption_id}", needs=Right.READ_MERCHANT)
def one_caption(caller: Caller, caption_id: CaptionId) -> CaptionShown:
    """One of them."""
    caller.require(Right.READ_MERCHANT, caption_id[0])
    return show_caption(queries.caption(*caption_id))


@endpoint("PATCH", "/captions/{caption_id}", needs=Right.RUN_MERCHANT)
def change_caption(
    caller: Caller, caption_id: CaptionId, body: CaptionChange, if_match: IfMatch
) -> CaptionShown:
    """Write it anew."""
    caller.require(Right.RUN_MERCHANT, caption_id[0])
    row = queries.caption(*caption_id, lock=True)
    if_match.check(row.version)
    return show_caption(service.change_caption(row, body.text))


@endpoint("DELETE", "/captions/{caption_id}", needs=Right.RUN_MERCHANT, status=204)
def delete_caption(caller: Caller, caption_id: CaptionId) -> None:
    """Take it away: promoters start from ours again."""
    caller.require(Right.RUN_MERCHANT, caption_id[0])
    db.session.delete(queries.caption(*caption_id, lock=True))


@endpoint("POST", "/materials", needs=Right.RUN_MERCHANT, status=201)
def create_material(caller: Caller, body: NewMaterial) -> MaterialShown:
    """A set of pictures or a video with words, to be passed on; its files come one by one."""
    caller.require(Right.RUN_MERCHANT, body.product[0])
    return _shown([service.new_material(*body.product, body.text)])[0]


@endpoint("GET", "/materials", needs=Right.READ_MERCHANT)
def all_materials(caller: Caller, query: MaterialQuery) -> Page[MaterialShown]:
    """Sets, newest first, also those that are offered no more."""
    merchants = within(Material.merchant_id, caller.scope(Right.READ_MERCHANT))
    found = sa.select(Material).where(merchants)
    if query.merchant is not None:
        found = found.where(Material.merchant_id == query.merchant)
    if query.product is not None:
        merchant_id, product_id = query.product
        found = found.where(Material.merchant_id == merchant_id, Material.product_id == product_id)
    rows, cursor = paging.rows(found, query, by=[Material.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/materials/{material_id}", needs=Right.READ_MERCHANT)
def one_material(caller: Caller, material_id: MaterialId) -> MaterialShown:
    """One set."""
    caller.require(Right.READ_MERCHANT, material_id[0])
    return _shown([queries.material(*material_id)])[0]


@endpoint("PATCH", "/materials/{material_id}", needs=Right.RUN_MERCHANT)
def change_material(
    caller: Caller, material_id: MaterialId, body: MaterialChange, if_match: IfMatch
) -> MaterialShown:
    """Write its words anew, or take it away."""
    caller.require(Right.RUN_MERCHANT, material_id[0])
    row = queries.material(*material_id, lock=True)
    if_match.check(row.version)
    return _shown([service.change_material(row, body.given())])[0]


@endpoint(
    "PUT",
    "/materials/{material_id}/files/{position}",
    needs=Right.RUN_MERCHANT,
    room=72 * MEGABYTE,
)
def put_file(
    caller: Caller,
    material_id: MaterialId,
    position: Annotated[int, Field(ge=1, le=9)],
    body: File,
) -> MaterialShown:
    """Put a picture in its place, 1 to 9; or a video, which stands alone."""
    caller.require(Right.RUN_MERCHANT, material_id[0])
    material = queries.material(*material_id, lock=True)
    service.put_file(material, position, _decoded(body.content, "/content"))
    return _shown([material])[0]


@endpoint("GET", "/links/{link_id}/share", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def shared(caller: Caller, link_id: LinkId, query: ShareQuery) -> Shared:
    """All that goes along with a link: caption, codes, posters, pictures and videos."""
    link = links.link(*link_id)
    if link.promoter_id not in caller.promoter_ids:
        caller.require(Right.READ_MERCHANT, link.merchant_id)
    return _shared(link, query.language)


@endpoint("PUT", "/links/{link_id}/caption", needs=Right.PROMOTE)
def own_words(caller: Caller, link_id: LinkId, body: OwnWords) -> Shared:
    """A promoter's own words for a link, in one language."""
    link = links.link(*link_id)
    caller.require_promoter(link.promoter_id)
    service.set_caption(link.merchant_id, body.language, body.text, link_id=link.id)
    return _shared(link, body.language)


def _shared(link: Link, language: Tag | None) -> Shared:
    subject = queries.subject(link)
    tag = language or captions.language_of(subject.country)
    own = queries.words_for(link, tag)
    offer = subject.offer
    sets = queries.materials_of(link.merchant_id, link.product_id) if link.product_id else []
    address = share.short_url(link.word, domains.base_of(link))
    return Shared(
        link=(link.merchant_id, link.id),
        language=tag,
        short_url=address,
        label=captions.label(tag),
        caption=captions.caption(
            tag,
            subject.country,
            title=subject.title,
            price=offer.low if offer else None,
            saves=offer.saves if offer else None,
            url=address,
            text=own.text if own else None,
        ),
        qr_svg=f"{address}/qr.svg",
        qr_png=f"{address}/qr.png?size=1024",
        posters={each: f"{address}/poster.jpg?template={each}&lang={tag}" for each in TEMPLATES},
        materials=_shown(sets),
    )


def _decoded(text: str, pointer: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(pointer, "not_base64", "This is no Base64.") from None


def _look(merchant_id: int, row: Look | None) -> LookShown:
    return LookShown(
        merchant=merchant_id,
        color=row.color if row else None,
        logo_url=_address(row.logo) if row and row.logo else None,
        version=row.version if row else 0,
    )


def show_caption(row: Caption) -> CaptionShown:
    return CaptionShown(
        id=(row.merchant_id, row.id),
        merchant=row.merchant_id,
        program=(row.merchant_id, row.program_id) if row.program_id else None,
        product=(row.merchant_id, row.product_id) if row.product_id else None,
        language=row.language,
        text=row.text,
        version=row.version,
    )


def _shown(rows: Sequence[Material]) -> list[MaterialShown]:
    files: dict[int, list[MaterialFile]] = {}
    for merchant_id in {each.merchant_id for each in rows}:
        own = [each.id for each in rows if each.merchant_id == merchant_id]
        files |= queries.files_of(merchant_id, own)
    return [_material(each, files[each.id]) for each in rows]


def _material(row: Material, files: Sequence[MaterialFile]) -> MaterialShown:
    return MaterialShown(
        id=(row.merchant_id, row.id),
        merchant=row.merchant_id,
        product=(row.merchant_id, row.product_id),
        text=row.text,
        files=[_file(each) for each in files],
        created_at=row.created_at,
        ended_at=row.ended_at,
        version=row.version,
    )


def _file(row: MaterialFile) -> FileShown:
    kind: Literal["picture", "video"] = "video" if row.kind == "video" else "picture"
    return FileShown(
        position=row.position,
        kind=kind,
        url=_address(row.file),
        bytes=row.bytes,
        width=row.width,
        height=row.height,
    )


def _address(name: str) -> str:
    return f"{current_app.config['SETTINGS'].address}{url_for('material.file', name=name)}"
