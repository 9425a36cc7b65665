"""Shops that only say where to look, what they were asked themselves, and marketplaces."""

import sqlalchemy as sa
from alembic import op

revision = "0019_shops"
down_revision = "0018_speed"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("shops", sa.Column("account", sa.Text, nullable=False, server_default=""))
    op.drop_constraint("shops_platform_domain_key", "shops")
    op.create_unique_constraint(
        "shops_platform_domain_account_key", "shops", ["platform", "domain", "account"]
    )
    op.add_column("inbox", sa.Column("thin", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("inbox", sa.Column("due_at", sa.DateTime(timezone=True)))
    op.drop_index("inbox_waiting_idx", "inbox")
    for name, which in (("waiting", "NOT thin"), ("thin", "thin")):
        op.execute(
            f"CREATE INDEX inbox_{name}_idx ON inbox (merchant_id, shop_id, id)"
            f" WHERE state = 'waiting' AND {which}"
        )
    _pulls()
    _tokens()


def _pulls() -> None:
    op.create_table(
        "pulls",
        *_owned(),
        sa.Column("shop_id", sa.BigInteger, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("rounds", "pages", "seen", "missed", "failures")
        ),
        sa.Column("total", sa.BigInteger),
        sa.Column("moved", sa.Boolean, nullable=False),
        sa.Column("error", sa.dialects.postgresql.JSONB),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        *_keys("pulls"),
    )
    op.create_index("pulls_shop_idx", "pulls", ["merchant_id", "shop_id", "until"])
    op.execute(
        "CREATE UNIQUE INDEX pulls_open_idx ON pulls (merchant_id, shop_id) WHERE ended_at IS NULL"
    )


def _tokens() -> None:
    op.create_table(
        "shop_tokens",
        *_owned(),
        sa.Column("shop_id", sa.BigInteger, nullable=False),
        sa.Column("token", sa.LargeBinary),
        sa.Column("consent", sa.LargeBinary, nullable=False),
        sa.Column("renewing_until", sa.DateTime(timezone=True)),
        *_keys("shop_tokens"),
        sa.UniqueConstraint("merchant_id", "shop_id", name="shop_tokens_merchant_id_shop_id_key"),
    )


def _owned() -> list[sa.Column]:
    return [
        sa.Column("merchant_id", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    ]


def _keys(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=f"{table}_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=f"{table}_merchant_id_shop_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=f"{table}_pkey"),
    ]


def downgrade() -> None:
    op.drop_table("shop_tokens")
    op.drop_table("pulls")
    op.drop_index("inbox_thin_idx", "inbox")
    op.drop_index("inbox_waiting_idx", "inbox")
    op.drop_column("inbox", "due_at")
    op.drop_column("inbox", "thin")
    op.execute(
        "CREATE INDEX inbox_waiting_idx ON inbox (merchant_id, shop_id, id) WHERE state = 'waiting'"
    )
    op.drop_constraint("shops_platform_domain_account_key", "shops")
    op.create_unique_constraint("shops_platform_domain_key", "shops", ["platform", "domain"])
    op.drop_column("shops", "account")
