"""Clicks that could not be written down."""

import sqlalchemy as sa
from alembic import op

revision = "0034_losses"
down_revision = "0030_connecting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lost_clicks",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clicks", sa.BigInteger, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lost_clicks_pkey"),
    )
    op.create_index("ix_lost_clicks_at", "lost_clicks", ["at"])


def downgrade() -> None:
    op.drop_table("lost_clicks")
