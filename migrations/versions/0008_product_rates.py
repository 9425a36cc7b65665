"""Rates of single products inside a program."""

import sqlalchemy as sa
from alembic import op

revision = "0008_product_rates"
down_revision = "0007_events_notices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "product_rates",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("program_id", sa.BigInteger, nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("product_rates_pkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("product_rates_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("product_rates_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name=op.f("product_rates_merchant_id_product_id_fkey"),
        ),
        sa.UniqueConstraint(
            "merchant_id",
            "product_id",
            "program_id",
            "effective_from",
            name=op.f("product_rates_merchant_id_product_id_program_id_effective_from_key"),
        ),
        sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name=op.f("product_rates_rate_check")),
    )


def downgrade() -> None:
    op.drop_table("product_rates")
