"""PostgreSQL and Valkey from wheels, in a data folder: for `affiliate up`, commands and the tests.

One process owns a data folder at a time: it holds `owner.lock`, starts the servers and writes
`running.json`. Others join it and hold `users.lock` shared while they do. Every server process
inherits `servers.lock`, so whoever gets that lock knows that none of them is alive, whatever
process numbers old files name.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pydantic import SecretStr

from affiliate import processes, servers
from affiliate.config import BadSettings, Settings
from affiliate.servers import CannotStart

JOIN_SECONDS = 60  # how long to wait for another process to become ready, or to be done


class AlreadyRunning(Exception):
    """Another process owns the data folder; the message is its address, if it has one."""


@dataclass(frozen=True)
class Running:
    """The running servers of a data folder."""

    folder: Path
    database_url: str
    redis_url: str
    secret_key: str
    sockets: Path = Path()
    children: Mapping[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def settings(self, given: Settings) -> Settings:
        """The settings of a process that uses these servers, where it was given no others."""
        return given.model_copy(
            update={
                "database_url": given.database_url or self.database_url,
                "redis_url": given.redis_url or self.redis_url,
                "secret_key": given.secret_key or SecretStr(self.secret_key),
            }
        )

    def announce(self, address: str | None = None) -> None:
        """Tell other commands where the servers are, and this system's web address."""
        known = {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "address": address,
            "sockets": str(self.sockets),
            "owner": processes.identity(os.getpid()),
            "servers": [processes.identity(child.pid) for child in self.children.values()],
        }
        _write_secret(self.folder / "running.json", json.dumps(known))


def is_outside(settings: Settings) -> bool:
    """Whether nothing is left for embedded servers to do."""
    return bool(settings.database_url and settings.redis_url)


@contextmanager
def within_reach(settings: Settings) -> Iterator[Settings]:
    """Settings with servers that run: outside ones, those of the data folder, or our own meanwhile.

    This is the edge of every command.
    """
    if is_outside(settings):
        yield settings
        return
    folder = settings.data.absolute()
    deadline = time.monotonic() + JOIN_SECONDS
    with ExitStack() as stack:
        while not (running := _own_or_join(settings, folder, stack)):
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"another process holds {folder}/owner.lock and its servers do not become "
                    f"ready: see {folder}/log, or find it with `lsof {folder}/owner.lock`."
                )
            time.sleep(0.1)
        yield running.settings(settings)


def _own_or_join(settings: Settings, folder: Path, stack: ExitStack) -> Running | None:
    """None while whoever has the folder is only starting, or stopping."""
    try:
        running = stack.enter_context(owned(settings))
        stack.callback(_wait_for_users, folder)
        return running
    except AlreadyRunning:
        join = ExitStack()
        known = join.enter_context(_lock(folder / "users.lock", fcntl.LOCK_SH)) and _known(folder)
        if not known:
            join.close()
            return None
        stack.push(join)
        key = _secrets(folder)["secret_key"]
        return Running(folder, known["database_url"], known["redis_url"], key)


def owner(settings: Settings) -> str | None:
    """The address of the system that owns the data folder, if it has one; None without owner."""
    lock = settings.data.absolute() / "owner.lock"
    if not lock.exists():
        return None
    with _lock(lock, fcntl.LOCK_EX) as free:
        return None if free else _known(lock.parent).get("address") or ""


@contextmanager
def owned(settings: Settings) -> Iterator[Running]:
    """The servers that outside ones do not replace, run by this process; AlreadyRunning if not."""
    folder = settings.data.absolute()
    _make_folder(folder)
    with _lock(folder / "owner.lock", fcntl.LOCK_EX) as got:
        if not got:
            raise AlreadyRunning(_known(folder).get("address") or "")
        (folder / "users.lock").touch()
        with run(
            folder, postgres=not settings.database_url, valkey=not settings.redis_url
        ) as running:
            running.announce()
            try:
                yield running
            finally:
                (folder / "running.json").unlink(missing_ok=True)


