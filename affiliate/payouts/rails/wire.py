"""HTTP with a provider, and what each way of going wrong says about the money.

The one question is whether the provider may have seen the transfer. Only where the connection was
never made it surely did not; whatever happens afterwards leaves that open, until it is asked.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx

from affiliate.payouts.rails.interface import Answer, Said

SECONDS = 10  # for one answer
SECONDS_TO_CONNECT = 3
LONGEST = 300  # characters of a provider's words that are kept
# Nothing was sent yet when these are raised.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
Read = Callable[[Any], Answer]


@contextmanager
def client(url: str | None, *, at_once: int, **options: Any) -> Iterator[httpx.Client]:
    """Follows no redirects: money goes to the address that somebody configured, or nowhere."""
    with httpx.Client(
        # Without an address every call is one that nobody took.
        base_url=(url or "").rstrip("/") + "/",
        timeout=httpx.Timeout(SECONDS, connect=SECONDS_TO_CONNECT),
        limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
        **options,
    ) as found:
        yield found


def sent(
    call: Callable[[], httpx.Response], read: Read, *, refusals: Collection[str] = ()
) -> Answer:
    """What sending came to. Refused is what the provider refuses in words that its rail knows: a
    4xx alone may speak of our key, of the moment, or of a reference that it has long since paid.
    """
    answer, response = _call(call)
    if response is None:
        return answer
    if response.is_success:
        return _read(response, read)
    if response.is_client_error and _error(response) in refusals:
        return Answer(Said.FAILED, detail=_words(response))
    return Answer(Said.UNKNOWN, detail=_words(response))


def asked(call: Callable[[], httpx.Response], read: Read) -> Answer:
    """What a question came to. Whatever is no answer leaves everything as it is."""
    answer, response = _call(call)
    if response is None:
        return answer
    if response.is_success:
        return _read(response, read)
    if response.status_code == HTTPStatus.NOT_FOUND:
        return _not_found(response)
    return Answer(Said.UNKNOWN, detail=_words(response))


def _call(call: Callable[[], httpx.Response]) -> tuple[Answer, httpx.Response | None]:
    try:
        return Answer(Said.UNKNOWN), call()
    except NOT_SENT as error:
        return Answer(Said.UNREACHABLE, detail=_short(f"{type(error).__name__}: {error}")), None
    except httpx.HTTPError as error:
        return Answer(Said.UNKNOWN, detail=_short(f"{type(error).__name__}: {error}")), None


def _read(response: httpx.Response, read: Read) -> Answer:
    try:
        return read(response.json())
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(Said.UNKNOWN, detail=_words(response))


def _not_found(response: httpx.Response) -> Answer:
    """Only in the provider's own words: a proxy in between says 404 to anything."""
    is_theirs = _error(response) == "not_found"
    return Answer(Said.NOT_FOUND if is_theirs else Said.UNKNOWN, detail=_words(response))


def _error(response: httpx.Response) -> object:
    try:
        return response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return None


def _words(response: httpx.Response) -> str:
    return _short(f"{response.status_code} {response.text[:LONGEST]}")


def _short(text: str) -> str:
    """One line that may be kept: no control characters, and not much of it."""
    return "".join(char if char.isprintable() else " " for char in text)[:LONGEST].strip()
