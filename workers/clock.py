"""The clock: rings for each job whose time has come, and for retries whose pause is over.

Jobs look themselves for what is due, so ringing twice does no harm.
"""

import signal
import time

import structlog
from flask import current_app
from redis.exceptions import RedisError
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from affiliate import jobs
from affiliate.jobs import URGENCY, Job
from workers.context import application

log = structlog.get_logger(__name__)

QUARTER_MINUTE, MINUTE, HOUR, DAY = 15, 60, 3600, 86_400
EVERY_SECONDS = {
    Job.SWEEP_INBOX: MINUTE,
    Job.SWEEP_PULLS: MINUTE,
    Job.SWEEP_COUPONS: MINUTE,
    Job.MATCH_COPIES: MINUTE,
    Job.SWEEP_SETTLEMENTS: MINUTE,
    Job.ASK_PROVIDERS: MINUTE,
    Job.RELEASE: MINUTE,
    Job.SWEEP_SIMULATIONS: MINUTE,
    Job.SEAL_LEDGER: MINUTE,
    Job.COUNT_ORDERS: QUARTER_MINUTE,
    Job.PROBE_DOMAINS: MINUTE,
    Job.TELL: MINUTE,
    Job.CLOSE_MONTHS: HOUR,
    Job.FORGET_BODIES: HOUR,
    Job.FORGET_LETTERS: HOUR,
    Job.FORGET_SESSIONS: HOUR,
    Job.FORGET_ANSWERS: HOUR,
    Job.MAKE_PARTITIONS: HOUR,
    Job.COUNT_SALES: DAY,
    Job.SWEEP_POSTERS: MINUTE,
    Job.FORGET_POSTERS: DAY,
    Job.FORGET_CLICKS: HOUR,
}


def tick() -> list[Job]:
    """Ask for each job whose time has come. Two clocks at once ask only once."""
    redis = current_app.extensions["redis"]
    due = [
        job
        for job, seconds in EVERY_SECONDS.items()
        # A little less than the period: the key must be gone when its next tick comes.
        if redis.set(f"clock:{job}", 1, nx=True, px=seconds * 1000 - 500)
    ]
    for job in due:
        jobs.enqueue(job)
    return due


def retries() -> RQScheduler:
    """What knows the jobs that failed and wait for their next attempt."""
    redis = current_app.extensions["redis"]
    found = RQScheduler(
        URGENCY, connection=redis, serializer=JSONSerializer, logging_level="WARNING"
    )
    found.prepare_registries(URGENCY)
    return found


def main() -> None:
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.append(number))
    with application().app_context():
        waiting = retries()
        while not stop:
            try:
                tick()
                waiting.enqueue_scheduled_jobs()  # type: ignore[no-untyped-call]
            except RedisError as error:
                log.warning("the clock cannot ring", error=str(error))
            time.sleep(1)
