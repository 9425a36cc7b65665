"""Settlement jobs. They name the row, run it, and know nothing else."""

import time

from affiliate import jobs
from affiliate.jobs import Job
from affiliate.payouts import calling
from affiliate.payouts import queries as payouts
from affiliate.settlement import queries, runs, service
from affiliate.settlement.models import State
from workers import context
from workers.context import task

TURN_SECONDS = 60  # then others of the queue have theirs; RQ would end a job after 180


def build(merchant_id: int, settlement_id: int) -> None:
    """Many units of work, each stored before the next begins; a long build takes several turns."""
    ends = time.monotonic() + TURN_SECONDS
    with context.application().app_context():
        for _ in runs.build(merchant_id, settlement_id):
            if time.monotonic() > ends:
                jobs.enqueue(Job.BUILD_SETTLEMENT, merchant_id, settlement_id)
                return


def execute(merchant_id: int, settlement_id: int) -> None:
    """As a build: what is left after its turn waits for the next one."""
    ends = time.monotonic() + TURN_SECONDS
    with context.application().app_context():
        for _ in runs.execution(merchant_id, settlement_id):
            if time.monotonic() > ends:
                jobs.enqueue(Job.EXECUTE_SETTLEMENT, merchant_id, settlement_id)
                return


def ask_providers() -> None:
    """What became of payouts that providers have; with growing pauses for each."""
    ends = time.monotonic() + TURN_SECONDS
    with context.application().app_context():
        for _ in calling.ask_due():
            if time.monotonic() > ends:
                jobs.enqueue(Job.ASK_PROVIDERS)
                return


def ask_provider(merchant_id: int, payout_id: int) -> None:
    """Somebody hinted that there is news of this payout."""
    with context.application().app_context():
        jobs.answer(Job.ASK_PROVIDER, merchant_id, payout_id)
        calling.ask(merchant_id, payout_id)


@task
def cancel_held(merchant_id: int) -> None:
    service.cancel_held(merchant_id)


@task
def sweep() -> None:
    """Ring again for what nobody works on though there is work left."""
    for settlement in queries.quiet():
        building = settlement.state == State.BUILDING
        job = Job.BUILD_SETTLEMENT if building else Job.EXECUTE_SETTLEMENT
        jobs.ring(job, settlement.merchant_id, settlement.id)
    for merchant_id in payouts.merchants_with_held():
        jobs.ring(Job.CANCEL_HELD, merchant_id)
