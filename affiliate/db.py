"""The database edge: base model, keys of tenants, and the one place that commits."""

import json
import select
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any, LiteralString, cast

import psycopg
import sqlalchemy as sa
from flask import Flask
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from affiliate import clock

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

Key = Annotated[int, mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)]
Minor = Annotated[int, mapped_column(sa.BigInteger)]
Currency = Annotated[str, mapped_column(sa.CHAR(3))]
Json = Annotated[Any, mapped_column(postgresql.JSONB)]
# None is NULL there, and not JSON's null.
JsonOrNull = Annotated[Any, mapped_column(postgresql.JSONB(none_as_null=True), nullable=True)]
Texts = Annotated[list[str], mapped_column(postgresql.ARRAY(sa.Text))]
Ints = Annotated[list[int], mapped_column(postgresql.ARRAY(sa.BigInteger))]

TYPES: dict[Any, Any] = {
    datetime: sa.DateTime(timezone=True),
    int: sa.BigInteger,
    str: sa.Text,
    bytes: sa.LargeBinary,
}


class Model(DeclarativeBase):
    # On the registry, not on the class: Flask-SQLAlchemy copies the class (its issue 1361).
    registry = orm.registry(
        metadata=sa.MetaData(naming_convention=NAMING), type_annotation_map=TYPES
    )


db = SQLAlchemy(
    model_class=Model,
    session_options={"expire_on_commit": False},
    engine_options={"pool_size": 10, "max_overflow": 30},
)


@sa.event.listens_for(sa.pool.Pool, "checkout")
def _leave_the_dead(connection: Any, *_: object) -> None:
    """Take no connection whose server has gone: an idle one has nothing to say, so if there is
    something to read it has hung up. SQLAlchemy's own ping costs three round trips instead, as much
    as all the rest of accepting a webhook.
    """
    if not connection.closed:
        listening = select.poll()
        listening.register(connection.pgconn.socket, select.POLLIN)
        if not listening.poll(0):
            return
    raise sa.exc.InvalidatePoolError


def with_migrations(app: Flask) -> None:
    """Let Flask-Migrate's commands work on this app. Only who migrates pays for loading it."""
    from flask_migrate import Migrate

    from affiliate.config import shipped

    Migrate(app, db, directory=str(shipped("migrations")))


