"""From lines of the spool to the rows that are copied into PostgreSQL.

A click costs a few microseconds here, so nothing is made into an object: a line's fields go into
one text in the format of COPY, and what repeats is remembered: addresses, days, and the whole end
of a line, where a browser says what it is and where it comes from.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from affiliate import clock
from affiliate.insight.agents import AGENTS_MAX, classify
from affiliate.insight.places import Place, coarse

COLUMNS = (
    "id at link_id merchant_id promoter_id day quarter ip user_agent referrer scanned reason"
    " visitor device os browser app language host country before"
).split()

QUARTER_SECONDS = 900
REFERRERS_MAX = 20_000
ENDS_MAX = 10_000
HOST_CHARACTERS_MAX = 100
NULL = r"\N"
# What the spool's own `clean` never lets through and a COPY would stumble over.
_CONTROLS = bytes([*range(9), *range(0x0B, 0x20), 0x7F])
_FIELDS = re.compile(
    rb"([0-9a-f]{8})\t([0-9a-f]{32})\t(-?[0-9]{1,18})\t([0-9]{1,18})\t([a-z]*)\t([^\t]*)\t(.*)",
    re.DOTALL,
)
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}|[A-Za-z]{2}))?(?:-[A-Za-z0-9-]*)?")
_HOST = re.compile(r"(?=.{1,100}$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


class Owner(NamedTuple):
    """Whose a link is, and the zone of that merchant."""

    merchant_id: int
    promoter_id: int
    zone: str


Owners = Callable[[Collection[int]], Mapping[int, Owner]]


class End(NamedTuple):
    """Of a line: what stays the same for everybody with this browser who comes from there."""

    agent: bytes
    reason: str | None  # why nobody sits there
    asked: str  # user agent and referrer, as columns
    known: str  # device, os, browser, app, language and host


# Of a line: ticks, id, link, marks, address and the end.
Line = tuple[int, bytes, int, bytes, bytes, End]


@dataclass(slots=True)
class Rows:
    """A COPY's text, how many clicks stand in it, and how many lines were damaged."""

    text: str
    count: int
    damaged: int


