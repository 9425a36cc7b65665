"""Child processes: they die with their parent, and nobody else's is ever touched."""

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LINUX = sys.platform == "linux"
# Looked up before any fork: loading a library in a child between fork and exec is not safe.
_prctl: Callable[..., int] | None = ctypes.CDLL(None).prctl if LINUX else None


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1


def die_with(parent: int, by: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this signal to this process when its parent is gone (Linux)."""
    if _prctl:
        _prctl(PR_SET_PDEATHSIG, int(by))
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), by)


def let_forks_die_with_this() -> None:
    """Whatever is forked from now on (pools, their schedulers) does not outlive its parent."""
    forking: list[int] = []

    def remember() -> None:
        forking[:] = [os.getpid()]

    os.register_at_fork(before=remember, after_in_child=lambda: die_with(forking[0]))


def start(
    command: Sequence[str], *, dies_by: int = signal.SIGKILL, **options: Any
) -> subprocess.Popen[bytes]:
    """A child in a session of its own, so that Ctrl-C reaches only us and we decide the order.

    When this process dies, however it dies, the child gets the signal `dies_by`.
    """
    parent = os.getpid()
    if not LINUX:
        command = [sys.executable, str(Path(__file__)), str(parent), str(int(dies_by)), *command]
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        start_new_session=True,
        preexec_fn=(lambda: die_with(parent, dies_by)) if LINUX else None,  # noqa: PLW1509
        **options,
    )


def ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it is dead. It stays unburied, so its number cannot become a stranger's."""
    if child.returncode is None and hasattr(os, "waitid"):
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, child.pid, look) is not None
    return child.poll() is not None


def stop(
    child: subprocess.Popen[bytes], politely: int = signal.SIGTERM, *, seconds: float = 10
) -> None:
    """Ask it to go, then make it and whatever it started go."""
    if child.returncode is not None:
        return
    child.send_signal(politely)
    deadline = time.monotonic() + seconds
    while not ended(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)  # its session is its own: nobody else is in it
    child.wait()


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same number; None when it is gone."""
    try:
        if LINUX:
            # After the command's name, which may hold anything: state, …, start time as the 20th.
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return None if state in "ZX" else f"{pid} {rest[18]} {boot}"
        ask = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
        return f"{pid} {subprocess.check_output(ask, text=True).strip()}"  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None


def kill(known: str) -> None:
    """Kill the process with this identity, if it still is that one, and its session."""
    pid = int(known.partition(" ")[0])
    if identity(pid) == known:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _watch(parent: int, dies_by: int, command: Sequence[str]) -> int:
    """Stand between parent and child where the kernel cannot: the watcher of macOS."""
    child = subprocess.Popen(command, close_fds=False)  # noqa: S603
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    while child.poll() is None:
        if os.getppid() != parent:
            child.send_signal(dies_by)
            with suppress(subprocess.TimeoutExpired):
                child.wait(30)
            os.killpg(0, signal.SIGKILL)
        time.sleep(0.3)
    return child.returncode


if __name__ == "__main__":
    sys.exit(_watch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))


def calm_collector() -> None:
    """For a process that is set up and begins its work: what is loaded by now stays, so the
    collector need not look at it again, and batches of some hundred thousand objects are no
    reason to look at everything.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
