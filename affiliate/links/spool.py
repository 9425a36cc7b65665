"""The click spool: an answered click is in a file before its answer leaves, and waits for nobody.

Each process appends to a segment of its own, one `write()` per click, and a thread syncs it every
50 ms: a killed process loses nothing it answered, a power cut at most those 50 ms. The owner holds
a lock on its segment for as long as it lives, so the click writer (`affiliate.insight`) can tell
a growing segment from one that is over. Only the last record of a segment can be torn.
"""

import ctypes
import fcntl
import os
import secrets
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from weakref import WeakSet

import structlog
from prometheus_client import Counter

from affiliate import clock

log = structlog.get_logger(__name__)

SUFFIX = ".clicks"
SYNC_SECONDS = 0.05
RETRY_SECONDS = 1.0
SEGMENT_BYTES_MAX = 16 * 1024 * 1024
SEGMENT_SECONDS_MAX = 300.0
TEXT_CHARACTERS_MAX = 512
LANGUAGE_MAX = 35  # the longest tag that RFC 5646 asks to have room for
UNNAMED_SECONDS_MAX = 3600.0
LOST = Counter("tuike_clicks_lost", "Clicks that were answered but could not be written down")
UNSYNCED = Counter("tuike_spool_sync_failures", "Times the spool could not be synced to disk")

# Tabs and line ends are the format's own, and PostgreSQL takes no NUL.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
_libc_write = ctypes.PyDLL(None, use_errno=True).write
_libc_write.restype = ctypes.c_ssize_t


@dataclass(frozen=True, slots=True)
class Click:
    id: bytes
    at: datetime
    link_id: int
    ip: str = ""
    user_agent: str = ""
    referrer: str = ""
    scanned: bool = False  # `?q`: a QR code was scanned
    prefetched: bool = False  # a browser asked ahead; perhaps nobody ever looks
    head: bool = False  # only the headers were asked for: a program that tests links
    language: str = ""  # Accept-Language, its beginning


def encode(click: Click) -> bytes:
    """One line: a checksum of the rest, then the fields, separated by tabs."""
    return line(
        f"{click.id.hex()}\t{clock.in_ticks(click.at)}\t{click.link_id}",
        flags(scanned=click.scanned, prefetched=click.prefetched, head=click.head),
        clean(click.ip),
        clean(click.user_agent),
        clean(click.referrer),
        clean(click.language[:LANGUAGE_MAX]),
    )


def line(head: str, marks: str, ip: str, user_agent: str, referrer: str, language: str) -> bytes:
    """Of an id in hex, microseconds since 1970 and a link's id as head, and clean texts."""
    rest = f"{head}\t{marks}\t{ip}\t{user_agent}\t{referrer}\t{language}".encode("utf-8", "replace")
    return b"%08x\t%s\n" % (zlib.crc32(rest), rest)


def flags(*, scanned: bool, prefetched: bool, head: bool) -> str:
    return f"{'q' if scanned else ''}{'p' if prefetched else ''}{'h' if head else ''}"


def decode(text: bytes) -> Click | None:
    """The click of a line without its end; None when the line is damaged."""
    checksum, _, rest = text.partition(b"\t")
    if checksum != b"%08x" % zlib.crc32(rest):
        return None
    try:
        click_id, at, link_id, marks, ip, user_agent, referrer, *language = rest.decode().split(
            "\t"
        )
        instant = clock.EPOCH + int(at) * clock.TICK
    except (ValueError, OverflowError):
        return None
    return Click(
        bytes.fromhex(click_id),
        instant,
        int(link_id),
        ip,
        user_agent,
        referrer,
        "q" in marks,
        "p" in marks,
        "h" in marks,
        language[0] if language else "",  # segments of an older version have none
    )


def clean(text: str) -> str:
    return text[:TEXT_CHARACTERS_MAX].translate(_CONTROLS)


# --- writing ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lost:
    clicks: int
    trouble: str


