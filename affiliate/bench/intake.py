"""`affiliate bench intake`: from a shop's request to committed transfers, beside floors."""

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.bench import counting, floor
from affiliate.bench.knocking import Knocked, knock, request
from affiliate.bench.scene import Scene, webhook
from affiliate.commissions.models import Simulation
from affiliate.commissions.service import Draft, begin, simulating
from affiliate.db import db, unit_of_work
from affiliate.ledger.verify import verify

DRAIN = (
    "import sys, time; from affiliate import create_app, processes;"
    "from affiliate.intake import service;"
    "app = create_app(); context = app.app_context(); context.push(); processes.calm_collector();"
    "print('ready', flush=True); sys.stdin.readline();"
    "began = time.process_time(); done = service.drain(int(sys.argv[1]), int(sys.argv[2]));"
    "print(done, round(1000 * (time.process_time() - began)), flush=True)"
)
WARM_UP = 200


@dataclass(frozen=True)
class Measured:
    webhooks: Knocked
    bare: Knocked
    booked: dict[int, float]  # orders per second, by number of workers
    floor: float
    rows_per_order: dict[str, float]
    replayed: float
    replay_grew_mb: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "webhooks_per_second": self.webhooks.per_second,
            "bare_per_second": self.bare.per_second,
        }


def measure(scene: Scene, orders: int, say: Callable[[str], None]) -> Measured:
    """`orders` webhooks over HTTP, booked by one worker (half of them) and by two."""
    with unit_of_work():
        db.session.execute(sa.text(floor.BODIES))
    bodies = [webhook(scene, number) for number in range(orders + WARM_UP)]
    bare_requests = [request("/", body, headers) for body, headers in bodies[WARM_UP:]]
    say("the bare endpoint")
    with serving([sys.executable, "-m", "affiliate.bench.floor"]) as port:
        knock(port, bare_requests[:WARM_UP])
        bare = knock(port, bare_requests)
    requests = [request(scene.hook, body, headers) for body, headers in bodies]
    booked: dict[int, float] = {}
    say("webhooks")
    with serving([sys.executable, "-m", "affiliate", "serve", "--port"]) as port:
        knock(port, requests[:WARM_UP])
        drained(scene, 1)
        with unit_of_work():
            db.session.execute(sa.text("ANALYZE"))  # as autovacuum does within a minute
        half = (orders + WARM_UP) // 2
        first = knock(port, requests[WARM_UP:half])
        say("orders, one worker")
        booked[1] = drained(scene, 1).per_second
        say("webhooks")
        webhooks = knock(port, requests[half:])
    assert set(first.answers) == set(webhooks.answers) == {200}, (first, webhooks)
    say("orders, two workers")
    booked[2] = drained(scene, 2).per_second
    say("the floor")
    seconds, rows = floor.copied(scene.shop.merchant_id)
    say("the replay")
    replayed, grew = replay(scene, clock.now() - timedelta(days=1), clock.now())
    report = verify()
    assert report.ok, report.breaches
    assert rows["orders"] == orders + WARM_UP, "every accepted webhook is booked once"
    return Measured(
        webhooks,
        bare,
        booked,
        rows["orders"] / seconds,
        {table: count / rows["orders"] for table, count in rows.items()},
        replayed,
        grew,
    )


@contextmanager
def serving(command: Sequence[str]) -> Iterator[int]:
    """A web server of ours on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert child.poll() is None, f"{command} ended"
            time.sleep(0.1)
        time.sleep(1)  # every process of the server, not just the first
        yield port
    finally:
        child.terminate()
        child.wait(20)


@dataclass(frozen=True)
class Drained:
    orders: int
    seconds: float
    cpu_seconds: float  # of the workers and of PostgreSQL together

    @property
    def per_second(self) -> float:
        return self.orders / self.seconds


def drained(scene: Scene, workers: int) -> Drained:
    """From stored webhooks to committed transfers."""
    key = (str(scene.shop.merchant_id), str(scene.shop.id))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [
        subprocess.Popen([sys.executable, "-c", DRAIN, *key], **pipes)  # type: ignore[call-overload]
        for _ in range(workers)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    began, cpu_before = time.perf_counter(), counting.cpu_of_postgres()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [tuple(map(int, child.stdout.readline().split())) for child in children]
    seconds = time.perf_counter() - began
    for child in children:
        child.communicate()
    cpu = counting.cpu_of_postgres() - cpu_before + sum(ms for _, ms in told) / 1000
    return Drained(sum(done for done, _ in told), seconds, cpu)


def replay(scene: Scene, since: datetime, until: datetime) -> tuple[float, float]:
    """Orders per second of a simulation of what was paid in this time, and by how many MB the
    process grew after its first chunk.
    """
    began = time.perf_counter()
    with unit_of_work():
        draft = Draft(terms={"default_rate_ppm": 120_000})
        begun = begin(scene.program, draft, since=since, until=until)
        key = (begun.merchant_id, begun.id)
    size: list[int] = []
    more = True
    while more:
        with unit_of_work():
            more = simulating.work_on(*key)
        db.session.remove()
        size.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    seconds = time.perf_counter() - began
    found = db.session.get_one(Simulation, key)
    assert found.orders_done == found.orders_total
    return found.orders_done / seconds, (size[-1] - size[0]) / 1024
