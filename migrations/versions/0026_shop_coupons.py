"""Coupons in shops: what they give there, what is wanted of them, and what came of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026_shop_coupons"
down_revision = "0025_catalogue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shop_coupons",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("coupon_id", sa.BigInteger, nullable=False),
        sa.Column("shop_id", sa.BigInteger, nullable=False),
        sa.Column("normal_code", sa.Text, nullable=False),
        sa.Column("percent_ppm", sa.BigInteger),
        sa.Column("amount", sa.BigInteger),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("minimum", sa.BigInteger),
        sa.Column("uses", sa.BigInteger),
        sa.Column("starts_at", sa.DateTime(timezone=True)),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("wish", sa.Text, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("taken_over", sa.Boolean, nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        sa.Column("seen_at", sa.DateTime(timezone=True)),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("error", postgresql.JSONB),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="shop_coupons_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "coupon_id"],
            ["coupons.merchant_id", "coupons.id"],
            name="shop_coupons_merchant_id_coupon_id_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name="shop_coupons_merchant_id_shop_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="shop_coupons_pkey"),
        sa.CheckConstraint(
            "wish IN ('there', 'paused', 'removed')", name="shop_coupons_wish_check"
        ),
        sa.CheckConstraint(
            "state IN ('by_hand', 'wanted', 'there', 'paused', 'removed', 'failed')",
            name="shop_coupons_state_check",
        ),
        sa.CheckConstraint(
            "num_nonnulls(percent_ppm, amount) = 1 AND coalesce(percent_ppm, 1) BETWEEN 1 AND"
            " 1000000 AND coalesce(amount, 1) > 0 AND coalesce(minimum, 1) > 0"
            " AND coalesce(uses, 1) > 0 AND coalesce(starts_at < ends_at, true)",
            name="shop_coupons_terms_check",
        ),
        sa.CheckConstraint(
            "(state = 'failed') <= (error IS NOT NULL)", name="shop_coupons_reason_check"
        ),
    )
    op.create_index("shop_coupons_coupon_idx", "shop_coupons", ["merchant_id", "coupon_id"])
    op.create_index(
        "shop_coupons_code_idx",
        "shop_coupons",
        ["merchant_id", "shop_id", "normal_code"],
        unique=True,
        postgresql_where=sa.text("state <> 'removed'"),
    )
    op.create_index(
        "shop_coupons_due_idx",
        "shop_coupons",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("shop_coupons")