class Spool:
    """The segment of this process. Threads may share it; a fork gets one of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        bytes_max: int = SEGMENT_BYTES_MAX,
        seconds_max: float = SEGMENT_SECONDS_MAX,
    ) -> None:
        self.folder = folder
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._start_afresh()
        _spools.add(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._unsynced = False
        self._began = 0.0
        self._retry_at = 0.0
        self._lost = 0
        self._trouble = ""

    def open(self) -> bool:
        """Be ready before the first click comes; False when the disk does not let us."""
        with self._lock:
            return self._ready()

    def append(self, click: Click) -> bool:
        """Write a click down. False, and counted, when that cannot be done: never an error."""
        return self.append_line(encode(click))

    def append_line(self, line: bytes) -> bool:
        """The same of what `line` made."""
        with self._lock:
            begun = self._size > 0
            # A segment may have met its own limit, so a fresh one is tried before giving up.
            kept = self._write(line) or (begun and self._write(line))
            if not kept:
                self._lost += 1
        if not kept:
            LOST.inc()
        return kept

    def take_lost(self) -> Lost | None:
        """What could not be written down since this was asked last; None: nothing was lost."""
        with self._lock:
            lost, self._lost = self._lost, 0
            return Lost(lost, self._trouble) if lost else None

    def give_back(self, lost: Lost) -> None:
        """Nobody could be told; ask again."""
        with self._lock:
            self._lost += lost.clicks

    def close(self) -> None:
        """For tests and orderly ends; whoever is killed needs none."""
        self._stopping.set()
        with self._lock:
            self._end()

    def _ready(self) -> bool:
        if self._descriptor is not None:
            if self._size < self._bytes_max:
                return True
            self._end()
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._begin()
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        started = int(clock.now().timestamp() * 1_000_000)
        name = f"{started:017d}-{os.getpid()}-{secrets.token_hex(6)}"
        new = self.folder / f"{name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        descriptor = os.open(new, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It gets its name once it is locked: the click writer takes an unlocked segment for
            # a dead process's and removes it.
            path = new.rename(new.with_suffix(SUFFIX))
            _sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._path, self._size = descriptor, path, 0
        self._began = time.monotonic()
        if self._thread is None or self._stopping.is_set():
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._keep_synced, args=(self._stopping,), name="spool", daemon=True
            )
            self._thread.start()

    def _write(self, line: bytes) -> bool:
        if not self._ready():
            return False
        assert self._descriptor is not None
        try:
            written = put(self._descriptor, line)
            error: OSError | None = None
        except OSError as caught:
            written, error = 0, caught
        if written == len(line):
            self._size += written
            self._unsynced = True
            return True
        # What did reach the file is torn, so nothing may come after it.
        if self._size == 0:
            self._give_up(error)
        self._end()
        return False

    def _give_up(self, error: OSError | None) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._trouble = str(error or "disk full")
        log.error("clicks are being lost: the spool takes none", error=self._trouble)

    def _end(self) -> None:
        if self._descriptor is None or self._path is None:
            return
        with suppress(OSError):
            if self._size:
                _sync(self._descriptor)
            else:
                self._path.unlink(missing_ok=True)
        os.close(self._descriptor)  # this lets the lock go: the click writer may forget it now
        self._descriptor, self._path, self._size, self._unsynced = None, None, 0, False

    def _keep_synced(self, stopping: threading.Event) -> None:
        while not stopping.wait(SYNC_SECONDS):
            self._sync_once()

    def _sync_once(self) -> None:
        with self._lock:
            if self._descriptor is None or not self._size:
                return
            if time.monotonic() - self._began > self._seconds_max:
                self._end()
                return
            if not self._unsynced:
                return
            self._unsynced = False
            # A second name for the same file: clicks go on, and the segment may end, meanwhile.
            descriptor = os.dup(self._descriptor)
        try:
            _sync(descriptor)
        except OSError:
            UNSYNCED.inc()
        finally:
            os.close(descriptor)

    def _leave_to_parent(self) -> None:
        """In a forked child: the open segment is the parent's, and so is the thread."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._start_afresh()


def put(descriptor: int, line: bytes) -> int:
    """`os.write` that keeps the interpreter's lock: a line is in the page cache within two
    microseconds, and a thread that lets go of the lock for them waits until every other had a turn.
    """
    written: int = _libc_write(descriptor, line, ctypes.c_size_t(len(line)))
    if written < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_spools: WeakSet[Spool] = WeakSet()


def _after_fork() -> None:
    for spool in list(_spools):
        spool._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)


# --- reading ---------------------------------------------------------------------------------


def segments(folder: Path) -> list[Path]:
    """All segments, oldest first by their names."""
    return sorted(folder.glob(f"*{SUFFIX}"))


@dataclass(frozen=True, slots=True)
class State:
    size: int
    over: bool


def state(path: Path) -> State | None:
    """How long a segment is and whether it still grows; None when it is gone."""
    try:
        with path.open("rb") as segment:
            over = is_over(segment)
            return State(os.fstat(segment.fileno()).st_size, over)
    except FileNotFoundError:
        return None


def sweep(folder: Path) -> None:
    """Remove what is left of processes that died before their segment had its name."""
    for path in folder.glob("*.new"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > UNNAMED_SECONDS_MAX:
                path.unlink()


def is_over(segment: BinaryIO) -> bool:
    """Whether the process that wrote this segment is gone.

    Ask before reading: what is read after a yes is all there will ever be.
    """
    try:
        fcntl.flock(segment, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(segment, fcntl.LOCK_UN)
    return True
