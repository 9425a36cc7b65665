"""`affiliate live` as a process of its own, and streams of it as a page opens them."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader

import httpx

from affiliate.config import load
from affiliate.live import token
from affiliate.live.token import Ticket
from tests.conftest import SECRET
from tests.house.system import AFFILIATE, ROOT, free_port, wait

SETTINGS = load(secret_key=SECRET)
SECONDS = 20  # what is awaited comes at once, but the machine may be busy


@dataclass
class Stream:
    """One open page."""

    lines: BufferedReader

    def next(self) -> str | None:
        """The next line that says something; None at the end."""
        for line in self.lines:
            if line.strip(b":\r\n"):
                return line.decode().strip()
        return None

    def begin(self) -> "Stream":
        """Past the head, so that it certainly listens."""
        assert self.next() == "HTTP/1.1 200 OK"
        while not str(self.next()).startswith("retry: "):
            pass
        return self


@dataclass
class Exchange:
    process: subprocess.Popen[bytes]
    port: int

    def status(self, path: str, method: str = "GET") -> int:
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}").status_code

    def is_well(self) -> bool:
        try:
            return self.status("/livez") == 200
        except httpx.HTTPError:
            return False

    @contextmanager
    def stream(
        self, channel: str, user_id: int = 1, also: tuple[str, ...] = ()
    ) -> Iterator[Stream]:
        ticket = token.make(SETTINGS, Ticket(user_id, channel, also))
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as door:
            door.sendall(f"GET /live/{ticket} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            with door.makefile("rb") as lines:
                yield Stream(lines)

    def may_listen(self, user_id: int) -> bool:
        with self.stream("merchant:1", user_id) as page:
            return page.next() == "HTTP/1.1 200 OK"


@contextmanager
def exchange(redis_url: str, **environment: str) -> Iterator[Exchange]:
    """A running `affiliate live`. It needs no database, so it gets an address of none."""
    port = free_port()
    given = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": redis_url,
        "AFFILIATE_SECRET_KEY": SECRET,
        "AFFILIATE_LIVE_PORT": str(port),
    }
    process = subprocess.Popen([*AFFILIATE, "live"], cwd=ROOT, env=os.environ | given | environment)
    try:
        yield Exchange(process, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


@contextmanager
def well(redis_url: str) -> Iterator[Exchange]:
    with exchange(redis_url) as running:
        wait(running.is_well)
        yield running
