"""Pictures from shops: over the open internet only, within bounds of time and size."""

import ipaddress
import socket
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin

import httpcore
import structlog

from affiliate.catalog import rules

log = structlog.get_logger(__name__)

CONNECT_SECONDS, READ_SECONDS = 3.0, 5.0
IN_ALL_SECONDS = 8
BYTES_MOST = 20 * 1024 * 1024
REDIRECTS_MOST = 3
_HEADERS: dict[str | bytes, str | bytes] = {
    "User-Agent": "Tuike (self-hosted affiliate platform)",
    "Accept": "image/avif,image/webp,image/jpeg,image/png,image/gif",
    "Accept-Encoding": "identity",
}


class Unfetched(Exception):
    """There is no picture at this address, or not for us; the code says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _OpenInternet(httpcore.SyncBackend):
    """Connects to the very address that was looked at, so a name cannot change in between."""

    def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unfetched("unknown_host") from None
        addresses = [str(each[4][0]) for each in found]
        if not addresses or not all(ipaddress.ip_address(each).is_global for each in addresses):
            raise Unfetched("not_public")
        return super().connect_tcp(addresses[0], port, *rest, **more)


def fetch(address: str, *, private: bool = False) -> bytes:
    """What is there. Never called while a transaction is open."""
    until = time.monotonic() + IN_ALL_SECONDS
    backend = httpcore.SyncBackend() if private else _OpenInternet()
    with httpcore.ConnectionPool(network_backend=backend) as pool:
        for _ in range(REDIRECTS_MOST + 1):
            try:
                found = _once(pool, address, until)
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError,
                    OSError) as error:  # fmt: skip
                log.info("picture not fetched", address=address, error=type(error).__name__)
                raise Unfetched("no_answer") from None
            if isinstance(found, bytes):
                return found
            address = _checked(found)
    raise Unfetched("redirects")


def _once(pool: httpcore.ConnectionPool, address: str, until: float) -> bytes | str:
    """The content, or where it is instead."""
    limits = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": 3.0, "pool": 1.0}
    with pool.stream("GET", address, headers=_HEADERS, extensions={"timeout": limits}) as answer:
        if answer.status in (301, 302, 303, 307, 308):
            return urljoin(address, _header(answer, b"location"))
        if answer.status != 200:
            raise Unfetched(f"status_{answer.status}")
        return _bounded(answer.iter_stream(), until)


def _bounded(parts: Iterable[bytes], until: float) -> bytes:
    kept, size = [], 0
    for part in parts:
        size += len(part)
        if size > BYTES_MOST:
            raise Unfetched("too_large")
        if time.monotonic() > until:
            raise Unfetched("too_slow")
        kept.append(part)
    return b"".join(kept)


def _header(answer: httpcore.Response, name: bytes) -> str:
    found = next((value for key, value in answer.headers if key.lower() == name), b"")
    return found.decode("latin-1")


def _checked(address: str) -> str:
    try:
        return rules.web_address(address)
    except rules.BadAddress:
        raise Unfetched("bad_address") from None
