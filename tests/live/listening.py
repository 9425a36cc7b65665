"""`affiliate live` as a process of its own, and streams of it as a page opens them."""

import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue

import httpx

from affiliate.config import load
from affiliate.live import token
from affiliate.live.token import Ticket
from tests.conftest import SECRET
from tests.house.system import AFFILIATE, ROOT, free_port, wait

SETTINGS = load(secret_key=SECRET)
SECONDS = 20  # what is awaited comes at once, but the machine may be busy


@dataclass
class Exchange:
    process: subprocess.Popen
    port: int

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def status(self, path, method="GET"):
        return httpx.request(method, self.address + path).status_code

    def is_well(self):
        try:
            return self.status("/livez") == 200
        except httpx.HTTPError:
            return False

    @contextmanager
    def stream(self, channel, user_id=1):
        """Lines that are not empty, in a queue; None at the end."""
        path = f"/live/{token.make(SETTINGS, Ticket(user_id, channel))}"
        lines = Queue()
        timeout = httpx.Timeout(SECONDS, read=60)
        with httpx.stream("GET", self.address + path, timeout=timeout) as answer:
            thread = threading.Thread(target=_read, args=(answer, lines))
            thread.start()
            try:
                yield Stream(answer, lines)
            finally:
                answer.extensions["network_stream"].get_extra_info("socket").shutdown(2)
                thread.join()


def _read(answer, lines):
    try:
        for line in answer.iter_lines():
            if line:
                lines.put(line)
    except httpx.HTTPError:
        pass
    lines.put(None)


@dataclass
class Stream:
    answer: httpx.Response
    lines: Queue

    def next(self):
        return self.lines.get(timeout=SECONDS)

    def begin(self):
        """Past what it says at its beginning, so that it certainly listens."""
        assert self.next().startswith("retry: ")
        return self


@contextmanager
def exchange(redis_url, **environment):
    """A running `affiliate live`. It needs no database, so it gets an address of none."""
    port = free_port()
    given = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": redis_url,
        "AFFILIATE_SECRET_KEY": SECRET,
        "AFFILIATE_LIVE_PORT": str(port),
    }
    process = subprocess.Popen(
        [*AFFILIATE, "live"], cwd=ROOT, env=os.environ | given | environment
    )
    running = Exchange(process, port)
    try:
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


@contextmanager
def well(redis_url):
    with exchange(redis_url) as running:
        wait(running.is_well)
        yield running
