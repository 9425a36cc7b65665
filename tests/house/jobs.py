"""Jobs for the tests of the worker pool. They count their runs in Valkey."""

import os
import signal

import structlog

from workers.context import application, task


@task
def note(name: str) -> None:
    application().extensions["redis"].incr(name)


@task
def fail_at_first(name: str) -> None:
    if application().extensions["redis"].incr(name) == 1:
        raise RuntimeError("not yet")


@task
def kill_the_worker_at_first(name: str) -> None:
    if application().extensions["redis"].incr(name) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@task
def tell_what_is_logged(name: str) -> None:
    told = structlog.contextvars.get_contextvars()
    application().extensions["redis"].set(name, f"{told['job']} {told['job_id']}")
