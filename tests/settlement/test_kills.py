"""Settlements while workers, PostgreSQL and Valkey are killed: the provider's own log tells whether
anything was sent twice or forgotten.
"""

import os
import random
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from redis.exceptions import RedisError

from affiliate import create_app, jobs, processes, servers
from affiliate.config import load
from affiliate.db import AWAY, db, unit_of_work
from affiliate.jobs import Job
from affiliate.ledger.verify import verify
from affiliate.payouts.models import Payout, PayoutAccount
from affiliate.payouts.sandbox.behaviour import state_after
from affiliate.payouts.service import open_fields
from affiliate.payouts.service.calls import WAITING
from affiliate.people.models import Merchant, Role, User
from affiliate.people.service import SecondFactorUnavailable
from affiliate.settlement import service
from affiliate.settlement.models import Settlement
from tests.conftest import SECRET
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import THROUGH, a_code, an_account, an_entry, with_totp
from tests.house.system import AFFILIATE, ROOT, wait
from tests.payouts.sandbox import Sandbox, a_payee
from tests.settlement.dying import POINTS, VICTIMS

SECONDS = 90  # for what happens within a few on an idle machine
PAYEES = 12
FAULTS = 0.25  # of the provider, at random, on top of the kills
ENDS = {"paid": "paid", "failed": "failed", "expired": "failed", "returned": "returned"}


@pytest.mark.parametrize(("seed", "kills"), [(6, 3), pytest.param(61, 50, marks=pytest.mark.long)])
# PostgreSQL may die while we read an open cursor of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_is_sent_twice_and_nothing_forgotten_whoever_is_killed(
    seed, kills, committed, tmp_path
):
    chance = random.Random(seed)
    with Place(tmp_path, seed) as place, place.app.app_context():
        people = place.move_in()
        said = [f"{each}: {place.settle(people, *each)}" for each in deaths(chance, kills)]
        assert any(each.endswith("killed") for each in said), said
        place.wait_for_the_provider()
        place.house_rests()
        compare(place.sandbox, f"seed {seed}: {'; '.join(said)}")


def deaths(chance, kills):
    """Victim, point and pass: every pair of victim and point once before any comes again."""
    pairs = [(victim, point) for point in POINTS for victim in VICTIMS]
    chosen = [
        pair for _ in range(0, kills, len(pairs)) for pair in chance.sample(pairs, len(pairs))
    ]
    if kills < len(pairs):  # a few kills are one of each victim
        chosen = [(victim, chance.choice(list(POINTS))) for victim in VICTIMS]
    return [(*pair, chance.randint(1, POINTS[pair[1]])) for pair in chosen[:kills]]


@dataclass(frozen=True)
class People:
    merchant_id: int
    maker: int
    checker: int


