"""Every job can be found, has a queue, and is done by somebody."""

from importlib import import_module

import pytest

from affiliate.jobs import QUEUE_OF, URGENCY, Job
from workers.clock import EVERY_SECONDS


@pytest.mark.parametrize("job", Job)
def test_every_job_is_a_function_with_a_queue(job):
    module, _, name = job.rpartition(".")

    assert module.startswith("workers.")
    assert callable(getattr(import_module(module), name))
    assert QUEUE_OF[job] in URGENCY


@pytest.mark.parametrize("job", Job)
def test_every_job_is_asked_for_somewhere(job):
    """By the clock, or by somebody who rings. A name that nobody calls is dead code."""
    from tests.quality.test_tidy import SOURCES

    rung = any(f"Job.{job.name}" in path.read_text() for path in SOURCES if path.stem != "jobs")

    assert rung or job in EVERY_SECONDS


def test_the_clock_rings_only_for_sweeps():
    """What the clock asks for takes no arguments: it looks itself for what is due."""
    for job in EVERY_SECONDS:
        module, _, name = job.rpartition(".")
        function = getattr(import_module(module), name)
        inner = getattr(function, "__wrapped__", function)
        assert inner.__code__.co_argcount == 0, job