class Stamped:
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Owned(Stamped):
    """A row of one merchant. The merchant stands first in the key, so that a distributed
    PostgreSQL can keep each merchant's rows together, and so that a foreign key from one tenant
    row to another cannot cross tenants: it carries the merchant too.
    """

    merchant_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, sort_order=-2)
    # The sentinel lets many rows be inserted in one statement and yet be told apart by their ids.
    id: Mapped[int] = mapped_column(
        sa.BigInteger, sa.Identity(), primary_key=True, sort_order=-1, insert_sentinel=True
    )

    @declared_attr.directive
    def __table_args__(cls) -> Any:  # noqa: N805
        return (sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"]),)


def same_merchant(column: str, table: str) -> sa.ForeignKeyConstraint:
    """A foreign key to another row of the same merchant."""
    return sa.ForeignKeyConstraint(["merchant_id", column], [f"{table}.merchant_id", f"{table}.id"])


def of_merchant() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"])


def table(model: type[Model]) -> sa.Table:
    """The table of a model, for statements over many rows that need no objects."""
    found = model.__table__
    assert isinstance(found, sa.Table)
    return found


def among(column: Any, values: Iterable[Any]) -> sa.ColumnElement[bool]:
    """`column` is one of these values: one parameter and one text, however many they are."""
    kind = postgresql.ARRAY(column.type)
    if isinstance(column.type, sa.BigInteger):
        # Without a type of its own, so that PostgreSQL reads it as the array itself.
        given: Any = sa.cast(sa.bindparam(None, numbers(values), type_=sa.types.NullType()), kind)
    else:
        given = sa.bindparam(None, list(values), type_=kind)
    return cast(sa.ColumnElement[bool], column == sa.any_(given))


def numbers(values: Iterable[int]) -> str:
    """PostgreSQL's own text of an array of numbers: the driver looks at each one several times."""
    return f"{{{','.join(map(str, values))}}}"


def among_keys(
    merchant_id: Any, column: Any, keys: Iterable[tuple[int, int]]
) -> sa.ColumnElement[bool]:
    """The same for rows of several merchants, by merchant and number."""
    of_merchants: dict[int, list[int]] = {}
    for merchant, number in keys:
        of_merchants.setdefault(merchant, []).append(number)
    each = (
        sa.and_(merchant_id == merchant, among(column, numbers))
        for merchant, numbers in of_merchants.items()
    )
    return sa.or_(sa.false(), *each)


def inserting(model: type[Model], rows: Sequence[Mapping[str, Any]]) -> Insert:
    """An INSERT of any number of rows with the same columns, by one parameter: to be executed as it
    is, or with a conflict clause or a RETURNING added.

    A VALUES list of a thousand rows is a new statement of fifteen thousand parameters each time;
    here the statement is always the same, and PostgreSQL reads the rows from one JSON text.
    """
    target = table(model)
    given = rows[0].keys()
    fixed = {
        column.name: _default(default)
        for column in target.columns
        if (default := cast(Any, column.default)) is not None and column.name not in given
    }
    text = json.dumps([{**fixed, **row} for row in rows], default=_plain)
    source = sa.text(f"json_populate_recordset(NULL::{target.name}, CAST(:rows AS json))")
    names = [*fixed, *given]
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    chosen = sa.select(*columns).select_from(source.bindparams(rows=text))
    return postgresql.insert(target).from_select(names, chosen, include_defaults=False)


def next_ids(model: type[Model], count: int) -> list[int]:
    """Ids for rows that are about to be inserted, where each must know its own."""
    drawn = sa.text(
        "SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)"
    )
    return list(db.session.scalars(drawn, {"name": table(model).name, "count": count}))


def _default(default: Any) -> Any:
    """Put into words here, once for all rows."""
    value = default.arg(None) if default.is_callable else default.arg
    return value.isoformat() if isinstance(value, datetime) else value


def _plain(value: object) -> str:
    """As PostgreSQL reads it in JSON, for the column's own type."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is nothing a row can hold")


Action = Callable[[], object]
Row = tuple[Any, ...] | None
# What the driver and the pool say when the database does not answer.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, sa.exc.OperationalError,
        sa.exc.InterfaceError, sa.exc.TimeoutError)  # fmt: skip


@contextmanager
def unit_of_work() -> Iterator[None]:
    """Everything inside is one transaction; what it asked for happens after it.

    Web requests, commands and jobs are wrapped in it once, at their edge. Nothing else in the
    code base may commit: tests/quality/test_tidy.py sees to that.
    """
    last: list[Action] = db.session.info.setdefault("before_commit", [])
    waiting: list[Action] = db.session.info.setdefault("after_commit", [])
    assert not waiting, "a unit of work inside another"
    try:
        yield
        while last:
            last.pop(0)()
        db.session.commit()
    except BaseException:
        db.session.rollback()
        db.session.info.clear()
        raise
    while waiting:
        waiting.pop(0)()


def before_commit(action: Action) -> None:
    """Do this as the last thing inside the current unit of work; never if it is rolled back."""
    db.session.info.setdefault("before_commit", []).append(action)


def after_commit(action: Action) -> None:
    """Do this once the current unit of work is safely stored; never if it is rolled back."""
    db.session.info.setdefault("after_commit", []).append(action)


def let_go() -> None:
    """End a transaction that has only read, so that none is held while another server is asked."""
    unwritten = [*db.session.new, *db.session.dirty, *db.session.deleted]
    assert not unwritten
    db.session.rollback()


def stand_still() -> None:
    """From here on the unit of work reads everything as of one instant, and writes nothing. For
    long reads; inside a transaction that has begun, as in tests, it changes nothing.
    """
    fresh = not db.session().in_transaction()
    if fresh and not db.session.connection().in_nested_transaction():
        db.session.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


@contextmanager
def committing() -> Iterator[psycopg.Connection[Any]]:
    """A connection of the pool that commits each statement by itself: one round trip, not three."""
    pooled = db.engine.raw_connection()
    try:
        driver: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
        driver.autocommit = True
        yield driver
        driver.autocommit = False
    except BaseException:
        pooled.invalidate()
        raise
    finally:
        pooled.close()


def alone(statement: LiteralString, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """One statement that is a transaction of its own, without a session: stored when this returns.
    Its rows.

    For what comes a thousand times a second and is one statement. In the driver's own words:
    parameters as %(name)s, errors as the driver's.
    """
    with committing() as driver:
        return driver.execute(statement, given).fetchall()


def within(statement: LiteralString, given: Mapping[str, Any]) -> Row:
    """The same statement as a part of the current unit of work."""
    row = db.session.connection().exec_driver_sql(statement, given).one_or_none()
    return tuple(row) if row else None


class App(Flask):
    """A Flask whose every view is one unit of work: returning commits, raising rolls back."""

    def dispatch_request(self) -> ResponseReturnValue:
        with unit_of_work():
            return super().dispatch_request()
