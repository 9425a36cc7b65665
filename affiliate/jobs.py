"""The bells: names of all jobs, their queues, and how to ring after the commit.

The row is the work and the queue only a bell: arguments are ids, jobs may run twice and at once,
and a sweep finds rows whose bell was lost.
"""

from enum import StrEnum

import structlog
from flask import current_app
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.serializers import JSONSerializer

from affiliate.db import after_commit

log = structlog.get_logger(__name__)

RETRY = Retry(max=4, interval=[10, 60, 300, 1800])
URGENCY = ("money", "intake", "default", "slow")  # queues, most urgent first


class Job(StrEnum):
    """Every job there is, by dotted path: affiliate never imports workers."""

    DRAIN_INBOX = "workers.intake.drain"
    SWEEP_INBOX = "workers.intake.sweep"
    FORGET_BODIES = "workers.intake.forget_bodies"
    FORGET_ANSWERS = "workers.api.forget_answers"
    RELEASE = "workers.commissions.release"
    BUILD_SETTLEMENT = "workers.settlement.build"
    EXECUTE_SETTLEMENT = "workers.settlement.execute"
    SWEEP_SETTLEMENTS = "workers.settlement.sweep"
    SEAL_LEDGER = "workers.ledger.seal"
    MAKE_PARTITIONS = "workers.clicks.make_partitions"
    TELL = "workers.notices.tell"
    FORGET_LETTERS = "workers.notices.forget_letters"


QUEUE_OF = {
    Job.DRAIN_INBOX: "intake",
    Job.SWEEP_INBOX: "intake",
    Job.FORGET_BODIES: "slow",
    Job.FORGET_ANSWERS: "slow",
    Job.RELEASE: "money",
    Job.BUILD_SETTLEMENT: "money",
    Job.EXECUTE_SETTLEMENT: "money",
    Job.SWEEP_SETTLEMENTS: "money",
    Job.SEAL_LEDGER: "default",
    Job.MAKE_PARTITIONS: "default",
    Job.TELL: "default",
    Job.FORGET_LETTERS: "slow",
}


def ring(job: Job, *arguments: str | int, once_per_ms: int = 0) -> None:
    """Ask for a job once the current transaction is safely stored.

    With `once_per_ms` the same bell rings at most once in that time (SET NX PX): a shop that
    sends a thousand webhooks a second wakes ten workers, not a thousand.
    """
    after_commit(lambda: enqueue(job, *arguments, once_per_ms=once_per_ms))


def enqueue(job: Job, *arguments: str | int, once_per_ms: int = 0) -> None:
    redis: Redis = current_app.extensions["redis"]
    try:
        if once_per_ms:
            name = "bell:" + ":".join([str(job), *map(str, arguments)])
            if not redis.set(name, 1, nx=True, px=once_per_ms):
                return
        queue = Queue(QUEUE_OF[job], connection=redis, serializer=JSONSerializer)
        queue.enqueue(str(job), *arguments, retry=RETRY, result_ttl=0, failure_ttl=7 * 86400)
    except RedisError:
        # The row is stored, so nothing is lost: the sweep finds it within a minute.
        log.warning("bell not rung", job=str(job), arguments=arguments, exc_info=True)
