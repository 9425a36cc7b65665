"""Links: who shares what, under a short address."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    ContentId,
    Country,
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
from affiliate.links import domains, queries, service, share, spoken
from affiliate.links.models import ContentItem, Link, Slug
from affiliate.links.targets import TARGETS_MAX
from affiliate.material import service as posters
from affiliate.people.queries import within
from affiliate.people.rules import HOLDERS, Caller, Right
from affiliate.programs import queries as programs
from affiliate.programs import utm as templates

SubId = Annotated[str, StringConstraints(max_length=100)]
SUB_IDS: Any = Field([], max_length=5, description="sub1 to sub5; an empty one is left out")
SLUG: Any = Field(
    None,
    max_length=100,
    description="A word instead of the code: 3 to 40 letters a–z, digits and hyphens. The code and"
    " words it had before go on answering",
)
FALLBACK: Any = Field(
    None, max_length=2000, description="Where it leads when it is dead; else as its program says"
)
UTM: Any = Field(
    None,
    max_length=len(templates.NAMES),
    description='Template of UTM parameters, for example {"utm_source": "{platform}"}, with the'
    f" placeholders {', '.join(templates.PLACES)}; null: the program's",
)
Utm = dict[str, Annotated[str, StringConstraints(max_length=200)]]
Language = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}(-[a-z0-9]{2,8})*$", max_length=20)]
App = Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")]


class Target(Body):
    """Where some visitors are led instead: every condition that is given must hold."""

    kind: Literal["url", "wechat_miniprogram"] = Field(
        "url", description="The mini program is that of the link's shop"
    )
    url: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        None, description="On a host of the program's shops"
    )
    countries: list[Country] = Field(
        [], max_length=60, description="By address; needs a GeoIP file"
    )
    devices: list[Literal["phone", "tablet", "desktop"]] = Field([], max_length=3)
    systems: list[Literal["ios", "android"]] = Field([], max_length=2)
    languages: list[Language] = Field(
        [], max_length=20, description="The one a browser likes best: pt fits pt-BR too"
    )
    apps: list[App] = Field(
        [], max_length=20, description="Whose inner browser: wechat, instagram, …"
    )


TARGETS: Any = Field([], max_length=TARGETS_MAX, description="The first that fits wins")


class NewLink(Body):
    program: ProgramId
    promoter: PromoterId
    product: ProductId | None = None
    url: str | None = Field(None, description="On a host of the program's shops")
    sub_ids: list[SubId] = SUB_IDS
    content: Text | None = Field(None, description="The note, video, room or group it stands in")
    content_item: ContentId | None = Field(None, description="The same as an item of the promoter")
    expires_at: Instant | None = None
    slug: str | None = SLUG
    fallback_url: str | None = FALLBACK
    targets: list[Target] = TARGETS
    utm: Utm | None = UTM


class LinkChange(Body):
    paused: bool = False
    sub_ids: list[SubId] = SUB_IDS
    content: Text | None = None
    content_item: ContentId | None = None
    expires_at: Instant | None = None
    slug: str | None = SLUG
    fallback_url: str | None = FALLBACK
    targets: list[Target] = TARGETS
    utm: Utm | None = UTM


class LinkQuery(ListQuery):
    program: ProgramId | None = None
    promoter: PromoterId | None = None
    code: str | None = Field(None, description="Also a slug, or one that it had")
    content_item: ContentId | None = None


class Pasted(Body):
    text: str = Field(min_length=1, max_length=5000)


class LinkFound(Resource):
    """What visitors may know of a link: no more than where it begins."""

    code: str
    title: str
    short_url: str
    opens: str = Field(description="Where to send people: the page in between where there is one")


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
    content_item: ContentId | None
    slug: str | None
    fallback_url: str | None
    targets: list[Target]
    utm: Utm | None
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
        item=_item(body.content_item),
        expires_at=body.expires_at,
        slug=body.slug,
        fallback_url=body.fallback_url,
        targets=[each.model_dump() for each in body.targets],
        utm=body.utm,
    )
    posters.want_posters(link)
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
        named = sa.select(Slug.link_id).where(Slug.slug == query.code.lower())
        found = found.where(sa.or_(Link.code == query.code, Link.id.in_(named)))
    if query.content_item is not None:
        found = found.where(Link.content_id == query.content_item)
    rows, cursor = paging.rows(found, query, by=[Link.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("POST", "/links/find", needs=tuple(HOLDERS))
def find(caller: Caller, body: Pasted) -> LinkFound:  # noqa: ARG001
    """The link in a text that somebody pasted: a 口令, or an address on any of our domains."""
    link = spoken.find(body.text.replace("\0", ""))
    if link is None:
        raise NotFound("No link of ours is in this text.")
    return LinkFound(
        code=link.word,
        title=queries.titles([link])[link.id],
        short_url=share.short_url(link.word, domains.base_of(link)),
        opens=spoken.leads_to(link),
    )


@endpoint("GET", "/links/{link_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, link_id: LinkId) -> LinkShown:
    """One link."""
    link = queries.link(*link_id)
    if link.promoter_id not in caller.promoter_ids:
        caller.require(Right.READ_MERCHANT, link.merchant_id)
    return _shown([link])[0]


@endpoint("PATCH", "/links/{link_id}", needs=(Right.RUN_MERCHANT, Right.PROMOTE))
def change(caller: Caller, link_id: LinkId, body: LinkChange, if_match: IfMatch) -> LinkShown:
    """Pause a link or let it run again; change all but what it leads to."""
    link = queries.link(*link_id, lock=True)
    _require(caller, link.promoter_id, link.merchant_id)
    if_match.check(link.version)
    changes = body.given()
    if "content_item" in changes:
        changes["item"] = _item(changes.pop("content_item"))
    if "targets" in changes:
        changes["targets"] = [each.model_dump() for each in body.targets]
    service.change_link(link, changes)
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


def _item(item_id: int | None) -> ContentItem | None:
    """The service asks whose it is."""
    if item_id is None:
        return None
    try:
        return queries.content_item(item_id)
    except NotFound:
        raise invalid("/content_item", "unknown_content", "There is no such content.") from None


def _shown(links: Sequence[Link]) -> list[LinkShown]:
    clicks = insight.clicks_of([link.id for link in links])
    bases = domains.bases_of(links)
    return [show(link, clicks[link.id], bases[link.id]) for link in links]


def show(link: Link, clicks: int, base: str) -> LinkShown:
    product = None if link.product_id is None else (link.merchant_id, link.product_id)
    return LinkShown(
        id=(link.merchant_id, link.id),
        code=link.code,
        short_url=share.short_url(link.word, base),
        merchant=link.merchant_id,
        program=(link.merchant_id, link.program_id),
        promoter=link.promoter_id,
        shop=(link.merchant_id, link.shop_id),
        product=product,
        url=link.url,
        sub_ids=link.sub_ids,
        content=link.content,
        content_item=link.content_id,
        slug=link.slug,
        fallback_url=link.fallback_url,
        targets=[_target(each) for each in link.targets],
        utm=link.utm,
        clicks=clicks,
        expires_at=link.expires_at,
        paused_at=link.paused_at,
        created_at=link.created_at,
        version=link.version,
    )


def _target(kept: dict[str, Any]) -> Target:
    return Target(kind="url" if "url" in kept else "wechat_miniprogram", **kept)
