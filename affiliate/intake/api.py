"""Asking a shop's API: time-outs, patience, fresh tokens, and no database transaction meanwhile."""

import ipaddress
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

from flask import current_app

from affiliate import clock
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.reading import Node, Unreadable

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS, READ_SECONDS = 5, 20
TRIES = 4
LONGEST_PAUSE = 20  # seconds in which a worker waits; for longer the job comes again
LARGEST = 32 * 1024 * 1024  # bytes of an answer
BUSY = {408, 425, 429, 500, 502, 503, 504}
UNTOUCHED = {425, 429}  # the shop did not even look at what it was sent


class Window(NamedTuple):
    """From when to when a shop changed something."""

    since: datetime
    until: datetime


class Page(NamedTuple):
    """A part of what changed in a window."""

    bodies: Sequence[bytes]
    cursor: str  # of the next page; "" on the last one
    total: int | None = None  # how many the shop says the window has


class NotNow(Exception):
    """The shop does not answer, or asks for patience: nothing is lost, it is asked again."""

    def __init__(self, message: str, seconds: int = 60) -> None:
        super().__init__(message)
        self.seconds = seconds


class Refused(Exception):
    """The shop will not tell us, now or later, unless somebody does something about it."""

    def __init__(self, code: str, message: str, answer: "Answer | None" = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.answer = answer  # what the shop said, where it said anything


class Token(NamedTuple):
    """What stands for the shop's consent for some hours."""

    access: str
    refresh: str = ""
    until: datetime | None = None

    @property
    def is_fresh(self) -> bool:
        return self.until is None or clock.now() + timedelta(minutes=2) < self.until


class Tokens(Protocol):
    """Where a shop's token is kept between jobs."""

    def current(self) -> Token | None: ...

    def renewed(self, old: Token | None, renew: Callable[[Token | None], Token]) -> Token:
        """A newer token than the old one; only one worker at a time asks for it."""


@dataclass(slots=True)
class Ask:
    """A request that is being made; the platform's `Api` puts its proof into it."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Node


def next_cursor(answer: Answer) -> str:
    """`abc` of the header `Link: <https://…?page_info=abc>; rel="next"`, beside others or not."""
    for link in answer.headers.get("Link", "").split(","):
        address, _, relation = link.strip().partition(">;")
        if 'rel="next"' in relation:
            query = parse_qs(urlsplit(address.lstrip("<")).query)
            return next(iter(query.get("page_info", [])), "")
    return ""


def base_of(platform: str, api: "Api", keys: Keys) -> str:
    """Where a shop is asked. A host that a merchant typed must be one on the open internet."""
    settings = current_app.config["SETTINGS"]
    if platform in settings.shop_apis:
        return str(settings.shop_apis[platform]).rstrip("/")
    base = api.base(keys)
    host = urlsplit(base).hostname or ""
    if host == urlsplit(f"//{keys.domain}").hostname and not _is_public(host):
        raise Refused("not_public", f"{host} is not on the open internet")
    return base


def _is_public(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotNow(f"{host} cannot be found") from None
    return all(ipaddress.ip_address(address[4][0]).is_global for address in found)


def _no_token(client: "Client", old: Token | None) -> Token:  # noqa: ARG001
    raise Refused("no_token", "this platform has no tokens to renew")


def _said_no(answer: Answer) -> bool:
    return answer.status == 401


def _is_busy(answer: Answer) -> bool:
    return answer.status in BUSY


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """How one platform is asked."""

    base: Callable[[Keys], str]
    """The address that paths are behind, without a slash at its end."""

    prove: Callable[[Keys, str, Ask], None]
    """Puts the proof into a request: the access token where there is one, a signature."""

    renew: Callable[["Client", Token | None], Token] = _no_token
    uses_tokens: bool = False
    is_stale: Callable[[Answer], bool] = _said_no
    is_busy: Callable[[Answer], bool] = _is_busy


class Client:
    """Asks one shop. JSON in, `Node` out; what cannot be had is NotNow or Refused."""

    def __init__(self, api: Api, keys: Keys, tokens: Tokens, base: str) -> None:
        self.keys = keys
        self.asked = 0  # how many requests were made
        self._api = api
        self._tokens = tokens
        self._base = base
        self._http: httpx.Client | None = None

    def __enter__(self) -> "Client":
        import httpx  # what only workers need

        self._http = httpx.Client(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            headers={"User-Agent": "Tuike (self-hosted affiliate platform)"},
            follow_redirects=False,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._http is not None:
            self._http.close()

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Answer:
        return self._ask("GET", path, query or {}, b"")

    def post(self, path: str, body: object, query: Mapping[str, object] | None = None) -> Answer:
        return self._ask("POST", path, query or {}, reading.dump(body))

    def change(
        self, method: str, path: str, body: object, query: Mapping[str, object] | None = None
    ) -> Answer:
        """Something is to be made, changed or deleted there. It is sent again only where the shop
        did not look at it; after a lost answer whoever asks must see first what became of it.
        """
        content = b"" if body is None else reading.dump(body)
        return self._ask(method, path, query or {}, content, is_change=True)

    def other(self, address: str) -> str:
        """Another host of the platform; in a sandbox there is only one."""
        return address if self._base == self._api.base(self.keys) else self._base

    def for_token(self, ask: Ask, *, at: str | None = None) -> Answer:
        """How tokens themselves are asked for. A server that is busy has not taken back consent."""
        answer = self.once(ask, at=at)
        if self._api.is_busy(answer) or answer.status in BUSY:
            raise NotNow(f"{answer.status} at {ask.path}")
        return answer

    def once(self, ask: Ask, *, at: str | None = None) -> Answer:
        """One request as it is."""
        import httpx

        assert self._http is not None
        self.asked += 1
        try:
            with self._http.stream(
                ask.method,
                f"{at or self._base}{ask.path}",
                params=ask.query,
                headers=ask.headers,
                content=ask.body,
            ) as found:
                content = b"".join(_bounded(found))
                return Answer(found.status_code, found.headers, _node(found.status_code, content))
        except httpx.HTTPError as error:
            raise NotNow(f"{type(error).__name__} at {ask.path}") from None

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: bytes,
        *,
        is_change: bool = False,
    ) -> Answer:
        token = self._token()
        renewed = False
        for attempt in range(TRIES):
            ask = Ask(method, path, {name: str(value) for name, value in query.items()}, {}, body)
            if body:
                ask.headers["Content-Type"] = "application/json"
            self._api.prove(self.keys, token.access if token else "", ask)
            try:
                answer = self.once(ask)
            except NotNow:
                if is_change or attempt == TRIES - 1:
                    raise
                _wait(2**attempt)
                continue
            if self._api.is_stale(answer):
                if not self._api.uses_tokens or renewed:
                    told = f"{answer.status} at {path}: look at the keys"
                    raise Refused("unauthorized", told, answer)
                token, renewed = self._patiently(token), True
                continue
            if not self._api.is_busy(answer):
                return _good(answer, path)
            pause = _pause(answer, attempt)
            is_lost = is_change and answer.status in BUSY - UNTOUCHED
            if is_lost or attempt == TRIES - 1 or pause > LONGEST_PAUSE:
                raise NotNow(f"{answer.status} at {path}", max(60, pause))
            _wait(pause)
        raise NotNow(f"too many tries at {path}")

    def _token(self) -> Token | None:
        if not self._api.uses_tokens:
            return None
        token = self._tokens.current()
        if token is None or not token.is_fresh:
            token = self._patiently(token)
        return token

    def _patiently(self, old: Token | None) -> Token:
        for attempt in range(TRIES - 1):
            try:
                return self._tokens.renewed(old, self._renew)
            except NotNow:
                _wait(2**attempt)
        return self._tokens.renewed(old, self._renew)

    def _renew(self, old: Token | None) -> Token:
        return self._api.renew(self, old)


def _bounded(found: "httpx.Response") -> Sequence[bytes]:
    parts, size = [], 0
    for part in found.iter_bytes():
        size += len(part)
        if size > LARGEST:
            raise Refused("too_large", "an answer of more than 32 MB")
        parts.append(part)
    return parts


def _node(status: int, content: bytes) -> Node:
    """The answer's JSON. What else servers say beside an error is not read."""
    try:
        return reading.load(content)
    except Unreadable as error:
        if status < 300:
            raise NotNow(f"an answer that cannot be read: {error.code}") from None
        return Node({})


def _good(answer: Answer, path: str) -> Answer:
    if answer.status < 300:
        return answer
    if answer.status in (404, 410):
        raise Refused("not_found", f"the shop knows nothing at {path}", answer)
    raise Refused("refused", f"the shop answered {answer.status} at {path}", answer)


def _pause(answer: Answer, attempt: int) -> int:
    """As long as the shop asks for, else twice as long each time."""
    told = answer.headers.get("Retry-After", "")
    if told.isascii() and told.replace(".", "", 1).isdigit():
        return int(told.split(".")[0] or 0) + 1 if told.strip("0.") else 0
    left = answer.headers.get("X-Rate-Limit-Reset", "")  # milliseconds: Tiendanube
    if left.isascii() and left.isdigit():
        return min(LONGEST_PAUSE, int(left) // 1000 + 1)
    return int(2**attempt)


def _wait(seconds: int) -> None:
    time.sleep(seconds)
