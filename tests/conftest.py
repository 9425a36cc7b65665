"""The test bed: real PostgreSQL and Valkey, made by the real migrations, one database per worker.

An ordinary test runs in one outer transaction that is rolled back; what the code under test
commits is a savepoint inside it. A test that asks for `committed` gets a database of its own,
really commits, and may use threads, other connections and other processes.
"""

import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from werkzeug.test import TestResponse

from affiliate import clock as time
from affiliate import create_app, embedded
from affiliate.config import load, shipped
from affiliate.db import db
from affiliate.jobs import URGENCY

SECRET = "a secret key for tests, long enough to be one"
TEMPLATE = "tuike_template"
ROOM = 6 << 30  # bytes that must be free
_system = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    for name in [name for name in os.environ if name.startswith("AFFILIATE_")]:
        del os.environ[name]  # a person's settings are not the tests'
    room = _system.enter_context(_room())
    if not os.statvfs(room).f_flag & os.ST_NOEXEC:
        # For this process and all that it starts.
        os.environ["TMPDIR"] = tempfile.tempdir = room
    config.servers = _system.enter_context(_servers(Path(room) / "servers"))
    _make_template(config.servers["database_url"])


def pytest_configure_node(node: Any) -> None:
    node.workerinput["servers"] = node.config.servers


def pytest_collection_finish() -> None:
    """What is imported by now stays: it need not be looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_unconfigure(config: pytest.Config) -> None:
    _system.close()


@contextmanager
def _room() -> Iterator[str]:
    """A folder for all files of this run: in memory if it can be, where a database is made in a
    twentieth of the time. Those of runs that were killed are removed.
    """
    memory = Path("/dev/shm")
    for left in memory.glob("tuike-tests-*"):
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    fits = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    prefix = f"tuike-tests-{os.getpid()}-"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=memory if fits else None, ignore_cleanup_errors=True
    ) as room:
        Path(room).chmod(0o755)  # some servers run as nobody
        yield room


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    """Embedded servers; or those of DATABASE_URL and REDIS_URL, where we may make databases."""
    given = {"database_url": os.environ.pop("DATABASE_URL", None)}
    given["redis_url"] = os.environ.pop("REDIS_URL", None)
    if all(given.values()):
        yield {"database_url": load(**given).database_url, "redis_url": given["redis_url"]}
        return
    (folder / "log").mkdir(parents=True)
    with embedded.run(folder, durable=False) as servers:
        yield {"database_url": servers.database_url, "redis_url": servers.redis_url}


def _make_template(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    migrations = Config(shipped("migrations") / "alembic.ini")
    migrations.set_main_option("script_location", str(shipped("migrations")))
    _recreate(url, TEMPLATE, template="template0")
    engine = sa.create_engine(_named(url, TEMPLATE), poolclass=sa.NullPool)
    with engine.connect() as connection:
        migrations.attributes["connection"] = connection
        command.upgrade(migrations, "head")


def _recreate(url: str, name: str, *, template: str = TEMPLATE) -> None:
    with _administrator(url) as connection:
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        copied = "STRATEGY FILE_COPY"  # quick, as nothing waits for the disk
        connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE {template} {copied}'))


@contextmanager
def _administrator(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def _named(url: str, name: str) -> str:
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


@dataclass(frozen=True)
class Place:
    """The servers, and which part of them is this worker's."""

    database_url: str
    redis_url: str
    name: str
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        """For child processes: `subprocess.Popen(…, env=os.environ | place.environment)`."""
        return {
            "DATABASE_URL": self.database_url.replace("+psycopg", ""),
            "REDIS_URL": self.redis_url,
            "AFFILIATE_SECRET_KEY": SECRET,
            "AFFILIATE_DATA": str(self.data),
            "AFFILIATE_ALLOW_FUTURE": "1",
        }


@pytest.fixture(scope="session")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    config = request.config
    given = getattr(config, "workerinput", None)
    servers = given["servers"] if given else config.servers
    name = given["workerid"] if given else "gw0"
    url = servers["database_url"]
    _recreate(url, f"tuike_{name}")
    yield Place(
        database_url=_named(url, f"tuike_{name}"),
        redis_url=_numbered(servers["redis_url"], int(name.removeprefix("gw")) + 1),
        name=name,
        data=tmp_path_factory.mktemp("data"),
    )
    with _administrator(url) as connection:
        connection.execute(sa.text(f'DROP DATABASE "tuike_{name}" WITH (FORCE)'))


def _numbered(url: str, number: int) -> str:
    return f"{url.partition('?')[0]}?db={number}"


