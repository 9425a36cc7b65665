"""Events and windows about products: they have a way of their own, beside the orders'."""

import sqlalchemy as sa
from alembic import op

revision = "0025_catalogue"
down_revision = "0024_goods"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "inbox", sa.Column("goods", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_index(
        "inbox_goods_idx",
        "inbox",
        ["merchant_id", "shop_id", "id"],
        postgresql_where=sa.text("state = 'waiting' AND goods"),
    )
    op.add_column("pulls", sa.Column("what", sa.Text, nullable=False, server_default="orders"))
    op.add_column(
        "pulls", sa.Column("whole", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_check_constraint("what", "pulls", "what IN ('orders', 'products')")
    op.drop_index("pulls_shop_idx", "pulls")
    op.create_index("pulls_shop_idx", "pulls", ["merchant_id", "shop_id", "what", "until"])
    op.drop_index("pulls_open_idx", "pulls")
    op.create_index(
        "pulls_open_idx",
        "pulls",
        ["merchant_id", "shop_id", "what"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM pulls WHERE what = 'products'")
    op.drop_index("pulls_open_idx", "pulls")
    op.create_index(
        "pulls_open_idx",
        "pulls",
        ["merchant_id", "shop_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("pulls_shop_idx", "pulls")
    op.create_index("pulls_shop_idx", "pulls", ["merchant_id", "shop_id", "until"])
    op.drop_column("pulls", "whole")
    op.drop_column("pulls", "what")
    op.drop_index("inbox_goods_idx", "inbox")
    op.drop_column("inbox", "goods")
