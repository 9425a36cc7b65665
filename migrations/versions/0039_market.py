"""What the market says of offers: how good they are, and what sells better than before; and who is
bound to a promoter is found by an index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0039_market"
down_revision = "0038_groups"
branch_labels = None
depends_on = None

COUNTED = ("clicks", "orders", "kept_orders", "revenue", "refunds", "earned")


def upgrade() -> None:
    op.create_table(
        "offer_figures",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("program_id", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTED),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="offer_figures_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name="offer_figures_merchant_id_program_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "program_id", "currency", name="offer_figures_pkey"),
    )
    op.add_column(
        "product_sales",
        sa.Column("lately", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("bindings_promoter_idx", "bindings", ["promoter_id", "until"])


def downgrade() -> None:
    op.drop_index("bindings_promoter_idx", "bindings")
    op.drop_column("product_sales", "lately")
    op.drop_table("offer_figures")
