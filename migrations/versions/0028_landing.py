"""How many pieces of each product our own orders hold; links hear of stock that variants count."""

import sqlalchemy as sa
from alembic import op

revision = "0028_landing"
down_revision = "0027_freshness"
branch_labels = None
depends_on = None

# A product whose variants are all sold out is sold out, so what they count is told like the rest
# (0027_freshness). A new or a lost variant may decide it too.
TELL = """
    CREATE FUNCTION variants_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT DISTINCT 'product:' || n.merchant_id || ':' || n.product_id
        FROM new_rows n JOIN old_rows o USING (merchant_id, id)
       WHERE n.stock IS DISTINCT FROM o.stock
       ORDER BY 1;
      RETURN NULL;
    END $$;
    CREATE TRIGGER variants_tell AFTER UPDATE ON variants
      REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION variants_tell();

    CREATE FUNCTION variants_told() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT DISTINCT 'product:' || r.merchant_id || ':' || r.product_id FROM rows r ORDER BY 1;
      RETURN NULL;
    END $$;
    CREATE TRIGGER variants_come AFTER INSERT ON variants
      REFERENCING NEW TABLE AS rows
      FOR EACH STATEMENT EXECUTE FUNCTION variants_told();
    CREATE TRIGGER variants_go AFTER DELETE ON variants
      REFERENCING OLD TABLE AS rows
      FOR EACH STATEMENT EXECUTE FUNCTION variants_told();
"""


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
    op.execute(TELL)


def downgrade() -> None:
    for name in ("variants_tell", "variants_come", "variants_go"):
        op.execute(f"DROP TRIGGER {name} ON variants")
    for name in ("variants_tell", "variants_told"):
        op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("product_sales")
