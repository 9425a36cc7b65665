"""The supervisor: `affiliate up` as a person starts it, stops it, kills it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from affiliate import config, embedded, up
from tests.house import system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts systems on one data folder, one after the other."""
    room = tmp_path_factory.mktemp("up")
    started = []

    def begin(name: str, **options: str) -> system.System:
        for each in started:
            if each.process.poll() is None:
                each.end(signal.SIGTERM)
        started.append(system.start(room / "var", room / f"{name}.log", **options))
        started[-1].wait_until_ready()
        return started[-1]

    yield begin
    system.sweep(*started)


ONE_START = """
from affiliate import config, create_app
create_app(config.load(database_url="postgresql+psycopg:///x", redis_url="redis://x",
                       secret_key="x" * 40))
"""


@pytest.fixture(scope="module")
def first(start):
    """The system of a fresh machine, shared by the tests that leave it as it is."""
    return start("first")


def test_a_fresh_start_says_where_it_is_and_how_to_get_in(first):
    assert f"Tuike is ready at {first.address}" in first.said
    assert f"Data folder: {first.data}" in first.said
    assert f"{first.address}/welcome/" in first.said  # --no-demo: a link for the first operator


def test_two_cores_are_ready_in_good_time(first):
    """Processor time, because the clock on the wall also counts what else this machine does; as
    starts of one web process, because machines differ.
    """
    began = os.times()
    subprocess.run([sys.executable, "-c", ONE_START], check=True)
    ended = os.times()
    once = ended.children_user + ended.children_system - began.children_user - began.children_system
    assert sum(map(system.cpu_seconds, system.running(first.data))) < 9 * once


def test_a_second_start_beside_it_says_so_and_is_content(first):
    second = first.command("up", f"--port={first.port}")

    assert second.returncode == 0
    assert second.stdout == f"already running at {first.address}\n"


def test_a_second_system_on_the_same_port_is_told_in_one_line(first, tmp_path):
    second = system.command(tmp_path / "other", "up", f"--port={first.port}")

    assert second.returncode == 2
    assert len(second.stderr.splitlines()) == 1
    assert f"port {first.port}" in second.stderr
    assert "PORT=" in second.stderr


def test_commands_join_the_running_servers(first):
    before = first.children()

    current = first.command("db", "current")

    assert current.returncode == 0, current.stderr
    assert "(head)" in current.stdout
    assert first.children() == before


def test_the_doctor_finds_a_running_system_well(first):
    told = first.command("doctor")

    assert told.returncode == 0, told.stdout + told.stderr
    assert f"this system runs at {first.address}" in told.stdout
    assert "WRONG" not in told.stdout


def test_open_pages_are_told_by_a_process_of_their_own(first):
    def hears():
        with suppress(OSError), urlopen(f"http://127.0.0.1:{first.port + 1}/livez") as answer:
            return answer.status == 200

    system.wait(hears)
    assert first.children()["live"] != first.children()["serve"]


def test_a_dead_worker_is_replaced_and_the_system_stays(first):
    clock = first.children()["clock"]

    os.kill(clock, signal.SIGKILL)

    system.wait(lambda: first.children().get("clock") not in {None, clock})
    assert "the clock was killed by signal 9; it is started again" in first.said
    assert first.process.poll() is None


def test_a_dead_database_stops_everything(first):
    os.kill(first.children()["postgres"], signal.SIGKILL)

    assert first.process.wait(30) == 1
    assert "PostgreSQL was killed by signal 9" in first.said
    assert system.running(first.data) == []


@pytest.fixture(scope="module")
def stranger():
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_after_a_kill_nothing_is_left(first, start):
    second = start("second")

    second.end(signal.SIGKILL)

    system.wait(lambda: not system.running(second.data), seconds=5)


def test_the_next_start_spares_strangers_and_keeps_the_data(first, start, stranger):
    """And it can be stopped although it was started with signals ignored, as nohup does."""
    data = first.data
    # What a power cut leaves when the number was given to somebody else since then.
    left = f"{stranger.pid}\n{data}/postgres\n1\n5432\n/tmp\n\n1 1\nready\n"
    (data / "postgres" / "postmaster.pid").write_text(left)
    (data / "running.json").write_text(
        json.dumps({"owner": f"{stranger.pid} 1 x", "servers": [f"{stranger.pid} 1 x"]})
    )

    third = start("third", wrap='trap "" INT TERM HUP')

    assert stranger.poll() is None
    assert "/welcome/" in third.said  # the operator of the first start, still without a password
    sockets = json.loads((data / "running.json").read_text())["sockets"]
    assert third.end(signal.SIGINT) == 0
    assert system.running(data) == []
    assert not Path(sockets).exists()


def test_a_child_that_keeps_dying_stops_everything(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(up, "COMMANDS", {"web": ("sleep", "60"), "clock": ("false",)})
    family = up.Family(config.load(data=tmp_path), embedded.Running(tmp_path, "", "", ""))
    family.start()

    with pytest.raises(up.Gone, match="the clock ended with exit code 1, 4 times within a minute"):
        family.watch()
    family.stop()

    assert capsys.readouterr().err.count("it is started again") == 3
    assert [child.returncode for child in family.children.values()] == [-signal.SIGTERM, 1]
