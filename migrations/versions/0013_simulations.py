"""A simulation that fails is tried a few times, and then stands as failed with the reason."""

import sqlalchemy as sa
from alembic import op

revision = "0013_simulations"
down_revision = "0012_agencies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "simulations", sa.Column("tries", sa.BigInteger, nullable=False, server_default="0")
    )
    op.alter_column("simulations", "tries", server_default=None)
    op.add_column("simulations", sa.Column("error", sa.Text))
    _states("'running', 'done', 'failed'")


def downgrade() -> None:
    op.execute("UPDATE simulations SET state = 'done' WHERE state = 'failed'")
    _states("'running', 'done'")
    op.drop_column("simulations", "error")
    op.drop_column("simulations", "tries")


def _states(allowed: str) -> None:
    op.drop_constraint(op.f("simulations_state_check"), "simulations")
    op.create_check_constraint(
        op.f("simulations_state_check"), "simulations", f"state IN ({allowed})"
    )
