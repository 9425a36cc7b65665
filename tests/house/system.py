"""A whole system of processes for a test, and a look at what is left of it."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
AFFILIATE = (sys.executable, "-m", "affiliate")


def free_port() -> int:
    """A port that is free and has a free one above it, where open pages are told.

    Below those that the kernel gives to outgoing connections, which may take it at any moment.
    """
    while True:
        port = random.randrange(15_000, 30_000, 2)
        with socket.socket() as door, socket.socket() as above, suppress(OSError):
            door.bind(("127.0.0.1", port))
            above.bind(("127.0.0.1", port + 1))
            return port


def environment(data: Path, **more: str) -> dict[str, str]:
    """A fresh user's: nothing of ours but the path and where the data lies."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"AFFILIATE_DATA": str(data), "LC_ALL": "C.UTF-8"} | more


@dataclass
class System:
    """One `affiliate up` in a data folder."""

    data: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.log.read_text()

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return command(self.data, *arguments, AFFILIATE_PORT=str(self.port), **more)

    def wait_until_ready(self, seconds: float = 60) -> float:
        began = time.monotonic()
        while not is_ready(self.address):
            assert self.process.poll() is None, self.said
            assert time.monotonic() - began < seconds, self.said
            time.sleep(0.1)
        wait(lambda: "ready at" in self.said)
        return time.monotonic() - began

    def end(self, number: int, seconds: float = 30) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def children(self) -> dict[str, int]:
        """Process numbers of the supervisor's own children, by their last word."""
        found = {}
        for pid in running(self.data):
            if parent(pid) == self.process.pid:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                name = "postgres" if b"postgres" in words[0] else words[-2].decode()
                found[name] = pid
        return found


def start(data: Path, log: Path, *options: str, port: int | None = None, wrap: str = "") -> System:
    port = port or free_port()
    up = [*AFFILIATE, "up", "--no-demo", f"--port={port}", "--workers=1", *options]
    with log.open("a") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'{wrap}; exec "$@"', "sh", *up] if wrap else up,
            cwd=ROOT,
            env=environment(data),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return System(data, port, log, process)


def command(data: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AFFILIATE, *arguments],
        check=False,
        cwd=ROOT,
        env=environment(data, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait(question, seconds: float = 20):
    """Until it is so."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still not so: {question}"
        time.sleep(0.05)
    return answer


def running(data: Path) -> list[int]:
    """Every process that has to do with this data folder: by command, environment or place."""
    numbers = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [pid for pid in numbers if _has(pid, data)]


def _has(pid: int, data: Path) -> bool:
    name = re.compile(re.escape(str(data)).encode() + rb"(/|\0|$)")
    try:
        place = bytes(Path(f"/proc/{pid}/cwd").readlink())
        texts = [Path(f"/proc/{pid}/{each}").read_bytes() for each in ("cmdline", "environ")]
    except OSError:
        return False  # gone, or somebody else's
    return pid != os.getpid() and any(name.search(each) for each in [place, *texts])


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def family(pid: int) -> list[int]:
    """Its children, their children, and so on."""
    parents = {}
    for each in filter(str.isdigit, (path.name for path in Path("/proc").iterdir())):
        with suppress(OSError):
            parents[int(each)] = parent(int(each))
    found = [pid]
    for each in found:  # grows while we look
        found += [child for child, of in parents.items() if of == each]
    return found[1:]


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def sweep(*systems: System) -> None:
    """After a test, whatever it proved: leave nothing."""
    for each in systems:
        each.process.kill()
        each.process.wait()
        for pid in running(each.data):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
