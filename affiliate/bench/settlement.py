"""`affiliate bench settlement`: a million entries released and paid out, beside floors."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from werkzeug.datastructures import Headers

from affiliate import clock
from affiliate.bench import counting, scene
from affiliate.bench.filling import in_haste
from affiliate.bench.scene import Scene
from affiliate.commissions import service as commissions
from affiliate.commissions.models import Commission, Entry
from affiliate.db import Model, db, table, unit_of_work
from affiliate.intake import service as intake
from affiliate.intake.platforms import Knock
from affiliate.ledger.verify import count, verify
from affiliate.orders.models import Line, Order
from affiliate.people import service as people
from affiliate.people.models import Promoter
from affiliate.settlement import runs
from affiliate.settlement import service as settlements
from affiliate.settlement.models import Settlement

ENTRIES_EACH = 10  # of a payee
BOOKS = 500_000  # entries that are filled at once for `verify`


@dataclass(frozen=True)
class Timed:
    seconds: float
    cpu: float  # seconds of processors, PostgreSQL's and ours


@dataclass(frozen=True)
class Beside:
    """One step at one size, and the same rows in plain SQL."""

    ours: Timed
    floor: Timed

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.floor.seconds

    @property
    def cpu_ratio(self) -> float:
        return self.ours.cpu / self.floor.cpu


@dataclass(frozen=True)
class Level:
    entries: int
    payees: int
    release: Beside
    payouts: Beside
    peak_mb: float  # of this process, up to here


@dataclass(frozen=True)
class Measured:
    levels: list[Level]
    checked: dict[str, int]
    verify: float  # seconds
    read: float  # seconds to add up all transfers by account

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "ratios": {
                name: [getattr(level, name).ratio for level in self.levels]
                for name in ("release", "payouts")
            }
        }


@dataclass(frozen=True)
class Side:
    """Payees and entries of one half of a level: the floor's or ours."""

    merchant_id: int
    first_payee: int
    payees: int
    first_entry: int
    entries: int
    now: datetime = field(default_factory=clock.now)

    def given(self, **more: Any) -> dict[str, Any]:
        return asdict(self) | {
            "last_payee": self.first_payee + self.payees - 1,
            "last_entry": self.first_entry + self.entries - 1,
        } | more  # fmt: skip


class Filling:
    """An order is booked by the engine, its seller's half is copied: one entry an order."""

    def __init__(self, found: Scene) -> None:
        self.merchant_id = found.shop.merchant_id
        with unit_of_work():
            body, headers = scene.webhook(found, 0)
            intake.keep_with_others(found.shop, Knock(Headers(headers), body))
        intake.drain(self.merchant_id, found.shop.id)
        entry = db.session.execute(PATTERN, {"merchant": self.merchant_id}).one()
        self.patterns: dict[type[Model], int] = {
            Promoter: entry.payee_id,
            Order: entry.order_id,
            Line: entry.line_id,
            Commission: entry.commission_id,
            Entry: entry.id,
        }

    def side(self, entries: int, payees: int) -> Side:
        """More payees with more entries, pending and due. Neighbours in time are other payees'."""
        first_payee = _next_id(Promoter)
        first = max(_next_id(model) for model in (Order, Line, Commission, Entry))
        side = Side(self.merchant_id, first_payee, payees, first, entries)
        with plainly():
            for model, pattern in self.patterns.items():
                rows = payees if model is Promoter else entries
                given = side.given(pattern=pattern, rows=rows)
                db.session.execute(sa.text(_copying(model)), given)
                sequence = sa.func.pg_get_serial_sequence(table(model).name, "id")
                db.session.execute(sa.select(sa.func.setval(sequence, _next_id(model) - 1)))
            for statement in (ACCOUNTS_OF_PAYEES, ANALYZE, PENDING, ANALYZE, ACCRUED, RECEIVABLE):
                db.session.execute(sa.text(statement), side.given())
        return side


