"""`affiliate bench redirect`: `/s/<code>` beside nginx and beside Flask, and into the database."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app

from affiliate.bench.scene import Scene
from affiliate.db import db, unit_of_work
from affiliate.insight import queries as insight
from affiliate.links import service as links
from affiliate.links.models import Link

LINKS = 1000
CONNECTIONS = 64
SECONDS = 3
ROUNDS = 3
WARM_CONNECTIONS = 8  # enough to meet every process of a server
DRAIN_SECONDS_MAX = 300
TOOLS = ("wrk", "nginx")

# What Chrome on a phone sends along.
WRK = """
local codes, n = {{}}, 0
for code in io.lines("{codes}") do n = n + 1; codes[n] = code end
local headers = {{
  ["User-Agent"] = "Mozilla/5.0 (Linux; Android 14; SM-A546E Build/UP1A.231005.007; wv) "
    .. "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 "
    .. "Mobile Safari/537.36",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    .. "*/*;q=0.8",
  ["Accept-Language"] = "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Referer"] = "https://l.instagram.com/",
  ["Sec-Fetch-Dest"] = "document", ["Sec-Fetch-Mode"] = "navigate", ["Sec-Fetch-Site"] = "none",
  ["Upgrade-Insecure-Requests"] = "1", ["X-Requested-With"] = "com.instagram.android",
}}
local at = 0
request = function()
  at = at % n + 1
  return wrk.format("GET", "/s/" .. codes[at], headers)
end
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  log_format click '$request_id $msec $remote_addr "$http_user_agent" "$http_referer" $uri';
  access_log {folder}/clicks.log click buffer=64k flush=1s;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location /s/ {{ return 302 https://bench.example.com/?tk=$request_id; }}
  }}
}}
"""


@dataclass(frozen=True)
class Rate:
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server for each answer
    answers: int


@dataclass(frozen=True)
class Stored:
    """Both cores for everything: load, web and click writer."""

    answered: int
    stored: int
    answered_per_second: float
    stored_per_second: float  # until the last one was in the database


@dataclass(frozen=True)
class Measured:
    nginx: Rate
    road: Rate
    flask: Rate
    kept: Stored

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "ratios": {
                "nginx": self.road.per_second / self.nginx.per_second,
                "flask": self.road.per_second / self.flask.per_second,
            }
        }


class NoTools(RuntimeError):
    """What it takes is not installed."""


def measure(scene: Scene, seconds: int, say: Callable[[str], None]) -> Measured:
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise NoTools(f"install {' and '.join(missing)} (apt install {' '.join(missing)})")
    folder = Path(os.environ["AFFILIATE_DATA"])
    load = _script(folder, _codes(scene))
    say("nginx, our road and Flask in turn")
    rates: dict[str, list[Rate]] = {"nginx": [], "road": [], "flask": []}
    for _ in range(ROUNDS):
        for name, each in rates.items():
            with _pinned(name, folder) as (port, server):
                each.append(_loaded(port, load, server, seconds))
    say("into the database")
    kept = _kept(load, seconds * ROUNDS)
    nginx, road, flask = (_middle(each) for each in rates.values())
    return Measured(nginx, road, flask, kept)


def by_flask() -> Flask:
    """The same application without the road in front of it."""
    from affiliate import wsgi
    from affiliate.links.road import Road

    app = wsgi.make()
    road = app.wsgi_app
    assert isinstance(road, Road)
    app.wsgi_app = road._onward  # type: ignore[assignment,method-assign]
    return app


def _codes(scene: Scene) -> list[str]:
    with unit_of_work():
        promoter_id = db.session.scalars(sa.select(Link.promoter_id).limit(1)).one()
        url = "https://bench.example.com/products/dress"
        return [
            links.create_link(scene.program, promoter_id, url=f"{url}?n={number}").code
            for number in range(LINKS)
        ]


def _script(folder: Path, codes: Sequence[str]) -> Path:
    (folder / "codes.txt").write_text("\n".join(codes) + "\n")
    script = folder / "load.lua"
    script.write_text(WRK.format(codes=folder / "codes.txt"))
    return script


@contextmanager
def _pinned(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """A server on the last core alone: its port and its process."""
    port = _free_port()
    if name == "nginx":
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port))
        command = ["nginx", "-p", str(folder), "-c", str(config)]
    elif name == "flask":
        command = [sys.executable, "-m", "affiliate.bench.redirect", str(port)]
    else:
        command = [sys.executable, "-m", "affiliate", "serve", "--port", str(port)]
    with _running(command, port, cores={max(_cores())}) as server:
        yield port, server


@contextmanager
def _running(
    command: Sequence[str], port: int | None, cores: set[int] | None = None
) -> Iterator[int]:
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)  # children take it over
    try:
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, before)
    try:
        while port is not None and not _answers(port):
            assert child.poll() is None, f"{command} ended"
            time.sleep(0.1)
        time.sleep(1)  # every process of the server, not just the first
        yield child.pid
    finally:
        child.terminate()
        child.wait(20)


def _answers(port: int) -> bool:
    """Whatever it says: the socket of a server is open before its processes are there."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", "/")
        line.getresponse().read()
    except OSError:
        return False
    finally:
        line.close()
    return True