@contextmanager
def run(
    folder: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Iterator[Running]:
    """Start the servers of this folder and stop them in the end. The caller owns the folder."""
    _clean_up(folder)
    keys = _secrets(folder)
    with ExitStack() as stack:
        sockets = stack.enter_context(servers.sockets())
        alive = os.open(folder / "servers.lock", os.O_RDWR | os.O_CREAT, 0o600)
        stack.callback(os.close, alive)
        fcntl.flock(alive, fcntl.LOCK_EX)
        children: dict[str, subprocess.Popen[bytes]] = {}
        # Both start at once; PostgreSQL is asked to stop first, so it is registered last.
        if valkey:
            children["Valkey"] = servers.start_valkey(folder, sockets, keys["valkey"], alive)
            stack.callback(processes.stop, children["Valkey"])
        if postgres:
            children["PostgreSQL"] = servers.start_postgres(
                folder, sockets, keys["postgres"], alive, durable=durable
            )
            stack.callback(
                processes.stop, children["PostgreSQL"], signal.SIGINT, seconds=60
            )  # SIGINT: the "fast" shutdown, which waits for no client
            servers.wait_for_postgres(children["PostgreSQL"], folder, sockets, keys["postgres"])
        if valkey:
            servers.wait_for_valkey(children["Valkey"], folder, sockets, keys["valkey"])
        yield Running(
            folder,
            f"postgresql+psycopg://tuike:{keys['postgres']}@/tuike?host={sockets}",
            f"unix://:{keys['valkey']}@{sockets}/valkey.sock?db=0",
            keys["secret_key"],
            sockets,
            children,
        )


def _wait_for_users(folder: Path) -> None:
    """Before servers started for a moment stop: others may have joined in the meantime."""
    (folder / "running.json").unlink(missing_ok=True)
    deadline = time.monotonic() + JOIN_SECONDS
    while time.monotonic() < deadline:
        with _lock(folder / "users.lock", fcntl.LOCK_EX) as alone:
            if alone:
                return
        time.sleep(0.05)


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[bool]:
    """Whether we got the lock; if so it is ours inside."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _known(folder: Path) -> dict[str, Any]:
    """What the owner wrote, as long as it lives."""
    found = _recorded(folder)
    alive = found and processes.identity(int(found["owner"].partition(" ")[0])) == found["owner"]
    return found if alive else {}


def _recorded(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "running.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _clean_up(folder: Path, seconds: float = 20) -> None:
    """After a kill -9 of the owner: wait for its servers, then kill those that are surely ours."""
    with (folder / "servers.lock").open("a") as file:
        deadline = time.monotonic() + seconds
        while not _try(file):
            if time.monotonic() > deadline - seconds / 2:
                for known in _recorded(folder).get("servers", []):
                    processes.kill(known)
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"a server of an earlier run still holds {folder}/servers.lock: find it with "
                    f"`lsof {folder}/servers.lock`, stop it and try again."
                )
            time.sleep(0.05)
    if sockets := _recorded(folder).get("sockets"):
        shutil.rmtree(sockets, ignore_errors=True)
    (folder / "running.json").unlink(missing_ok=True)
    # Without a server of ours, whatever process it names is a stranger.
    (folder / "postgres" / "postmaster.pid").unlink(missing_ok=True)


def _try(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    try:
        (folder / "log").mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "owner.lock").touch(mode=0o600)
    except OSError as error:
        raise BadSettings(
            f"the data folder {folder} cannot be written ({error.strerror}): "
            "set AFFILIATE_DATA or --data to a folder of yours"
        ) from error


def _secrets(folder: Path) -> dict[str, str]:
    path = folder / "secrets.json"
    if not path.exists():
        if (folder / "postgres").exists():
            raise CannotStart(f"{path} is gone, but not the data: restore it from a backup.")
        names = ("secret_key", "postgres", "valkey")
        _write_secret(path, json.dumps({name: secrets.token_urlsafe(32) for name in names}))
    keys: dict[str, str] = json.loads(path.read_text())
    return keys


def _write_secret(path: Path, text: str) -> None:
    """Whole or not at all, and readable by us only."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
