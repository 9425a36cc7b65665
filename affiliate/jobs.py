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
HOUR = 3600  # seconds; RQ would end a long settlement after three minutes
URGENCY = ("money", "intake", "default", "slow")  # queues, most urgent first


class Job(StrEnum):
    """Every job there is, by dotted path: affiliate never imports workers."""

    DRAIN_INBOX = "workers.intake.drain"
    SWEEP_INBOX = "workers.intake.sweep"
    FETCH_ORDERS = "workers.intake.fetch"
    PULL_ORDERS = "workers.intake.pull"
    DRAIN_PRODUCTS = "workers.intake.drain_products"
    FETCH_PRODUCTS = "workers.intake.fetch_products"
    PULL_PRODUCTS = "workers.intake.pull_products"
    SWEEP_PULLS = "workers.intake.sweep_pulls"
    ASK_COUPONS = "workers.intake.ask_coupons"
    SWEEP_COUPONS = "workers.intake.sweep_coupons"
    REGISTER_HOOKS = "workers.intake.register_hooks"
    MATCH_COPIES = "workers.intake.match_copies"
    FORGET_BODIES = "workers.intake.forget_bodies"
    FORGET_ANSWERS = "workers.api.forget_answers"
    RELEASE = "workers.commissions.release"
    CLOSE_MONTHS = "workers.commissions.close_months"
    SIMULATE = "workers.commissions.simulate"
    SWEEP_SIMULATIONS = "workers.commissions.sweep"
    BUILD_SETTLEMENT = "workers.settlement.build"
    EXECUTE_SETTLEMENT = "workers.settlement.execute"
    ASK_PROVIDERS = "workers.settlement.ask_providers"
    ASK_PROVIDER = "workers.settlement.ask_provider"
    SWEEP_SETTLEMENTS = "workers.settlement.sweep"
    CANCEL_HELD = "workers.settlement.cancel_held"
    SEAL_LEDGER = "workers.ledger.seal"
    COUNT_SALES = "workers.orders.count_sales"
    DRAW_POSTERS = "workers.material.draw_posters"
    SWEEP_POSTERS = "workers.material.sweep"
    FORGET_POSTERS = "workers.material.forget"
    MAKE_PARTITIONS = "workers.clicks.make_partitions"
    FORGET_CLICKS = "workers.clicks.forget"
    COUNT_ORDERS = "workers.clicks.count_orders"
    PROBE_DOMAINS = "workers.links.probe_domains"
    TELL = "workers.notices.tell"
    FORGET_LETTERS = "workers.notices.forget_letters"
    FORGET_SESSIONS = "workers.people.forget_sessions"


QUEUE_OF = {
    Job.DRAIN_INBOX: "intake",
    Job.SWEEP_INBOX: "intake",
    Job.FETCH_ORDERS: "intake",
    Job.PULL_ORDERS: "slow",
    Job.DRAIN_PRODUCTS: "default",
    Job.FETCH_PRODUCTS: "default",
    Job.PULL_PRODUCTS: "slow",
    Job.SWEEP_PULLS: "slow",
    Job.ASK_COUPONS: "default",
    Job.SWEEP_COUPONS: "slow",
    Job.REGISTER_HOOKS: "intake",
    Job.MATCH_COPIES: "slow",
    Job.FORGET_BODIES: "slow",
    Job.FORGET_ANSWERS: "slow",
    Job.RELEASE: "money",
    Job.CLOSE_MONTHS: "slow",
    Job.SIMULATE: "slow",
    Job.SWEEP_SIMULATIONS: "slow",
    Job.BUILD_SETTLEMENT: "money",
    Job.EXECUTE_SETTLEMENT: "money",
    Job.ASK_PROVIDERS: "money",
    Job.ASK_PROVIDER: "money",
    Job.SWEEP_SETTLEMENTS: "money",
    Job.CANCEL_HELD: "money",
    Job.SEAL_LEDGER: "default",
    Job.COUNT_SALES: "slow",
    Job.DRAW_POSTERS: "default",
    Job.SWEEP_POSTERS: "slow",
    Job.FORGET_POSTERS: "slow",
    Job.MAKE_PARTITIONS: "default",
    Job.FORGET_CLICKS: "slow",
    Job.COUNT_ORDERS: "default",
    Job.PROBE_DOMAINS: "slow",
    Job.TELL: "default",
    Job.FORGET_LETTERS: "slow",
    Job.FORGET_SESSIONS: "slow",
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
        if once_per_ms and not redis.set(_bell(job, arguments), 1, nx=True, px=once_per_ms):
            return
        queue = Queue(QUEUE_OF[job], connection=redis, serializer=JSONSerializer)
        queue.enqueue(
            str(job),
            *arguments,
            retry=RETRY,
            job_timeout=HOUR,
            result_ttl=0,
            failure_ttl=7 * 24 * HOUR,
        )
    except RedisError:
        # The row is stored, so nothing is lost: the sweep finds it within a minute.
        log.warning("bell not rung", job=str(job), arguments=arguments, exc_info=True)


def answer(job: Job, *arguments: str | int) -> None:
    """Called by a job with `once_per_ms` before it looks for its rows.

    What is stored from here on rings again: else a row that comes just after the look would wait
    for the sweep.
    """
    redis: Redis = current_app.extensions["redis"]
    try:
        redis.delete(_bell(job, arguments))
    except RedisError:
        log.warning("bell not answered", job=str(job), arguments=arguments, exc_info=True)


def _bell(job: Job, arguments: tuple[str | int, ...]) -> str:
    return "bell:" + ":".join([str(job), *map(str, arguments)])
