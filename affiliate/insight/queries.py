"""What is known of clicks: counts by day, and how far the writer is behind."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from affiliate.db import among, db
from affiliate.insight import store
from affiliate.links import spool
from affiliate.links.models import LinkDay


@dataclass(frozen=True, slots=True)
class Backlog:
    segments: int
    bytes: int


def backlog(folder: Path) -> Backlog:
    """What lies in the spool of this machine and is not in the database yet."""
    sizes = {path.name: _size(path) for path in spool.segments(folder)}
    stored = store.offsets(list(sizes))
    waiting = [max(size - stored.get(name, 0), 0) for name, size in sizes.items()]
    return Backlog(sum(1 for each in waiting if each), sum(waiting))


def clicks_of(link_ids: Collection[int], *, since: date | None = None) -> dict[int, int]:
    """People's clicks per link, from the daily rollup."""
    counts = (
        sa.select(LinkDay.link_id, sa.func.sum(LinkDay.valid_clicks))
        .where(among(LinkDay.link_id, link_ids))
        .group_by(LinkDay.link_id)
    )
    if since is not None:
        counts = counts.where(LinkDay.day >= since)
    found = {link_id: int(clicks) for link_id, clicks in db.session.execute(counts)}
    return {link_id: found.get(link_id, 0) for link_id in link_ids}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
