"""Workers that build and execute settlements, and die, or kill a server, where a test wants it.

A file in the folder DYING is an order. `7 12 postgres building statement` means that whoever runs
the twelfth statement of a build kills PostgreSQL; `worker` that it kills itself. Whoever obeys
takes the order, so that nobody else does.
"""

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from rq.serializers import JSONSerializer

import workers.settlement
from affiliate import processes
from affiliate.db import db
from affiliate.jobs import URGENCY
from affiliate.payouts.rails import wire
from affiliate.payouts.rails.sandbox import SandboxLine
from affiliate.payouts.service import calls
from affiliate.settlement import queries
from workers.context import application
from workers.run import Worker

VICTIMS = ("worker", "postgres", "valkey")
# Where, and how often somebody comes past there while one settlement is built and executed.
POINTS = {
    "building statement": 30,
    "building commit": 3,
    "executing statement": 60,
    "executing commit": 6,
    "executing before a call": 8,
    "executing after a call": 8,
}
WORKERS = 2
# Asking providers sends again what they never saw.
JOBS = {"build": "building", "execute": "executing", "ask_providers": "executing"}


class Mortal:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passes: Counter[str] = Counter()
        self._lock = Lock()
        self._doing = ""

    def listen(self) -> None:
        """From here on this process obeys."""
        for name, doing in JOBS.items():
            setattr(workers.settlement, name, self._during(doing, name))
        SandboxLine.send = self._around(SandboxLine.send)
        SandboxLine.ask = self._around(SandboxLine.ask)
        with application().app_context():
            sa.event.listen(db.engine, "before_cursor_execute", lambda *_: self._pass("statement"))
            sa.event.listen(db.engine, "commit", lambda *_: self._pass("commit"))

    def _during(self, doing: str, name: str) -> Any:
        job = getattr(workers.settlement, name)

        @wraps(job)
        def run(*ids: int) -> None:
            self._doing = doing
            try:
                job(*ids)
            finally:
                self._doing = ""

        return run

    def _around(self, call: Any) -> Any:
        @wraps(call)
        def run(line: Any, what: Any) -> Any:
            self._pass("before a call")
            answer = call(line, what)
            self._pass("after a call")
            return answer

        return run

    def _pass(self, what: str) -> None:
        for order in self._folder.glob(f"* {self._doing} {what}") if self._doing else ():
            _number, passes, victim, _where = order.name.split(" ", 3)
            with self._lock:
                self._passes[order.name] += 1
                due = self._passes[order.name] >= int(passes)
            if due:
                with suppress(FileNotFoundError):
                    order.unlink()
                    self._kill(victim)

    def _kill(self, victim: str) -> None:
        if victim == "worker":
            os.kill(os.getpid(), signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(int((self._folder / f"{victim}.pid").read_text()), signal.SIGKILL)


def hurry() -> None:
    """What waits for a minute in life waits for a second or two here."""
    calls.LEASE, queries.QUIET = timedelta(seconds=3), timedelta(seconds=1)
    calls.PAUSES = tuple(timedelta(seconds=each) for each in (0.2, 0.5, 1))
    calls.LONGEST = max(calls.PAUSES)
    wire.SECONDS = 2


def house() -> None:
    """Workers, started again whenever they end."""
    hurry()
    application()  # imports everything
    us, running = os.getpid(), 0
    while True:
        while running < WORKERS:
            if os.fork() == 0:
                processes.die_with(us)
                with suppress(Exception):
                    work()
                os._exit(0)
            running += 1
        os.wait()
        running -= 1
        time.sleep(0.1)


def work() -> None:
    Mortal(Path(os.environ["DYING"])).listen()
    redis = application().extensions["redis"]
    Worker(URGENCY, connection=redis, serializer=JSONSerializer).work(logging_level="CRITICAL")


if __name__ == "__main__":
    house()
