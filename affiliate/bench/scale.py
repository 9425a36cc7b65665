"""`affiliate bench scale`: the same work with ten times, a hundred times as much stored."""

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import sqlalchemy as sa
from werkzeug.datastructures import Headers

from affiliate.bench import clicking, forest, scene
from affiliate.bench.clicking import Clicked
from affiliate.bench.counting import pages
from affiliate.bench.filling import SOURCES, Calendar, Filling, in_haste
from affiliate.bench.forest import Grown
from affiliate.bench.intake import Drained, drained, replay, serving
from affiliate.bench.knocking import knock, request
from affiliate.bench.scene import Scene
from affiliate.db import db, table, unit_of_work
from affiliate.intake import service as intake
from affiliate.intake.platforms import Knock
from affiliate.ledger.verify import verify

DAYS = 365  # over which the stored orders lie
PROBES = 2000  # orders of each measure
ROUNDS = 3  # of which the fastest counts: others disturb, nobody helps
FRESH = 50_000_000  # numbers of orders that are not filled
SEED = 20


@dataclass
class Flat:
    """What is measured with so many orders stored; pages are those PostgreSQL looked at."""

    stored: int
    webhooks: float = 0
    booked: float = 0
    booked_cpu: float = math.inf
    booked_pages: float = 0
    refunded: float = 0
    refunded_cpu: float = math.inf
    refunded_pages: float = 0
    replayed: float = 0
    bytes_per_order: dict[str, tuple[int, int]] = field(default_factory=dict)  # table, indexes

    FIGURES: ClassVar = {
        "webhooks": "per second",
        "booked": "per second",
        "booked_cpu": "ms per order",
        "booked_pages": "per order",
        "refunded": "per second",
        "refunded_cpu": "ms per order",
        "refunded_pages": "per order",
        "replayed": "per second",
    }

    def add(self, name: str, drained: Drained, pages: int) -> None:
        """The best of all rounds."""
        cpu = 1000 * drained.cpu_seconds / drained.orders
        setattr(self, name, max(getattr(self, name), drained.per_second))
        setattr(self, f"{name}_cpu", min(getattr(self, f"{name}_cpu"), cpu))
        setattr(self, f"{name}_pages", pages / drained.orders)


@dataclass(frozen=True)
class Measured:
    flat: list[Flat]
    clicks: Clicked
    tree: Grown

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(found: Scene, orders: int, promoters: int, say: Callable[[str], None]) -> Measured:
    sizes = [
        size for size in (orders // 100, orders // 10, orders) if size > 2 * len(found.link_ids)
    ]
    flat = list(_flat(found, sizes, say))
    say("clicks")
    clicks = clicking.measure(found.link_ids, orders // 10, SEED)
    say(f"a tree of {promoters} promoters")
    with in_haste():
        grown = forest.plant(promoters)
    tree = forest.measure(found, grown, min(PROBES, promoters // 10), say)
    say("the books")
    report = verify()
    assert report.ok, report.breaches
    return Measured(flat, clicks, tree)


def _flat(found: Scene, sizes: Sequence[int], say: Callable[[str], None]) -> Iterator[Flat]:
    calendar = Calendar.of(sizes[-1], DAYS)
    filling = Filling(found, calendar)
    fresh, chosen, rng = iter(range(FRESH, 2 * FRESH)), set[int](), random.Random(SEED)
    for size in sizes:
        say(f"{size} orders: filling")
        with in_haste():
            filling.up_to(size - (next(fresh) - FRESH))
        probes = min(PROBES, size // 4)
        rounds = ROUNDS if probes == PROBES else 1
        level = Flat(size, bytes_per_order=_bytes(size))
        say("webhooks, and booking them")
        with serving([sys.executable, "-m", "affiliate", "serve", "--port"]) as port:
            for _ in range(rounds):
                told = [scene.webhook(found, next(fresh)) for _ in range(probes)]
                knocked = knock(port, [request(found.hook, *each) for each in told])
                assert set(knocked.answers) == {200}, knocked.answers
                level.webhooks = max(level.webhooks, knocked.per_second)
                level.add("booked", *_drained(found))
        say("refunds")
        for _ in range(rounds):
            old = rng.sample(sorted(set(range(filling.period, filling.count)) - chosen), probes)
            chosen.update(old)
            with unit_of_work():
                for number in old:
                    body, headers = scene.refunded(found, number, calendar.at(number))
                    intake.keep_with_others(found.shop, Knock(Headers(headers), body))
            level.add("refunded", *_drained(found))
        say("the replay")
        last = filling.count
        for _ in range(rounds):
            rate, _grew = replay(found, calendar.at(last - probes), calendar.at(last))
            level.replayed = max(level.replayed, rate)
        yield level


def _drained(found: Scene) -> tuple[Drained, int]:
    with pages() as seen:
        done = drained(found, 1)
    return done, seen.pages


def _bytes(orders: int) -> dict[str, tuple[int, int]]:
    """Per order, of each table it has rows in: the table, and its indexes."""
    names = [table(model).name for model in SOURCES]
    rows = db.session.execute(
        sa.text(
            "SELECT name, pg_table_size(name::regclass) / :orders,"
            " pg_indexes_size(name::regclass) / :orders FROM unnest(CAST(:names AS text[])) name"
        ),
        {"names": names, "orders": orders},
    )
    return {name: (int(own), int(indexes)) for name, own, indexes in rows}
