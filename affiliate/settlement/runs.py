"""Building and executing from end to end, as many small units of work: for jobs and the shell.

Each unit stores what it did and where to go on, so both may be killed anywhere and begun again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import OperationalError

from affiliate.commissions import service as commissions
from affiliate.db import unit_of_work
from affiliate.ledger.service import Overdrawn
from affiliate.payouts import calling
from affiliate.payouts.service import EntriesChanged
from affiliate.settlement import queries, service
from affiliate.settlement.models import State

log = structlog.get_logger(__name__)

AGAIN = (Overdrawn, EntriesChanged, OperationalError)
PAYEES = 5000  # in one transaction
ENTRIES = 20_000  # released in one; those of one payee together cost less
TRIES = 5


@dataclass(frozen=True, slots=True)
class Progress:
    step: str  # releasing, building, calling
    done: int
    total: int | None


def build(merchant_id: int, settlement_id: int, *, size: int = PAYEES) -> Iterator[Progress]:
    """Release what is due, then make payouts until the settlement is ready for review."""
    with unit_of_work():
        service.cancel_held(merchant_id)
    yield from _release(merchant_id, settlement_id)
    tries = 0
    while True:
        try:
            with unit_of_work():
                more = service.build_chunk(merchant_id, settlement_id, size)
                now = queries.progress(merchant_id, settlement_id)
        except AGAIN as error:
            # A refund came between reading the entries and reserving the money. Read again, and
            # with fewer payees there is less time for the next one to come between.
            if isinstance(error, OperationalError) and not isinstance(error.orig, DeadlockDetected):
                raise
            size, tries = max(1, size // 8), tries + 1
            log.info("building again after a refund", settlement=settlement_id, size=size)
            if tries > TRIES:
                raise
            continue
        tries = 0
        yield Progress("building", now.payees_done, now.payees_total)
        if not more:
            return


def _release(merchant_id: int, settlement_id: int) -> Iterator[Progress]:
    """Only before the first payee: what is released later is for the next settlement."""
    done, ahead = 0, commissions.Ahead()
    while True:
        with unit_of_work():
            now = queries.progress(merchant_id, settlement_id)
            if now.state != State.BUILDING or now.cursor is not None:
                return
            released = commissions.release(merchant_id, now.through, ENTRIES, ahead)
        if not released:
            return
        done += released
        yield Progress("releasing", done, None)


def execution(merchant_id: int, settlement_id: int) -> Iterator[Progress]:
    """Hand an approved settlement's payouts over. Each step is stored before the next begins.

    Where a provider takes no calls something is left, and the settlement stays open for another
    run.
    """
    for step in (service.submit, service.write_files, service.hand_out):
        with unit_of_work():
            step(merchant_id, settlement_id)
    done = 0
    for calls in calling.hand_over(merchant_id, settlement_id):
        with unit_of_work():
            service.still_at_work(merchant_id, settlement_id)
        done += calls
        yield Progress("calling", done, None)
    with unit_of_work():
        service.close(merchant_id, settlement_id)


def execute(merchant_id: int, settlement_id: int) -> None:
    """The same in one go."""
    for _ in execution(merchant_id, settlement_id):
        pass
