"""Small questions to servers of others: time limits, size limits, no redirects.

A host that an operator configured may be anywhere; one that came from a browser must be on the
open internet. Never asked while a transaction is open.
"""

import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS, READ_SECONDS = 5, 15
LARGEST = 1024 * 1024  # bytes of an answer


class Unreachable(Exception):
    """No answer, or none that can be read."""


class NotPublic(Exception):
    """The host is not on the open internet."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise Unreachable("an answer that is no JSON") from error
        if not isinstance(found, dict):
            raise Unreachable("an answer that is no JSON object")
        return found


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    query: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
) -> Answer:
    import httpx  # what few processes need

    try:
        with (
            httpx.Client(
                timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS), follow_redirects=False
            ) as client,
            client.stream(
                method, url, headers=headers, content=body, params=query, auth=auth
            ) as found,
        ):
            content = b""
            for part in found.iter_bytes():
                content += part
                if len(content) > LARGEST:
                    raise Unreachable(f"an answer of more than {LARGEST} bytes")
            return Answer(found.status_code, found.headers, content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{type(error).__name__} at {urlsplit(url).hostname}") from error


def check_public(url: str) -> None:
    """Refuses what is not an https address of the open internet."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise NotPublic(f"{parts.hostname} is not reached by https")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        raise Unreachable(f"{parts.hostname} cannot be found") from None
    if not all(ipaddress.ip_address(address[4][0]).is_global for address in found):
        raise NotPublic(f"{parts.hostname} is not on the open internet")
