"""All tables, from the models. Triggers and partitions follow, one migration per room."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_tables"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS citext")
    op.create_table(
        "clicks",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("referrer", sa.Text(), nullable=True),
        sa.Column("scanned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("at", "id", name=op.f("clicks_pkey")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("clicks_link_idx", "clicks", ["link_id", "at"], unique=False)
    op.create_table(
        "ledger_seals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("from_xact", sa.BigInteger(), nullable=False),
        sa.Column("to_xact", sa.BigInteger(), nullable=False),
        sa.Column("shift", sa.BigInteger(), nullable=False),
        sa.Column("transfers", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("to_xact > from_xact", name=op.f("ledger_seals_forward_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_seals_pkey")),
        sa.UniqueConstraint("from_xact", name=op.f("ledger_seals_from_xact_key")),
        sa.UniqueConstraint("to_xact", name=op.f("ledger_seals_to_xact_key")),
    )
    op.create_table(
        "link_days",
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("link_id", "day", name=op.f("link_days_pkey")),
    )
    op.create_table(
        "merchants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.CHAR(length=2), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("payout_mode", sa.Text(), nullable=False),
        sa.Column("credit_limit", sa.BigInteger(), nullable=True),
        sa.Column("minimum_payout", sa.BigInteger(), nullable=False),
        sa.Column("platform_fee_ppm", sa.BigInteger(), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "payout_mode IN ('automatic', 'on_request')", name=op.f("merchants_payout_mode_check")
        ),
        sa.CheckConstraint("credit_limit >= 0", name=op.f("merchants_credit_limit_check")),
        sa.CheckConstraint(
            "platform_fee_ppm BETWEEN 0 AND 1000000", name=op.f("merchants_platform_fee_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("merchants_pkey")),
    )
    op.create_table(
        "payout_accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("country", sa.CHAR(length=2), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("masked", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("payout_accounts_pkey")),
    )
    op.create_index(
        "payout_accounts_fingerprint_idx", "payout_accounts", ["fingerprint"], unique=False
    )
    op.create_index(
        "payout_accounts_live_idx",
        "payout_accounts",
        ["payee_kind", "payee_id", "currency"],
        unique=True,
        postgresql_where=sa.text("replaced_at IS NULL"),
    )
    op.create_table(
        "promoters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", postgresql.CITEXT(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("email_hash", sa.LargeBinary(), nullable=True),
        sa.Column("phone_hash", sa.LargeBinary(), nullable=True),
        sa.Column("country", sa.CHAR(length=2), nullable=True),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("sponsor_id", sa.BigInteger(), nullable=True),
        sa.Column("sponsor_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("sponsor_id <> id", name=op.f("promoters_not_own_sponsor_check")),
        sa.ForeignKeyConstraint(
            ["sponsor_id"], ["promoters.id"], name=op.f("promoters_sponsor_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("promoters_pkey")),
        sa.UniqueConstraint("email", name=op.f("promoters_email_key")),
    )
    op.create_index(op.f("promoters_sponsor_id_idx"), "promoters", ["sponsor_id"], unique=False)
    op.create_table(
        "spool_offsets",
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("segment", name=op.f("spool_offsets_pkey")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", postgresql.CITEXT(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_service", sa.Boolean(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("totp_secret", sa.LargeBinary(), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "is_service OR email IS NOT NULL", name=op.f("users_people_have_mail_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
        sa.UniqueConstraint("email", name=op.f("users_email_key")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("idempotency_keys_user_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("idempotency_keys_pkey")),
        sa.UniqueConstraint("user_id", "key", name=op.f("idempotency_keys_user_id_key_key")),
    )
    op.create_index("idempotency_keys_age_idx", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "ledger_accounts",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner_kind", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("debits", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("clawed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind NOT IN ('pending', 'reserved', 'tax') OR credits >= debits",
            name=op.f("ledger_accounts_never_overdrawn_check"),
        ),
        sa.CheckConstraint(
            "debits >= 0 AND credits >= 0 AND clawed >= 0",
            name=op.f("ledger_accounts_totals_grow_check"),
        ),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('pending', 'available', 'reserved')"
            " THEN owner_kind IN ('promoter', 'agency') AND owner_id > 0"
            " WHEN kind IN ('receivable', 'bad_debt')"
            " THEN owner_kind = 'merchant' AND owner_id = merchant_id"
            " WHEN kind = 'fees' THEN owner_kind = 'platform' AND owner_id = 0"
            " WHEN kind = 'tax' THEN owner_kind = 'authority'"
            " WHEN kind IN ('clearing', 'rail_costs') THEN owner_kind = 'rail'"
            " ELSE false END",
            name=op.f("ledger_accounts_owner_fits_kind_check"),
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ledger_accounts_currency_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("ledger_accounts_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("ledger_accounts_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "id",
            "currency",
            name=op.f("ledger_accounts_merchant_id_id_currency_key"),
        ),
        sa.UniqueConstraint(
            "merchant_id",
            "owner_kind",
            "owner_id",
            "kind",
            "currency",
            name=op.f("ledger_accounts_merchant_id_owner_kind_owner_id_kind_currency_key"),
        ),
    )
    op.create_index(
        "ledger_accounts_owner_idx",
        "ledger_accounts",
        ["owner_id", "owner_kind", "merchant_id", "id"],
        unique=False,
    )
    op.create_table(
        "one_time_links",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("one_time_links_user_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("one_time_links_pkey")),
        sa.UniqueConstraint("secret_hash", name=op.f("one_time_links_secret_hash_key")),
    )
    op.create_index(op.f("one_time_links_user_id_idx"), "one_time_links", ["user_id"], unique=False)
    op.create_table(
        "pay_ins",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("pay_ins_amount_check")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("pay_ins_created_by_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("pay_ins_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pay_ins_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "reference", name=op.f("pay_ins_merchant_id_reference_key")
        ),
    )
    op.create_table(
        "programs",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enrolment", sa.Text(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("shop_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("fallback_url", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "enrolment IN ('open', 'approval', 'invite')", name=op.f("programs_enrolment_check")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("programs_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("programs_pkey")),
    )
    op.create_table(
        "role_grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.BigInteger(), nullable=True),
        sa.Column("promoter_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(role LIKE 'merchant\\_%' AND merchant_id IS NOT NULL AND promoter_id IS NULL) OR (role LIKE 'finance\\_%' AND promoter_id IS NULL) OR (role = 'promoter' AND promoter_id IS NOT NULL AND merchant_id IS NULL) OR (role IN ('operator', 'agency') AND merchant_id IS NULL AND promoter_id IS NULL)",
            name=op.f("role_grants_scope_fits_role_check"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("role_grants_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("role_grants_promoter_id_fkey")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("role_grants_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("role_grants_pkey")),
        sa.UniqueConstraint(
            "user_id",
            "role",
            "merchant_id",
            "promoter_id",
            name=op.f("role_grants_user_id_role_merchant_id_promoter_id_key"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("role_grants_user_id_idx"), "role_grants", ["user_id"], unique=False)
    op.create_table(
        "settlements",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("through", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currencies", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.BigInteger(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hash", sa.Text(), nullable=True),
        sa.Column("payees_done", sa.BigInteger(), nullable=False),
        sa.Column("payees_total", sa.BigInteger(), nullable=True),
        sa.Column("cursor", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("worked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("executed_by", sa.BigInteger(), nullable=True),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("discarded_by", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state IN ('approved', 'executing', 'closed')) = (approved_by IS NOT NULL)",
            name=op.f("settlements_approved_by_somebody_check"),
        ),
        sa.CheckConstraint(
            "(state IN ('closed', 'discarded')) = (ended_at IS NOT NULL)",
            name=op.f("settlements_ended_check"),
        ),
        sa.CheckConstraint(
            "state IN ('building', 'discarded') OR hash IS NOT NULL",
            name=op.f("settlements_hash_check"),
        ),
        sa.CheckConstraint(
            "state IN ('building', 'review', 'approved', 'executing', 'closed', 'discarded')",
            name=op.f("settlements_state_check"),
        ),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL)",
            name=op.f("settlements_approved_when_check"),
        ),
        sa.CheckConstraint("approved_by <> created_by", name=op.f("settlements_four_eyes_check")),
        sa.ForeignKeyConstraint(
            ["approved_by"], ["users.id"], name=op.f("settlements_approved_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("settlements_created_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["discarded_by"], ["users.id"], name=op.f("settlements_discarded_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["executed_by"], ["users.id"], name=op.f("settlements_executed_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("settlements_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("settlements_pkey")),
    )
    op.create_index(
        "settlements_work_idx",
        "settlements",
        ["worked_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('building', 'executing')"),
    )
    op.create_table(
        "shops",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("country", sa.CHAR(length=2), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("last_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("shops_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("shops_pkey")),
        sa.UniqueConstraint("platform", "domain", name=op.f("shops_platform_domain_key")),
    )
    op.create_table(
        "sponsorships",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("until >= since", name=op.f("sponsorships_order_check")),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("sponsorships_promoter_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["sponsor_id"], ["promoters.id"], name=op.f("sponsorships_sponsor_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("sponsorships_pkey")),
    )
    op.create_index(
        "sponsorships_open_idx",
        "sponsorships",
        ["promoter_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "sponsorships_promoter_idx", "sponsorships", ["promoter_id", "since"], unique=False
    )
    op.create_index("sponsorships_sponsor_idx", "sponsorships", ["sponsor_id"], unique=False)
    op.create_table(
        "suspensions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("until >= since", name=op.f("suspensions_order_check")),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("suspensions_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("suspensions_pkey")),
    )
    op.create_index(
        "suspensions_open_idx",
        "suspensions",
        ["promoter_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "suspensions_promoter_idx", "suspensions", ["promoter_id", "since"], unique=False
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["role_grants.id"], name=op.f("api_keys_grant_id_fkey")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("api_keys_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("secret_hash", name=op.f("api_keys_secret_hash_key")),
    )
    op.create_index(op.f("api_keys_grant_id_idx"), "api_keys", ["grant_id"], unique=False)
    op.create_index(op.f("api_keys_user_id_idx"), "api_keys", ["user_id"], unique=False)
    op.create_table(
        "carry_overs",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "settlement_id"],
            ["settlements.merchant_id", "settlements.id"],
            name=op.f("carry_overs_merchant_id_settlement_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("carry_overs_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("carry_overs_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "settlement_id",
            "payee_kind",
            "payee_id",
            "currency",
            "reason",
            name=op.f(
                "carry_overs_merchant_id_settlement_id_payee_kind_payee_id_currency_reason_key"
            ),
        ),
    )
    op.create_table(
        "enrolments",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("active_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("earlier", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state IN ('active', 'ended')) = (active_from IS NOT NULL)",
            name=op.f("enrolments_active_since_check"),
        ),
        sa.CheckConstraint(
            "state IN ('applied', 'active', 'refused', 'ended')",
            name=op.f("enrolments_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("enrolments_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("enrolments_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("enrolments_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("enrolments_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "program_id",
            "promoter_id",
            name=op.f("enrolments_merchant_id_program_id_promoter_id_key"),
        ),
    )
    op.create_index("enrolments_promoter_idx", "enrolments", ["promoter_id"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'quarantined')", name=op.f("inbox_state_check")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=op.f("inbox_merchant_id_shop_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("inbox_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("inbox_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "shop_id",
            "dedup_key",
            name=op.f("inbox_merchant_id_shop_id_dedup_key_key"),
        ),
    )
    op.create_index(
        "inbox_old_idx",
        "inbox",
        ["done_at"],
        unique=False,
        postgresql_where=sa.text("body IS NOT NULL"),
    )
    op.create_index(
        "inbox_open_idx",
        "inbox",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state <> 'done'"),
    )
    op.create_index(
        "inbox_order_idx",
        "inbox",
        ["merchant_id", "shop_id", "order_key"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "inbox_waiting_idx",
        "inbox",
        ["merchant_id", "shop_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "ledger_transfers",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column(
            "xact",
            sa.BigInteger(),
            server_default=sa.text("pg_current_xact_id()::text::bigint"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ledger_transfers_amount_positive_check")),
        sa.CheckConstraint(
            "source_id <> target_id", name=op.f("ledger_transfers_two_accounts_check")
        ),
        sa.CheckConstraint(
            "strpos(cause, ':') > 1", name=op.f("ledger_transfers_cause_names_a_row_check")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "source_id", "currency"],
            ["ledger_accounts.merchant_id", "ledger_accounts.id", "ledger_accounts.currency"],
            name="ledger_transfers_source_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "target_id", "currency"],
            ["ledger_accounts.merchant_id", "ledger_accounts.id", "ledger_accounts.currency"],
            name="ledger_transfers_target_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("ledger_transfers_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "code", "cause", name=op.f("ledger_transfers_merchant_id_code_cause_key")
        ),
    )
    op.create_index(
        "ledger_transfers_source_idx",
        "ledger_transfers",
        ["merchant_id", "source_id", "id"],
        unique=False,
    )
    op.create_index(
        "ledger_transfers_target_idx",
        "ledger_transfers",
        ["merchant_id", "target_id", "id"],
        unique=False,
    )
    op.create_index("ledger_transfers_xact_idx", "ledger_transfers", ["xact"], unique=False)
    op.create_table(
        "orders",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("renewal", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("tax_included", sa.Boolean(), nullable=False),
        sa.Column("order_tax", sa.BigInteger(), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fulfilled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refunded_fully", sa.Boolean(), nullable=False),
        sa.Column("refunds_complete", sa.Boolean(), nullable=False),
        sa.Column("customer_external_id", sa.Text(), nullable=True),
        sa.Column("customer_email_hash", sa.LargeBinary(), nullable=True),
        sa.Column("customer_phone_hash", sa.LargeBinary(), nullable=True),
        sa.Column("customer_new", sa.Boolean(), nullable=True),
        sa.Column("tokens", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("coupons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("shipping", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("notes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=op.f("orders_merchant_id_shop_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("orders_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("orders_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "shop_id",
            "external_id",
            name=op.f("orders_merchant_id_shop_id_external_id_key"),
        ),
    )
    op.create_index("orders_placed_idx", "orders", ["merchant_id", "placed_at"], unique=False)
    op.create_table(
        "payout_files",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("payouts", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "settlement_id"],
            ["settlements.merchant_id", "settlements.id"],
            name=op.f("payout_files_merchant_id_settlement_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("payout_files_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payout_files_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "settlement_id",
            "rail",
            "currency",
            name=op.f("payout_files_merchant_id_settlement_id_rail_currency_key"),
        ),
    )
    op.create_table(
        "payouts",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("withheld", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state IN ('paid', 'returned')) = (paid_at IS NOT NULL)",
            name=op.f("payouts_paid_check"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'awaiting_approval', 'approved', 'submitting', 'accepted', 'action_required', 'paid', 'returned', 'failed', 'cancelled', 'unknown')",
            name=op.f("payouts_state_check"),
        ),
        sa.CheckConstraint(
            "gross > 0 AND withheld >= 0 AND net = gross - withheld", name=op.f("payouts_sum_check")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["payout_accounts.id"], name=op.f("payouts_account_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "settlement_id"],
            ["settlements.merchant_id", "settlements.id"],
            name=op.f("payouts_merchant_id_settlement_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("payouts_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payouts_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "settlement_id",
            "payee_kind",
            "payee_id",
            "currency",
            name=op.f("payouts_merchant_id_settlement_id_payee_kind_payee_id_currency_key"),
        ),
        sa.UniqueConstraint("reference", name=op.f("payouts_reference_key")),
    )
    op.create_index(
        "payouts_payee_idx",
        "payouts",
        ["payee_id", "payee_kind", "merchant_id", "id"],
        unique=False,
    )
    op.create_table(
        "products",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("stock", sa.BigInteger(), nullable=True),
        sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("price >= 0", name=op.f("products_price_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=op.f("products_merchant_id_shop_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("products_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("products_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "shop_id",
            "external_id",
            name=op.f("products_merchant_id_shop_id_external_id_key"),
        ),
    )
    op.create_table(
        "program_terms",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("default_rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("tiers_ppm", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("max_total_ppm", sa.BigInteger(), nullable=False),
        sa.Column("window_days", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("sources", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("hold_days", sa.BigInteger(), nullable=False),
        sa.Column("hold_fallback_days", sa.BigInteger(), nullable=False),
        sa.Column("self_purchase", sa.Text(), nullable=False),
        sa.Column("inactive_upline", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("policy_reason", sa.Text(), nullable=True),
        sa.Column("policy_user_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("base IN ('net', 'gross')", name=op.f("program_terms_base_check")),
        sa.CheckConstraint(
            "credit IN ('order', 'product')", name=op.f("program_terms_credit_check")
        ),
        sa.CheckConstraint(
            "inactive_upline IN ('skip', 'compress')",
            name=op.f("program_terms_inactive_upline_check"),
        ),
        sa.CheckConstraint(
            "model IN ('last', 'first', 'linear')", name=op.f("program_terms_model_check")
        ),
        sa.CheckConstraint(
            "self_purchase IN ('none', 'rebate')", name=op.f("program_terms_self_purchase_check")
        ),
        sa.CheckConstraint(
            "(policy_reason IS NULL) = (policy_user_id IS NULL)",
            name=op.f("program_terms_policy_reason_by_somebody_check"),
        ),
        sa.CheckConstraint("cardinality(tiers_ppm) <= 9", name=op.f("program_terms_levels_check")),
        sa.CheckConstraint(
            "default_rate_ppm BETWEEN 0 AND max_total_ppm",
            name=op.f("program_terms_rate_below_cap_check"),
        ),
        sa.CheckConstraint(
            "hold_days >= 0 AND hold_fallback_days >= 0", name=op.f("program_terms_hold_check")
        ),
        sa.CheckConstraint(
            "max_total_ppm BETWEEN 0 AND 1000000", name=op.f("program_terms_cap_check")
        ),
        sa.CheckConstraint(
            "window_days BETWEEN 0 AND 3650", name=op.f("program_terms_window_check")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("program_terms_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("program_terms_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["policy_user_id"], ["users.id"], name=op.f("program_terms_policy_user_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("program_terms_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "program_id",
            "effective_from",
            name=op.f("program_terms_merchant_id_program_id_effective_from_key"),
        ),
    )
    op.create_table(
        "links",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger(), nullable=False),
        sa.Column("shop_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("sub_ids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pauses", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cardinality(sub_ids) <= 5", name=op.f("links_sub_ids_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name=op.f("links_merchant_id_product_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("links_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "shop_id"],
            ["shops.merchant_id", "shops.id"],
            name=op.f("links_merchant_id_shop_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("links_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("links_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("links_pkey")),
        sa.UniqueConstraint("code", name=op.f("links_code_key")),
    )
    op.create_index(
        "links_merchant_idx", "links", ["merchant_id", "program_id", "promoter_id"], unique=False
    )
    op.create_index(op.f("links_promoter_id_idx"), "links", ["promoter_id"], unique=False)
    op.create_table(
        "order_lines",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("product_external_id", sa.Text(), nullable=True),
        sa.Column("variant_external_id", sa.Text(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("order_discount", sa.BigInteger(), nullable=True),
        sa.Column("tax", sa.BigInteger(), nullable=True),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("order_lines_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("order_lines_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("order_lines_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "order_id",
            "external_id",
            name=op.f("order_lines_merchant_id_order_id_external_id_key"),
        ),
    )
    op.create_table(
        "payout_events",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payout_id"],
            ["payouts.merchant_id", "payouts.id"],
            name=op.f("payout_events_merchant_id_payout_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("payout_events_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("payout_events_user_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payout_events_pkey")),
    )
    op.create_index(
        "payout_events_payout_idx",
        "payout_events",
        ["merchant_id", "payout_id", "id"],
        unique=False,
    )
    op.create_table(
        "refunds",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("shipping", sa.BigInteger(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("refunds_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("refunds_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("refunds_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "order_id",
            "external_id",
            name=op.f("refunds_merchant_id_order_id_external_id_key"),
        ),
    )
    op.create_table(
        "variants",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("stock", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name=op.f("variants_merchant_id_product_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("variants_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("variants_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "product_id",
            "external_id",
            name=op.f("variants_merchant_id_product_id_external_id_key"),
        ),
    )
    op.create_table(
        "attributions",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=True),
        sa.Column("promoter_id", sa.BigInteger(), nullable=True),
        sa.Column("link_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("trace", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("frozen", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name=op.f("attributions_link_id_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("attributions_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("attributions_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("attributions_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name=op.f("attributions_promoter_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("attributions_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "order_id", name=op.f("attributions_merchant_id_order_id_key")
        ),
    )
    op.create_index("attributions_promoter_idx", "attributions", ["promoter_id"], unique=False)
    op.create_table(
        "commissions",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("line_id", sa.BigInteger(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("via_id", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.BigInteger(), nullable=False),
        sa.Column("terms_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "line_id"],
            ["order_lines.merchant_id", "order_lines.id"],
            name=op.f("commissions_merchant_id_line_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("commissions_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "program_id"],
            ["programs.merchant_id", "programs.id"],
            name=op.f("commissions_merchant_id_program_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("commissions_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(["via_id"], ["promoters.id"], name=op.f("commissions_via_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("commissions_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "order_id",
            "line_id",
            "payee_kind",
            "payee_id",
            "role",
            "via_id",
            name=op.f(
                "commissions_merchant_id_order_id_line_id_payee_kind_payee_id_role_via_id_key"
            ),
        ),
    )
    op.create_index(
        "commissions_payee_idx",
        "commissions",
        ["payee_id", "payee_kind", "merchant_id", "id"],
        unique=False,
    )
    op.create_table(
        "entries",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("commission_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_hold", sa.Text(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('estimated', 'pending', 'available', 'reserved', 'paid')",
            name=op.f("entries_state_check"),
        ),
        sa.CheckConstraint("amount <> 0", name=op.f("entries_amount_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "commission_id"],
            ["commissions.merchant_id", "commissions.id"],
            name=op.f("entries_merchant_id_commission_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("entries_merchant_id_order_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("entries_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("entries_pkey")),
    )
    op.create_index(
        "entries_available_idx",
        "entries",
        ["merchant_id", "currency", "payee_kind", "payee_id"],
        unique=False,
        postgresql_where=sa.text("state = 'available'"),
    )
    op.create_index(
        "entries_commission_idx", "entries", ["merchant_id", "commission_id"], unique=False
    )
    op.create_index(
        "entries_due_idx",
        "entries",
        ["merchant_id", "hold_until"],
        unique=False,
        postgresql_where=sa.text("state = 'pending' AND on_hold IS NULL"),
    )
    op.create_index("entries_order_idx", "entries", ["merchant_id", "order_id"], unique=False)
    op.create_index(
        "entries_payee_idx",
        "entries",
        ["payee_id", "payee_kind", "merchant_id", "id"],
        unique=False,
    )
    op.create_table(
        "offsets",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "entry_id"],
            ["entries.merchant_id", "entries.id"],
            name=op.f("offsets_merchant_id_entry_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "settlement_id"],
            ["settlements.merchant_id", "settlements.id"],
            name=op.f("offsets_merchant_id_settlement_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("offsets_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "merchant_id", "settlement_id", "entry_id", name=op.f("offsets_pkey")
        ),
    )
    op.create_index(
        "offsets_one_live_idx",
        "offsets",
        ["merchant_id", "entry_id"],
        unique=True,
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "payout_lines",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "entry_id"],
            ["entries.merchant_id", "entries.id"],
            name=op.f("payout_lines_merchant_id_entry_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payout_id"],
            ["payouts.merchant_id", "payouts.id"],
            name=op.f("payout_lines_merchant_id_payout_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("payout_lines_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "merchant_id", "payout_id", "entry_id", name=op.f("payout_lines_pkey")
        ),
    )
    op.create_index(
        "payout_lines_one_live_idx",
        "payout_lines",
        ["merchant_id", "entry_id"],
        unique=True,
        postgresql_where=sa.text("live"),
    )


def downgrade() -> None:
    raise RuntimeError("there is nothing before the first migration: drop the database instead")
