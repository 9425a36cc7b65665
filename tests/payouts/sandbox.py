"""The sandbox provider for tests: the real server, in threads of this process or as a process."""

import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from affiliate.db import unit_of_work
from affiliate.payouts import service as payouts
from affiliate.payouts.sandbox import server
from affiliate.payouts.sandbox.behaviour import Chance
from affiliate.payouts.sandbox.keys import Keys
from tests.factories.people import a_promoter
from tests.factories.settlement import an_entry
from tests.house.system import free_port


class Sandbox:
    """Where it listens stays when it stops and starts again, as does what it remembers."""

    def __init__(self, log: Path, **chance) -> None:
        self.log, self.port = log, free_port()
        self._chance, self._running = Chance(**chance), None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self):
        """Of its `/wechat`."""
        return Keys(self.log.with_suffix(".keys"))

    def start(self, hook: str | None = None) -> None:
        self._running = server.running(self.port, self.log, self._chance, hook)
        self._running.__enter__()

    def stop(self) -> None:
        if self._running:
            self._running.__exit__(None, None, None)
        self._running = None

    def rows(self, event: str) -> list[dict]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [row for row in map(json.loads, lines) if row["event"] == event]

    def transfers(self) -> dict[str, dict]:
        """By reference, each of them once: what it would have paid."""
        found = self.rows("transfer")
        assert len(found) == len({row["reference"] for row in found}), "sent twice"
        return {row["reference"]: row for row in found}

    def calls(self, event: str) -> Counter[str]:
        return Counter(row["reference"] for row in self.rows(event))


def offered(app, url: str):
    """The app as if AFFILIATE_SANDBOX_URL said so."""
    return configured(app, sandbox_url=url)


@contextmanager
def configured(app, **settings):
    """The app as if it had been started with these settings as well."""
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = type(before).model_validate(
        {**before.model_dump(), "DATABASE_URL": before.database_url,
         "REDIS_URL": before.redis_url, **settings}
    )  # fmt: skip
    try:
        yield
    finally:
        app.config["SETTINGS"] = before


def a_payee(account: str = "ordinary", *, rail: str = "sandbox"):
    """A promoter whose money goes to this account of the sandbox."""
    promoter = a_promoter()
    payouts.add_account(
        "promoter", promoter.id, rail=rail, country="BR", currency="BRL",
        fields={"account_holder": "Bruna Souza", "account": account},
    )  # fmt: skip
    return promoter


def owed(merchant, *accounts: str, amount: int = 1000):
    """Payees of these accounts, each with something to be paid."""
    with unit_of_work():
        for number, account in enumerate(accounts):
            an_entry(merchant, a_payee(account), amount + number)


__all__ = ["Sandbox", "a_payee", "configured", "offered", "owed"]
