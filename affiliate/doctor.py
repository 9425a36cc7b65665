"""`affiliate doctor`: what is wrong with this installation, and how to mend it. Changes nothing."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import sqlalchemy as sa
from redis import Redis
from redis.exceptions import RedisError

from affiliate import clock, config, embedded, servers
from affiliate.config import Settings

EXTENSIONS = ("ltree", "citext", "pg_trgm", "btree_gist")
BYTES_FREE_MIN = 1_000_000_000
SKEW_MAX = timedelta(seconds=5)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` says what to do; without it a mark other than ok is a remark."""

    mark: str  # ok, note or WRONG
    what: str
    mend: str = ""


def ok(what: str) -> Finding:
    return Finding("ok", what)


def note(what: str, mend: str = "") -> Finding:
    return Finding("note", what, mend)


def wrong(what: str, mend: str) -> Finding:
    return Finding("WRONG", what, mend)


@click.command()
def doctor() -> None:
    """Say what is wrong with this installation and how to mend it. Exits with 1 if something is."""
    sick = False
    for finding in examine():
        click.echo(f"{finding.mark:<6} {finding.what}")
        if finding.mend:
            click.echo(f"       → {finding.mend}")
        sick = sick or finding.mark == "WRONG"
    if sick:
        sys.exit(1)


def examine() -> Iterator[Finding]:
    try:
        settings = config.load()
    except config.BadSettings as error:
        yield wrong(f"settings: {error}", "see the list of settings in docs/operate.md")
        return
    for look in LOOKS:
        yield from look(settings)
    yield from _servers(settings)