def measure(found: Scene, entries: list[int], books: int, say: Callable[[str], None]) -> Measured:
    """At each of these sizes; then `verify` over at least so many transfers."""
    with unit_of_work():
        maker = people.create_user("maker@example.com", name="Maker").id
    filling = Filling(found)
    levels = [_level(filling, size, maker, say) for size in entries]
    if (missing := books - count()["transfers"]) > 0:
        say(f"{missing} transfers more")
        with in_haste():
            while (missing := books - count()["transfers"]) > 0:
                size = max(ENTRIES_EACH, min(BOOKS, missing // 2 + 1))
                release_plainly(filling.side(size, size // ENTRIES_EACH))
    say("the books")
    return Measured(levels, *_books())


def _level(filling: Filling, size: int, maker: int, say: Callable[[str], None]) -> Level:
    say(f"{size} entries: filling")
    with in_haste():
        floor = filling.side(size, size // ENTRIES_EACH)
        ours = filling.side(size, size // ENTRIES_EACH)
    say("release, and its floor")
    released = _beside(lambda: release(ours), lambda: release_plainly(floor))
    say("payouts, and their floor")
    paid = _beside(lambda: pay_out(ours, maker), lambda: pay_out_plainly(floor, maker))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Level(size, size // ENTRIES_EACH, released, paid, peak)


def release(side: Side) -> int:
    done, ahead = 0, commissions.Ahead()
    while True:
        with unit_of_work():
            released = commissions.release(side.merchant_id, side.now, runs.ENTRIES, ahead)
        if not released:
            return done
        done += released


def pay_out(side: Side, maker: int) -> Settlement:
    """A settlement, built until it waits for approval."""
    with unit_of_work():
        begun = _settlement(side, maker)
        key = (begun.merchant_id, begun.id)
    for _ in runs.build(*key):
        pass
    return db.session.get_one(Settlement, key)


def release_plainly(side: Side) -> None:
    """The same rows without a check, in few statements and one transaction."""
    with plainly():
        for statement in (AVAILABLE, RELEASE, RELEASED, MOVE_RELEASED):
            db.session.execute(sa.text(statement), side.given(kind="available"))


def pay_out_plainly(side: Side, maker: int) -> None:
    with unit_of_work():
        settlement = _settlement(side, maker).id
    given = side.given(settlement=settlement, kind="reserved")
    with plainly():
        for statement in (
            AVAILABLE,
            PAYOUTS,
            ANALYZE_PAYOUTS,
            LINES,
            RESERVE,
            RESERVED,
            MOVE_RESERVED,
        ):
            db.session.execute(sa.text(statement), given)


def _settlement(side: Side, maker: int) -> Settlement:
    return settlements.create(side.merchant_id, through=side.now, by=maker, in_background=False)


def _beside(ours: Callable[[], object], floor: Callable[[], object]) -> Beside:
    """Each begins with tidy tables."""
    timed = []
    for action in (floor, ours):
        timed.append(_timed(action))
        with in_haste():
            pass
    return Beside(floor=timed[0], ours=timed[1])


def _timed(action: Callable[[], object]) -> Timed:
    cpu, began = counting.cpu_of_postgres() + time.process_time(), time.perf_counter()
    action()
    seconds = time.perf_counter() - began
    return Timed(seconds, counting.cpu_of_postgres() + time.process_time() - cpu)


def _books() -> tuple[dict[str, int], float, float]:
    with unit_of_work():
        began = time.perf_counter()
        db.session.execute(sa.text(READ)).all()
        read = time.perf_counter() - began
        began = time.perf_counter()
        report = verify()
        seconds = time.perf_counter() - began
    assert report.ok, report.breaches
    return report.checked, seconds, read


@contextmanager
def plainly() -> Iterator[None]:
    """One transaction without foreign keys and triggers."""
    with unit_of_work():
        db.session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        yield
        db.session.execute(sa.text("SET LOCAL session_replication_role = origin"))


def _next_id(model: type[Model]) -> int:
    return 1 + (db.session.scalar(sa.select(sa.func.max(table(model).c.id))) or 0)


def _copying(model: type[Model]) -> str:
    values = {each.name: f"t.{each.name}" for each in table(model).columns} | _OTHER[model]
    return (
        f"INSERT INTO {table(model).name} ({', '.join(values)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {', '.join(values.values())}"
        f" FROM {table(model).name} t, generate_series(0, :rows - 1) n WHERE t.id = :pattern"
    )


def _account(name: str, kind: str) -> str:
    """Joins a payee's account to a row `e`."""
    return (
        f"JOIN ledger_accounts {name} ON {name}.merchant_id = e.merchant_id"
        f" AND {name}.owner_kind = 'promoter' AND {name}.owner_id = e.payee_id"
        f" AND {name}.kind = '{kind}' AND {name}.currency = e.currency"
    )


_ID = ":first_entry + n"
_PAYEE = ":first_payee + CAST(n AS bigint) * 7919 % :payees"
_OTHER: dict[type[Model], dict[str, str]] = {
    Promoter: {
        "id": ":first_payee + n",
        "email": "'payee' || (:first_payee + n) || '@example.com'",
        "email_hash": "NULL",
    },
    Order: {"id": _ID, "external_id": f"'bench' || ({_ID})"},
    Line: {"id": _ID, "order_id": _ID},
    Commission: {"id": _ID, "order_id": _ID, "line_id": _ID, "payee_id": _PAYEE},
    Entry: {
        "id": _ID,
        "commission_id": _ID,
        "order_id": _ID,
        "payee_id": _PAYEE,
        "amount": "1000 + n % 997",
        "hold_until": "CAST(:now AS timestamptz) - (:entries - n) * interval '1 second'",
    },
}

PATTERN = sa.text("""
    SELECT e.id, e.payee_id, e.order_id, e.commission_id, c.line_id
      FROM entries e JOIN commissions c ON c.merchant_id = e.merchant_id AND c.id = e.commission_id
     WHERE e.merchant_id = :merchant AND c.role = 'direct'
""")

# For good plans: what was just written is not in the statistics yet.
ANALYZE = "ANALYZE entries, promoters, payout_accounts, ledger_accounts"
ANALYZE_PAYOUTS = "ANALYZE payouts"

ACCOUNTS_OF_PAYEES = """
    INSERT INTO payout_accounts (payee_kind, payee_id, rail, country, currency, fields, masked,
                                 fingerprint, used_from, name_differs, version, created_at)
    SELECT 'promoter', id, 'file', 'BR', 'BRL', '', '', sha256(int8send(id)), :now, false, 1, :now
      FROM promoters WHERE id BETWEEN :first_payee AND :last_payee
"""

_OURS = "merchant_id = :merchant_id AND id BETWEEN :first_entry AND :last_entry"


_NEW_ACCOUNT = """
    INSERT INTO ledger_accounts (merchant_id, owner_kind, owner_id, kind, currency, debits,
                                 credits, clawed, created_at)
"""
_NEW_TRANSFER = """
    INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id, amount, currency,
                                  xact, created_at)
"""

PENDING = f"""{_NEW_ACCOUNT}
    SELECT :merchant_id, 'promoter', payee_id, 'pending', currency, 0, sum(amount), 0, :now
      FROM entries WHERE {_OURS} GROUP BY payee_id, currency ORDER BY payee_id
"""

ACCRUED = f"""{_NEW_TRANSFER}
    SELECT :merchant_id, 'accrue', 'entry:' || e.id, r.id, a.id, e.amount, e.currency,
           pg_current_xact_id()::text::bigint, :now
      FROM (SELECT * FROM entries WHERE {_OURS}) e
      {_account("a", "pending")}
      JOIN ledger_accounts r ON r.merchant_id = :merchant_id AND r.kind = 'receivable'
       AND r.currency = e.currency
     ORDER BY e.id
"""

RECEIVABLE = f"""
    UPDATE ledger_accounts SET debits = debits + (SELECT sum(amount) FROM entries WHERE {_OURS})
     WHERE merchant_id = :merchant_id AND kind = 'receivable'
"""

AVAILABLE = f"""{_NEW_ACCOUNT}
    SELECT :merchant_id, 'promoter', id, :kind, 'BRL', 0, 0, 0, :now
      FROM promoters WHERE id BETWEEN :first_payee AND :last_payee ORDER BY id
"""

RELEASE = f"UPDATE entries SET state = 'available', released_at = :now WHERE {_OURS}"

RELEASED = f"""{_NEW_TRANSFER}
    SELECT :merchant_id, 'release', 'entry:' || e.id, s.id, t.id, e.amount, e.currency,
           pg_current_xact_id()::text::bigint, :now
      FROM (SELECT * FROM entries WHERE {_OURS}) e
      {_account("s", "pending")}
      {_account("t", "available")}
"""

_MOVE = """
    UPDATE ledger_accounts a
       SET debits = debits + CASE kind WHEN '{0}' THEN amount ELSE 0 END,
           credits = credits + CASE kind WHEN '{1}' THEN amount ELSE 0 END
      FROM (SELECT payee_id, currency, sum(amount) AS amount FROM entries WHERE {2}
             GROUP BY payee_id, currency) e
     WHERE a.merchant_id = :merchant_id AND a.owner_kind = 'promoter' AND a.owner_id = e.payee_id
       AND a.currency = e.currency AND a.kind IN ('{0}', '{1}')
"""
MOVE_RELEASED = _MOVE.format("pending", "available", _OURS)
MOVE_RESERVED = _MOVE.format("available", "reserved", _OURS)

PAYOUTS = f"""
    INSERT INTO payouts (merchant_id, settlement_id, payee_kind, payee_id, currency, account_id,
                         rail, gross, withheld, credited, invoiced, net, state, reference, version,
                         created_at)
    SELECT :merchant_id, :settlement, 'promoter', payee_id, currency, p.id, p.rail, e.amount, 0, 0,
           false, e.amount, 'awaiting_approval',
           'TK' || upper(left(replace(CAST(gen_random_uuid() AS text), '-', ''), 16)), 2, :now
      FROM (SELECT payee_id, currency, sum(amount) AS amount FROM entries WHERE {_OURS}
             GROUP BY payee_id, currency) e
      JOIN payout_accounts p USING (payee_id, currency)
     ORDER BY payee_id
"""

LINES = f"""
    INSERT INTO payout_lines (merchant_id, payout_id, entry_id, amount, live)
    SELECT :merchant_id, p.id, e.id, e.amount, true
      FROM (SELECT * FROM entries WHERE {_OURS}) e
      JOIN payouts p ON p.merchant_id = :merchant_id AND p.settlement_id = :settlement
       AND p.payee_id = e.payee_id
"""

RESERVE = f"UPDATE entries SET state = 'reserved' WHERE {_OURS}"

RESERVED = f"""{_NEW_TRANSFER}
    SELECT :merchant_id, 'reserve', 'payout:' || e.id, s.id, t.id, e.gross, e.currency,
           pg_current_xact_id()::text::bigint, :now
      FROM payouts e
      {_account("s", "available")}
      {_account("t", "reserved")}
     WHERE e.merchant_id = :merchant_id AND e.settlement_id = :settlement
"""

# What anybody who adds up the books must at least do.
READ = """
    SELECT count(*), sum(debits) FROM (
      SELECT merchant_id, source_id, target_id, code, sum(amount) AS debits
        FROM ledger_transfers GROUP BY merchant_id, source_id, target_id, code) sums
"""
