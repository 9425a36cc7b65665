"""Orders of one group buy."""

import sqlalchemy as sa
from alembic import op

revision = "0038_groups"
down_revision = "0037_phone"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("group_id", sa.Text))
    op.create_index(
        "orders_group_idx", "orders", ["merchant_id", "shop_id", "group_id"],
        postgresql_where=sa.text("group_id IS NOT NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("orders_group_idx", "orders")
    op.drop_column("orders", "group_id")
