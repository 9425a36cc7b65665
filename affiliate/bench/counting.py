"""How much PostgreSQL had to look at: unlike times, the same on every machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from affiliate.db import db, unit_of_work

_PAGES = sa.text("""
    SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))
      FROM pg_statio_user_tables
""")


@dataclass
class Seen:
    pages: int = 0


@contextmanager
def pages() -> Iterator[Seen]:
    """How many pages of tables and indexes were looked at meanwhile, in memory or not, by this
    process and by those that ended inside.
    """
    seen, before = Seen(), _pages()
    yield seen
    seen.pages = _pages() - before


def _pages() -> int:
    with unit_of_work():
        db.session.execute(sa.select(sa.func.pg_stat_force_next_flush()))
    with unit_of_work():
        return int(db.session.scalar(_PAGES) or 0)
