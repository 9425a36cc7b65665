"""Stored orders by the million: what the engine wrote for a few, set-based for many.

Only what names an order or its buyer differs, and when it was. So a filled order is the same to
the engine as one it booked: told again it changes nothing, and a refund finds its money.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from werkzeug.datastructures import Headers

from affiliate import clock, security
from affiliate.attribution.models import Attribution, Binding
from affiliate.attribution.service.choosing import candidates_of
from affiliate.bench import scene as of_scene
from affiliate.bench.scene import Scene
from affiliate.commissions.models import Commission, Entry
from affiliate.db import Model, db, table, unit_of_work
from affiliate.intake import service as intake
from affiliate.intake.models import Event
from affiliate.intake.platforms import Knock
from affiliate.ledger.models import Transfer
from affiliate.orders import queries as orders
from affiliate.orders.facts import Customer
from affiliate.orders.models import Line, Order
from affiliate.orders.queries import Stored
from affiliate.people.models import Merchant

BATCH = 250  # times the pattern


@dataclass(frozen=True)
class Calendar:
    """When the orders were placed: one after the other, evenly, up to now."""

    since: datetime
    step: timedelta

    @classmethod
    def of(cls, orders: int, days: int) -> "Calendar":
        since = clock.now() - timedelta(days=days)
        return cls(since, timedelta(days=days) / orders)

    def at(self, number: int) -> datetime:
        """Whole seconds, as tokens have them."""
        return (self.since + self.step * number).replace(microsecond=0)


class Filling:
    """The first orders are booked by the engine, the next are copies of them."""

    def __init__(self, scene: Scene, calendar: Calendar) -> None:
        self.scene, self.calendar = scene, calendar
        self.shop = scene.shop
        self.zone = ZoneInfo(db.session.get_one(Merchant, self.shop.merchant_id).timezone)
        self.period = len(scene.link_ids)  # so that each copy has the seller of its pattern
        self.pattern = self._book_pattern()
        self.count = self.period
        self.ids = {model: _ids(model, self.shop.merchant_id) for model in SOURCES}

    def up_to(self, count: int) -> None:
        """Until this many orders are stored."""
        while self.count < count:
            end = min(self.count + BATCH * self.period, count)
            with unit_of_work():
                self._copy(range(self.count, end))
            self.count = end

    def _book_pattern(self) -> list[Stored]:
        numbers = range(self.period)
        with unit_of_work():
            for number in numbers:
                body, headers = of_scene.webhook(self.scene, number, self.calendar.at(number))
                intake.keep_with_others(self.shop, Knock(Headers(headers), body))
        intake.drain(self.shop.merchant_id, self.shop.id)
        wanted = [of_scene.external_id(number) for number in numbers]
        found = orders.by_external_ids(self.shop.merchant_id, self.shop.id, wanted)
        return [found[each] for each in wanted]

    def _copy(self, numbers: range) -> None:
        db.session.execute(sa.text(_WANTED))
        raw: Any = db.session.connection().connection.driver_connection
        with raw.cursor() as cursor, cursor.copy("COPY bench_wanted FROM STDIN") as copy:
            for row in self._rows(numbers):
                copy.write_row(row)
        db.session.execute(sa.text("ANALYZE bench_wanted"))
        ids = {
            model: f"t.%s + {_ids(model, self.shop.merchant_id)[1] + 1 - first}"
            f" + (w.number / {self.period} - {numbers.start // self.period}) * {last - first + 1}"
            for model, (first, last) in self.ids.items()
        }
        # Neither foreign keys nor triggers, but the one that writes the totals of accounts.
        db.session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        db.session.execute(sa.text(_BOOKING.format("ENABLE ALWAYS")))
        for model, source in SOURCES.items():
            statement = _copying(model, source, ids)
            db.session.execute(sa.text(statement), {"merchant": self.shop.merchant_id})
            sequence = sa.func.pg_get_serial_sequence(table(model).name, "id")
            last = _ids(model, self.shop.merchant_id)[1]
            db.session.execute(sa.select(sa.func.setval(sequence, last)))
        db.session.execute(sa.text(_BOOKING.format("ENABLE")))
        db.session.execute(sa.text("SET LOCAL session_replication_role = origin"))
        db.session.execute(sa.text("DROP TABLE bench_wanted"))

    def _rows(self, numbers: range) -> Iterator[tuple[Any, ...]]:
        """As in bench_wanted: the copy's values, and of the pattern what they stand for."""
        before = [
            (
                pattern.id,
                of_scene.external_id(like),
                pattern.facts.customer.email_hash,
                of_scene.line_id(like),
                _text(self.calendar.at(like)),
                _month(self.calendar.at(like), self.zone),
                pattern.facts.version,
            )
            for like, pattern in enumerate(self.pattern)
        ]
        for number in numbers:
            like = number % self.period
            pattern, at = self.pattern[like], self.calendar.at(number)
            mail, inside = _hashes(self.shop.id, number)
            token = of_scene.clicked(self.scene, number, at)
            customer = of_scene.customer(number)
            facts = replace(
                pattern.facts,
                placed_at=at,
                tokens=(token,),
                customer=Customer(external_id=customer, email_hash=mail),
            )
            yield (
                number,
                *before[like],
                of_scene.external_id(number),
                f"#{number}",
                customer,
                mail,
                inside,
                of_scene.line_id(number),
                at,
                _text(at),
                at - self.calendar.at(like),
                _month(at, self.zone),
                _version(at),
                token,
                candidates_of(replace(pattern, facts=facts)),
            )


