"""How many pieces of each product our own orders hold, counted anew each day."""

import sqlalchemy as sa
from alembic import op

revision = "0028_landing"
down_revision = "0024_goods"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "product_sales",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("pieces", sa.BigInteger, nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="product_sales_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name="product_sales_merchant_id_product_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "product_id", name="product_sales_pkey"),
    )


def downgrade() -> None:
    op.drop_table("product_sales")
