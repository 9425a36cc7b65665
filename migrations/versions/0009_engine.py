"""The engine: rules and groups, coupons, sharers, bindings and claims, holds and risk cases.

Rates of single products become rules of their own. A version of a rule is never edited, and a code
has one owner at a time: the database sees to both.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009_engine"
down_revision = "0008_product_rates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "promoter_groups",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("promoter_groups_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("promoter_groups_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "name", name=op.f("promoter_groups_merchant_id_name_key")
        ),
    )
    op.create_table(
        "coupons",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("normal_code", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("coupons_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("coupons_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("coupons_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("coupons_pkey")),
    )
    op.create_index("coupons_code_idx", "coupons", ["merchant_id", "normal_code"], unique=False)
    op.create_index(op.f("coupons_promoter_id_idx"), "coupons", ["promoter_id"], unique=False)
    op.create_table(
        "group_members",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "group_id"],
            ["promoter_groups.merchant_id", "promoter_groups.id"],
            name=op.f("group_members_merchant_id_group_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("group_members_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("group_members_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("group_members_pkey")),
    )
    op.create_index(
        "group_members_open_idx",
        "group_members",
        ["merchant_id", "group_id", "promoter_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "group_members_promoter_idx", "group_members", ["promoter_id", "merchant_id"], unique=False
    )
    op.create_table(
        "program_invitees",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=True),
        sa.Column("group_id", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(promoter_id, group_id) = 1",
            name=op.f("program_invitees_one_of_two_check"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "group_id"],
            ["promoter_groups.merchant_id", "promoter_groups.id"],
            name=op.f("program_invitees_merchant_id_group_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("program_invitees_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("program_invitees_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("program_invitees_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("program_invitees_pkey")),
    )
    op.create_index(
        "program_invitees_program_idx",
        "program_invitees",
        ["merchant_id", "program_id"],
        unique=False,
    )
    op.create_index(
        op.f("program_invitees_promoter_id_idx"), "program_invitees", ["promoter_id"], unique=False
    )
    op.create_table(
        "sharers",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("sharers_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=op.f("sharers_merchant_id_shop_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("sharers_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("sharers_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("sharers_pkey")),
    )
    op.create_index(
        "sharers_external_idx", "sharers", ["merchant_id", "shop_id", "external_id"], unique=False
    )
    op.create_index(op.f("sharers_promoter_id_idx"), "sharers", ["promoter_id"], unique=False)
    op.create_table(
        "bindings",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("customer", sa.LargeBinary(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("protected_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("bindings_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("bindings_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("bindings_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("bindings_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("bindings_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "customer",
            "program_id",
            "order_id",
            name=op.f("bindings_merchant_id_customer_program_id_order_id_key"),
        ),
    )
    op.create_index("bindings_order_idx", "bindings", ["merchant_id", "order_id"], unique=False)
    op.create_index(op.f("bindings_promoter_id_idx"), "bindings", ["promoter_id"], unique=False)
    op.create_table(
        "claims",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("order_number", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state <> 'accepted' OR order_id IS NOT NULL)",
            name=op.f("claims_decided_check"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'accepted', 'refused')", name=op.f("claims_state_check")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("claims_decided_by_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("claims_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("claims_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=op.f("claims_merchant_id_shop_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("claims_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("claims_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("claims_pkey")),
    )
    op.create_index(
        "claims_accepted_idx",
        "claims",
        ["merchant_id", "order_id"],
        unique=True,
        postgresql_where=sa.text("state = 'accepted'"),
    )
    op.create_index(
        "claims_open_idx",
        "claims",
        ["merchant_id", "shop_id", "order_number", "promoter_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("claims_promoter_id_idx"), "claims", ["promoter_id"], unique=False)
    op.create_table(
        "holds",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("payee_kind", sa.Text(), nullable=True),
        sa.Column("payee_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(order_id, payee_id) = 1 AND num_nonnulls(payee_kind, payee_id) <> 1",
            name=op.f("holds_subject_check"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("holds_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("holds_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("holds_pkey")),
    )
    op.create_index(
        "holds_order_idx",
        "holds",
        ["merchant_id", "order_id"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL AND order_id IS NOT NULL"),
    )
    op.create_index(
        "holds_payee_idx",
        "holds",
        ["merchant_id", "payee_kind", "payee_id"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL AND payee_id IS NOT NULL"),
    )
    op.create_table(
        "risk_cases",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("promoter_id", sa.BigInteger(), nullable=True),
        sa.Column("score", sa.BigInteger(), nullable=False),
        sa.Column("signals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_by IS NULL)",
            name=op.f("risk_cases_decided_check"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'cleared', 'confirmed')", name=op.f("risk_cases_state_check")
        ),
        sa.CheckConstraint(
            "num_nonnulls(order_id, promoter_id) = 1", name=op.f("risk_cases_subject_check")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["users.id"], name=op.f("risk_cases_decided_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("risk_cases_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("risk_cases_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("risk_cases_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("risk_cases_pkey")),
    )
    op.create_index("risk_cases_order_idx", "risk_cases", ["merchant_id", "order_id"], unique=True)
    op.create_index(
        "risk_cases_promoter_idx",
        "risk_cases",
        ["merchant_id", "promoter_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "rules",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=True),
        sa.Column("group_id", sa.BigInteger(), nullable=True),
        sa.Column("product_id", sa.BigInteger(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("inline", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(promoter_id IS NOT NULL) = (scope IN ('promoter_product', 'promoter')) AND (group_id IS NOT NULL) = (scope IN ('group_product', 'group')) AND (product_id IS NOT NULL) = (scope IN ('promoter_product', 'group_product', 'product')) AND (category IS NOT NULL) = (scope = 'category') AND scope IN ('promoter_product', 'promoter', 'group_product', 'product', 'category', 'group', 'program')",
            name=op.f("rules_scope_check"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "group_id"],
            ["promoter_groups.merchant_id", "promoter_groups.id"],
            name=op.f("rules_merchant_id_group_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name=op.f("rules_merchant_id_product_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("rules_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("rules_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("rules_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("rules_pkey")),
    )
    op.create_index(
        "rules_inline_idx",
        "rules",
        ["merchant_id", "program_id", "product_id"],
        unique=True,
        postgresql_where=sa.text("inline"),
    )
    op.create_index("rules_program_idx", "rules", ["merchant_id", "program_id"], unique=False)
    op.create_table(
        "rule_versions",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=True),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("conditions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'percent') = (currency IS NULL)", name=op.f("rule_versions_currency_check")
        ),
        sa.CheckConstraint(
            "kind IN ('percent', 'per_unit', 'per_order')", name=op.f("rule_versions_kind_check")
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("rule_versions_amount_check")),
        sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name=op.f("rule_versions_rate_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "rule_id"],
            ["rules.merchant_id", "rules.id"],
            name=op.f("rule_versions_merchant_id_rule_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("rule_versions_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("rule_versions_user_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("rule_versions_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "rule_id",
            "effective_from",
            name=op.f("rule_versions_merchant_id_rule_id_effective_from_key"),
        ),
    )
    for table, column in NEW_COLUMNS:
        op.add_column(table, column)
        op.alter_column(table, column.name, server_default=None)
    op.add_column("attributions", sa.Column("claim_id", sa.BigInteger()))
    op.add_column("commissions", sa.Column("rule_id", sa.BigInteger()))
    op.create_foreign_key(
        "attributions_merchant_id_claim_id_fkey",
        "attributions",
        "claims",
        ["merchant_id", "claim_id"],
        ["merchant_id", "id"],
    )
    op.create_foreign_key(
        "commissions_merchant_id_rule_id_fkey",
        "commissions",
        "rule_versions",
        ["merchant_id", "rule_id"],
        ["merchant_id", "id"],
    )
    op.create_check_constraint(
        op.f("program_terms_binding_check"),
        "program_terms",
        "binding_days BETWEEN 0 AND 3650 AND protection_days BETWEEN 0 AND binding_days"
        " AND notice_days BETWEEN 0 AND 365",
    )
    op.create_check_constraint(
        op.f("programs_plan_type_check"),
        "programs",
        "plan_type IN ('public', 'targeted', 'exclusive')",
    )
    for statement in (ONE_OWNER, NEVER_EDITED, RULES_OF_PRODUCTS, CREDITED, FROZEN):
        op.execute(statement)
    op.drop_table("product_rates")


def downgrade() -> None:
    op.create_table(
        "product_rates",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("program_id", sa.BigInteger, nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id"),
    )
    op.drop_constraint("commissions_merchant_id_rule_id_fkey", "commissions")
    op.drop_constraint("attributions_merchant_id_claim_id_fkey", "attributions")
    op.drop_column("commissions", "rule_id")
    op.drop_column("attributions", "claim_id")
    for table, column in NEW_COLUMNS:
        op.drop_column(table, column.name)
    for table in NEW_TABLES:
        op.drop_table(table)


NEW_TABLES = (
    "rule_versions", "rules", "risk_cases", "holds", "claims", "bindings", "sharers",
    "program_invitees", "group_members", "coupons", "promoter_groups",
)  # fmt: skip
NEW_COLUMNS = tuple(
    (table, sa.Column(name, kind, nullable=False, server_default=sa.text(default)))
    for table, name, kind, default in (
        ("attributions", "credited", postgresql.JSONB(), "'[]'"),
        ("attributions", "barred", sa.Boolean(), "false"),
        ("orders", "sharers", postgresql.ARRAY(sa.Text()), "'{}'"),
        ("orders", "disputes", postgresql.JSONB(), "'[]'"),
        ("program_terms", "binding_days", sa.BigInteger(), "30"),
        ("program_terms", "protection_days", sa.BigInteger(), "0"),
        ("program_terms", "notice_days", sa.BigInteger(), "30"),
        ("programs", "plan_type", sa.Text(), "'public'"),
        ("programs", "risk_threshold", sa.BigInteger(), "100"),
    )
)

ONE_OWNER = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
ALTER TABLE coupons ADD CONSTRAINT coupons_one_owner EXCLUDE USING gist
  (merchant_id WITH =, normal_code WITH =, tstzrange(since, until) WITH &&);
ALTER TABLE sharers ADD CONSTRAINT sharers_one_owner EXCLUDE USING gist
  (merchant_id WITH =, shop_id WITH =, external_id WITH =, tstzrange(since, until) WITH &&);
"""

