"""Clicks that fit no month: the months themselves are made ahead by insight.store."""

from alembic import op

revision = "0004_clicks"
down_revision = "0003_sponsors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A click from a machine with a wrong clock must not stop those behind it.
    op.execute("CREATE TABLE clicks_default PARTITION OF clicks DEFAULT")


def downgrade() -> None:
    op.execute("DROP TABLE clicks_default")