class Place:
    """A system with servers of its own, which are started again when they were killed."""

    def __init__(self, room, seed) -> None:
        self._stack, self._kills = ExitStack(), 0
        self._orders, self._room = room / "orders", room
        self.sandbox = Sandbox(room / "sandbox.jsonl", seed=seed, share=FAULTS)
        self._password = secrets.token_urlsafe(16)
        self._children = {}

    def __enter__(self):
        with self._stack:
            self._set_up()
            self._stack = self._stack.pop_all()  # whatever fails before this leaves nothing running
        return self

    def _set_up(self) -> None:
        self._orders.mkdir()
        self._folder = self._room / "data"
        (self._folder / "log").mkdir(parents=True)
        self._sockets = self._stack.enter_context(servers.sockets())
        self._alive = os.open(self._folder / "servers.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._stack.callback(os.close, self._alive)
        self._stack.callback(lambda: [processes.stop(each) for each in self._children.values()])
        for name in ("postgres", "valkey"):
            self._start(name)
        self.sandbox.start()
        self._stack.callback(self.sandbox.stop)
        environment = {
            "DATABASE_URL": f"postgresql://tuike:{self._password}@/tuike?host={self._sockets}",
            "REDIS_URL": f"unix://:{self._password}@{self._sockets}/valkey.sock?db=0",
            "AFFILIATE_SECRET_KEY": SECRET,
            "AFFILIATE_DATA": str(self._folder),
            "AFFILIATE_ALLOW_FUTURE": "1",
            "AFFILIATE_SANDBOX_URL": self.sandbox.url,
            "AFFILIATE_LOG_LEVEL": "ERROR",
            "DYING": str(self._orders),
        }
        self._environment = os.environ | environment
        subprocess.run([*AFFILIATE, "db", "upgrade"], check=True, cwd=ROOT, env=self._environment)
        self.app = create_app(
            load(database_url=environment["DATABASE_URL"], redis_url=environment["REDIS_URL"],
                 secret_key=SECRET, data=self._folder, allow_future=True, live_port=0,
                 sandbox_url=self.sandbox.url, log_level="ERROR")
        )  # fmt: skip
        self._house = processes.start(
            [sys.executable, "-m", "tests.settlement.dying"], cwd=ROOT, env=self._environment
        )
        self._stack.callback(self.house_rests)

    def __exit__(self, *_) -> None:
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        self.app.extensions["redis"].close()
        self._stack.close()

    def house_rests(self) -> None:
        processes.stop(self._house, seconds=1)

    def move_in(self) -> People:
        with unit_of_work():
            maker = a_user(Role.FINANCE_MAKER)
            checker = with_totp(a_user(Role.FINANCE_CHECKER))
            return People(a_merchant().id, maker.id, checker.id)

    def settle(self, people: People, victim: str, point: str, passes: int) -> str:
        """One settlement from end to end, during which somebody is killed."""
        self._owe(people)
        with unit_of_work():
            settlement = service.create(people.merchant_id, through=THROUGH, by=people.maker)
        self._kills += 1
        order = self._orders / f"{self._kills} {passes} {victim} {point}"
        order.touch()
        key = (settlement.merchant_id, settlement.id)
        ends = time.monotonic() + SECONDS
        while (state := self._push(key, people)) != "closed":
            assert time.monotonic() < ends, f"{order.name}: still {state}"
        if order.exists():  # fewer passes than usual, because the provider was in a good mood
            order.unlink()
            return "spared"
        return "killed"

    def _owe(self, people: People) -> None:
        with unit_of_work():
            merchant = db.session.get_one(Merchant, people.merchant_id)
            for number in range(PAYEES):
                an_entry(merchant, a_payee(), 1000 + number)
            for number in range(2):
                by_file = a_promoter()
                an_account(by_file)
                an_entry(merchant, by_file, 500 + number)

    def _push(self, key, people: People) -> str:
        """What people and the clock do, once; servers that are dead are started."""
        time.sleep(0.1)
        self._revive()
        with suppress(*AWAY, sa.exc.DBAPIError, RedisError, SecondFactorUnavailable):
            for job in (Job.SWEEP_SETTLEMENTS, Job.ASK_PROVIDERS):
                jobs.enqueue(job, once_per_ms=500)
            with unit_of_work():
                settlement = service.locked(*key)
                if settlement.state == "review":
                    checker = db.session.get_one(User, people.checker)
                    service.approve(*key, by=checker.id, seen=settlement.hash, otp=a_code(checker))
                if settlement.state == "approved":
                    service.execute(*key, by=people.maker)
                return str(settlement.state)
        return "away"

    def wait_for_the_provider(self) -> None:
        """Until every payout has its end."""

        def none_waits() -> bool:
            jobs.enqueue(Job.ASK_PROVIDERS, once_per_ms=500)
            time.sleep(0.1)
            with unit_of_work():
                left = sa.select(Payout.id).where(
                    Payout.rail == "sandbox", Payout.state.in_(WAITING)
                )
                return db.session.scalars(left).first() is None

        wait(none_waits, SECONDS)

    def _revive(self) -> None:
        for name, child in self._children.items():
            if processes.ended(child):
                processes.stop(child, seconds=0)
                self._start(name)

    def _start(self, name: str) -> None:
        """PostgreSQL may find that its killed backends still hold its memory: then again."""
        given = (self._folder, self._sockets, self._password, self._alive)
        ends = time.monotonic() + SECONDS
        while True:
            try:
                if name == "postgres":
                    child = servers.start_postgres(*given, durable=True)
                    self._children[name] = child
                    servers.wait_for_postgres(child, *given[:3])
                else:
                    child = self._children[name] = servers.start_valkey(*given)
                    servers.wait_for_valkey(child, *given[:3])
                break
            except servers.CannotStart:
                assert time.monotonic() < ends
                child.wait()
                time.sleep(0.2)
        (self._orders / f"{name}.pid").write_text(str(child.pid))


def compare(sandbox: Sandbox, said: str) -> None:
    """Our rows with the provider's log, and our books with themselves."""
    transfers = sandbox.transfers()  # each reference once
    with unit_of_work():
        rows = db.session.execute(
            sa.select(Payout, PayoutAccount).join(
                PayoutAccount, PayoutAccount.id == Payout.account_id
            )
        ).all()
        ours = {payout.reference: payout for payout, _account in rows if payout.rail == "sandbox"}
        accounts = {payout.reference: open_fields(account.fields) for payout, account in rows}
        assert ours.keys() == transfers.keys(), said
        for reference, payout in ours.items():
            theirs = transfers[reference]
            told = (theirs["amount"], theirs["currency"], theirs["account"])
            assert told == (payout.net, payout.currency, accounts[reference]["account"]), said
            end = ENDS[state_after(tuple(map(tuple, theirs["course"])), 1e6)]
            assert payout.state == end, (reference, said)
        files = [payout.state for payout, _account in rows if payout.rail == "file"]
        assert set(files) == {"accepted"}, said
        settlements = db.session.scalars(sa.select(Settlement.state)).all()
        assert set(settlements) == {"closed"}, said
        assert verify().breaches == [], said
    print(f"{len(ours)} payouts; {said}")
