"""The provider's HTTP: `POST /transfers`, `GET /transfers/<reference>`, and notifications; other
providers' formats below their own paths (`wires`).

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
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from affiliate.payouts.sandbox.behaviour import Chance
from affiliate.payouts.sandbox.book import Book, OtherTransfer, Transfer
from affiliate.payouts.sandbox.keys import Keys
from affiliate.payouts.sandbox.wires import Answer, Own, Wire, wires

LARGEST = 64 * 1024
HANGS = 60  # seconds: longer than any caller waits
TELLING_TRIES = 3
REFERENCE = re.compile(r"[0-9A-Za-z-]{1,35}")
BROKEN: Answer = (HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "internal"})
BUSY: Answer = (HTTPStatus.SERVICE_UNAVAILABLE, {"error": "busy"})
OWN = Own()


class Cut(Exception):
    """Hang up without an answer."""


class Provider(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, log: Path, chance: Chance, hook: str | None) -> None:
        self.book = Book(log, chance)
        self.keys = Keys(log.with_suffix(".keys"))
        self.wires = wires(self.keys)
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
        content = self._content()
        wire = self._wire()
        self._answer(wire, lambda: self._post(wire, content))

    def do_GET(self) -> None:
        wire = self._wire()
        self._answer(wire, lambda: self._get(wire))

    def _wire(self) -> Wire:
        """The last one is our own, for all other paths."""
        name = self.path.split("/")[1]
        return next((w for w in self.server.wires if w.posts.split("/")[1] == name), OWN)

    def _post(self, wire: Wire, content: bytes) -> Answer:
        if refused := wire.refuses("POST", self.path, self.headers, content):
            return refused
        if self.path.partition("?")[0] != wire.posts:
            return wire.other(self.path) or wire.not_found
        return self._send(wire, content)

    def _send(self, wire: Wire, content: bytes) -> Answer:
        try:
            order = wire.order(self.headers, json.loads(content, parse_float=Decimal))
        except (LookupError, TypeError, ValueError):
            return wire.bad
        if order.amount <= 0 or not REFERENCE.fullmatch(order.reference):
            return wire.bad
        book, reference = self.server.book, order.reference
        fault = book.fault(order.account, reference, book.called("sent", reference))
        if "before" in fault:
            return _go_wrong(fault, wire)
        try:
            transfer, is_new = book.take(reference, order.amount, order.currency, order.account)
        except OtherTransfer:
            return wire.took(book.transfers[reference], is_new=False, is_other=True)
        if is_new and wire.knocks and self.server.hook:
            threading.Thread(target=_tell, args=(self.server.hook, transfer), daemon=True).start()
        if "after" in fault:
            return _go_wrong(fault, wire, transfer)
        return wire.took(transfer, is_new=is_new)

    def _get(self, wire: Wire) -> Answer:
        if refused := wire.refuses("GET", self.path, self.headers, b""):
            return refused
        if not wire.gets or not self.path.startswith(wire.gets):
            return wire.not_found
        book, name = self.server.book, self.path.removeprefix(wire.gets)
        transfer = book.by_number(name) if wire.asked_by_number else book.transfers.get(name)
        reference = transfer.reference if transfer else name
        fault = book.fault(None, reference, book.called("asked", reference))
        if fault:
            return _go_wrong(fault, wire, transfer)
        return wire.told(transfer) if transfer else wire.not_found

    def _content(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(min(length, LARGEST))

    def _answer(self, wire: Wire, act: Callable[[], Answer]) -> None:
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
        if not isinstance(said, bytes):  # what somebody in between answers is not sealed
            for name, value in wire.seal(content).items():
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The book says more."""


def _go_wrong(fault: str, wire: Wire, transfer: Transfer | None = None) -> Answer:
    if fault.startswith("cut"):
        raise Cut
    if fault.startswith("hang"):
        time.sleep(HANGS)
        raise Cut
    if fault.startswith("nonsense"):
        return HTTPStatus.OK, b"<html>a proxy was here</html>"
    if fault.startswith("other amount") and transfer:
        return wire.told(replace(transfer, amount=transfer.amount + 1))
    if fault.startswith("other currency") and transfer:
        return wire.told(replace(transfer, currency="EUR"))
    return {"404": wire.not_found, "503 before": BUSY}.get(fault, BROKEN)


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
