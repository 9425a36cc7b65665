from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from affiliate.db import db


@pytest.fixture
def count_statements():
    """`with count_statements() as statements:` collects what is sent to the database."""

    @contextmanager
    def counting():
        sent = []
        connection = db.session.connection()

        def note(_conn, _cursor, statement, *_):
            sent.append(statement)

        sa.event.listen(connection, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            sa.event.remove(connection, "before_cursor_execute", note)

    return counting
