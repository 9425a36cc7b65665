"""A whole running system for a journey: web, workers, click writer and clock, on real servers."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from affiliate.ledger.verify import verify
from tests.house.system import AFFILIATE, ROOT, free_port, is_ready


@dataclass
class Running:
    """`affiliate up` with its command line and its web address."""

    address: str
    env: dict[str, str]
    process: subprocess.Popen[bytes]
    doors: ExitStack

    def command(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*AFFILIATE, *arguments],
            check=False, cwd=ROOT, env=self.env, capture_output=True, text=True, input=stdin,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def api(self, key: str) -> "Api":
        http = httpx.Client(
            base_url=f"{self.address}/api/v1",
            timeout=30,
            headers={"Authorization": f"Bearer {key}"},
        )
        return Api(self.doors.enter_context(http))


@dataclass
class Api:
    http: httpx.Client

    def post(self, path: str, **body):
        return self._told(self.http.post(path, json=body))

    def get(self, path: str, **query):
        return self._told(self.http.get(path, params=query))

    def _told(self, answer: httpx.Response):
        assert answer.is_success, answer.text
        return answer.json()


def until(question, seconds: float = 30):
    """The answer, once there is one."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still not so: {question}"
        time.sleep(0.05)
    return answer


@pytest.fixture
def system(committed, tmp_path):
    port = free_port()
    env = os.environ | committed.environment | {"AFFILIATE_DATA": str(tmp_path)}
    log = tmp_path / "system.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "affiliate", "up", "--no-demo", f"--port={port}", "--workers=2"],
            cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    with ExitStack() as doors:
        running = Running(f"http://127.0.0.1:{port}", env, process, doors)
        try:
            until(lambda: is_ready(running.address) or process.poll() is not None, 60)
            assert process.poll() is None, log.read_text()
            yield running
            report = verify()
            assert report.ok, report.breaches
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
