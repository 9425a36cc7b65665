"""The provider's HTTP: `POST /transfers`, `GET /transfers/<reference>`, and notifications.

It listens on loopback only: it pays nobody, but it takes anything from anybody.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from affiliate.payouts.sandbox.behaviour import Chance
from affiliate.payouts.sandbox.book import Book, OtherTransfer, Transfer

LARGEST = 64 * 1024
HANGS = 60  # seconds: longer than any caller waits
TELLING_TRIES = 3
Answer = tuple[HTTPStatus, Any]
REFERENCE = re.compile(r"[0-9A-Za-z-]{1,35}")
NOT_FOUND: Answer = (HTTPStatus.NOT_FOUND, {"error": "not_found"})
BROKEN: Answer = (HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "internal"})
BUSY: Answer = (HTTPStatus.SERVICE_UNAVAILABLE, {"error": "busy"})
BAD: Answer = (HTTPStatus.BAD_REQUEST, {"error": "bad_request"})
OTHER: Answer = (HTTPStatus.CONFLICT, {"error": "reference_used"})


class Cut(Exception):
    """Hang up without an answer."""


class Provider(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, log: Path, chance: Chance, hook: str | None) -> None:
        self.book = Book(log, chance)
        self.hook = hook
        super().__init__(("127.0.0.1", port), Desk)

    def handle_error(self, *_: object) -> None:
        """A caller that hung up is no news."""

    def server_close(self) -> None:
        super().server_close()
        self.book.close()


@contextmanager
def running(
    port: int, log: Path, chance: Chance | None = None, hook: str | None = None
) -> Iterator[Provider]:
    """In threads of this process, until the end of the block."""
    with Provider(port, log, chance or Chance(), hook) as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            provider.shutdown()
            thread.join()


class Desk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Provider

    def do_POST(self) -> None:
        body = self._body()
        self._answer(lambda: self._send(body) if self.path == "/transfers" else NOT_FOUND)

    def do_GET(self) -> None:
        place, _, reference = self.path.rpartition("/")
        self._answer(lambda: self._ask(reference) if place == "/transfers" else NOT_FOUND)

    def _send(self, body: Any) -> Answer:
        try:
            reference, account = str(body["reference"]), str(body["account"])
            amount, currency = int(body["amount"]), str(body["currency"])
        except (KeyError, TypeError, ValueError):
            return BAD
        if amount <= 0 or not REFERENCE.fullmatch(reference):
            return BAD
        book = self.server.book
        fault = book.fault(account, reference, book.called("sent", reference))
        if "before" in fault:
            return _go_wrong(fault)
        try:
            transfer, is_new = book.take(reference, amount, currency, account)
        except OtherTransfer:
            return OTHER
        if is_new and self.server.hook:
            threading.Thread(target=_tell, args=(self.server.hook, transfer), daemon=True).start()
        return _go_wrong(fault, transfer) if "after" in fault else _took(transfer, is_new=is_new)

    def _ask(self, reference: str) -> Answer:
        book = self.server.book
        fault = book.fault(None, reference, book.called("asked", reference))
        transfer = book.transfers.get(reference)
        if fault:
            return _go_wrong(fault, transfer)
        return (HTTPStatus.OK, transfer.shown()) if transfer else NOT_FOUND

    def _body(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        try:
            return json.loads(self.rfile.read(min(length, LARGEST)))
        except ValueError:
            return None

    def _answer(self, act: Callable[[], Answer]) -> None:
        try:
            status, said = act()
        except Cut:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The book says more."""


def _took(transfer: Transfer, *, is_new: bool) -> Answer:
    if transfer.course[0][1] == "failed":
        return HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "refused", **transfer.shown()}
    return HTTPStatus.CREATED if is_new else HTTPStatus.OK, transfer.shown()


def _go_wrong(fault: str, transfer: Transfer | None = None) -> Answer:
    if fault.startswith("cut"):
        raise Cut
    if fault.startswith("hang"):
        time.sleep(HANGS)
        raise Cut
    if fault.startswith("nonsense"):
        return HTTPStatus.OK, b"<html>a proxy was here</html>"
    if fault.startswith("other amount") and transfer:
        return HTTPStatus.OK, replace(transfer, amount=transfer.amount + 1).shown()
    return {"404": NOT_FOUND, "503 before": BUSY}.get(fault, BROKEN)


def _tell(hook: str, transfer: Transfer) -> None:
    """Hints at each new state, as often and in the order that this transfer is told of."""
    steps = list(transfer.course)
    if transfer.tells == "never":
        return
    if transfer.tells == "backwards":
        time.sleep(steps[-1][0])
        steps = [(0, state) for _, state in reversed(steps)]
    began = time.monotonic()
    for begins, state in steps:
        time.sleep(max(began + begins - time.monotonic(), 0))
        for _ in range(2 if transfer.tells == "twice" else 1):
            _knock(hook, {"reference": transfer.reference, "state": state})


def _knock(hook: str, told: dict[str, str]) -> None:
    for _ in range(TELLING_TRIES):
        try:
            if httpx.post(hook, json=told, timeout=5).status_code < 500:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
