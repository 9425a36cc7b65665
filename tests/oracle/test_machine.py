"""Many short lives, each step checked against the oracle. `make test-long` has 50 000 steps.

The short run always draws the same lives. A failure of the long one is told with a blob for
`@reproduce_failure`; `--hypothesis-seed` chooses other lives.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.oracle.machine import Life

STEPS = 50


def live(lives: int, least: int, **how) -> None:
    """As many lives as it takes on average; Hypothesis draws how long each is."""
    Life.steps_of_all = 0
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=lives,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
            **how,
        ),
    )
    assert Life.steps_of_all >= least


def test_six_hundred_steps(app):
    live(16, 600, derandomize=True, phases=[Phase.generate, Phase.shrink])


@pytest.mark.long
def test_fifty_thousand_steps(app):
    live(1300, 50_000)
