"""What a click costs: bytes in its spool and in PostgreSQL, and how fast they are written there."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter, process_time

import sqlalchemy as sa

from affiliate import clock
from affiliate.bench.counting import cpu_of_postgres
from affiliate.db import db, unit_of_work
from affiliate.insight import store
from affiliate.links.spool import Click, encode

BATCH = 5000
# As apps open links: long, and the same text very often.
USER_AGENTS = (
    "Mozilla/5.0 (Linux; Android 14; SM-A546E Build/UP1A.231005.007; wv) AppleWebKit/537.36"
    " (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
)
REFERRERS = ("", "https://l.instagram.com/", "https://web.whatsapp.com/")


@dataclass(frozen=True)
class Clicked:
    per_second: float
    cpu_us: float  # of the writer and of PostgreSQL together
    spool_bytes: float
    table_bytes: float
    index_bytes: float


def measure(link_ids: Sequence[int], count: int, seed: int) -> Clicked:
    """So many clicks of these links, within the last hour."""
    rng = random.Random(seed)
    hour_ago = clock.now() - timedelta(hours=1)
    clicks = [
        Click(
            id=rng.randbytes(16),
            at=hour_ago + timedelta(hours=1) * number / count,
            link_id=rng.choice(link_ids),
            ip=f"177.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}",
            user_agent=rng.choice(USER_AGENTS),
            referrer=rng.choice(REFERRERS),
        )
        for number in range(count)
    ]
    with unit_of_work():
        store.make_partitions()
    before, began, cpu = _size(), perf_counter(), _cpu()
    for first in range(0, count, BATCH):
        with unit_of_work():
            store.keep(clicks[first : first + BATCH], segment="bench", upto=first)
    seconds, cpu = perf_counter() - began, _cpu() - cpu
    after = _size()
    return Clicked(
        count / seconds,
        1_000_000 * cpu / count,
        sum(len(encode(each)) for each in clicks) / count,
        (after[0] - before[0]) / count,
        (after[1] - before[1]) / count,
    )


def _cpu() -> float:
    return process_time() + cpu_of_postgres()


def _size() -> tuple[int, int]:
    """Of all partitions: their rows, and their indexes."""
    row = db.session.execute(
        sa.text(
            "SELECT sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint"
            " FROM pg_partition_tree('clicks') WHERE isleaf"
        )
    ).one()
    db.session.remove()
    return row[0], row[1]
