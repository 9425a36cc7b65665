"""`affiliate up`: the whole system on one machine, under one supervisor.

It owns the data folder, runs PostgreSQL and Valkey (unless outside ones are given), brings the
schema up to date and then watches five children: web, workers, click writer, clock and live. A
child that dies is started again; one that keeps dying, or a database that dies, stops everything
with a line that says so. Whatever happens to the supervisor, also kill -9, its children are told by
the kernel.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Never

import click
import sqlalchemy as sa

from affiliate import config, create_app, doctor, embedded, processes
from affiliate.config import Settings

if TYPE_CHECKING:
    from affiliate.people.models import User

AFFILIATE = (sys.executable, "-m", "affiliate")
COMMANDS = {
    "web": (*AFFILIATE, "serve"),
    "workers": (*AFFILIATE, "work"),
    "click writer": (*AFFILIATE, "clicks"),
    "clock": (*AFFILIATE, "clock"),
    "live": (*AFFILIATE, "live"),
}
LIVES = 4  # deaths within a minute that are one too many
READY_SECONDS = 60
STOP_SECONDS = 15
FIRST_OPERATOR = "operator@example.com"


class Gone(Exception):
    """A child died for good; the message says which and how."""


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the web server [8765].")
@click.option("--host", help="Address of the web server [127.0.0.1].")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Data folder [var].")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes [2].")
@click.option("--no-demo", is_flag=True, help="Leave an empty database empty.")
def up(
    port: int | None, host: str | None, data: Path | None, workers: int | None, no_demo: bool
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    given = {"port": port, "host": host, "data": data, "workers": workers}
    settings = config.load(**{name: value for name, value in given.items() if value is not None})
    with _stoppable():
        try:
            while not _run(settings, demo=not no_demo):
                time.sleep(0.2)  # a passing command has the folder
        except Gone as gone:
            say(f"affiliate: {gone}; everything is stopped", error=True)
            sys.exit(1)


def _run(settings: Settings, *, demo: bool) -> bool:
    """Run until stopped. False when a passing command has the data folder: try again."""
    try:
        if not embedded.owner(settings):
            _refuse_busy_port(settings)
        with embedded.owned(settings) as servers, ExitStack() as stack:
            whole = servers.settings(settings)
            news = _prepare(whole, demo=demo)
            servers.announce(address(whole))
            family = Family(whole, servers)
            stack.callback(family.stop)
            family.start()
            family.wait_until_ready()
            _welcome(whole, news)
            return family.watch()
    except embedded.AlreadyRunning as running:
        if str(running):
            say(f"already running at {running}")
        return bool(str(running))


def address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def say(line: str, *, error: bool = False) -> None:
    print(line, file=sys.stderr if error else sys.stdout, flush=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the block once, also when we were started with them ignored.

    A second one changes nothing: what is being stopped is stopped in order.
    """
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if not asked:
            asked.append(number)
            raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    try:
        yield
    finally:
        asked.append(0)
        sys.stdout.flush()


def _refuse_busy_port(settings: Settings) -> None:
    if complaint := doctor.busy(settings):
        raise config.BadSettings(
            f"port {settings.port} on {settings.host}: {complaint}; "
            f"choose another one, for example PORT={settings.port + 1} make up"
        )


def _prepare(settings: Settings, *, demo: bool) -> list[str]:
    """Schema and first rows. Returns lines about how to sign in."""
    import flask_migrate
    from alembic.util import CommandError

    from affiliate.db import db, with_migrations

    app = create_app(settings, doors=False)
    with_migrations(app)
    with app.app_context():
        try:
            flask_migrate.upgrade()
            return _first_rows(settings, demo=demo)
        except CommandError as error:
            raise config.BadSettings(f"the schema cannot be brought up to date: {error}") from error
        finally:
            db.engine.dispose()
            app.extensions["redis"].close()