@dataclass(slots=True)
class Stage:
    """What a writer remembers between batches."""

    secret: bytes  # visitors are hashed with a key of the day that is made of it
    place: Callable[[str], Place]
    owners: Owners
    keep_addresses: timedelta
    _keys: dict[str, bytes] = field(default_factory=dict)
    _days: dict[tuple[str, int], tuple[str, str, bytes]] = field(default_factory=dict)
    _ends: dict[bytes, End | None] = field(default_factory=dict)

    def rows(self, lines: Iterable[bytes], *, now: datetime) -> Rows:
        """Of whole lines without their ends. In the order of their times, so that each row can
        say when its visitor came before in this batch.
        """
        found: dict[bytes, Line] = {}  # by id: a line that stands there twice is one click
        damaged = 0
        for text in lines:
            line = self._read(text)
            if line is None:
                damaged += 1
            else:
                found[line[1]] = line
        owners = self.owners({line[2] for line in found.values()})
        old = int((now - self.keep_addresses - clock.EPOCH).total_seconds())
        self._forget()
        written = []
        before: dict[tuple[int, str, str], str] = {}
        for line in sorted(found.values()):
            row = self._row(line, owners.get(line[2]), old, before)
            if row is None:
                damaged += 1
            else:
                written.append(row)
        return Rows("".join(written), len(written), damaged)

    def _read(self, text: bytes) -> Line | None:
        """The fields of a line (`spool.encode` wrote it); None when it is damaged."""
        match = _FIELDS.fullmatch(text)
        if match is None:
            return None
        checksum, click_id, ticks, link, marks, address, rest = match.groups()
        if int(checksum, 16) != zlib.crc32(text[9:]):
            return None
        try:
            end = self._ends[rest]
        except KeyError:
            end = self._ends[rest] = _end(rest)
        return end and (int(ticks), click_id, int(link), marks, address, end)

    def _row(
        self, line: Line, owner: Owner | None, old: int, before: dict[tuple[int, str, str], str]
    ) -> str | None:
        ticks, click_id, link, marks, told, end = line
        zone = owner.zone if owner else "UTC"
        second, micro = divmod(ticks, clock.SECOND)
        quarter = second // QUARTER_SECONDS
        moment = self._days.get((zone, quarter)) or self._moment(zone, quarter)
        if moment is None:
            return None
        day, begins, key = moment
        at = f"{_stamp(second)}.{micro:06d}+00"
        address, country = self.place(told.decode("latin-1"))
        reason = end.reason
        if marks and reason is None:
            reason = "prefetch" if b"p" in marks else "head" if b"h" in marks else None
        visitor = last = NULL
        if reason is None and address:
            digest = hashlib.blake2b(b"%b\t%b" % (told, end.agent), key=key, digest_size=8).digest()
            visitor = str(int.from_bytes(digest, signed=True))
            last = before.get((link, day, visitor), NULL)
            before[link, day, visitor] = at
        if second < old and address:
            address = coarse(address)
        whose = f"{owner.merchant_id}\t{owner.promoter_id}" if owner else f"{NULL}\t{NULL}"
        return (
            f"\\\\x{click_id.decode()}\t{at}\t{link}\t{whose}\t{day}\t{begins}"
            f"\t{address or NULL}\t{end.asked}\t{'t' if b'q' in marks else 'f'}\t{reason or NULL}"
            f"\t{visitor}\t{end.known}\t{country or NULL}\t{last}\n"
        )

    def _moment(self, zone: str, quarter: int) -> tuple[str, str, bytes] | None:
        """The day in that zone, when the quarter begins, and the key that hashes visitors of the
        day. None for what no calendar has.
        """
        try:
            begins = clock.EPOCH + timedelta(seconds=quarter * QUARTER_SECONDS)
            day = begins.astimezone(ZoneInfo(zone)).date()
        except (OverflowError, ZoneInfoNotFoundError):
            return None
        name = day.isoformat()
        key = self._keys.get(name)
        if key is None:
            key = hashlib.blake2b(name.encode(), key=self.secret, digest_size=32).digest()
            self._keys[name] = key
        found = self._days[zone, quarter] = (name, begins.isoformat(" ", "minutes"), key)
        return found

    def _forget(self) -> None:
        if len(self._ends) > ENDS_MAX:
            self._ends.clear()
        if len(self._days) > REFERRERS_MAX:
            self._days.clear()
            self._keys.clear()


def _end(text: bytes) -> End | None:
    """None when it is damaged."""
    if text.translate(None, _CONTROLS) != text:
        return None
    try:
        agent, referrer, *languages = text.decode().split("\t")
    except ValueError:  # no text, or another number of fields
        return None
    if len(languages) > 1:
        return None
    language = languages[0] if languages else ""  # a version kept none
    reason, said = _told(agent)
    return End(
        agent.encode(),
        reason,
        f"{_column(agent)}\t{_column(referrer)}",
        f"{said}\t{_language(language) or NULL}\t{host_of(referrer) or NULL}",
    )


def _column(text: str) -> str:
    return text.replace("\\", r"\\") or NULL


@lru_cache(AGENTS_MAX)
def _told(agent: str) -> tuple[str | None, str]:
    """Why nobody sits there, and the four columns."""
    found = classify(agent)
    parts = (found.device, found.os, found.browser, found.app)
    return found.reason, "\t".join(part or NULL for part in parts)


@lru_cache(4096)
def _stamp(second: int) -> str:
    return (clock.EPOCH + timedelta(seconds=second)).isoformat(" ")[:19]


@lru_cache(4096)
def _language(header: str) -> str | None:
    """The first tag, its language and its script or region: `pt-BR`."""
    found = _LANGUAGE.fullmatch(header.partition(",")[0].partition(";")[0].strip())
    if found is None:
        return None
    tongue, more = found[1].lower(), found[2] or ""
    return f"{tongue}-{more.title() if len(more) == 4 else more.upper()}" if more else tongue


@lru_cache(REFERRERS_MAX)
def host_of(referrer: str) -> str | None:
    """Of an address somebody came from; None for what is none."""
    try:
        parts = urlsplit(referrer)
        name = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        return None
    name = name.lower().removeprefix("www.")
    known = parts.scheme in {"http", "https", "android-app"}
    return name if known and _HOST.fullmatch(name) else None
