"""Shops whose set-up was taken over from another."""

import sqlalchemy as sa
from alembic import op

revision = "0030_connecting"
down_revision = "0029_insight"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_copies",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shop_id", sa.BigInteger, nullable=False),
        sa.Column("from_shop_id", sa.BigInteger, nullable=False),
        sa.Column("rate_id", sa.BigInteger),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("seen_product_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="shop_copies_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name="shop_copies_merchant_id_shop_id_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "from_shop_id"],
            ["shops.merchant_id", "shops.id"],
            name="shop_copies_merchant_id_from_shop_id_fkey",
        ),
        sa.ForeignKeyConstraint(["rate_id"], ["fx_rates.id"], name="shop_copies_rate_id_fkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="shop_copies_user_id_fkey"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="shop_copies_pkey"),
        sa.UniqueConstraint("merchant_id", "shop_id", name="shop_copies_merchant_id_shop_id_key"),
    )


def downgrade() -> None:
    op.drop_table("shop_copies")
