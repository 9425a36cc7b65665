"""Content items: what a promoter makes, and shares links in."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import rules as addresses
from affiliate.db import db
from affiliate.errors import invalid
from affiliate.links.models import ContentItem, Link

KINDS = ("note", "video", "live", "group", "channel")


def create(
    promoter_id: int, *, kind: str, title: str, platform: str | None = None, url: str | None = None
) -> ContentItem:
    item = ContentItem(
        promoter_id=promoter_id, kind=kind, title=title, platform=platform, url=_address(url)
    )
    db.session.add(item)
    db.session.flush()
    return item


def change(item: ContentItem, changes: Mapping[str, Any]) -> ContentItem:
    """Its links go by its title, so they are renamed with it. What was counted stays its own."""
    for name in ("kind", "platform"):
        if name in changes:
            setattr(item, name, changes[name])
    if "url" in changes:
        item.url = _address(changes["url"])
    if changes.get("title"):
        item.title = changes["title"]
        named = sa.update(Link).where(Link.content_id == item.id).values(content=item.title)
        db.session.execute(named)
    if "archived" in changes:
        item.archived_at = (item.archived_at or clock.now()) if changes["archived"] else None
    item.version += 1
    db.session.flush()
    return item


def _address(url: str | None) -> str | None:
    """On any host: it is where the content stands, and nobody is sent there."""
    if not url:
        return None
    try:
        return addresses.web_address(url)
    except addresses.BadAddress as error:
        raise invalid("/url", "bad_url", str(error)) from None
