"""How migrations run: each in a transaction of its own, never waiting long for a busy table."""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app

from affiliate import models
from affiliate.db import Model

assert models  # imported so that the metadata knows every table

# Refusing after a few seconds is better than queueing behind a long query: whoever comes after
# the waiting ALTER TABLE, also plain readers, would wait behind it.
PATIENCE = "4s"
# One migrator at a time, also when several machines start together.
MIGRATING = 7_425_318


def known_to_models(_: Any, name: str | None, kind: str, reflected: bool, __: Any) -> bool:
    """Partitions are made by SQL as time goes by, so the models do not list them."""
    return not (kind == "table" and reflected and name in partitions)


def ignore_empty(_: Any, __: Any, directives: list[Any]) -> None:
    """`db migrate` without a change writes no file."""
    options = context.config.cmd_opts
    if getattr(options, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def say(*, step: Any, **_: Any) -> None:
    logging.getLogger("migrations").info("schema: %s", step.up_revision_id)


def migrate(connection: sa.Connection) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_lock(MIGRATING)))
    connection.execute(sa.text(f"SET lock_timeout = '{PATIENCE}'"))
    find = "SELECT relname FROM pg_class WHERE relispartition"
    partitions.update(connection.scalars(sa.text(find)))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Model.metadata,
        transaction_per_migration=True,
        include_object=known_to_models,
        process_revision_directives=ignore_empty,
        on_version_apply=say,
        compare_server_default=True,
    )
    try:
        context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(sa.text("RESET lock_timeout"))
        connection.execute(sa.select(sa.func.pg_advisory_unlock(MIGRATING)))
        connection.commit()


partitions: set[str] = set()

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Model.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif given := context.config.attributes.get("connection"):
    migrate(given)
else:
    with current_app.extensions["migrate"].db.engine.connect() as connection:
        migrate(connection)
