"""What a click costs: bytes in its spool and in PostgreSQL, and how fast they are written there."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time

import sqlalchemy as sa

from affiliate import clock
from affiliate.bench.counting import cpu_of_postgres
from affiliate.db import db, unit_of_work
from affiliate.insight import service, store
from affiliate.links.spool import SEGMENT_BYTES_MAX, SUFFIX, Click, encode

# As apps open links: long, and the same text very often.
USER_AGENTS = (
    "Mozilla/5.0 (Linux; Android 14; SM-A546E Build/UP1A.231005.007; wv) AppleWebKit/537.36"
    " (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
)
REFERRERS = ("", "https://l.instagram.com/", "https://web.whatsapp.com/")


LANGUAGES = ("pt-BR,pt;q=0.9,en-US;q=0.8", "zh-CN,zh;q=0.9", "es-MX,es;q=0.9")
VISITORS = 50_000  # a day's; some of them come twice
_BYTES = sa.text("""
    SELECT sum(pg_table_size(relid))::bigint AS rows, sum(pg_indexes_size(relid))::bigint AS indexes
      FROM (SELECT relid FROM pg_partition_tree(CAST(CAST(:table AS text) AS regclass)) WHERE isleaf
            UNION SELECT CAST(CAST(:table AS text) AS regclass)) AS parts (relid)
""")
COUNTED = ("visits", "link_days", "click_days", "click_quarters")


@dataclass(frozen=True)
class Clicked:
    per_second: float
    cpu_us: float  # of the writer and of PostgreSQL together
    python_us: float  # of the writer alone
    floor_per_second: float  # rows of the same shape and key, copied by themselves
    floor_cpu_us: float
    spool_bytes: float
    table_bytes: float
    index_bytes: float
    counted_bytes: float  # of what is counted and of the visitors, with their indexes


def measure(link_ids: Sequence[int], count: int, seed: int) -> Clicked:
    """So many clicks of these links, of the last hour, out of segments that lie ready: by one
    writer and one connection.
    """
    with unit_of_work():
        store.make_partitions()
    with tempfile.TemporaryDirectory(prefix="tuike-bench-") as place:
        segments = _segments(Path(place), _clicks(link_ids, count, seed))
        spooled = sum(each.stat().st_size for each in segments)
        before, counted = _size("clicks"), _counted()
        began, cpu, python = perf_counter(), _cpu(), process_time()
        for segment in segments:
            _write(segment)
        seconds, cpu, python = perf_counter() - began, _cpu() - cpu, process_time() - python
    after = _size("clicks")
    floor_seconds, floor_cpu = _floor(count)
    return Clicked(
        count / seconds,
        1_000_000 * cpu / count,
        1_000_000 * python / count,
        count / floor_seconds,
        1_000_000 * floor_cpu / count,
        spooled / count,
        (after[0] - before[0]) / count,
        (after[1] - before[1]) / count,
        (_counted() - counted) / count,
    )


def _clicks(link_ids: Sequence[int], count: int, seed: int) -> Iterator[Click]:
    rng = random.Random(seed)
    hour_ago = clock.now() - timedelta(hours=1)
    for number in range(count):
        visitor = rng.randrange(VISITORS)
        yield Click(
            id=rng.randbytes(16),
            at=hour_ago + timedelta(hours=1) * number / count,
            # As it is with links: a few are followed very often.
            link_id=link_ids[int(len(link_ids) * rng.random() ** 3)],
            ip=f"177.{visitor % 251}.{visitor // 251}.{visitor % 7}",
            user_agent=USER_AGENTS[visitor % len(USER_AGENTS)],
            referrer=rng.choice(REFERRERS),
            language=LANGUAGES[visitor % len(LANGUAGES)],
        )


def _segments(folder: Path, clicks: Iterator[Click]) -> list[Path]:
    """Files as web processes leave them."""
    found: list[Path] = []
    lines: list[bytes] = []
    size = 0
    for click in clicks:
        lines.append(encode(click))
        size += len(lines[-1])
        if size >= SEGMENT_BYTES_MAX:
            found.append(_segment(folder, len(found), lines))
            lines, size = [], 0
    return [*found, _segment(folder, len(found), lines)]


def _segment(folder: Path, number: int, lines: Sequence[bytes]) -> Path:
    path = folder / f"{number:017d}-1-bench{SUFFIX}"
    path.write_bytes(b"".join(lines))
    return path


def _write(segment: Path) -> None:
    step = service.Step(more=True)
    while step.more:
        with unit_of_work():
            step = service.write_some(segment)
    with unit_of_work():
        service.forget(segment)


def _floor(count: int) -> tuple[float, float]:
    """Seconds, and those of processors, that a COPY of the same rows takes: nothing is checked,
    counted or looked up.
    """
    with unit_of_work():
        db.session.execute(sa.text("CREATE TABLE bench_clicks (LIKE clicks INCLUDING ALL)"))
        text = _copied(f"COPY (SELECT * FROM clicks ORDER BY at LIMIT {count}) TO STDOUT")
    began, cpu = perf_counter(), _cpu()
    with unit_of_work():
        driver = db.session.connection().connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor, cursor.copy("COPY bench_clicks FROM STDIN") as copy:
            copy.write(text)
    seconds, cpu = perf_counter() - began, _cpu() - cpu
    with unit_of_work():
        db.session.execute(sa.text("DROP TABLE bench_clicks"))
    return seconds, cpu


def _copied(statement: str) -> bytes:
    driver = db.session.connection().connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(map(bytes, copy))


def _cpu() -> float:
    return process_time() + cpu_of_postgres()


def _size(table: str) -> tuple[int, int]:
    """Of all partitions: their rows, and their indexes."""
    with unit_of_work():
        row = db.session.execute(_BYTES, {"table": table}).one()
    return row.rows, row.indexes


def _counted() -> int:
    return sum(sum(_size(table)) for table in COUNTED)
