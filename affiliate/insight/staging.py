"""From lines of the spool to the rows that are copied into PostgreSQL.

A click costs a few microseconds here, so nothing is made into an object: a line's fields go into
one text in the format of COPY, and what repeats (agents, addresses, referrers, days) is remembered.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from affiliate.insight.agents import AGENTS_MAX, classify
from affiliate.insight.places import Place, coarse

COLUMNS = (
    "id at link_id merchant_id promoter_id day quarter ip user_agent referrer scanned reason"
    " visitor device os browser app country language host"
).split()

QUARTER_SECONDS = 900
TICKS = 1_000_000  # a second's
REFERRERS_MAX = 20_000
HOST_CHARACTERS_MAX = 100
NULL = r"\N"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What the spool's own `clean` never lets through and a COPY would stumble over.
_CONTROLS = bytes([*range(9), *range(0x0B, 0x20), 0x7F])
_FIELDS = re.compile(rb"[0-9a-f]{32}\t-?[0-9]{1,18}\t[0-9]{1,18}\t[a-z]*\t")
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}|[A-Za-z]{2}))?(?:-[A-Za-z0-9-]*)?")
_HOST = re.compile(r"(?=.{1,100}$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


class Owner(NamedTuple):
    """Whose a link is, and the zone of that merchant."""

    merchant_id: int
    promoter_id: int
    zone: str


Owners = Callable[[Collection[int]], Mapping[int, Owner]]


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

    def rows(self, lines: Iterable[bytes], *, now: datetime) -> Rows:
        """Of whole lines without their ends."""
        found: dict[str, list[str]] = {}  # by id: a line that stands there twice is one click
        damaged = 0
        for line in lines:
            fields = read(line)
            if fields is None:
                damaged += 1
            else:
                found[fields[0]] = fields
        owners = self.owners({int(each[2]) for each in found.values()})
        old = int((now - self.keep_addresses - _EPOCH).total_seconds())
        self._forget()
        written = []
        for fields in found.values():
            row = self._row(fields, owners, old)
            if row is None:
                damaged += 1
            else:
                written.append(row)
        return Rows("".join(written), len(written), damaged)

    def _row(self, fields: list[str], owners: Mapping[int, Owner], old: int) -> str | None:
        click_id, ticks, link, marks, ip, agent, referrer, language = fields
        owner = owners.get(int(link))
        second, micro = divmod(int(ticks), TICKS)
        zone = owner.zone if owner else "UTC"
        quarter = second // QUARTER_SECONDS
        moment = self._days.get((zone, quarter)) or self._moment(zone, quarter)
        if moment is None:
            return None
        day, begins, key = moment
        address, country = self.place(ip)
        said = _told(agent)
        reason = said[0] or ("prefetch" if "p" in marks else "head" if "h" in marks else None)
        visitor = NULL
        if reason is None and address:
            digest = hashlib.blake2b(f"{ip}\t{agent}".encode(), key=key, digest_size=8).digest()
            visitor = str(int.from_bytes(digest, signed=True))
        if second < old and address:
            address = coarse(address)
        if "\\" in agent or "\\" in referrer:
            agent, referrer = agent.replace("\\", r"\\"), referrer.replace("\\", r"\\")
        whose = f"{owner.merchant_id}\t{owner.promoter_id}" if owner else f"{NULL}\t{NULL}"
        return (
            f"\\\\x{click_id}\t{_stamp(second)}.{micro:06d}+00\t{link}\t{whose}\t{day}\t{begins}"
            f"\t{address or NULL}\t{agent or NULL}\t{referrer or NULL}"
            f"\t{'t' if 'q' in marks else 'f'}\t{reason or NULL}\t{visitor}\t{said[1]}"
            f"\t{country or NULL}\t{_language(language) or NULL}\t{host_of(referrer) or NULL}\n"
        )

    def _moment(self, zone: str, quarter: int) -> tuple[str, str, bytes] | None:
        """The day in that zone, when the quarter begins, and the key that hashes visitors of the
        day. None for what no calendar has.
        """
        try:
            begins = _EPOCH + timedelta(seconds=quarter * QUARTER_SECONDS)
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
        if len(self._days) > REFERRERS_MAX:
            self._days.clear()
            self._keys.clear()


def read(line: bytes) -> list[str] | None:
    """The eight fields of a line (`spool.encode` wrote it); None when it is damaged."""
    rest = line[9:]
    if line[:9] != b"%08x\t" % zlib.crc32(rest) or not _FIELDS.match(rest):
        return None
    if rest.translate(None, _CONTROLS) != rest:
        return None
    try:
        fields = rest.decode().split("\t")
    except UnicodeDecodeError:
        return None
    if len(fields) == 7:  # of a version that kept no language
        fields.append("")
    return fields if len(fields) == 8 else None


@lru_cache(AGENTS_MAX)
def _told(agent: str) -> tuple[str | None, str]:
    """Why nobody sits there, and the four columns."""
    found = classify(agent)
    parts = (found.device, found.os, found.browser, found.app)
    return found.reason, "\t".join(part or NULL for part in parts)


@lru_cache(4096)
def _stamp(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat(" ")[:19]


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