def _warmed(port: int, load: Path) -> None:
    """Each process has answered each link once: what is measured is links at hand."""
    codes = load.with_name("codes.txt").read_text().split()
    for _ in range(WARM_CONNECTIONS):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for code in codes:
            line.request("GET", f"/s/{code}")
            line.getresponse().read()
        line.close()


def _loaded(port: int, load: Path, server: int, seconds: int) -> Rate:
    _warmed(port, load)
    cpu = _cpu(server)
    said = _wrk(port, load, seconds, core=min(_cores()))
    cpu = _cpu(server) - cpu
    return Rate(
        said["rate"], said["p50"], said["p99"], 1e6 * cpu / said["answers"], int(said["answers"])
    )


def _kept(load: Path, seconds: int) -> Stored:
    port = _free_port()
    spool = current_app.config["SETTINGS"].data / "spool"
    serve = [sys.executable, "-m", "affiliate", "serve", "--port", str(port)]
    with _running(serve, port), _running([sys.executable, "-m", "affiliate", "clicks"], None):
        _warmed(port, load)
        _drained(spool)
        before = _rows()
        began = time.perf_counter()
        said = _wrk(port, load, seconds)
        _drained(spool)
        took = time.perf_counter() - began
        stored = _rows() - before
    return Stored(int(said["answers"]), stored, said["rate"], stored / took)


def _drained(spool: Path) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while True:
        with unit_of_work():
            if not insight.backlog(spool).bytes:
                return
        assert time.monotonic() < deadline, "the click writer does not keep up"
        time.sleep(0.1)


def _rows() -> int:
    with unit_of_work():
        return int(db.session.scalar(sa.text("SELECT count(*) FROM clicks")) or 0)


_FIGURES = {
    "rate": r"Requests/sec:\s+([\d.]+)()",
    "p50": r"50%\s+([\d.]+)(us|ms|s)",
    "p99": r"99%\s+([\d.]+)(us|ms|s)",
    "answers": r"(\d+) requests in()",
}
_MS = {"": 1.0, "us": 0.001, "ms": 1.0, "s": 1000.0}


def _wrk(port: int, load: Path, seconds: int, core: int | None = None) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(load)]
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
    ).stdout
    assert "Non-2xx" not in said, said
    found = {}
    for name, pattern in _FIGURES.items():
        match = re.search(pattern, said)
        assert match, said
        assert match[1] != "0", "the machine is too busy to answer anybody"
        found[name] = float(match[1]) * _MS[match[2]]
    return found


def _middle(rates: Sequence[Rate]) -> Rate:
    return Rate(
        median(each.per_second for each in rates),
        median(each.p50_ms for each in rates),
        median(each.p99_ms for each in rates),
        median(each.cpu_us for each in rates),
        sum(each.answers for each in rates),
    )


def _cpu(pid: int) -> float:
    """Seconds that this process and its children computed."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            if pid in (int(process.name), int(stat[1])):
                ticks += sum(map(int, stat[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _cores() -> set[int]:
    return os.sched_getaffinity(0)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    from affiliate import wsgi

    wsgi.serve("127.0.0.1", int(sys.argv[1]), target="affiliate.bench.redirect:by_flask")
