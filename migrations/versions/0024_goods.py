"""What a shop says of its products, which of them are one thing in several shops, and reviews."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024_goods"
down_revision = "0023_checkouts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "product_groups",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="product_groups_merchant_id_fkey"
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="product_groups_pkey"),
        sa.UniqueConstraint("merchant_id", "name", name="product_groups_merchant_id_name_key"),
    )
    for column in (
        sa.Column("description", sa.Text),
        sa.Column("images", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("list_price", sa.BigInteger),
        sa.Column("price_until", sa.DateTime(timezone=True)),
        sa.Column("sold", sa.BigInteger),
        sa.Column("group_id", sa.BigInteger),
        sa.Column("gone_at", sa.DateTime(timezone=True)),
        sa.Column("synced_at", sa.DateTime(timezone=True)),
        sa.Column("shop_version", sa.BigInteger),
    ):
        op.add_column("products", column)
    op.create_check_constraint("list_price", "products", "list_price >= 0")
    op.create_check_constraint("sold", "products", "sold >= 0")
    op.create_foreign_key(
        "products_merchant_id_group_id_fkey",
        "products",
        "product_groups",
        ["merchant_id", "group_id"],
        ["merchant_id", "id"],
    )
    op.create_index(
        "products_group_idx",
        "products",
        ["merchant_id", "group_id"],
        postgresql_where=sa.text("group_id IS NOT NULL"),
    )
    op.create_table(
        "product_reviews",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("rating", sa.SmallInteger, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("written_on", sa.Date),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="product_reviews_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name="product_reviews_merchant_id_product_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="product_reviews_pkey"),
        sa.UniqueConstraint(
            "merchant_id",
            "product_id",
            "origin",
            "external_id",
            name="product_reviews_merchant_id_product_id_origin_external_id_key",
        ),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="product_reviews_rating_check"),
    )
    op.add_column(
        "programs",
        sa.Column("sold_out", sa.Text, nullable=False, server_default="redirect"),
    )
    op.create_check_constraint(
        "sold_out", "programs", "sold_out IN ('redirect', 'pause', 'ignore')"
    )


def downgrade() -> None:
    op.drop_column("programs", "sold_out")
    op.drop_table("product_reviews")
    for name in (
        "description",
        "images",
        "list_price",
        "price_until",
        "sold",
        "group_id",
        "gone_at",
        "synced_at",
        "shop_version",
    ):
        op.drop_column("products", name)
    op.drop_table("product_groups")