def _first_rows(settings: Settings, *, demo: bool) -> list[str]:
    if not demo:
        return _first_operator(settings)
    from affiliate import demo as example

    if not _people():
        example.load()
    return example.log_ins() or _first_operator(settings)


def _first_operator(settings: Settings) -> list[str]:
    """A one-time link to sign in with, as long as nobody has used one."""
    from affiliate.db import unit_of_work
    from affiliate.people import service
    from affiliate.people.models import Role

    with unit_of_work():
        people = _people()
        if not people:
            user = service.create_user(FIRST_OPERATOR, name="Operator")
            service.grant(user, Role.OPERATOR)
        elif [each.email for each in people] == [FIRST_OPERATOR] and not people[0].password_hash:
            user = people[0]
        else:
            return []
        link = f"{address(settings)}/welcome/{service.create_link(user)}"
        return [f"Nobody can sign in yet. For the operator ({FIRST_OPERATOR}): {link}"]


def _people() -> "Sequence[User]":
    """Two of those who can sign in; programs apart."""
    from affiliate.db import db
    from affiliate.people.models import User

    return db.session.scalars(sa.select(User).where(~User.is_service).limit(2)).all()


def _welcome(settings: Settings, news: list[str]) -> None:
    say("")
    say(f"  Tuike is ready at {address(settings)}")
    for line in news:
        say(f"  {line}")
    say(f"  Data folder: {settings.data.absolute()}")
    say("  Ctrl-C stops everything.")
    say("")


@dataclass
class Family:
    """The children of the supervisor: started together, watched, and stopped in order."""

    settings: Settings
    servers: embedded.Running
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    deaths: dict[str, list[float]] = field(default_factory=dict)

    def start(self) -> None:
        for name in COMMANDS:
            if name != "live" or self.settings.live_port != 0:
                self._start(name)

    def _start(self, name: str) -> None:
        settings = self.settings
        self.children[name] = processes.start(
            COMMANDS[name],
            env=os.environ
            | {
                "AFFILIATE_DATA": str(settings.data.absolute()),
                "AFFILIATE_HOST": settings.host,
                "AFFILIATE_PORT": str(settings.port),
                "AFFILIATE_WORKERS": str(settings.workers),
            },
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            self._look()
            if time.monotonic() > deadline:
                raise Gone(
                    f"not ready after {READY_SECONDS} seconds: see {address(self.settings)}/readyz"
                )
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        host = address(self.settings).removeprefix("http://")
        with suppress(OSError, http.client.HTTPException):
            line = http.client.HTTPConnection(host, timeout=5)
            try:
                line.request("GET", "/readyz")
                return line.getresponse().status == http.HTTPStatus.OK
            finally:
                line.close()
        return False

    def watch(self) -> Never:
        while True:
            self._look()
            time.sleep(0.2)

    def _look(self) -> None:
        for name, server in self.servers.children.items():
            if processes.ended(server):
                processes.stop(server)
                raise Gone(f"{name} {_ended(server)}; see {self.servers.folder}/log")
        for name, child in list(self.children.items()):
            if processes.ended(child):
                self._bury(name, child)

    def _bury(self, name: str, child: subprocess.Popen[bytes]) -> None:
        now = time.monotonic()
        recent = [*(each for each in self.deaths.get(name, []) if now - each < 60), now]
        self.deaths[name] = recent
        processes.stop(child)  # what it may have left of its own
        if len(recent) >= LIVES:
            raise Gone(f"the {name} {_ended(child)}, {LIVES} times within a minute")
        say(f"affiliate: the {name} {_ended(child)}; it is started again", error=True)
        self._start(name)

    def stop(self) -> None:
        """All are asked at once; the servers they need stop after them."""
        for child in self.children.values():
            if not processes.ended(child):
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children.values():
            processes.stop(child, seconds=deadline - time.monotonic())


def _ended(child: subprocess.Popen[bytes]) -> str:
    code = child.returncode
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
