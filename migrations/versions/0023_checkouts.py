"""What a buyer's browser tells of a checkout, until the order that came of it tells the same."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_checkouts"
down_revision = "0022_desk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkouts",
        sa.Column("merchant_id", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shop_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("tokens", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("order_key", sa.Text),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="checkouts_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name="checkouts_merchant_id_shop_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="checkouts_pkey"),
        sa.UniqueConstraint(
            "merchant_id", "shop_id", "key", name="checkouts_merchant_id_shop_id_key_key"
        ),
    )
    op.create_index("checkouts_old_idx", "checkouts", ["created_at"])


def downgrade() -> None:
    op.drop_table("checkouts")
