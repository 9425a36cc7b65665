"""Calls to providers, as many small units of work with the calls between them: for jobs.

A batch is claimed and stored, called about by a few threads, and its answers are stored. Killed
anywhere, what was claimed is asked about when its lease is over.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import structlog

from affiliate.db import unit_of_work
from affiliate.payouts import rails
from affiliate.payouts.rails.interface import Answer, Line, Said
from affiliate.payouts.service import calls
from affiliate.payouts.service.calls import Call

log = structlog.get_logger(__name__)

BATCH = 16  # payouts at a time; with the lines' patience this stays within a lease


@dataclass
class Office:
    """Open lines to providers, and people to hold them. Each rail's line is opened once."""

    stack: ExitStack
    lines: dict[str, tuple[Line, ThreadPoolExecutor]] = field(default_factory=dict)

    def call(self, wanted: Sequence[Call]) -> list[tuple[Call, Answer]]:
        """All of them, some at the same time; the database is not in use meanwhile."""
        running = [(each, self._begin(each)) for each in wanted]
        return [(each, result()) for each, result in running]

    def _begin(self, call: Call) -> Callable[[], Answer]:
        line, threads = self._line(call.rail)
        if call.attempt_id is not None:
            return threads.submit(line.send, call.instruction).result
        return threads.submit(line.ask, call.instruction).result

    def _line(self, name: str) -> tuple[Line, ThreadPoolExecutor]:
        if name not in self.lines:
            rail = rails.call_rail(name)
            threads = self.stack.enter_context(ThreadPoolExecutor(rail.at_once))
            self.lines[name] = self.stack.enter_context(rail.line()), threads
        return self.lines[name]


@contextmanager
def office() -> Iterator[Office]:
    with ExitStack() as stack:
        yield Office(stack)


def hand_over(merchant_id: int, settlement_id: int) -> Iterator[int]:
    """Send what a settlement has for providers, batch by batch; how many calls each batch made.

    A rail whose provider takes no calls is left for later; the others go on.
    """
    with office() as phones:
        for rail in rails.called():
            while answered := _batch(phones, rail, (merchant_id, settlement_id)):
                yield len(answered)
                if any(answer.said == Said.UNREACHABLE for _call, answer in answered):
                    log.warning("a rail is down", rail=rail, settlement=settlement_id)
                    break


def ask_due() -> Iterator[int]:
    """Whatever is due to be called about, of all merchants; how many calls each batch made."""
    with office() as phones:
        for rail in rails.called():
            while answered := _batch(phones, rail, None):
                yield len(answered)
                if any(answer.said == Said.UNREACHABLE for _call, answer in answered):
                    log.warning("a rail is down", rail=rail)
                    break


def ask(merchant_id: int, payout_id: int) -> None:
    """About one payout, because somebody hinted that there is news."""
    with unit_of_work():
        wanted = calls.claim_question(merchant_id, payout_id)
    if wanted:
        with office() as phones:
            _record(phones.call(wanted))


def _batch(
    phones: Office, rail: str, settlement: tuple[int, int] | None
) -> list[tuple[Call, Answer]]:
    with unit_of_work():
        wanted = calls.claim(BATCH, rail=rail, settlement=settlement)
    if not wanted:
        return []
    answered = phones.call(wanted)
    _record(answered)
    return answered


def _record(answered: list[tuple[Call, Answer]]) -> None:
    of_merchant = defaultdict(list)
    for call, answer in answered:
        of_merchant[call.merchant_id].append((call, answer))
    for merchant_id, some in of_merchant.items():
        with unit_of_work():
            calls.record(merchant_id, some)
