"""What an address says: how it is stored, and its country by the operator's MMDB file."""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import maxminddb
import structlog

log = structlog.get_logger(__name__)

ADDRESSES_MAX = 65_536
Place = tuple[str | None, str | None]  # the address as PostgreSQL takes it, the country


class BadGeoip(Exception):
    """The file cannot be used; the message says why."""


def opened(path: Path) -> maxminddb.Reader:
    """A file of countries. Raises BadGeoip for anything else."""
    try:
        reader = maxminddb.open_database(path)
        _country(reader.get("8.8.8.8"))
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise BadGeoip(str(error) or type(error).__name__) from error
    return reader


def finder(path: Path | None) -> Callable[[str], Place]:
    """A function from a text to its place, which remembers. A broken file is none: clicks are
    stored all the same, and `affiliate doctor` says what is wrong.
    """
    reader: maxminddb.Reader | None = None
    if path is not None:
        try:
            reader = opened(path)
        except BadGeoip as error:
            log.warning("countries stay unknown", path=str(path), error=str(error))

    @lru_cache(ADDRESSES_MAX)
    def find(text: str) -> Place:
        address = _address(text)
        return address, _country_of(reader, address) if reader and address else None

    return find


def coarse(address: str) -> str:
    """The network of an address, /24 or /48: what is kept after a month."""
    bits = 24 if ipaddress.ip_address(address).version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def _address(text: str) -> str | None:
    """What PostgreSQL takes as an address: no interface names, nothing a proxy made up."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _country_of(reader: maxminddb.Reader, address: str) -> str | None:
    try:
        return _country(reader.get(address))
    except (ValueError, maxminddb.InvalidDatabaseError):
        return None  # an IPv6 address in a file of IPv4


def _country(found: Any) -> str | None:
    """As MaxMind, DB-IP and IPinfo write it."""
    if not isinstance(found, dict):
        return None
    place = found.get("country") or found.get("registered_country") or found.get("country_code")
    code = place.get("iso_code") if isinstance(place, dict) else place
    if isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha():
        return code.upper()
    return None
