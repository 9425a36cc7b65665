"""The fast road: `GET /s/<code>` is answered in front of Flask when its link is at hand.

No database, no Valkey, no dispatch: a token is signed, the click appended to the spool, the visitor
sent on. Everything else (a link not seen yet, previews, ended links, HEAD) goes on to Flask, which
answers by the same rules. `tests/links/test_road.py` holds both against each other.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask

from affiliate import clock, headers, security
from affiliate.links import rules, spool, token
from affiliate.links.lookup import Known, Lookup
from affiliate.links.rules import Visit
from affiliate.links.spool import Spool

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REMEMBERED_MAX = 10_000
PREFIX = "/s/"
Kept = TypeVar("Kept", bound=str | None)
_AHEAD = {"prefetch", "preview", "prefetch;prerender"}


class Road:
    """Every other address goes on to `onward`."""

    def __init__(self, app: Flask, onward: "WSGIApplication", hops: int) -> None:
        self._onward = onward
        self._hops = hops
        self._lookup: Lookup = app.extensions["links"]
        self._spool: Spool = app.extensions["spool"]
        with app.app_context():
            self._sign = token.Signer(security.key(token.PURPOSE)).sign
        self._headers = {secure: _headers(secure=secure) for secure in (False, True)}
        self._agents: dict[str, str | None] = {}  # as the spool takes it; None: draws a card
        self._texts: dict[str, str] = {"": ""}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(PREFIX) and environ["REQUEST_METHOD"] == "GET":
            known = self._lookup.at_hand(path[3:])
            if known is not None:
                location = self._pass(known, environ)
                if location is not None:
                    start_response(
                        "302 FOUND",
                        [("Location", location), *self._headers[self._is_secure(environ)]],
                    )
                    return [b""]  # of a list granian makes no stream
        return self._onward(environ, start_response)

    def _pass(self, known: Known, environ: "WSGIEnvironment") -> str | None:
        """Where to; the click is written down. None: this visit wants a closer look."""
        facts = known.facts
        now = clock.ticks()
        ready = known.ready
        if ready is None:
            ready = known.ready = rules.ready(facts, clock.now())
            if ready is None:
                return None
        if now >= ready.until:
            return None
        agent = self._agent(environ.get("HTTP_USER_AGENT", ""))
        if agent is None:
            return None
        click_id = token.fresh_id()
        signed = self._sign(facts.id, now // clock.SECOND, click_id[: token.NONCE_BYTES])
        query = environ.get("QUERY_STRING", "")
        if not query or query == rules.SCAN_MARK:
            location, scanned = f"{ready.before}{signed}{ready.after}", bool(query)
        else:
            visit = Visit(query=utf8(query), user_agent=agent)
            found = rules.answer(facts, visit, clock.now(), lambda: signed)
            if found.location is None or not found.counts:
                return None
            location, scanned = found.location, found.scanned
        self._spool.append_line(
            spool.line(
                f"{click_id.hex()}\t{now}\t{facts.id}",
                spool.flags(scanned=scanned, prefetched=is_ahead(environ), head=False),
                self._address(environ),
                agent,
                self._text(environ.get("HTTP_REFERER", "")),
                self._text(environ.get("HTTP_ACCEPT_LANGUAGE", "")[: spool.LANGUAGE_MAX]),
            )
        )
        return location

    def _agent(self, sent: str) -> str | None:
        try:
            return self._agents[sent]
        except KeyError:
            read = utf8(sent)
            return _remember(
                self._agents, sent, None if rules.is_preview(read) else spool.clean(read)
            )

    def _text(self, sent: str) -> str:
        try:
            return self._texts[sent]
        except KeyError:
            return _remember(self._texts, sent, spool.clean(utf8(sent)))

    def _address(self, environ: "WSGIEnvironment") -> str:
        """The visitor's, as werkzeug's ProxyFix finds it: that many places from the right."""
        told = self._hop(environ, "HTTP_X_FORWARDED_FOR")
        return spool.clean(told) if told else environ.get("REMOTE_ADDR", "")

    def _is_secure(self, environ: "WSGIEnvironment") -> bool:
        scheme = self._hop(environ, "HTTP_X_FORWARDED_PROTO") or environ["wsgi.url_scheme"]
        return bool(scheme == "https")

    def _hop(self, environ: "WSGIEnvironment", name: str) -> str:
        if not self._hops or name not in environ:
            return ""
        values = [each.strip() for each in environ[name].split(",")]
        return values[-self._hops] if len(values) >= self._hops else ""


def _remember(kept: dict[str, Kept], sent: str, read: Kept) -> Kept:
    """Of what repeats; not of floods and not of giants."""
    if len(kept) >= REMEMBERED_MAX:
        kept.clear()
    if len(sent) <= spool.TEXT_CHARACTERS_MAX:
        kept[sent] = read
    return read


def utf8(text: str) -> str:
    """WSGI hands bytes over as if they were Latin-1; most of them are UTF-8."""
    if text.isascii():
        return text
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def is_ahead(environ: "WSGIEnvironment") -> bool:
    """Whether a browser asks before somebody has chosen to go there."""
    for name in ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ"):
        if name in environ:
            return environ[name].lower().replace(" ", "") in _AHEAD
    return False


def _headers(*, secure: bool) -> list[tuple[str, str]]:
    """As a redirect by Flask has them."""
    own: dict[str, Any] = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "0",
        "Cache-Control": "no-store",
    }
    return [*own.items(), *headers.every(secure=secure)]
