"""Real processes, really killed: every answered click is in the database exactly once."""

import http.client
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db, unit_of_work
from affiliate.events import Event
from affiliate.links import losses, spool, token
from affiliate.links import service as links
from affiliate.links.models import Click, Link, LinkDay, SpoolOffset
from affiliate.links.spool import Spool
from affiliate.notices import queries as notices
from affiliate.people.models import Role
from tests.factories.links import a_link
from tests.factories.people import a_user
from tests.house.system import free_port
from tests.insight.test_writer import CHROME, check_counts
from workers.clicks import Writer

ROOT = Path(__file__).parents[2]


class Nursery:
    """Starts processes on this test's database; all are gone when it ends."""

    def __init__(self, place, **more: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.insight.nursery"],
            env=os.environ | place.environment | {"AFFILIATE_LOG_LEVEL": "ERROR"} | more,
            cwd=ROOT,
            start_new_session=True,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.port = int(self._process.stdout.readline())

    def start(self, kind: str) -> int:
        print(kind, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def nursery(committed):
    made = Nursery(committed)
    yield made
    made.close()


@pytest.fixture
def folder(app):
    return app.extensions["spool"].folder


def wait(done, seconds=90.0):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


def stored() -> int:
    with unit_of_work():
        return db.session.scalar(sa.select(sa.func.count()).select_from(Click))


def check_books(expected: int):
    """As many rows as clicks, each once, and rollups that say the same."""
    ids = db.session.scalars(sa.select(Click.id)).all()
    counted = db.session.scalar(sa.select(sa.func.sum(LinkDay.clicks)))
    assert len(ids) == len(set(ids)) == counted == expected
    check_counts()


def fill(folder: Path, clicks: int, links: list[int]) -> None:
    """Segments of these links and of some that are gone, by people who come again and again, with
    a clock that steps back now and then.
    """
    mine = Spool(folder, bytes_max=200_000)
    now = clock.now()
    for number in range(clicks):
        link_id = links[number % len(links)] if number % 7 else 10**17 + number % 9
        at = now + timedelta(seconds=number % 500 - 40 * (number % 11))
        ip = f"203.0.113.{number % 13}"
        mine.append(spool.Click(os.urandom(16), at, link_id, ip, CHROME, language="pt"))
    mine.close()


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_a_database_that_is_away_for_a_while_stops_no_link_and_gets_every_click_once(
    nursery, folder, committed, seconds
):
    with unit_of_work():
        link = a_link()
    links = [link.id]
    fill(folder, 4_000, [link.id])
    nursery.start("web")
    nursery.start("writer")
    nursery.start("writer")
    wait(lambda: stored() > 0)
    with Visitors(nursery.port, f"/s/{link.code}", threads=1) as visitors:
        wait(lambda: visitors.tokens)
        with _away(committed):
            fill(folder, 1_000, [link.id])
            seen = len(visitors.tokens)
            time.sleep(seconds)
            assert spool.segments(folder) != []
            assert len(visitors.tokens) > seen
    nursery.close()
    while spool.segments(folder):
        Writer(folder).drain()

    assert visitors.failures == 0
    check_books(5_000 + len(visitors.tokens))


@contextmanager
def _away(committed):
    """Nobody gets in, and who was in is put out."""
    db.session.remove()
    with sa.create_engine(
        sa.make_url(committed.database_url).set(database="postgres"),
        isolation_level="AUTOCOMMIT", poolclass=sa.NullPool,
    ).connect() as administrator:  # fmt: skip
        name = sa.make_url(committed.database_url).database
        away = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS'
        administrator.execute(sa.text(f"{away} false"))
        administrator.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        yield
        administrator.execute(sa.text(f"{away} true"))
    db.engine.dispose()


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_without_valkey_links_answer_change_and_are_counted(folder, committed, seconds):
    with unit_of_work():
        link = a_link()
    nursery = Nursery(committed, REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    try:
        nursery.start("web")
        nursery.start("writer")
        with Visitors(nursery.port, f"/s/{link.code}", threads=2) as visitors:
            time.sleep(seconds)
            wait(lambda: visitors.tokens)
            with unit_of_work():
                links.change_link(db.session.get(Link, link.id), {"paused": True})
            wait(lambda: visitors.elsewhere)
    finally:
        nursery.close()
    while spool.segments(folder):
        Writer(folder).drain()

    assert visitors.failures == 0
    check_books(len(visitors.tokens))


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_a_full_disk_stops_no_link_and_operators_are_told(nursery, folder, seconds):
    with unit_of_work():
        link = a_link()
        operator = a_user(Role.OPERATOR)
    web = nursery.start("web")
    nursery.start("writer")
    with Visitors(nursery.port, f"/s/{link.code}", threads=2) as visitors:
        wait(lambda: len(visitors.tokens) > 50)
        _limit(web, 0)
        seen = len(visitors.tokens)
        time.sleep(seconds)
        assert len(visitors.tokens) > seen
        _limit(web, resource.RLIM_INFINITY)
        time.sleep(spool.RETRY_SECONDS)
        seen = len(visitors.tokens)
        wait(lambda: len(visitors.tokens) > seen + 50)
    wait(lambda: told() + stored() == len(visitors.tokens))

    assert visitors.failures == 0
    assert told() > 0
    assert stored() > 100
    check_books(stored())
    (event,) = db.session.scalars(sa.select(Event).filter_by(name="clicks.lost"))
    assert "File too large" in event.payload["trouble"]
    assert notices.readers_of(event) == [operator]


def told() -> int:
    with unit_of_work():
        found = losses.latest()
        return found.clicks if found else 0


def _limit(pid: int, most: int) -> None:
    """No file of this process may grow beyond so many bytes: as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def test_writers_killed_again_and_again_store_every_click_once(nursery, folder):
    clicks = 15_000
    with unit_of_work():
        links = [a_link().id for _ in range(3)]
    fill(folder, clicks, links)
    assert len(spool.segments(folder)) > 3

    kills = 0
    while kills < 6 and spool.segments(folder):
        writers = [nursery.start("writer"), nursery.start("writer")]
        before = stored()
        wait(lambda before=before: stored() > before or not spool.segments(folder))
        time.sleep(random.uniform(0, 0.02))
        for pid in writers:
            os.kill(pid, signal.SIGKILL)
        wait(lambda pids=writers: all(gone(pid) for pid in pids))
        kills += 1
    writers = [nursery.start("writer"), nursery.start("writer")]
    wait(lambda: spool.segments(folder) == [])
    for pid in writers:
        os.kill(pid, signal.SIGTERM)
    wait(lambda: all(gone(pid) for pid in writers))

    assert kills >= 2
    check_books(clicks)
    # Only a writer that died between removing a segment and saying so leaves its offset.
    assert db.session.scalar(sa.select(sa.func.count()).select_from(SpoolOffset)) <= 2 * kills


class Visitors:
    """Threads that follow a link and note what they were answered."""

    def __init__(self, port: int, path: str, threads: int) -> None:
        self.tokens: list[str] = []
        self.elsewhere = 0  # sent on without a token
        self.failures = 0
        self._port, self._path = port, path
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(threads)]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for each in self._threads:
            each.join()

    def _visit(self) -> None:
        while not self._stopping.is_set():
            line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
            try:
                line.request("GET", self._path)
                answer = line.getresponse()
                answer.read()
                assert answer.status == 302
                asked = parse_qs(urlsplit(answer.headers["Location"]).query)
                self.tokens += asked.get("tk", [])
                self.elsewhere += "tk" not in asked
            except (OSError, http.client.HTTPException):
                self.failures += 1
            finally:
                line.close()


def test_web_processes_killed_under_load_lose_no_answered_click(nursery, folder):
    with unit_of_work():
        link = a_link()
    webs = [nursery.start("web"), nursery.start("web")]
    nursery.start("writer")
    with Visitors(nursery.port, f"/s/{link.code}", threads=4) as visitors:
        for kill in range(6):
            seen = len(visitors.tokens)
            wait(lambda seen=seen: len(visitors.tokens) > seen + 60)
            os.kill(webs[kill % 2], signal.SIGKILL)
            webs[kill % 2] = nursery.start("web")
        for pid in webs:
            os.kill(pid, signal.SIGKILL)
        nursery.close()
    while spool.segments(folder):
        Writer(folder).drain()

    answered = Counter(_facts(each) for each in visitors.tokens)
    rows = db.session.execute(sa.select(Click.id, Click.at, Click.link_id)).all()
    kept = Counter((row.link_id, int(row.at.timestamp()), row.id[:3]) for row in rows)
    assert sum(answered.values()) > 360
    assert answered - kept == Counter()
    # What was kept beyond that was on its way to a visitor when the kill came.
    assert len(rows) - len(visitors.tokens) <= visitors.failures
    check_books(len(rows))


def _facts(text: str):
    found = token.read(text)
    return (found.link_id, int(found.issued_at.timestamp()), found.nonce)
