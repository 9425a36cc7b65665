"""Children that do not outlive their parent, whatever ends it."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from affiliate import processes
from tests.house.system import ROOT, wait

PARENT = """
    import os, sys, time
    from affiliate import processes

    {before}
    child = processes.start(["sleep", "60"])
    print(child.pid, flush=True)
    time.sleep(60)
"""


def is_there(pid: int) -> bool:
    """And alive: an orphan may stay unburied for a while."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return state.stdout.strip()[:1] not in {b"", b"Z"}


def parent(before: str = "pass") -> tuple[subprocess.Popen[str], int]:
    code = textwrap.dedent(PARENT.format(before=before))
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    child = int(process.stdout.readline())
    process.stdout.close()
    return process, child


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("pass", id="by the kernel"),
        pytest.param("processes.LINUX = False", id="by a watcher, as on macOS"),
    ],
)
def test_a_child_dies_with_its_parent(before):
    process, child = parent(before)

    process.kill()
    process.wait()

    wait(lambda: not is_there(child), seconds=5)


def test_forks_of_forks_die_too():
    before = """
    processes.let_forks_die_with_this()
    pids = os.pipe()
    if os.fork() == 0:
        if (grandchild := os.fork()):
            os.write(pids[1], str(grandchild).encode())
        time.sleep(60)
    print(os.read(pids[0], 20).decode(), flush=True)
    """
    process, grandchild = parent(textwrap.indent(textwrap.dedent(before), "    ").strip())
    assert is_there(grandchild)

    process.kill()
    process.wait()

    wait(lambda: not is_there(grandchild), seconds=5)


def test_stopping_takes_along_what_the_child_started():
    child = processes.start(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE)
    assert child.stdout
    grandchild = int(child.stdout.readline())
    child.stdout.close()

    processes.stop(child)

    assert child.returncode == -signal.SIGTERM
    wait(lambda: not is_there(grandchild), seconds=5)


def test_who_does_not_listen_is_made_to_go():
    child = processes.start(["sh", "-c", 'trap "" TERM; echo; sleep 60'], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    child.stdout.close()

    processes.stop(child, seconds=0.2)

    assert child.returncode == -signal.SIGKILL


def test_a_later_process_with_the_same_number_is_not_killed():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        known = processes.identity(stranger.pid)
        assert known
        number, began, *rest = known.split()

        processes.kill(" ".join([number, str(int(began) - 1), *rest]))
        time.sleep(0.1)
        assert stranger.poll() is None

        processes.kill(known)
        assert stranger.wait(5) == -signal.SIGKILL
    assert processes.identity(stranger.pid) is None
