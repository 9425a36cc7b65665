"""Whatever a redirect depends on leaves a word when it changes, whoever changes it and how."""

import sqlalchemy as sa
from alembic import op

revision = "0027_freshness"
down_revision = "0026_shop_coupons"
branch_labels = None
depends_on = None

# Table, subject, and the columns of which a change is told (none: each row that comes or goes).
WATCHED = (
    ("links", "'link:' || n.id", "url, sub_ids, expires_at, paused_at"),
    (
        "products",
        "'product:' || n.merchant_id || ':' || n.id",
        "url, title, image_url, stock, hidden_at, gone_at",
    ),
    (
        "programs",
        "'program:' || n.merchant_id || ':' || n.id",
        "ended_at, fallback_url, sold_out",
    ),
    ("shops", "'shop:' || n.merchant_id || ':' || n.id", "domain, name, disconnected_at"),
    ("merchants", "'merchant:' || n.id", "suspended_at"),
    ("promoters", "'promoter:' || n.id", "suspended_at"),
    (
        "enrolments",
        "'member:' || n.merchant_id || ':' || n.program_id || ':' || n.promoter_id",
        "state",
    ),
)

TELL = """
    CREATE FUNCTION {table}_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT {subject} FROM new_rows n JOIN old_rows o USING ({key})
       WHERE ({new}) IS DISTINCT FROM ({old})
       ORDER BY 1;
      RETURN NULL;
    END $$;
    CREATE TRIGGER {table}_tell AFTER UPDATE ON {table}
      REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION {table}_tell();
"""

# A member who comes in makes links of before lead to the shop again.
TELL_MEMBERS = """
    CREATE FUNCTION enrolments_told() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT 'member:' || n.merchant_id || ':' || n.program_id || ':' || n.promoter_id
        FROM new_rows n ORDER BY 1;
      RETURN NULL;
    END $$;
    CREATE TRIGGER enrolments_told AFTER INSERT ON enrolments
      REFERENCING NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION enrolments_told();
"""


def upgrade() -> None:
    op.create_table(
        "link_changes",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column(
            "xact",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("((pg_current_xact_id())::text)::bigint"),
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")
        ),
        sa.PrimaryKeyConstraint("id", name="link_changes_pkey"),
    )
    op.create_index("link_changes_xact_idx", "link_changes", ["xact"])
    for table, subject, columns in WATCHED:
        names = [name.strip() for name in columns.split(",")]
        op.execute(
            TELL.format(
                table=table,
                subject=subject,
                key="id" if table in ("links", "merchants", "promoters") else "merchant_id, id",
                new=", ".join(f"n.{name}" for name in names),
                old=", ".join(f"o.{name}" for name in names),
            )
        )
    op.execute(TELL_MEMBERS)


def downgrade() -> None:
    op.execute("DROP TRIGGER enrolments_told ON enrolments")
    op.execute("DROP FUNCTION enrolments_told()")
    for table, _, _ in WATCHED:
        op.execute(f"DROP TRIGGER {table}_tell ON {table}")
        op.execute(f"DROP FUNCTION {table}_tell()")
    op.drop_table("link_changes")
