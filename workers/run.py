"""The worker pool: most urgent queue first, one application per process.

Workers do not fork for each job: a process that opens a new database connection per job does
about eleven jobs a second, one that keeps it some hundreds.
"""

import importlib
import sys
import time
from multiprocessing.process import BaseProcess
from typing import Any

import structlog
from rq import SimpleWorker
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.worker_pool import WorkerData, WorkerPool

from affiliate import processes
from affiliate.jobs import URGENCY, Job
from workers.context import application

DEATHS_MAX = 5  # within a minute; then something is wrong that a new worker does not mend


class Worker(SimpleWorker):
    """Log lines that a job causes carry its name and id.

    It runs no scheduler: RQ's would leave its lock behind when its worker is killed, and no retry
    would be asked for until the next maintenance, ten minutes later. workers/clock.py does it.
    """

    def work(self, *arguments: Any, **options: Any) -> bool:
        processes.calm_collector()
        return super().work(*arguments, **options | {"with_scheduler": False})

    def perform_job(self, job: RqJob, *arguments: Any) -> bool:
        with structlog.contextvars.bound_contextvars(job=job.func_name, job_id=job.id):
            return super().perform_job(job, *arguments)


class Pool(WorkerPool):
    """Replaces workers that died, but not for ever."""

    def __init__(self, workers: int) -> None:
        super().__init__(
            URGENCY,
            connection=application().extensions["redis"],
            num_workers=workers,
            worker_class=Worker,
            serializer=JSONSerializer,
        )
        self.deaths: list[float] = []

    def get_worker_process(self, name: str, **options: Any) -> BaseProcess:  # type: ignore[override]
        return super().get_worker_process(name, **options | {"logging_level": "WARNING"})

    def handle_dead_worker(self, worker_data: WorkerData) -> None:
        super().handle_dead_worker(worker_data)
        if self.status == self.Status.STOPPED:
            return
        now = time.monotonic()
        self.deaths = [*(each for each in self.deaths if now - each < 60), now]
        if len(self.deaths) > DEATHS_MAX:
            self.request_stop()  # type: ignore[no-untyped-call]

    @property
    def gave_up(self) -> bool:
        return len(self.deaths) > DEATHS_MAX


def main() -> None:
    processes.let_forks_die_with_this()
    # Before the pool forks, so that its processes share what they import.
    for job in Job:
        importlib.import_module(job.rpartition(".")[0])
    pool = Pool(application().config["SETTINGS"].workers)
    pool.start(logging_level="WARNING")
    if pool.gave_up:
        sys.exit("affiliate: workers die as soon as they start; see the lines above")