# `ledger_refuse` is of 0002.
NEVER_EDITED = """
CREATE TRIGGER rule_versions_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_versions
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('a version of a rule is never edited');
"""

RULES_OF_PRODUCTS = """
INSERT INTO rules (merchant_id, program_id, scope, product_id, inline, version, created_at)
  SELECT merchant_id, program_id, 'product', product_id, true, count(*), min(created_at)
    FROM product_rates GROUP BY merchant_id, program_id, product_id;
INSERT INTO rule_versions (merchant_id, rule_id, effective_from, ended, kind, rate_ppm, amount,
                           priority, conditions, created_at)
  SELECT p.merchant_id, r.id, p.effective_from, p.rate_ppm IS NULL, 'percent',
         coalesce(p.rate_ppm, 0), 0, 0, '{}', p.created_at
    FROM product_rates p JOIN rules r USING (merchant_id, program_id, product_id)
"""

CREDITED = """
UPDATE attributions SET credited = jsonb_build_array(jsonb_build_object('products', NULL, 'by',
  jsonb_build_array(jsonb_build_object('promoter', promoter_id, 'link', link_id, 'source', source,
    'at', touched_at, 'content', NULL, 'self', coalesce(refusal IN ('rebate', 'self_purchase'),
    false)))))
 WHERE promoter_id IS NOT NULL
"""

# The seller stood first among the shares, the platform's fee last.
FROZEN = """
UPDATE attributions SET frozen = jsonb_build_object(
  'at', frozen->'at', 'terms_id', frozen->'terms_id', 'base', frozen->'base',
  'hold_days', frozen->'hold_days', 'hold_fallback_days', frozen->'hold_fallback_days',
  'platform_fee_ppm', coalesce((SELECT (s->>3)::bigint FROM jsonb_array_elements(frozen->'shares') s
                                 WHERE s->>0 = 'platform_fee'), 0),
  'categories', '{}'::jsonb,
  'sellers', jsonb_build_array(jsonb_build_object(
    'promoter', frozen->'shares'->0->2, 'role', frozen->'shares'->0->0,
    'others', coalesce((SELECT jsonb_agg(s) FROM jsonb_array_elements(frozen->'shares') s
                         WHERE s->>0 LIKE 'tier_%'), '[]'),
    'inactive', frozen->'inactive', 'groups', '[]'::jsonb, 'content', NULL,
    'locked', '[]'::jsonb)))
 WHERE frozen IS NOT NULL
"""
