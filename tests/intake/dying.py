"""Web servers, workers and drains that die where a test wants it.

A file in the folder DYING is an order to die. Its name is all there is to it: `7 2 alone before the
transfers` means that whoever passes that point for the second time takes the order, so that nobody
else does, and is killed; `family` instead of `alone` kills its parent too, and so all of them.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from threading import Lock
from typing import Any

from flask import Flask

import workers.run
from affiliate import jobs, processes, wsgi
from affiliate.attribution import service as attribution
from affiliate.commissions import service as commissions
from affiliate.db import after_commit, db
from affiliate.intake import service as intake
from affiliate.ledger import service as ledger
from affiliate.orders import service as orders
from workers.context import application


@dataclass(frozen=True)
class Step:
    room: Any
    name: str
    when: str  # before, after, or once what it wrote is committed


ACCEPTING = {
    "before the INSERT": Step(intake, "keep", "before"),
    "after the INSERT, before the bell": Step(jobs, "enqueue", "before"),
    "after the bell": Step(jobs, "enqueue", "after"),
    "before the answer": Step(intake, "keep", "after"),
}
BOOKING = {
    "after the claim, before the facts": Step(orders, "absorb", "before"),
    "between facts and attribution": Step(attribution, "choose", "before"),
    "between attribution and commissions": Step(attribution, "write", "after"),
    "before the transfers": Step(ledger, "post", "before"),
    "after the transfers": Step(ledger, "post", "after"),
    "after the booking, before its last rows": Step(commissions, "book", "after"),
    "before the commit": Step(db.session, "commit", "before"),
}
WORKING = BOOKING | {
    "before the bell is answered": Step(jobs, "answer", "before"),
    "after the bell is answered": Step(jobs, "answer", "after"),
    "after the commit": Step(commissions, "book", "committed"),
}


def listen(steps: Mapping[str, Step]) -> None:
    """From here on this process obeys orders to die."""
    mortal = Mortal(Path(os.environ["DYING"]))
    for point, step in steps.items():
        setattr(step.room, step.name, mortal.passing(point, step))


class Mortal:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passes: Counter[str] = Counter()
        self._lock = Lock()

    def passing(self, point: str, step: Step) -> Any:
        whole = getattr(step.room, step.name)

        @wraps(whole)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if step.when == "before":
                self._passed(point)
            if step.when == "committed":
                after_commit(lambda: self._passed(point))
            found = whole(*args, **kwargs)
            if step.when == "after":
                self._passed(point)
            return found

        return watched

    def _passed(self, point: str) -> None:
        for order in self._folder.iterdir():
            _number, passes, who, where = order.name.split(" ", 3)
            if where != point:
                continue
            with self._lock:
                self._passes[order.name] += 1
                due = self._passes[order.name] >= int(passes)
            if due:
                with suppress(FileNotFoundError):
                    order.unlink()
                    _die(who)


def _die(who: str) -> None:
    if who == "family":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def house(port: int) -> None:
    """A web server and a worker pool, started again whenever they end.

    They are forked: a fresh interpreter for each that a test kills would cost seconds.
    """
    application()  # imports everything
    us = os.getpid()
    running: dict[int, Callable[[], None]] = {}
    ended: list[Callable[[], None]] = [partial(serve, port), work]
    while True:
        for run in ended:
            child = os.fork()
            if child == 0:
                processes.die_with(us)
                run()
                os._exit(0)
            running[child] = run
        ended = [running.pop(os.wait()[0])]
        time.sleep(0.1)


def serve(port: int) -> None:
    wsgi.serve("127.0.0.1", port, target="tests.intake.dying:web")


def web() -> Flask:
    """The application of one web process."""
    listen(ACCEPTING)
    return wsgi.make()


def work() -> None:
    listen(WORKING)
    workers.run.main()


def drain(merchant_id: int, shop_id: int) -> None:
    listen(WORKING)
    with application().app_context():
        intake.drain(merchant_id, shop_id)


if __name__ == "__main__":
    {"house": house, "drain": drain}[sys.argv[1]](*map(int, sys.argv[2:]))
