"""Grades and volume bands: closed months, what was sold in them, a ladder and who stood where."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011_grades"
down_revision = "0010_caps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "closed_months",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("closed_months_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("closed_months_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "month", name=op.f("closed_months_merchant_id_month_key")
        ),
    )
    op.create_table(
        "grades",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("needs", postgresql.JSONB(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("grades_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("grades_pkey")),
    )
    op.create_index(
        "grades_name_idx",
        "grades",
        ["merchant_id", "name"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "grades_rank_idx",
        "grades",
        ["merchant_id", "rank"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "promoter_volumes",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("sales", sa.BigInteger(), nullable=False),
        sa.Column("team_orders", sa.BigInteger(), nullable=False),
        sa.Column("team_sales", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("promoter_volumes_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("promoter_volumes_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("promoter_volumes_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "month",
            "promoter_id",
            "currency",
            name=op.f("promoter_volumes_merchant_id_month_promoter_id_currency_key"),
        ),
    )
    op.create_table(
        "grade_standings",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("grade_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("period", sa.Date(), nullable=True),
        sa.Column("figures", postgresql.JSONB(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(period IS NULL) = (figures IS NULL)", name=op.f("grade_standings_made_by_check")
        ),
        sa.CheckConstraint("until >= since", name=op.f("grade_standings_order_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "grade_id"],
            ["grades.merchant_id", "grades.id"],
            name=op.f("grade_standings_merchant_id_grade_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("grade_standings_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("grade_standings_promoter_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("grade_standings_user_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("grade_standings_pkey")),
    )
    op.create_index(
        "grade_standings_open_idx",
        "grade_standings",
        ["merchant_id", "promoter_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "grade_standings_promoter_idx",
        "grade_standings",
        ["merchant_id", "promoter_id", "since"],
        unique=False,
    )
    for name, value, allowed in (
        ("grade_period", "month", "'month', 'quarter'"),
        ("grade_demotion", "one", "'none', 'one', 'full'"),
    ):
        op.add_column("merchants", sa.Column(name, sa.Text(), nullable=False, server_default=value))
        op.alter_column("merchants", name, server_default=None)
        op.create_check_constraint(name, "merchants", f"{name} IN ({allowed})")
    op.add_column(
        "commissions", sa.Column("remaining", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.alter_column("commissions", "remaining", server_default=None)
    op.execute(REMAINING)
    op.execute(FROZEN)


def downgrade() -> None:
    op.drop_column("commissions", "remaining")
    op.drop_column("merchants", "grade_demotion")
    op.drop_column("merchants", "grade_period")
    op.drop_table("grade_standings")
    op.drop_table("promoter_volumes")
    op.drop_table("grades")
    op.drop_table("closed_months")


# As the trace of the order tells it; what it does not tell earns nothing any more.
REMAINING = """
UPDATE commissions c SET remaining = (step->1->>'remaining_base')::bigint
  FROM attributions a, order_lines l, jsonb_array_elements(a.trace->'lines') step
 WHERE (a.merchant_id, a.order_id) = (c.merchant_id, c.order_id)
   AND (l.merchant_id, l.id) = (c.merchant_id, c.line_id)
   AND step->>0 = 'share' AND step->1->>'line' = l.external_id AND step->1->>'role' = c.role
   AND (step->1->>'promoter')::bigint = c.payee_id
"""

FROZEN = """
UPDATE attributions a
   SET frozen = jsonb_set(frozen, '{sellers}', (
         SELECT coalesce(jsonb_agg(seller || '{"grade": null, "grade_name": null, "volumes": {}}'),
                         '[]')
           FROM jsonb_array_elements(frozen->'sellers') seller))
 WHERE frozen IS NOT NULL
"""
