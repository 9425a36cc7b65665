"""The worker pool as a process: urgency, retries, and what a killed worker leaves."""

import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from rq import Queue, Retry
from rq.serializers import JSONSerializer

from affiliate import jobs, processes
from affiliate.db import db, unit_of_work
from tests.house import system
from workers import clock, context


@pytest.fixture
def ask(valkey, committed):
    def enqueue(name: str, *arguments: str, queue: str = "default", **options: object) -> str:
        found = Queue(queue, connection=valkey, serializer=JSONSerializer)
        return found.enqueue(f"tests.house.jobs.{name}", *arguments, **options).id

    return enqueue


def start(place, workers: int = 1) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*system.AFFILIATE, "work", f"--workers={workers}"],
        cwd=system.ROOT,
        env=system.environment(place.data) | place.environment,
        start_new_session=True,
    )


@contextmanager
def pool(place, workers: int = 1):
    process = start(place, workers)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_jobs_are_done_retried_and_survive_a_killed_worker(ask, valkey, committed):
    job_id = ask("tell_what_is_logged", "logged")
    ask("fail_at_first", "retried", retry=Retry(max=1, interval=[1]))
    ask("kill_the_worker_at_first", "killed", queue="money")
    ask("note", "after")

    with pool(committed):
        system.wait(lambda: valkey.get("after") == b"1")
        time.sleep(1)
        clock.retries().enqueue_scheduled_jobs()
        system.wait(lambda: valkey.get("retried") == b"2")

    assert valkey.get("killed") == b"1"  # its row is found by a sweep, not by the queue
    assert valkey.get("logged") == f"tests.house.jobs.tell_what_is_logged {job_id}".encode()


def test_a_pool_that_only_dies_gives_up(committed, monkeypatch):
    """A pool that cannot reach Valkey ends by itself, so that its supervisor hears of it."""
    nowhere = {"REDIS_URL": f"redis://127.0.0.1:{system.free_port()}"}

    told = subprocess.run(
        [*system.AFFILIATE, "work", "--workers=2"],
        cwd=system.ROOT,
        env=system.environment(committed.data) | committed.environment | nowhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert told.returncode == 1
    assert "workers die as soon as they start" in told.stderr


def test_a_task_is_one_unit_of_work(app, rung):
    @context.task
    def rename() -> None:
        db.session.execute(sa.text("CREATE TABLE renamed (n int)"))
        jobs.ring(jobs.Job.DRAIN_INBOX, 1)

    rename()

    assert db.session.scalar(sa.text("SELECT to_regclass('renamed')")) == "renamed"
    assert rung == [(jobs.Job.DRAIN_INBOX, 1)]


def test_a_task_that_fails_leaves_nothing_and_rings_nothing(app, rung):
    @context.task
    def fail() -> None:
        db.session.execute(sa.text("CREATE TABLE half (n int)"))
        jobs.ring(jobs.Job.DRAIN_INBOX, 1)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert db.session.scalar(sa.text("SELECT to_regclass('half')")) is None
    assert rung == []


def test_a_bell_rings_once_in_its_time(valkey, committed):
    for _ in range(3):
        with unit_of_work():
            jobs.ring(jobs.Job.DRAIN_INBOX, 7, once_per_ms=60_000)
    with unit_of_work():
        jobs.ring(jobs.Job.DRAIN_INBOX, 8, once_per_ms=60_000)

    assert Queue("intake", connection=valkey, serializer=JSONSerializer).count == 2


def test_a_bell_that_cannot_ring_troubles_nobody(app, committed, monkeypatch):
    from redis import Redis

    gone = Redis(port=system.free_port(), retry=None)
    monkeypatch.setitem(app.extensions, "redis", gone)

    with unit_of_work():
        db.session.execute(sa.text("CREATE TABLE stored (n int)"))
        jobs.ring(jobs.Job.DRAIN_INBOX, 1)

    with db.engine.connect() as other:
        assert other.scalar(sa.text("SELECT to_regclass('stored')")) == "stored"


def test_children_of_the_pool_die_with_it(committed):
    process = start(committed, workers=2)
    family = system.wait(lambda: len(found := system.family(process.pid)) > 1 and found)
    known = [processes.identity(pid) for pid in family]

    process.kill()
    process.wait()

    system.wait(lambda: not any(processes.identity(int(each.split()[0])) for each in known))