@pytest.fixture(scope="session")
def app(place: Place) -> Iterator[Flask]:
    """The whole application, as the web server and the workers make it."""
    app = create_app(
        load(
            database_url=place.database_url,
            redis_url=place.redis_url,
            secret_key=SECRET,
            data=place.data,
            allow_future=True,
            live_port=0,
            log_level="WARNING",
        )
    )
    app.testing = True
    app.test_client_class = Client
    yield app
    with app.app_context():
        db.engine.dispose()
    app.extensions["redis"].close()


class Client(FlaskClient):
    """Gives every request its own app context, as the web server does.

    Without it all requests of a test would share one `g` (and so one signed-in user) and one
    identity map.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        with self.application.app_context():
            # Read to its end, as by a browser, while what it is made from is there.
            return super().open(*args, **{"buffered": True} | kwargs)


@pytest.fixture(autouse=True)
def database(
    request: pytest.FixtureRequest, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Every test in an app context, and in one outer transaction that is never committed."""
    app.extensions["redis"].flushdb()
    _forget(app)
    monkeypatch.setattr("workers.context.application", lambda: app)
    if "committed" in request.fixturenames:
        with app.app_context():
            yield
        return
    with app.app_context():
        engine = db.engine
        connection = engine.connect()
        outer = connection.begin()
        db.engines[None] = connection
        edge = sys.modules["affiliate.db"]  # the name alone is that of what it is full of
        monkeypatch.setattr(edge, "committing", lambda: _part_of(connection))
        monkeypatch.setitem(
            db.session.session_factory.kw, "join_transaction_mode", "create_savepoint"
        )
        yield
        db.session.remove()
        outer.rollback()
        connection.close()
        db.engines[None] = engine


@contextmanager
def _part_of(connection: sa.Connection) -> Iterator[Any]:
    """What would commit by itself is a savepoint too."""
    driver = connection.connection.driver_connection
    with driver.transaction():
        yield driver


def _forget(app: Flask) -> None:
    """Databases of tests repeat ids and codes, so nothing may be remembered between them."""
    app.extensions["links"].clear()
    app.extensions["shelf"].clear()
    app.extensions.pop("clicks", None)
    app.extensions["door"].forget()
    app.extensions["spool"].close()
    shutil.rmtree(app.extensions["spool"].folder, ignore_errors=True)


_numbers = itertools.count(1)


@pytest.fixture
def committed(app: Flask, place: Place) -> Iterator[Place]:
    """A database of this test's own: for races, workers, other processes and whole journeys."""
    name = f"tuike_{place.name}_{next(_numbers)}"
    url = _named(place.database_url, name)
    _recreate(place.database_url, name)
    with app.app_context():
        before, db.engines[None] = db.engine, sa.create_engine(url, pool_size=50)
        try:
            yield Place(url, place.redis_url, place.name, place.data)
        finally:
            db.session.remove()
            db.engine.dispose()
            db.engines[None] = before
    with _administrator(place.database_url) as connection:
        connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))


Bells = list[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def _quiet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bells | None:
    """In a test that commits bells really ring; in the others they are only noted."""
    if "committed" in request.fixturenames and "rung" not in request.fixturenames:
        return None
    bells: Bells = []
    monkeypatch.setattr("affiliate.jobs.enqueue", lambda *call, **_: bells.append(call))
    return bells


@pytest.fixture
def rung(_quiet: Bells) -> Bells:
    """The jobs that were asked for, after the commit that asked for them."""
    return _quiet


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def valkey(app: Flask) -> Redis:
    """This worker's own database number, empty at the start of every test."""
    redis: Redis = app.extensions["redis"]
    return redis


class Clock:
    """Stands still, moves on when told. In this process only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def stand(self, text: str | datetime) -> datetime:
        instant = time.instant(text) if isinstance(text, str) else text
        self._patch.setattr(time, "_frozen", instant)
        return instant

    def move(self, **by: float) -> datetime:
        """`clock.move(days=3, hours=1)`"""
        return self.stand(time.now() + timedelta(**by))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def run_jobs(app: Flask) -> Callable[[], int]:
    """For tests with `committed`: do all jobs that were rung for, in this process.

    Returns how many there were. A job that fails makes the test fail.
    """

    def run() -> int:
        redis = app.extensions["redis"]
        queues = [Queue(name, connection=redis, serializer=JSONSerializer) for name in URGENCY]
        done = 0
        while found := Queue.dequeue_any(
            queues, timeout=None, connection=redis, serializer=JSONSerializer
        ):
            found[0].perform()
            done += 1
        return done

    return run
