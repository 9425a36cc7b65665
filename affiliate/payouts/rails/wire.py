"""HTTP with a provider, and what each way of going wrong says about the money.

The one question is whether the provider may have seen the transfer. Only where the connection was
never made it surely did not; whatever happens afterwards leaves that open, until it is asked.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx

from affiliate.payouts.rails.interface import Answer, Said

SECONDS = 10  # for one answer
SECONDS_TO_CONNECT = 3
LONGEST = 300  # characters of a provider's words that are kept
NO_ANSWER = (ValueError, LookupError, TypeError, AttributeError)
Read = Callable[[Any], Answer]  # of what a success says
Explain = Callable[[int, Any], Answer | None]  # of what a 4xx says; None: nothing about the money


class NotSent(httpx.RequestError):
    """Something that must come before the transfer failed, so the transfer never left."""


# Nothing was sent yet when these are raised.
NOT_SENT = (
    NotSent, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)  # fmt: skip


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
    call: Callable[[], httpx.Response], read: Read, explain: Explain = lambda _status, _told: None
) -> Answer:
    """What sending came to. Refused is what the provider refuses in words that its rail knows: a
    4xx alone may speak of our key, of the moment, or of a reference that it has long since paid.
    """
    return _answer(call, read, explain)


def asked(
    call: Callable[[], httpx.Response], read: Read, explain: Explain = lambda _status, _told: None
) -> Answer:
    """What a question came to. Whatever is no answer leaves everything as it is; so does a
    `not_found` that is not in the provider's own words: a proxy in between says 404 to anything.
    """
    return _answer(call, read, explain)


def _answer(call: Callable[[], httpx.Response], read: Read, explain: Explain) -> Answer:
    answer, response = _call(call)
    if response is None:
        return answer
    if response.is_success:
        return _read(response, read)
    if response.is_client_error and (found := _explained(response, explain)):
        return replace(found, detail=found.detail or _words(response))
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
        return read(response.json(parse_float=Decimal))
    except NO_ANSWER:
        return Answer(Said.UNKNOWN, detail=_words(response))


def _explained(response: httpx.Response, explain: Explain) -> Answer | None:
    try:
        return explain(response.status_code, response.json())
    except NO_ANSWER:
        return None


def _words(response: httpx.Response) -> str:
    return _short(f"{response.status_code} {response.text[:LONGEST]}")


def _short(text: str) -> str:
    """One line that may be kept: no control characters, and not much of it."""
    return "".join(char if char.isprintable() else " " for char in text)[:LONGEST].strip()
