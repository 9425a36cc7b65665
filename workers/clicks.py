"""The click writer: drains the spool into the database for as long as the process lives.

Any number of them may run beside each other, and each may be killed at any moment.
"""

import signal
import threading
from pathlib import Path

import psycopg
import structlog
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from affiliate import jobs
from affiliate.db import unit_of_work
from affiliate.insight import service, store
from affiliate.jobs import Job
from affiliate.links import losses, spool
from affiliate.links import queries as links
from workers.context import application, task

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 0.2
TROUBLE_SECONDS = 1.0


@task
def make_partitions() -> None:
    links.forget_changes()
    losses.forget()
    store.make_partitions()
    store.drop_old(months=current_app.config["SETTINGS"].clicks_months)


@task
def forget() -> None:
    """One batch of each; rings for the next where there is more."""
    months = current_app.config["SETTINGS"].clicks_months
    more = [
        store.coarsen_addresses(),
        store.forget_quarters(),
        store.drop_strays(months=months),
    ]
    if any(more):
        jobs.ring(Job.FORGET_CLICKS)


@task
def count_orders() -> None:
    if service.count_orders():
        jobs.ring(Job.COUNT_ORDERS)


def main() -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with application().app_context():
        while not stopping.is_set() and not _prepare():
            stopping.wait(TROUBLE_SECONDS)
        writer = Writer(current_app.config["SETTINGS"].data / "spool")
        while not stopping.is_set():
            writer.drain(stopping)
            stopping.wait(TROUBLE_SECONDS if writer.in_trouble else PAUSE_SECONDS)


def _prepare() -> bool:
    try:
        with unit_of_work():
            store.make_partitions()
            store.forget_old_offsets()
    except SQLAlchemyError as error:
        log.warning("the click writer waits for the database", error=str(error))
        return False
    return True


class Writer:
    """Remembers how far it read, so that an idle spool costs no statement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.in_trouble = False
        self._read: dict[str, int] = {}

    def drain(self, stopping: threading.Event | None = None) -> int:
        """One round over all segments; how many clicks were new.

        A segment that cannot be stored is left for later and does not hold up the others.
        """
        new = 0
        self.in_trouble = False
        spool.sweep(self.folder)
        for segment in spool.segments(self.folder):
            if stopping is not None and stopping.is_set():
                break
            try:
                new += self._drain(segment)
            except (SQLAlchemyError, psycopg.Error, OSError) as error:
                self.in_trouble = True
                log.warning("clicks stay in the spool", segment=segment.name, error=str(error))
        return new

    def _drain(self, segment: Path) -> int:
        state = spool.state(segment)
        if state is None or (not state.over and state.size == self._read.get(segment.name, 0)):
            return 0
        new = 0
        while True:
            with unit_of_work():
                step = service.write_some(segment)
            new += step.new
            if not step.more:
                break
        if step.over:
            with unit_of_work():
                service.forget(segment)
            self._read.pop(segment.name, None)
        else:
            self._read[segment.name] = step.upto
        return new
