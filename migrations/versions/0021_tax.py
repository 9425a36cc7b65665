"""Tax: profiles of payees, lines of withholding, remittances, invoices; dated rates of exchange."""

import sqlalchemy as sa
from alembic import op

revision = "0021_tax"
down_revision = "0020_rails"
branch_labels = None
depends_on = None

TABLES = ("remittances", "payout_withholdings", "payout_invoices")


def upgrade() -> None:
    _make_fx_rates()
    _make_profiles()
    _make_remittances()
    _make_invoices()
    op.add_column("merchants", sa.Column("withholding", sa.Text(), nullable=True))
    _add("merchants", sa.Column("invoice_required", sa.Boolean(), nullable=False), "false")
    _add("withdrawals", sa.Column("credited", sa.BigInteger(), nullable=False), "0")
    op.create_check_constraint(
        op.f("withdrawals_credited_check"), "withdrawals", "credited >= 0 AND credited < amount"
    )
    _add("payouts", sa.Column("credited", sa.BigInteger(), nullable=False), "0")
    _add("payouts", sa.Column("invoiced", sa.Boolean(), nullable=False), "false")
    op.add_column("payouts", sa.Column("remittance_id", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        op.f("payouts_credited_check"), "payouts", "credited BETWEEN 0 AND withheld"
    )
    op.create_foreign_key(
        op.f("payouts_merchant_id_remittance_id_fkey"),
        "payouts",
        "remittances",
        ["merchant_id", "remittance_id"],
        ["merchant_id", "id"],
    )
    op.create_index(
        "payouts_kept_idx",
        "payouts",
        ["merchant_id", "payee_kind", "payee_id", "currency"],
        postgresql_where=sa.text("state = 'returned' AND remittance_id IS NOT NULL"),
    )
    op.create_index(
        "payouts_to_remit_idx",
        "payouts",
        ["merchant_id", "currency", "paid_at"],
        postgresql_where=sa.text(
            "state = 'paid' AND withheld > credited AND remittance_id IS NULL"
        ),
    )
    _make_withholdings()
    op.execute(KEPT)
    op.execute(STAY)
    op.execute(DRAFTED)


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER payouts_tax_stays ON payouts;
        DROP TRIGGER withdrawals_credited_stays ON withdrawals;
        DROP TRIGGER payout_withholdings_drafted ON payout_withholdings;
    """)
    op.drop_table("payout_withholdings")
    op.execute("DROP FUNCTION payout_withholdings_drafted()")
    op.drop_index("payouts_to_remit_idx", "payouts")
    op.drop_index("payouts_kept_idx", "payouts")
    op.drop_constraint(
        op.f("payouts_merchant_id_remittance_id_fkey"), "payouts", type_="foreignkey"
    )
    for column in ("remittance_id", "invoiced", "credited"):
        op.drop_column("payouts", column)
    op.drop_column("withdrawals", "credited")
    op.drop_column("merchants", "invoice_required")
    op.drop_column("merchants", "withholding")
    for table in ("payout_invoices", "remittances", "tax_profiles", "fx_rates"):
        op.drop_table(table)


def _add(table: str, column: sa.Column[object], fill: str) -> None:
    """With a value for the rows that are there; new ones bring their own."""
    column.server_default = sa.DefaultClause(sa.text(fill))
    op.add_column(table, column)
    op.alter_column(table, column.name, server_default=None)


def _make_fx_rates() -> None:
    op.create_table(
        "fx_rates",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("base", sa.CHAR(3), nullable=False),
        sa.Column("quote", sa.CHAR(3), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rate", sa.Numeric(20, 10), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("imported_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("rate > 0", name=op.f("fx_rates_rate_check")),
        sa.CheckConstraint("base <> quote", name=op.f("fx_rates_pair_check")),
        sa.ForeignKeyConstraint(
            ["imported_by"], ["users.id"], name=op.f("fx_rates_imported_by_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("fx_rates_pkey")),
        sa.UniqueConstraint("base", "quote", "day", name=op.f("fx_rates_base_quote_day_key")),
    )


def _make_profiles() -> None:
    op.create_table(
        "tax_profiles",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("country", sa.CHAR(2), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=False),
        sa.Column("tax_id", sa.LargeBinary(), nullable=True),
        sa.Column("masked", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("tin_status", sa.Text(), nullable=False),
        sa.Column("said_by", sa.BigInteger(), nullable=True),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "person IN ('individual', 'company')", name=op.f("tax_profiles_person_check")
        ),
        sa.CheckConstraint(
            "tin_status IN ('missing', 'given', 'verified', 'refused')",
            name=op.f("tax_profiles_tin_status_check"),
        ),
        sa.CheckConstraint(
            "(tin_status = 'missing') = (tax_id IS NULL)", name=op.f("tax_profiles_tax_id_check")
        ),
        sa.ForeignKeyConstraint(["said_by"], ["users.id"], name=op.f("tax_profiles_said_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("tax_profiles_pkey")),
    )
    op.create_index(
        "tax_profiles_live_idx",
        "tax_profiles",
        ["payee_kind", "payee_id"],
        unique=True,
        postgresql_where=sa.text("replaced_at IS NULL"),
    )
    op.create_index("tax_profiles_payee_idx", "tax_profiles", ["payee_kind", "payee_id", "id"])


def _make_remittances() -> None:
    op.create_table(
        "remittances",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("remittances_amount_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("remittances_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("remittances_created_by_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("remittances_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "currency",
            "month",
            name=op.f("remittances_merchant_id_currency_month_key"),
        ),
        sa.UniqueConstraint(
            "merchant_id", "reference", name=op.f("remittances_merchant_id_reference_key")
        ),
    )


def _make_withholdings() -> None:
    op.create_table(
        "payout_withholdings",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.Text(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("table_code", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("income", "cumulative", "base", "ppm", "due", "amount")
        ),
        sa.Column("rate_id", sa.BigInteger(), nullable=True),
        sa.Column("profile_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "amount >= 0 AND due >= 0 AND income >= 0",
            name=op.f("payout_withholdings_amount_check"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payout_id"],
            ["payouts.merchant_id", "payouts.id"],
            name=op.f("payout_withholdings_merchant_id_payout_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["rate_id"], ["fx_rates.id"], name=op.f("payout_withholdings_rate_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["tax_profiles.id"], name=op.f("payout_withholdings_profile_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "merchant_id", "payout_id", "tax", name=op.f("payout_withholdings_pkey")
        ),
    )
    op.create_index(
        "payout_withholdings_payee_idx",
        "payout_withholdings",
        ["merchant_id", "payee_kind", "payee_id", "month"],
    )


def _make_invoices() -> None:
    op.create_table(
        "payout_invoices",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("given_by", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("payout_invoices_amount_check")),
        sa.CheckConstraint(
            "state IN ('given', 'confirmed', 'refused')", name=op.f("payout_invoices_state_check")
        ),
        sa.CheckConstraint(
            "(state = 'given') = (decided_by IS NULL)", name=op.f("payout_invoices_decided_check")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("payout_invoices_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["given_by"], ["users.id"], name=op.f("payout_invoices_given_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["users.id"], name=op.f("payout_invoices_decided_by_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payout_invoices_pkey")),
    )
    op.create_index(
        "payout_invoices_number_idx",
        "payout_invoices",
        ["merchant_id", "payee_kind", "payee_id", "number"],
        unique=True,
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.create_index(
        "payout_invoices_payee_idx",
        "payout_invoices",
        ["payee_id", "payee_kind", "merchant_id", "id"],
    )


KEPT = "".join(
    f"""
CREATE TRIGGER {table}_kept BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what happened to money is kept');
"""
    for table in (*TABLES, "fx_rates", "tax_profiles")
)

STAY = """
CREATE TRIGGER payouts_tax_stays BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN ((OLD.credited, OLD.invoiced) IS DISTINCT FROM (NEW.credited, NEW.invoiced)
        OR OLD.remittance_id IS NOT NULL AND OLD.remittance_id IS DISTINCT FROM NEW.remittance_id
        OR OLD.remittance_id IS DISTINCT FROM NEW.remittance_id AND OLD.state <> 'paid')
  EXECUTE FUNCTION ledger_refuse('what was withheld of a payout stays, and is remitted once');

CREATE TRIGGER withdrawals_credited_stays BEFORE UPDATE ON withdrawals FOR EACH ROW
  WHEN (OLD.credited IS DISTINCT FROM NEW.credited)
  EXECUTE FUNCTION ledger_refuse('what of a withdrawal the authority has already stays');

CREATE TRIGGER payout_withholdings_stay BEFORE UPDATE ON payout_withholdings FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('how it was reckoned stays');

CREATE TRIGGER fx_rates_stay BEFORE UPDATE ON fx_rates FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('a rate stays as it was imported');

CREATE TRIGGER remittances_stay BEFORE UPDATE ON remittances FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.currency, OLD.month, OLD.amount, OLD.reference,
         OLD.created_by, OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.currency, NEW.month, NEW.amount, NEW.reference,
         NEW.created_by, NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('what was remitted stays');

CREATE TRIGGER tax_profiles_stay BEFORE UPDATE ON tax_profiles FOR EACH ROW
  WHEN ((OLD.id, OLD.payee_kind, OLD.payee_id, OLD.country, OLD.person, OLD.regime,
         OLD.fingerprint, OLD.tin_status, OLD.created_at)
        IS DISTINCT FROM
        (NEW.id, NEW.payee_kind, NEW.payee_id, NEW.country, NEW.person, NEW.regime,
         NEW.fingerprint, NEW.tin_status, NEW.created_at)
        OR OLD.replaced_at IS NOT NULL AND OLD.replaced_at IS DISTINCT FROM NEW.replaced_at)
  EXECUTE FUNCTION ledger_refuse('a tax profile is replaced, never changed');

CREATE TRIGGER payout_invoices_stay BEFORE UPDATE ON payout_invoices FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.payee_kind, OLD.payee_id, OLD.currency, OLD.amount,
         OLD.number, OLD.given_by, OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.payee_kind, NEW.payee_id, NEW.currency, NEW.amount,
         NEW.number, NEW.given_by, NEW.created_at)
        OR OLD.decided_by IS NOT NULL
        AND (OLD.state, OLD.decided_by, OLD.decided_at)
            IS DISTINCT FROM (NEW.state, NEW.decided_by, NEW.decided_at))
  EXECUTE FUNCTION ledger_refuse('an invoice stays as it was given and decided');
"""

# As for the lines of payouts (0018): once for all new rows.
DRAFTED = """
CREATE FUNCTION payout_withholdings_drafted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE wrong bigint;
BEGIN
  SELECT added.payout_id INTO wrong
    FROM added
   WHERE (SELECT p.state = 'draft'
                 AND (p.payee_kind, p.payee_id) = (added.payee_kind, added.payee_id)
            FROM payouts p WHERE p.merchant_id = added.merchant_id AND p.id = added.payout_id)
         IS NOT TRUE
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payout_withholdings',
      CONSTRAINT = 'payout_withholdings_drafted_check',
      MESSAGE = format('payout %s: tax is withheld from a draft of the same payee', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payout_withholdings_drafted AFTER INSERT ON payout_withholdings
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION payout_withholdings_drafted();
"""