def _python(_: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok(f"Python {version}")
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        yield wrong(f"locale: file names are {encoding}", "set LC_ALL=C.UTF-8")
    else:
        yield ok("locale: UTF-8")


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data.absolute()
    there = next(each for each in [folder, *folder.parents] if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield wrong(f"owner: {there} cannot be written by user {os.geteuid()}", _own(folder))
        return
    strangers = [each for each in _ours(folder) if each.stat().st_uid not in _owners()]
    for path in strangers:
        yield wrong(f"owner: {path} belongs to user {path.stat().st_uid}", _own(folder))
    secrets = folder / "secrets.json"
    if secrets.exists() and secrets.stat().st_mode & 0o077:
        yield wrong(f"owner: others may read {secrets}", f"chmod 600 {secrets}")
    if not strangers:
        yield ok(f"owner: {folder} is ours")


def _ours(folder: Path) -> list[Path]:
    names = ("", "postgres", "valkey", "secrets.json", "owner.lock")
    return [folder / name for name in names if (folder / name).exists()]


def _owners() -> set[int]:
    return {os.geteuid(), *([servers.nobody()[0]] if os.geteuid() == 0 else [])}


def _own(folder: Path) -> str:
    return f"run as the owner, or: chown -R {os.geteuid()} {folder}, or choose AFFILIATE_DATA"


def _space(settings: Settings) -> Iterator[Finding]:
    folder = settings.data.absolute()
    there = next(each for each in [folder, *folder.parents] if each.exists())
    free = shutil.disk_usage(there).free
    text = f"space: {free // 1_000_000:,} MB free in {there}"
    if free < BYTES_FREE_MIN:
        yield wrong(text, "make room: PostgreSQL stops when its disk is full; 1 GB is the least")
    else:
        yield ok(text)


def _port(settings: Settings) -> Iterator[Finding]:
    where = f"port {settings.port} on {settings.host}"
    running = embedded.owner(settings)
    if running:
        yield ok(f"port: this system runs at {running}")
        return
    if complaint := busy(settings):
        yield wrong(f"{where}: {complaint}", "set AFFILIATE_PORT, or: PORT=8770 make up")
    else:
        yield ok(f"{where} is free")
    if settings.live_port != 0 and (complaint := busy(settings, settings.port_of_live)):
        yield note(
            f"port {settings.port_of_live}: {complaint}; open pages ask every ten seconds",
            "set AFFILIATE_LIVE_PORT",
        )


def busy(settings: Settings, port: int | None = None) -> str | None:
    """Why nobody can listen there; None when it is free."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((settings.host, port or settings.port))
        except OSError as error:
            return error.strerror
    return None


def _choices(settings: Settings) -> Iterator[Finding]:
    if settings.allow_future:
        yield note(
            "future clock: settlements through a future instant are allowed",
            "for demo and tests only: unset AFFILIATE_ALLOW_FUTURE where money is real",
        )
    else:
        yield ok("future clock: not allowed")
    if settings.database_url and not settings.secret_key:
        yield wrong("DATABASE_URL without AFFILIATE_SECRET_KEY", "set 32 random characters or more")


def _geoip(settings: Settings) -> Iterator[Finding]:
    from affiliate.insight import places

    if settings.geoip is None:
        return
    try:
        with places.opened(settings.geoip) as reader:
            made = datetime.fromtimestamp(reader.metadata().build_epoch, UTC)
    except places.BadGeoip as error:
        yield wrong(f"countries: {settings.geoip}: {error}", "set AFFILIATE_GEOIP to an MMDB file")
        return
    yield ok(f"countries: {settings.geoip} of {made:%Y-%m-%d}")


LOOKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _python,
    _folder,
    _space,
    _port,
    _choices,
    _geoip,
)


def _servers(settings: Settings) -> Iterator[Finding]:
    folder = settings.data.absolute()
    if not embedded.is_outside(settings) and not (folder / "secrets.json").exists():
        yield note(f"servers: {folder} holds nothing yet", "`affiliate up` makes it")
        return
    try:
        with embedded.within_reach(settings) as whole:
            yield from _postgres(whole)
            yield from _valkey(whole)
    except (servers.CannotStart, config.BadSettings, OSError) as error:
        yield wrong(f"servers: {error}", f"see {folder}/log")


def _postgres(settings: Settings) -> Iterator[Finding]:
    engine = sa.create_engine(settings.database_url or "", poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            yield from _version(connection)
            yield from _text(connection)
            yield from _extensions(connection)
            yield from _time(connection)
            yield from _schema(connection)
    except sa.exc.OperationalError as error:
        yield wrong(f"PostgreSQL: {error.orig}", "start it, and check DATABASE_URL and its rights")


def _version(connection: sa.Connection) -> Iterator[Finding]:
    number = int(connection.scalar(sa.text("SHOW server_version_num")) or 0)
    text = f"PostgreSQL {number // 10000}.{number % 10000}"
    yield ok(text) if number >= 150000 else wrong(text, "Tuike needs PostgreSQL 15 or later")


def _text(connection: sa.Connection) -> Iterator[Finding]:
    find = (
        "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
    )
    encoding = connection.scalar(sa.text(find))
    if encoding == "UTF8":
        yield ok("database encoding: UTF8")
    else:
        yield wrong(f"database encoding: {encoding}", "CREATE DATABASE … ENCODING 'UTF8'")


def _extensions(connection: sa.Connection) -> Iterator[Finding]:
    known = set(connection.scalars(sa.text("SELECT name FROM pg_available_extensions")))
    missing = [name for name in EXTENSIONS if name not in known]
    if missing:
        yield wrong(f"extensions: no {', '.join(missing)}", "install postgresql-contrib")
    else:
        yield ok(f"extensions: {', '.join(EXTENSIONS)}")


def _time(connection: sa.Connection) -> Iterator[Finding]:
    theirs = connection.scalar(sa.text("SELECT clock_timestamp()"))
    assert theirs
    skew = abs(theirs - clock.now())
    if skew > SKEW_MAX:
        yield wrong(
            f"time: the database's clock is {skew} off", "run an NTP client on both machines"
        )
    else:
        yield ok("time: the clocks agree")


def _schema(connection: sa.Connection) -> Iterator[Finding]:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    ours = ScriptDirectory(str(config.shipped("migrations"))).get_current_head()
    theirs = MigrationContext.configure(connection).get_current_revision()
    if ours == theirs:
        yield ok(f"schema: {ours}")
    else:
        yield wrong(
            f"schema: {theirs or 'empty'}, this version wants {ours}", "affiliate db upgrade"
        )


def _valkey(settings: Settings) -> Iterator[Finding]:
    with Redis.from_url(settings.redis_url or "") as redis:
        try:
            told = redis.info("server")
            kept = redis.config_get("maxmemory-policy").get("maxmemory-policy")
        except RedisError as error:
            yield wrong(f"Valkey: {error}", "start it, and check REDIS_URL")
            return
    version = str(told.get("valkey_version") or told["redis_version"])
    text = f"{'Valkey' if 'valkey_version' in told else 'Redis'} {version}"
    old = int(version.partition(".")[0]) < 7
    yield wrong(text, "Tuike needs Redis 7 or Valkey") if old else ok(text)
    if kept not in {None, "noeviction"}:
        yield note(f"it drops keys when full ({kept})", "set maxmemory-policy noeviction")
