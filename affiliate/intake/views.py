"""`POST /hooks/<connection>`: where shops knock. Signature, one INSERT, 200.

On a day of sales they knock a thousand times a second, so their door stands before Flask: cookies,
languages, pages and the session are nothing to them, and would cost four times the rest. What it
answers carries the same headers, id and log line as every other answer.
"""

import re
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import structlog
from flask import Flask
from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from affiliate import headers, ids, logs
from affiliate.catalog import queries
from affiliate.catalog import service as catalog
from affiliate.catalog.queries import Door as Shop
from affiliate.db import AWAY
from affiliate.errors import NotFound
from affiliate.intake import service
from affiliate.intake.platforms import PLATFORMS, Knock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger(__name__)

RULE = "/hooks/<connection>"
PATH = re.compile("/hooks/([^/]+)")
SHOPS_MAX = 10_000

UNKNOWN = (HTTPStatus.NOT_FOUND, b'{"error":"unknown_connection"}\n')
BAD_SIGNATURE = (HTTPStatus.UNAUTHORIZED, b'{"error":"bad_signature"}\n')
NOT_ALLOWED = (HTTPStatus.METHOD_NOT_ALLOWED, b'{"error":"method_not_allowed"}\n')
CUT = (HTTPStatus.BAD_REQUEST, b'{"error":"cut"}\n')
TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b'{"error":"too_large"}\n')
AWAY_NOW = (HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":"unavailable"}\n')
BROKEN = (HTTPStatus.INTERNAL_SERVER_ERROR, b'{"error":"internal_error"}\n')
Answer = tuple[HTTPStatus, bytes]


class Door:
    """The WSGI application in front of Flask's; it remembers the shops that knocked."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._flask = app.wsgi_app
        self._largest = app.config["MAX_CONTENT_LENGTH"]
        self._known: dict[str, Shop] = {}

    def __call__(self, environ: "WSGIEnvironment", respond: "StartResponse") -> Iterable[bytes]:
        path = PATH.fullmatch(environ["PATH_INFO"])
        method = environ["REQUEST_METHOD"]
        if path is None or method not in ("GET", "POST"):
            return self._flask(environ, respond)
        began = time.perf_counter()
        request_id = logs.begin_request(environ.get("HTTP_X_REQUEST_ID", ""))
        with self._app.app_context():
            status, said = self._answer(path[1], environ)
        respond(
            f"{status.value} {status.phrase}",
            [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(said))),
                ("X-Request-Id", request_id),
                *headers.every(secure=environ["wsgi.url_scheme"] == "https"),
            ],
        )
        logs.end_request(method, RULE, status, began)
        return [said]

    def forget(self) -> None:
        self._known.clear()

    def _answer(self, connection: str, environ: "WSGIEnvironment") -> Answer:
        try:
            return self._receive(connection, environ)
        except RequestEntityTooLarge:
            return TOO_LARGE
        except BadRequest:  # the rest of the body did not come
            return CUT
        except AWAY:
            log.warning("the database is away, a webhook is not kept", exc_info=True)
            return AWAY_NOW
        except Exception:
            log.exception("a webhook is not kept")
            return BROKEN

    def _receive(self, connection: str, environ: "WSGIEnvironment") -> Answer:
        """What is remembered of a shop may be old. It is good enough to say yes, as the INSERT sees
        to it that the shop is still like that; before a no the shop is looked at again.
        """
        shop = self._known.get(connection) or self._look(connection)
        if shop is None:
            return UNKNOWN
        body = get_input_stream(environ, max_content_length=self._largest).read()
        knock = Knock(EnvironHeaders(environ), body, _query(environ))
        posted = environ["REQUEST_METHOD"] == "POST"
        while shop is not None:
            platform, keys = PLATFORMS[shop.platform], catalog.keys(shop)
            greeting = platform.greet(keys, knock)
            if greeting is not None:
                return HTTPStatus.OK, greeting
            signed = posted and platform.signed(keys, knock)
            if signed and service.keep(shop, knock, keys):
                return HTTPStatus.OK, platform.thanks
            before, shop = shop, self._look(connection)
            if shop == before and signed:
                return HTTPStatus.OK, platform.thanks
            if shop == before:
                if posted or knock.query:  # a person who looks what is there is no shop
                    service.note_refusal(shop, platform.why(keys, knock))
                return BAD_SIGNATURE if posted else NOT_ALLOWED
        return UNKNOWN

    def _look(self, connection: str) -> Shop | None:
        """The connection in the URL decides whose secret counts, never a header."""
        try:
            merchant_id, shop_id = ids.decode_pair("shp", connection)
        except NotFound:
            return None
        shop = queries.door(merchant_id, shop_id)
        if len(self._known) >= SHOPS_MAX:
            self._known.clear()
        if shop is None:
            self._known.pop(connection, None)
        else:
            self._known[connection] = shop
        return shop


def _query(environ: "WSGIEnvironment") -> dict[str, str]:
    """The first value of each name."""
    text = environ.get("QUERY_STRING", "")
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return {}
    return dict(reversed(pairs))
