"""Content items: the notes, videos, live rooms, groups and channels that links stand in."""

from typing import Annotated, Literal

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    ContentId,
    Instant,
    ListQuery,
    Page,
    PromoterId,
    Resource,
    Text,
)
from affiliate.errors import NotFound
from affiliate.links import contents, queries
from affiliate.links.models import ContentItem, Link
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right

Kind = Literal["note", "video", "live", "group", "channel"]
Platform = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Address = Annotated[str, StringConstraints(max_length=2000)]
WRITERS = (Right.PROMOTE, Right.ADMINISTER)


class NewItem(Body):
    promoter: PromoterId
    kind: Kind
    title: Text
    platform: Platform | None = Field(None, description="Where it stands: Instagram, 小红书, …")
    url: Address | None = None


class ItemChange(Body):
    kind: Kind = "note"
    title: Text = ""
    platform: Platform | None = None
    url: Address | None = None
    archived: bool = Field(False, description="No new links stand in it; its figures stay")


class ItemQuery(ListQuery):
    promoter: PromoterId | None = None


class ItemShown(Resource):
    id: ContentId
    promoter: PromoterId
    kind: Kind
    title: str
    platform: str | None
    url: str | None
    archived_at: Instant | None
    created_at: Instant
    version: int


@endpoint("POST", "/content-items", needs=WRITERS, status=201)
def create(caller: Caller, body: NewItem) -> ItemShown:
    """Write down a content item of one's own. `GET /reports?by=content_item` has its figures."""
    caller.require_promoter(body.promoter)
    people.promoter(body.promoter)
    return show(contents.create(
        body.promoter, kind=body.kind, title=body.title, platform=body.platform, url=body.url
    ))  # fmt: skip


@endpoint("GET", "/content-items", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_items(caller: Caller, query: ItemQuery) -> Page[ItemShown]:
    """Content items, newest first: one's own, or those in which links of the merchant stand."""
    found = sa.select(ContentItem).where(_visible(caller))
    if query.promoter is not None:
        found = found.where(ContentItem.promoter_id == query.promoter)
    return paging.page(found, query, by=[ContentItem.id], show=show)


@endpoint("GET", "/content-items/{content_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, content_id: ContentId) -> ItemShown:
    """One content item."""
    found = sa.select(ContentItem).where(ContentItem.id == content_id, _visible(caller))
    rows, _ = paging.rows(found, ListQuery(), by=[ContentItem.id])
    if not rows:
        raise NotFound("There is no such content here.")
    return show(rows[0])


@endpoint("PATCH", "/content-items/{content_id}", needs=WRITERS)
def change(caller: Caller, content_id: ContentId, body: ItemChange, if_match: IfMatch) -> ItemShown:
    """Change a content item; its links are renamed with it."""
    item = queries.content_item(content_id, lock=True)
    caller.require_promoter(item.promoter_id)
    if_match.check(item.version)
    return show(contents.change(item, body.given()))


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    own = ContentItem.promoter_id.in_(caller.promoter_ids)
    if caller.may(Right.ADMINISTER):
        return sa.true()
    if not caller.may(Right.READ_MERCHANT):
        return own
    shared = sa.exists().where(
        Link.content_id == ContentItem.id,
        within(Link.merchant_id, caller.scope(Right.READ_MERCHANT)),
    )
    return sa.or_(own, shared)


def show(item: ContentItem) -> ItemShown:
    return ItemShown(
        id=item.id,
        promoter=item.promoter_id,
        kind=item.kind,  # type: ignore[arg-type]
        title=item.title,
        platform=item.platform,
        url=item.url,
        archived_at=item.archived_at,
        created_at=item.created_at,
        version=item.version,
    )
