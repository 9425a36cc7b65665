"""The clock asks for each job in its time, and two clocks ask once."""

import signal
import subprocess

import pytest

from affiliate.jobs import Job
from tests.house import system
from workers import clock


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(clock, "EVERY_SECONDS", {Job.SWEEP_INBOX: 1, Job.RELEASE: 3600})


def test_every_job_is_asked_for_once_by_two_clocks(table, rung):
    first, second = clock.tick(), clock.tick()

    assert first == [Job.SWEEP_INBOX, Job.RELEASE]
    assert second == []
    assert rung == [(Job.SWEEP_INBOX,), (Job.RELEASE,)]


def test_a_job_is_asked_for_again_when_its_time_has_come(table, rung):
    clock.tick()

    assert system.wait(clock.tick, seconds=3) == [Job.SWEEP_INBOX]


def test_the_clock_process_survives_an_outage_and_stops_when_told(place, valkey):
    nowhere = {"REDIS_URL": f"redis://127.0.0.1:{system.free_port()}"}
    with subprocess.Popen(
        [*system.AFFILIATE, "clock"],
        cwd=system.ROOT,
        env=system.environment(place.data) | place.environment | nowhere,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert "the clock cannot ring" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
