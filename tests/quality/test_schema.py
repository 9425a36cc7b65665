"""The migrations make exactly the tables that the models describe, and nothing waits long."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from affiliate import models
from affiliate.config import shipped
from affiliate.db import Model, db

MIGRATIONS = sorted(Path(shipped("migrations")).glob("versions/*.py"))


def test_models_and_migrations_agree():
    assert models
    connection = db.session.connection()
    find = "SELECT relname FROM pg_class WHERE relispartition"
    others = {"alembic_version", *connection.scalars(sa.text(find))}
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_object": lambda _, name, kind, *__: kind != "table" or name not in others,
    }

    context = MigrationContext.configure(connection, opts=options)

    assert compare_metadata(context, Model.metadata) == []


def test_migrations_are_one_line_of_history():
    assert len(ScriptDirectory(str(shipped("migrations"))).get_heads()) == 1


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.name)
def test_a_migration_can_be_told_by_its_name(path):
    revision = re.search(r'^revision = "(.+)"$', path.read_text(), re.MULTILINE)

    assert revision
    assert path.name == f"{revision[1]}.py"
