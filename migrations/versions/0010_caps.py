"""Caps per order and month, and simulations: a past period under draft terms and rules."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_caps"
down_revision = "0009_engine"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cap_counters",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("program_id", sa.BigInteger, nullable=False),
        sa.Column("payee_id", sa.BigInteger, nullable=False),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("cap_counters_pkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("cap_counters_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("cap_counters_merchant_id_program_id_fkey"),
        ),
        sa.UniqueConstraint(
            "merchant_id",
            "program_id",
            "month",
            "currency",
            "payee_id",
            name=op.f("cap_counters_merchant_id_program_id_month_currency_payee_id_key"),
        ),
    )
    op.add_column(
        "program_terms",
        sa.Column("caps", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'")),
    )
    op.alter_column("program_terms", "caps", server_default=None)
    op.add_column("commissions", sa.Column("month", sa.Date))
    op.add_column("commissions", sa.Column("allowed", sa.BigInteger))
    op.create_index("commissions_month_idx", "commissions", ["merchant_id", "program_id", "month"])
    op.create_table(
        "simulations",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("program_id", sa.BigInteger, nullable=False),
        sa.Column("draft", postgresql.JSONB, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("orders_done", sa.BigInteger, nullable=False),
        sa.Column("orders_total", sa.BigInteger, nullable=False),
        sa.Column("result", postgresql.JSONB, nullable=False),
        sa.Column("created_by", sa.BigInteger),
        sa.Column("worked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("simulations_pkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("simulations_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("simulations_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("simulations_created_by_fkey")
        ),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("simulations_state_check")),
    )
    op.create_index(
        "simulations_running_idx",
        "simulations",
        ["worked_at"],
        postgresql_where=sa.text("state = 'running'"),
    )
    op.execute(FROZEN)
    op.execute(MONTHS)


def downgrade() -> None:
    op.drop_table("simulations")
    op.drop_index("commissions_month_idx", "commissions")
    op.drop_column("commissions", "allowed")
    op.drop_column("commissions", "month")
    op.drop_column("program_terms", "caps")
    op.drop_table("cap_counters")


FROZEN = """
UPDATE attributions a
   SET frozen = frozen || jsonb_build_object('caps', '{}'::jsonb, 'month',
         date_trunc('month', (frozen->>'at')::timestamptz AT TIME ZONE m.timezone)::date)
  FROM merchants m
 WHERE m.id = a.merchant_id AND frozen IS NOT NULL
"""

MONTHS = """
UPDATE commissions c SET month = (a.frozen->>'month')::date
  FROM attributions a
 WHERE (a.merchant_id, a.order_id) = (c.merchant_id, c.order_id) AND a.frozen IS NOT NULL
"""
