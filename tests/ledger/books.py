"""Short words for ledger tests: book something, look where the money stands."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from flask import Flask

from affiliate.db import db, unit_of_work
from affiliate.ledger import queries, seals, service, verify
from affiliate.ledger.models import Code, Kind
from affiliate.ledger.rules import SHAPES, AccountKey, Posting
from tests.factories.people import a_merchant

ANA, BEA, CAIO = 1, 2, 3  # promoters; the ledger asks for no more than their number


def account(kind: str, merchant: int, promoter: int = ANA, currency: str = "BRL") -> AccountKey:
    if kind in {Kind.PENDING, Kind.AVAILABLE, Kind.RESERVED}:
        return getattr(service, kind)(merchant, "promoter", promoter, currency)
    return getattr(service, kind)(merchant, currency)


def posting(
    code: str, cause: str, amount: int, *, merchant: int, promoter: int = ANA, currency: str = "BRL"
) -> Posting:
    source, target = SHAPES[Code(code)]
    return Posting(
        Code(code),
        cause,
        account(source, merchant, promoter, currency),
        account(target, merchant, promoter, currency),
        amount,
    )


class Books:
    """The books of one merchant, in one currency."""

    def __init__(self, currency: str = "BRL") -> None:
        self.merchant: int = a_merchant().id
        self.currency = currency

    def posting(self, code: str, cause: str, amount: int, promoter: int = ANA) -> Posting:
        return posting(
            code, cause, amount, merchant=self.merchant, promoter=promoter, currency=self.currency
        )

    def book(self, code: str, cause: str, amount: int, promoter: int = ANA) -> int:
        return service.post([self.posting(code, cause, amount, promoter)])

    def balance(self, kind: str, promoter: int = ANA) -> int:
        return queries.balance(account(kind, self.merchant, promoter, self.currency))

    @property
    def stand(self) -> dict[str, int]:
        """Every account that is not at zero, Ana's only among the payees'."""
        found = {str(kind): self.balance(kind) for kind in Kind}
        return {kind: amount for kind, amount in found.items() if amount}

    def earned(self, amount: int, cause: str = "entry:1", promoter: int = ANA) -> "Books":
        """Accrued and released."""
        self.book("accrue", cause, amount, promoter)
        self.book("release", cause, amount, promoter)
        return self


def assert_books_balance() -> None:
    """What holds whatever is booked; `verify` also asks for the rows that caused it."""
    for name in ("totals", "balanced", "overdrawn", "seals", "closes", "audit"):
        assert verify.check(name) == []


def at_once(app: Flask, acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all these at the same moment, each on a connection of its own, each a unit of work.

    Answers, or the exceptions, in their order.
    """
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        with app.app_context():
            db.session.execute(sa.text("SELECT 1"))
            db.session.rollback()
            ready.wait(20)
            try:
                with unit_of_work():
                    return act()
            except Exception as error:
                return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def wait_for_the_others() -> None:
    """Until every transaction that began before is over, also in the databases of other tests:
    nothing younger is sealed.
    """
    with unit_of_work():
        mine = db.session.scalar(sa.text("SELECT pg_current_xact_id()::text::bigint"))
    for _ in range(600):
        with unit_of_work():
            horizon = db.session.scalar(seals.HORIZON)
        if horizon > mine:
            return
        time.sleep(0.1)
    raise AssertionError("a transaction runs for a minute")


@contextmanager
def triggers_off() -> Iterator[None]:
    """What somebody with the keys of the database could do."""
    tables = (
        "ledger_accounts", "ledger_transfers", "ledger_seals", "entries", "payouts",
        "payout_lines", "pay_ins", "withdrawals", "withdrawal_lines", "write_offs",
        "book_closes", "audit_log",
    )  # fmt: skip
    for table in tables:
        db.session.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    yield
    for table in tables:
        db.session.execute(sa.text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
