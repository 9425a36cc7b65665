"""Agencies: who is with them from when to when, what they get in a program, who works for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012_agencies"
down_revision = "0011_grades"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agencies",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", postgresql.CITEXT(), nullable=True),
        sa.Column("country", sa.CHAR(length=2), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("agencies_pkey")),
        sa.UniqueConstraint("email", name=op.f("agencies_email_key")),
    )
    op.create_table(
        "agency_members",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("agency_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(until IS NULL) = (ended_by IS NULL)", name=op.f("agency_members_ended_by_check")
        ),
        sa.CheckConstraint("until >= since", name=op.f("agency_members_order_check")),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agencies.id"], name=op.f("agency_members_agency_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("agency_members_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("agency_members_pkey")),
    )
    op.create_index(
        op.f("agency_members_agency_id_idx"), "agency_members", ["agency_id"], unique=False
    )
    op.create_index(
        "agency_members_asked_idx",
        "agency_members",
        ["agency_id", "promoter_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "agency_members_one_idx",
        "agency_members",
        ["promoter_id"],
        unique=True,
        postgresql_where=sa.text("since IS NOT NULL AND until IS NULL"),
    )
    op.create_index(
        "agency_members_promoter_idx", "agency_members", ["promoter_id", "since"], unique=False
    )
    op.create_table(
        "agency_rates",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("agency_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=True),
        sa.Column("product_id", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency_id"], ["agencies.id"], name=op.f("agency_rates_agency_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name=op.f("agency_rates_merchant_id_product_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("agency_rates_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("agency_rates_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("agency_rates_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("agency_rates_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "program_id",
            "agency_id",
            "promoter_id",
            "product_id",
            name="agency_rates_subject_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("agency_rates_agency_id_idx"), "agency_rates", ["agency_id"], unique=False)
    op.create_table(
        "agency_rate_versions",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("rate_id", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("ppm", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "mode IN ('own', 'difference')", name=op.f("agency_rate_versions_mode_check")
        ),
        sa.CheckConstraint(
            "ppm BETWEEN 0 AND 1000000", name=op.f("agency_rate_versions_ppm_check")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "rate_id"],
            ["agency_rates.merchant_id", "agency_rates.id"],
            name=op.f("agency_rate_versions_merchant_id_rate_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("agency_rate_versions_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("agency_rate_versions_user_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("agency_rate_versions_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "rate_id",
            "effective_from",
            name=op.f("agency_rate_versions_merchant_id_rate_id_effective_from_key"),
        ),
    )
    op.add_column("role_grants", sa.Column("agency_id", sa.BigInteger(), nullable=True))
    op.drop_constraint(
        op.f("role_grants_user_id_role_merchant_id_promoter_id_key"), "role_grants", type_="unique"
    )
    op.create_unique_constraint(
        "role_grants_once_key",
        "role_grants",
        ["user_id", "role", "merchant_id", "promoter_id", "agency_id"],
        postgresql_nulls_not_distinct=True,
    )
    op.create_foreign_key(
        op.f("role_grants_agency_id_fkey"), "role_grants", "agencies", ["agency_id"], ["id"]
    )
    op.execute(AGENCIES_OF_USERS)
    op.drop_constraint("scope_fits_role", "role_grants", type_="check")
    op.create_check_constraint("scope_fits_role", "role_grants", SCOPE)
    op.execute(NEVER_EDITED)
    op.execute(FROZEN)


def downgrade() -> None:
    op.drop_constraint("scope_fits_role", "role_grants", type_="check")
    op.drop_constraint("role_grants_once_key", "role_grants", type_="unique")
    op.drop_column("role_grants", "agency_id")
    op.create_unique_constraint(
        op.f("role_grants_user_id_role_merchant_id_promoter_id_key"),
        "role_grants",
        ["user_id", "role", "merchant_id", "promoter_id"],
        postgresql_nulls_not_distinct=True,
    )
    op.create_check_constraint("scope_fits_role", "role_grants", SCOPE_BEFORE)
    op.drop_table("agency_rate_versions")
    op.drop_table("agency_rates")
    op.drop_table("agency_members")
    op.drop_table("agencies")


# Who had the role before it was of an agency gets one to begin with.
AGENCIES_OF_USERS = """
DO $$
DECLARE
  somebody record;
  made bigint;
BEGIN
  FOR somebody IN SELECT DISTINCT u.id, u.name, u.created_at
                    FROM users u JOIN role_grants g ON g.user_id = u.id AND g.role = 'agency'
  LOOP
    INSERT INTO agencies (name, version, created_at)
      VALUES (somebody.name, 1, somebody.created_at) RETURNING id INTO made;
    UPDATE role_grants SET agency_id = made WHERE user_id = somebody.id AND role = 'agency';
  END LOOP;
END $$
"""

SCOPE = """
(role LIKE 'merchant\\_%') <= (merchant_id IS NOT NULL)
 AND (merchant_id IS NULL OR role LIKE 'merchant\\_%' OR role LIKE 'finance\\_%')
 AND (role = 'promoter') = (promoter_id IS NOT NULL)
 AND (role = 'agency') = (agency_id IS NOT NULL)
"""

SCOPE_BEFORE = """
(role LIKE 'merchant\\_%' AND merchant_id IS NOT NULL AND promoter_id IS NULL)
 OR (role LIKE 'finance\\_%' AND promoter_id IS NULL)
 OR (role = 'promoter' AND promoter_id IS NOT NULL AND merchant_id IS NULL)
 OR (role IN ('operator', 'agency') AND merchant_id IS NULL AND promoter_id IS NULL)
"""

# `ledger_refuse` is of 0002.
NEVER_EDITED = """
CREATE TRIGGER agency_rate_versions_stay
  BEFORE UPDATE OR DELETE OR TRUNCATE ON agency_rate_versions
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('what an agency gets is never edited');
"""

FROZEN = """
UPDATE attributions a
   SET frozen = jsonb_set(frozen, '{sellers}', (
         SELECT coalesce(jsonb_agg(seller || '{"agency": null}'), '[]')
           FROM jsonb_array_elements(frozen->'sellers') seller))
 WHERE frozen IS NOT NULL
"""
