"""The sandbox provider itself: it remembers, knows each reference once, misbehaves on demand."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from affiliate import processes
from affiliate.payouts.sandbox.behaviour import BEHAVIOURS, Chance, state_after
from tests.house.system import ROOT, free_port, wait
from tests.payouts.sandbox import Sandbox

TRANSFER = {"reference": "TK1", "amount": 500, "currency": "BRL", "country": "BR", "account": "a"}


@pytest.fixture
def sandbox(tmp_path):
    found = Sandbox(tmp_path / "log.jsonl")
    found.start()
    yield found
    found.stop()


def sent(sandbox, **changed):
    return httpx.post(f"{sandbox.url}/transfers", json=TRANSFER | changed)


def asked(sandbox, reference="TK1"):
    return httpx.get(f"{sandbox.url}/transfers/{reference}")


def test_the_same_reference_is_the_same_transfer(sandbox):
    first, second = sent(sandbox), sent(sandbox)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert list(sandbox.transfers()) == ["TK1"]


def test_at_once_it_is_still_one(sandbox):
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(lambda _: sent(sandbox).status_code, range(8)))

    assert codes == [200] * 7 + [201]
    assert list(sandbox.transfers()) == ["TK1"]


@pytest.mark.parametrize("other", [{"amount": 501}, {"currency": "USD"}, {"account": "b"}])
def test_the_same_reference_for_other_money_is_refused(sandbox, other):
    sent(sandbox)

    assert sent(sandbox, **other).status_code == 409
    assert sandbox.transfers()["TK1"]["amount"] == 500


def test_it_says_what_it_never_saw(sandbox):
    answer = asked(sandbox, "TK404")

    assert (answer.status_code, answer.json()) == (404, {"error": "not_found"})


@pytest.mark.parametrize("bad", [{"amount": 0}, {"amount": "x"}, {"reference": "../x"}])
def test_what_makes_no_sense_is_not_taken(sandbox, bad):
    assert sent(sandbox, **bad).status_code == 400
    assert sandbox.transfers() == {}


def test_it_remembers_what_it_promised(sandbox):
    sent(sandbox, account="never")
    sandbox.stop()
    with sandbox.log.open("a") as log:
        log.write('{"event": "transfer", "refer')  # killed while it wrote
    sandbox.start()

    assert asked(sandbox).json()["state"] == "processing"
    assert sent(sandbox, account="never").status_code == 200
    sent(sandbox, reference="TK2")
    sandbox.stop()
    sandbox.start()
    assert asked(sandbox, "TK2").status_code == 200


def test_the_command_survives_a_kill(tmp_path):
    port, log = free_port(), tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "affiliate", "sandbox-psp", f"--port={port}", f"--log={log}"]
    for expected in (201, 200):
        child = processes.start(command, cwd=ROOT, env=os.environ.copy())
        try:
            wait(lambda: _answers(port))
            answer = httpx.post(f"http://127.0.0.1:{port}/transfers", json=TRANSFER)
            assert answer.status_code == expected
        finally:
            processes.stop(child, signal.SIGKILL)


def _answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/transfers/x").status_code == 404
    except httpx.HTTPError:
        return False


def test_the_same_seed_misbehaves_the_same():
    def drawn(seed):
        chance = Chance(seed, 0.5)
        plans = [chance.behaviour("a", f"TK{number}") for number in range(50)]
        return [(plan.course, chance.fault(plan, f"TK{n}", 0)) for n, plan in enumerate(plans)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert len({fault for _, fault in drawn(7)}) > 4


def test_courses_end_where_they_say():
    ends = {name: state_after(each.course, 3600) for name, each in BEHAVIOURS.items()}

    assert ends["expires"] == "expired"
    assert ends["returned"] == "returned"
    assert ends["never"] == "processing"
    assert state_after(BEHAVIOURS["expires"].course, -5) == "waiting"  # a clock put back


@pytest.fixture
def hook():
    """Somebody who is knocked at; `told` are the states in their order."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(httpx.Response(200, content=self.rfile.read(
                int(self.headers["Content-Length"]))).json()["state"])  # fmt: skip
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    told = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("account", "states"),
    [
        ("ordinary", ["processing", "paid"]),
        ("told-twice", ["processing", "processing", "paid", "paid"]),
        ("told-backwards", ["paid", "processing"]),
        ("told-nothing", []),
    ],
)
def test_it_tells_of_news_as_it_likes(tmp_path, hook, account, states):
    url, told = hook
    sandbox = Sandbox(tmp_path / "log.jsonl")
    sandbox.start(url)
    sent(sandbox, account=account)
    wait(lambda: len(told) >= len(states))
    time.sleep(0.3)
    sandbox.stop()

    assert told == states
