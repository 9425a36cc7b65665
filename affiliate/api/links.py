"""Links: who shares what, under a short address."""

from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Instant,
    LinkId,
    ListQuery,
    MerchantId,
    Page,
    Pair,
    ProductId,
    ProgramId,
    PromoterId,
    Resource,
    ShopId,
    Text,
)
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Product
from affiliate.errors import NotFound, invalid
from affiliate.insight import queries as insight
from affiliate.links import queries, service, share
from affiliate.links.models import Link
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries as programs

SubId = Annotated[str, StringConstraints(max_length=100)]
SUB_IDS: Any = Field([], max_length=5, description="sub1 to sub5; an empty one is left out")


class NewLink(Body):
    program: ProgramId
    promoter: PromoterId
    product: ProductId | None = None
    url: str | None = Field(None, description="On a host of the program's shops")
    sub_ids: list[SubId] = SUB_IDS
    content: Text | None = Field(None, description="The note, video, room or group it stands in")
    expires_at: Instant | None = None


class LinkChange(Body):
    paused: bool = False
    sub_ids: list[SubId] = SUB_IDS
    content: Text | None = None
    expires_at: Instant | None = None


class LinkQuery(ListQuery):
    program: ProgramId | None = None
    promoter: PromoterId | None = None
    code: str | None = None


class LinkShown(Resource):
    id: LinkId
    code: str
    short_url: str
    merchant: MerchantId
    program: ProgramId
    promoter: PromoterId
    shop: ShopId
    product: ProductId | None
    url: str
    sub_ids: list[str]
    content: str | None
    clicks: int = Field(description="Visits through it so far, a few seconds behind")
    expires_at: Instant | None
    paused_at: Instant | None
    created_at: Instant
    version: int


@endpoint("POST", "/links", needs=(Right.RUN_MERCHANT, Right.PROMOTE), status=201)
def create(caller: Caller, body: NewLink) -> LinkShown:
    """Make a link, for oneself or for one of the merchant's promoters."""
    _require(caller, body.promoter, body.program[0])
    program = programs.program(*body.program)
    link = service.create_link(
        program,
        body.promoter,
        product=_product(program.merchant_id, body.product),
        url=body.url,
        sub_ids=body.sub_ids,
        content=body.content,
        expires_at=body.expires_at,
    )
    return _shown([link])[0]


@endpoint("GET", "/links", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_links(caller: Caller, query: LinkQuery) -> Page[LinkShown]:
    """Links, newest first. A promoter sees their own."""
    found = sa.select(Link).where(_visible(caller))
    if query.program is not None:
        merchant_id, program_id = query.program
        found = found.where(Link.merchant_id == merchant_id, Link.program_id == program_id)
    if query.promoter is not None:
        found = found.where(Link.promoter_id == query.promoter)
    if query.code is not None:
        found = found.where(Link.code == query.code)
    rows, cursor = paging.rows(found, query, by=[Link.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/links/{link_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, link_id: LinkId) -> LinkShown:
    """One link."""
    link = queries.link(*link_id)
    if link.promoter_id not in caller.promoter_ids:
        caller.require(Right.READ_MERCHANT, link.merchant_id)
    return _shown([link])[0]


@endpoint("PATCH", "/links/{link_id}", needs=(Right.RUN_MERCHANT, Right.PROMOTE))
def change(caller: Caller, link_id: LinkId, body: LinkChange, if_match: IfMatch) -> LinkShown:
    """Pause a link or let it run again; change its end, sub ids or content."""
    link = queries.link(*link_id, lock=True)
    _require(caller, link.promoter_id, link.merchant_id)
    if_match.check(link.version)
    service.change_link(link, body.given())
    return _shown([link])[0]


def _require(caller: Caller, promoter_id: int, merchant_id: int) -> None:
    if promoter_id not in caller.promoter_ids:
        caller.require(Right.RUN_MERCHANT, merchant_id)


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    merchants = within(Link.merchant_id, caller.scope(Right.READ_MERCHANT))
    return sa.or_(merchants, Link.promoter_id.in_(caller.promoter_ids))


def _product(merchant_id: int, key: Pair | None) -> Product | None:
    if key is None:
        return None
    try:
        product = catalog.product(*key)
    except NotFound:
        product = None
    if product is None or product.merchant_id != merchant_id or product.hidden_at is not None:
        raise invalid("/product", "unknown_product", "This merchant has no such product.")
    return product


def _shown(links: Sequence[Link]) -> list[LinkShown]:
    clicks = insight.clicks_of([link.id for link in links])
    return [show(link, clicks[link.id]) for link in links]


def show(link: Link, clicks: int) -> LinkShown:
    product = None if link.product_id is None else (link.merchant_id, link.product_id)
    return LinkShown(
        id=(link.merchant_id, link.id),
        code=link.code,
        short_url=share.short_url(link.code),
        merchant=link.merchant_id,
        program=(link.merchant_id, link.program_id),
        promoter=link.promoter_id,
        shop=(link.merchant_id, link.shop_id),
        product=product,
        url=link.url,
        sub_ids=link.sub_ids,
        content=link.content,
        clicks=clicks,
        expires_at=link.expires_at,
        paused_at=link.paused_at,
        created_at=link.created_at,
        version=link.version,
    )
