"""What every job runs in: the application, and one unit of work."""

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from flask import Flask

from affiliate import create_app
from affiliate.db import unit_of_work

P = ParamSpec("P")
R = TypeVar("R")


@cache
def application() -> Flask:
    """Made once per process, from its environment."""
    return create_app(doors=False)


def task(function: Callable[P, R]) -> Callable[P, R]:
    """Run a job inside the app, as one unit of work."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with application().app_context(), unit_of_work():
            return function(*args, **kwargs)

    return run
