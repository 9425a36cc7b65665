"""What does not depend on who else uses the machine: pages looked at, and processor time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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


def cpu_of_postgres() -> float:
    """Seconds that the server of AFFILIATE_DATA and all its processes computed, also those that
    ended; 0 where there is no /proc.
    """
    owner = Path(os.environ["AFFILIATE_DATA"], "postgres", "postmaster.pid")
    server = int(owner.read_text().split()[0])
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            own, ended, parent = stat[11:13], stat[13:15], int(stat[1])
            if int(process.name) == server:
                ticks += sum(map(int, own + ended))
            elif parent == server:
                ticks += sum(map(int, own))
    return ticks / os.sysconf("SC_CLK_TCK")
