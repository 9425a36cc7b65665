"""What every job runs in: the application, one unit of work, and log lines with the job's id."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import structlog
from flask import Flask
from rq import get_current_job

from affiliate import create_app
from affiliate.db import unit_of_work

P = ParamSpec("P")
R = TypeVar("R")


@cache
def application() -> Flask:
    """Made once per process, from its environment."""
    return create_app()


def task(function: Callable[P, R]) -> Callable[P, R]:
    """Run a job inside the app, as one unit of work."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with application().app_context(), job_logged(), unit_of_work():
            return function(*args, **kwargs)

    return run


def job_logged() -> AbstractContextManager[object]:
    """Log lines inside carry the job's id. For jobs that are several units of work."""
    job = get_current_job()
    found = {"job": job.func_name, "job_id": job.id} if job else {}
    return structlog.contextvars.bound_contextvars(**found)
