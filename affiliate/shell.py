"""The edge of every command: servers within reach, the application, one unit of work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import has_app_context

from affiliate import config, create_app, embedded
from affiliate.db import unit_of_work

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def application() -> Iterator[None]:
    """An app context on the servers of this data folder, which are started if they do not run.

    Inside an app context (a test, another command) it is that one.
    """
    if has_app_context():
        yield
        return
    with (
        embedded.within_reach(config.load()) as settings,
        create_app(settings, doors=False).app_context(),
    ):
        yield


def in_app(command: Callable[P, R]) -> Callable[P, R]:
    """One unit of work inside the app. Leaving with an exit code other than 0 rolls back.

    `@click.command()`, options, then `@in_app` next to the function.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with application(), unit_of_work():
            return command(*args, **kwargs)

    return run