def _hashes(shop_id: int, number: int) -> tuple[bytes, bytes]:
    """What the buyer is recognised by: the mailbox, and the id inside the shop."""
    mail = security.keyed_hash(of_scene.buyer(number), purpose="buyer")
    inside = f"{shop_id}/{of_scene.customer(number)}"
    return mail, security.keyed_hash(inside, purpose="shop_customer")


def _text(at: datetime) -> str:
    """As it stands in JSON, up to the seconds."""
    return at.isoformat().removesuffix("+00:00")


def _month(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).date().replace(day=1).isoformat()


def _version(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _ids(model: type[Model], merchant_id: int) -> tuple[int, int]:
    """The first and the last."""
    rows = table(model).c
    ends = sa.select(sa.func.min(rows.id), sa.func.max(rows.id))
    first, last = db.session.execute(ends.where(rows.merchant_id == merchant_id)).one()
    return first, last


@contextmanager
def in_haste() -> Iterator[None]:
    """For filling a server of our own; tidy and with fresh statistics afterwards."""
    settings = {"autovacuum": "off", "full_page_writes": "off", "max_wal_size": "16GB"}
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name, value in settings.items():
            connection.execute(sa.text(f"ALTER SYSTEM SET {name} = '{value}'"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
        yield
        connection.execute(sa.text("VACUUM (ANALYZE)"))
        connection.execute(sa.text("ALTER SYSTEM RESET ALL"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
        connection.execute(sa.text("CHECKPOINT"))


_BOOKING = "ALTER TABLE ledger_transfers {} TRIGGER ledger_transfers_book"

_WANTED = """
    CREATE TEMPORARY TABLE bench_wanted (
        number bigint, pattern_id bigint, pattern_key text, pattern_mail bytea, pattern_line text,
        pattern_text text, pattern_month text, pattern_version text,
        external_id text, name text, customer text, mail bytea, inside bytea, line text,
        at timestamptz, text text, later interval, month text, version bigint, token text,
        candidates text
    )
"""

# Where the rows of an order are; in the order in which they may be written.
OF_ORDER = "ON t.merchant_id = :merchant AND t.order_id = w.pattern_id"
SOURCES: dict[type[Model], str] = {
    Event: "JOIN inbox t ON t.merchant_id = :merchant AND t.order_key = w.pattern_key",
    Order: "JOIN orders t ON t.merchant_id = :merchant AND t.id = w.pattern_id",
    Line: f"JOIN order_lines t {OF_ORDER}",
    Attribution: f"JOIN attributions t {OF_ORDER}",
    Commission: f"JOIN commissions t {OF_ORDER}",
    Entry: f"JOIN entries t {OF_ORDER}",
    Binding: f"JOIN bindings t {OF_ORDER}",
    Transfer: "JOIN entries e ON e.merchant_id = :merchant AND e.order_id = w.pattern_id"
    " JOIN ledger_transfers t ON t.merchant_id = :merchant AND t.cause = 'entry:' || e.id",
}

# What of a copy is another than of its pattern; besides, instants are later.
_OTHER: dict[tuple[type[Model], str], str] = {
    (Event, "dedup_key"): "w.name || ':' || encode(sha256(w.name::bytea), 'hex')",
    (Event, "order_key"): "w.external_id",
    (Event, "body"): "CASE WHEN w.at > now() - interval '30 days' THEN t.body END",
    (Order, "external_id"): "w.external_id",
    (Order, "number"): "w.name",
    (Order, "version"): "w.version",
    (Order, "customer_external_id"): "w.customer",
    (Order, "customer_email_hash"): "w.mail",
    (Order, "tokens"): "ARRAY[w.token]",
    (Line, "external_id"): "w.line",
    (Commission, "month"): "w.month::date",
    (Binding, "customer"): "CASE t.customer WHEN w.pattern_mail THEN w.mail ELSE w.inside END",
    (Transfer, "xact"): "pg_current_xact_id()::text::bigint",
}
_KEYS = {"order_id": Order, "line_id": Line, "commission_id": Commission}
_WRITTEN = {"created_at", "received_at", "done_at"}


def _copying(model: type[Model], source: str, ids: dict[type[Model], str]) -> str:
    values = {column.name: _value(model, column, ids) for column in table(model).columns}
    return (
        f"INSERT INTO {table(model).name} ({', '.join(values)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {', '.join(values.values())} FROM bench_wanted w {source} ORDER BY w.number, t.id"
    )


def _value(model: type[Model], column: sa.Column[Any], ids: dict[type[Model], str]) -> str:
    name = column.name
    if name == "id" or name in _KEYS:
        return ids[_KEYS.get(name, model)] % name
    if (model, name) == (Transfer, "cause"):
        return f"'entry:' || ({(ids[Entry] % 'id').replace('t.', 'e.')})"
    return _OTHER.get((model, name)) or _later(column)


def _later(column: sa.Column[Any]) -> str:
    if column.name in _WRITTEN:
        return "w.at"
    if isinstance(column.type, sa.DateTime):
        return f"t.{column.name} + w.later"
    if isinstance(column.type, sa.JSON):
        return _json(column.name)
    return f"t.{column.name}"


def _json(name: str) -> str:
    """Texts in it that stand for the order: its line, its instants, its month and its version."""
    text = f"t.{name}::text"
    for before, now in (("line", "line"), ("text", "text"), ("month", "month")):
        text = f"replace({text}, '\"' || w.pattern_{before}, '\"' || w.{now})"
    text = f"replace({text}, w.pattern_version, w.version::text)"
    if name != "trace":
        return f"({text})::jsonb"
    return f"jsonb_set(({text})::jsonb, '{{of}}', to_jsonb(w.candidates))"
