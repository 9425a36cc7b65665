"""Settlement's second half: withdrawals, flags, write-offs, limits, exceptions and delegations.

`ledger_refuse` is of 0002, the triggers that are replaced here are of 0005.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015_settling"
down_revision = "0014_team_index"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approval_exceptions",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("limits", postgresql.JSONB(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("approval_exceptions_created_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("approval_exceptions_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("approval_exceptions_pkey")),
    )
    op.create_index(
        "approval_exceptions_open_idx",
        "approval_exceptions",
        ["merchant_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "approval_limits",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("approval_limits_amount_check")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("approval_limits_user_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_limits_pkey")),
        sa.UniqueConstraint(
            "user_id", "currency", name=op.f("approval_limits_user_id_currency_key")
        ),
    )
    op.create_table(
        "withdrawals",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("payout_id", sa.BigInteger(), nullable=True),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('requested', 'in_settlement', 'paid', 'refused')",
            name=op.f("withdrawals_state_check"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("withdrawals_amount_check")),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["users.id"], name=op.f("withdrawals_decided_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("withdrawals_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("withdrawals_requested_by_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("withdrawals_pkey")),
    )
    op.create_index(
        "withdrawals_one_open_idx",
        "withdrawals",
        ["merchant_id", "payee_kind", "payee_id", "currency"],
        unique=True,
        postgresql_where=sa.text("state IN ('requested', 'in_settlement')"),
    )
    op.create_index(
        "withdrawals_payee_idx",
        "withdrawals",
        ["payee_id", "payee_kind", "merchant_id", "id"],
        unique=False,
    )
    op.create_table(
        "write_offs",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payee_kind", sa.Text(), nullable=False),
        sa.Column("payee_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'requested') = (decided_by IS NULL)", name=op.f("write_offs_decided_check")
        ),
        sa.CheckConstraint(
            "state <> 'approved' OR decided_by <> created_by",
            name=op.f("write_offs_four_eyes_check"),
        ),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'refused')", name=op.f("write_offs_state_check")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("write_offs_amount_check")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("write_offs_created_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["users.id"], name=op.f("write_offs_decided_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("write_offs_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("write_offs_pkey")),
    )
    op.create_index(
        "write_offs_asked_idx",
        "write_offs",
        ["merchant_id", "payee_kind", "payee_id", "currency"],
        unique=True,
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.create_index(
        "write_offs_standing_idx",
        "write_offs",
        ["merchant_id", "payee_kind", "payee_id", "currency"],
        unique=False,
        postgresql_where=sa.text("state = 'approved' AND recovered_at IS NULL"),
    )
    op.create_table(
        "settlement_flags",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payout_id"],
            ["payouts.merchant_id", "payouts.id"],
            name=op.f("settlement_flags_merchant_id_payout_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "settlement_id"],
            ["settlements.merchant_id", "settlements.id"],
            name=op.f("settlement_flags_merchant_id_settlement_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("settlement_flags_pkey")),
        sa.UniqueConstraint(
            "merchant_id",
            "settlement_id",
            "payout_id",
            "code",
            name=op.f("settlement_flags_merchant_id_settlement_id_payout_id_code_key"),
        ),
    )
    op.create_table(
        "withdrawal_lines",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("withdrawal_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "entry_id"],
            ["entries.merchant_id", "entries.id"],
            name=op.f("withdrawal_lines_merchant_id_entry_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "withdrawal_id"],
            ["withdrawals.merchant_id", "withdrawals.id"],
            name=op.f("withdrawal_lines_merchant_id_withdrawal_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "merchant_id", "withdrawal_id", "entry_id", name=op.f("withdrawal_lines_pkey")
        ),
    )
    op.create_index(
        "withdrawal_lines_one_live_idx",
        "withdrawal_lines",
        ["merchant_id", "entry_id"],
        unique=True,
        postgresql_where=sa.text("live"),
    )
    op.add_column("entries", sa.Column("split_of", sa.BigInteger(), nullable=True))
    op.create_index(
        "entries_split_idx",
        "entries",
        ["merchant_id", "split_of"],
        unique=False,
        postgresql_where=sa.text("split_of IS NOT NULL"),
    )
    op.create_index(
        "entries_unfunded_idx",
        "entries",
        ["merchant_id", "currency", "hold_until"],
        unique=False,
        postgresql_where=sa.text("state = 'pending' AND on_hold = 'merchant_unfunded'"),
    )
    op.create_foreign_key(
        op.f("entries_merchant_id_split_of_fkey"),
        "entries",
        "entries",
        ["merchant_id", "split_of"],
        ["merchant_id", "id"],
    )
    op.add_column("pay_ins", sa.Column("returned_by", sa.BigInteger(), nullable=True))
    op.add_column("pay_ins", sa.Column("return_reason", sa.Text(), nullable=True))
    op.create_foreign_key(
        op.f("pay_ins_returned_by_fkey"), "pay_ins", "users", ["returned_by"], ["id"]
    )
    op.drop_constraint(op.f("payout_lines_merchant_id_fkey"), "payout_lines", type_="foreignkey")
    op.add_column("payouts", sa.Column("withdrawal_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("payouts_merchant_id_withdrawal_id_fkey"),
        "payouts",
        "withdrawals",
        ["merchant_id", "withdrawal_id"],
        ["merchant_id", "id"],
    )
    op.add_column("role_grants", sa.Column("delegated_by", sa.BigInteger(), nullable=True))
    op.add_column("role_grants", sa.Column("since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("role_grants", sa.Column("until", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f("role_grants_once_key"), "role_grants", type_="unique")
    op.create_index(
        "role_grants_delegated_idx",
        "role_grants",
        ["delegated_by"],
        unique=False,
        postgresql_where=sa.text("delegated_by IS NOT NULL"),
    )
    op.create_index(
        "role_grants_once_idx",
        "role_grants",
        ["user_id", "role", "merchant_id", "promoter_id", "agency_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("delegated_by IS NULL"),
    )
    op.create_foreign_key(
        op.f("role_grants_delegated_by_fkey"), "role_grants", "users", ["delegated_by"], ["id"]
    )
    op.add_column("settlements", sa.Column("approved_for", sa.BigInteger(), nullable=True))
    op.add_column("settlements", sa.Column("exception_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("settlements_merchant_id_exception_id_fkey"),
        "settlements",
        "approval_exceptions",
        ["merchant_id", "exception_id"],
        ["merchant_id", "id"],
    )
    op.create_foreign_key(
        op.f("settlements_approved_for_fkey"), "settlements", "users", ["approved_for"], ["id"]
    )
    op.create_check_constraint(
        op.f("role_grants_delegated_check"),
        "role_grants",
        "num_nonnulls(delegated_by, since, until) IN (0, 3) AND since <= until"
        " AND delegated_by <> user_id AND (delegated_by IS NULL OR role = 'finance_checker')",
    )
    op.drop_constraint(op.f("settlements_four_eyes_check"), "settlements")
    op.create_check_constraint(
        op.f("settlements_four_eyes_check"),
        "settlements",
        "created_by NOT IN (approved_by, coalesce(approved_for, approved_by))"
        " OR exception_id IS NOT NULL",
    )
    for statement in (KEPT, WITHDRAWALS, FOLLOW, DECIDED, STAY, EXCEPTION):
        op.execute(statement)


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER settlements_exception ON settlements;
        DROP FUNCTION settlement_exception();
        DROP TRIGGER settlements_approver_stays ON settlements;
        DROP TRIGGER payouts_withdrawal_stays ON payouts;
        DROP TRIGGER payouts_take_withdrawal ON payouts;
        DROP TRIGGER payouts_tell_withdrawal ON payouts;
        DROP FUNCTION withdrawal_follows() CASCADE;
        DROP TRIGGER pay_ins_returned_once ON pay_ins
    """)
    op.drop_constraint(op.f("settlements_four_eyes_check"), "settlements")
    op.create_check_constraint(
        op.f("settlements_four_eyes_check"), "settlements", "approved_by <> created_by"
    )
    op.drop_constraint(op.f("role_grants_delegated_check"), "role_grants")
    op.drop_constraint(op.f("settlements_approved_for_fkey"), "settlements", type_="foreignkey")
    op.drop_constraint(
        op.f("settlements_merchant_id_exception_id_fkey"), "settlements", type_="foreignkey"
    )
    op.drop_column("settlements", "exception_id")
    op.drop_column("settlements", "approved_for")
    op.drop_constraint(op.f("role_grants_delegated_by_fkey"), "role_grants", type_="foreignkey")
    op.drop_index(
        "role_grants_once_idx",
        table_name="role_grants",
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("delegated_by IS NULL"),
    )
    op.drop_index(
        "role_grants_delegated_idx",
        table_name="role_grants",
        postgresql_where=sa.text("delegated_by IS NOT NULL"),
    )
    op.create_unique_constraint(
        op.f("role_grants_once_key"),
        "role_grants",
        ["user_id", "role", "merchant_id", "promoter_id", "agency_id"],
        postgresql_nulls_not_distinct=True,
    )
    op.drop_column("role_grants", "until")
    op.drop_column("role_grants", "since")
    op.drop_column("role_grants", "delegated_by")
    op.drop_constraint(
        op.f("payouts_merchant_id_withdrawal_id_fkey"), "payouts", type_="foreignkey"
    )
    op.drop_column("payouts", "withdrawal_id")
    op.create_foreign_key(
        op.f("payout_lines_merchant_id_fkey"), "payout_lines", "merchants", ["merchant_id"], ["id"]
    )
    op.drop_constraint(op.f("pay_ins_returned_by_fkey"), "pay_ins", type_="foreignkey")
    op.drop_column("pay_ins", "return_reason")
    op.drop_column("pay_ins", "returned_by")
    op.drop_constraint(op.f("entries_merchant_id_split_of_fkey"), "entries", type_="foreignkey")
    op.drop_index(
        "entries_unfunded_idx",
        table_name="entries",
        postgresql_where=sa.text("state = 'pending' AND on_hold = 'merchant_unfunded'"),
    )
    op.drop_index(
        "entries_split_idx", table_name="entries", postgresql_where=sa.text("split_of IS NOT NULL")
    )
    op.drop_column("entries", "split_of")
    op.drop_index(
        "withdrawal_lines_one_live_idx",
        table_name="withdrawal_lines",
        postgresql_where=sa.text("live"),
    )
    op.drop_table("withdrawal_lines")
    op.drop_table("settlement_flags")
    op.drop_index(
        "write_offs_standing_idx",
        table_name="write_offs",
        postgresql_where=sa.text("state = 'approved' AND recovered_at IS NULL"),
    )
    op.drop_index(
        "write_offs_asked_idx",
        table_name="write_offs",
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.drop_table("write_offs")
    op.drop_index("withdrawals_payee_idx", table_name="withdrawals")
    op.drop_index(
        "withdrawals_one_open_idx",
        table_name="withdrawals",
        postgresql_where=sa.text("state IN ('requested', 'in_settlement')"),
    )
    op.drop_table("withdrawals")
    op.drop_table("approval_limits")
    op.drop_index(
        "approval_exceptions_open_idx",
        table_name="approval_exceptions",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_table("approval_exceptions")
    op.execute("DROP FUNCTION withdrawal_ended()")


KEPT = "".join(
    f"""
CREATE TRIGGER {table}_kept BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what happened to money is kept');
"""
    for table in ("withdrawals", "withdrawal_lines", "write_offs", "approval_exceptions")
)

# The arrows stand in affiliate/payouts/rules.py too; a test compares them.
WITHDRAWALS = """
CREATE TRIGGER withdrawals_begin BEFORE INSERT ON withdrawals FOR EACH ROW
  WHEN (NEW.state <> 'requested')
  EXECUTE FUNCTION ledger_refuse('a withdrawal begins with being requested');

CREATE TRIGGER withdrawals_stay BEFORE UPDATE ON withdrawals FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.payee_kind, OLD.payee_id, OLD.currency, OLD.amount,
         OLD.requested_by, OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.payee_kind, NEW.payee_id, NEW.currency, NEW.amount,
         NEW.requested_by, NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('who asked for how much stays');

CREATE TRIGGER withdrawals_forward BEFORE UPDATE ON withdrawals FOR EACH ROW
  WHEN (OLD.state <> NEW.state AND OLD.state || ' → ' || NEW.state NOT IN (
    'requested → in_settlement', 'requested → refused', 'in_settlement → requested',
    'in_settlement → paid', 'in_settlement → refused', 'paid → refused'))
  EXECUTE FUNCTION ledger_refuse('a withdrawal does not go this way');

CREATE TRIGGER withdrawal_lines_stay BEFORE UPDATE ON withdrawal_lines FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.withdrawal_id, OLD.entry_id, OLD.amount)
        IS DISTINCT FROM (NEW.merchant_id, NEW.withdrawal_id, NEW.entry_id, NEW.amount)
        OR NEW.live AND NOT OLD.live)
  EXECUTE FUNCTION ledger_refuse('a line stays what it is, and does not come back');

CREATE FUNCTION withdrawal_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE withdrawal_lines SET live = false
   WHERE merchant_id = NEW.merchant_id AND withdrawal_id = NEW.id AND live;
  RETURN NULL;
END $$;
CREATE TRIGGER withdrawals_ended AFTER UPDATE ON withdrawals FOR EACH ROW
  WHEN (NEW.state = 'refused' AND OLD.state <> 'refused')
  EXECUTE FUNCTION withdrawal_ended();
"""

# A withdrawal goes where its payout goes, whichever statement moved that: paid with it; asked
# again when the settlement is discarded; refused when the payout fails, is taken out or returned.
FOLLOW = """
CREATE FUNCTION withdrawal_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE withdrawals w
       SET state = 'in_settlement', payout_id = NEW.id, version = version + 1
     WHERE w.merchant_id = NEW.merchant_id AND w.id = NEW.withdrawal_id AND w.state = 'requested'
       AND (w.payee_kind, w.payee_id, w.currency, w.amount)
           = (NEW.payee_kind, NEW.payee_id, NEW.currency, NEW.gross);
    IF NOT FOUND THEN
      RAISE EXCEPTION USING
        ERRCODE = 'check_violation', TABLE = 'payouts', CONSTRAINT = 'payouts_withdrawal_check',
        MESSAGE = format('payout %s is not what withdrawal %s asks for', NEW.id,
                         NEW.withdrawal_id);
    END IF;
  ELSIF NEW.state = 'paid' THEN
    UPDATE withdrawals SET state = 'paid', version = version + 1
     WHERE merchant_id = NEW.merchant_id AND id = NEW.withdrawal_id;
  ELSIF NEW.state = 'cancelled' AND EXISTS (
    SELECT FROM settlements s WHERE s.merchant_id = NEW.merchant_id AND s.id = NEW.settlement_id
       AND s.state = 'discarded') THEN
    UPDATE withdrawals SET state = 'requested', version = version + 1
     WHERE merchant_id = NEW.merchant_id AND id = NEW.withdrawal_id;
  ELSIF NEW.state IN ('cancelled', 'failed', 'returned') THEN
    UPDATE withdrawals SET state = 'refused', reason = NEW.reason, version = version + 1
     WHERE merchant_id = NEW.merchant_id AND id = NEW.withdrawal_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payouts_take_withdrawal AFTER INSERT ON payouts FOR EACH ROW
  WHEN (NEW.withdrawal_id IS NOT NULL) EXECUTE FUNCTION withdrawal_follows();
CREATE TRIGGER payouts_tell_withdrawal AFTER UPDATE ON payouts FOR EACH ROW
  WHEN (NEW.withdrawal_id IS NOT NULL AND OLD.state <> NEW.state)
  EXECUTE FUNCTION withdrawal_follows();
"""

DECIDED = """
CREATE TRIGGER write_offs_stay BEFORE UPDATE ON write_offs FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.payee_kind, OLD.payee_id, OLD.currency, OLD.amount,
         OLD.reason, OLD.created_by, OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.payee_kind, NEW.payee_id, NEW.currency, NEW.amount,
         NEW.reason, NEW.created_by, NEW.created_at)
        OR OLD.decided_by IS NOT NULL
        AND (OLD.state, OLD.decided_by, OLD.decided_at)
            IS DISTINCT FROM (NEW.state, NEW.decided_by, NEW.decided_at)
        OR OLD.recovered_at IS NOT NULL AND OLD.recovered_at IS DISTINCT FROM NEW.recovered_at)
  EXECUTE FUNCTION ledger_refuse('what was asked and decided stays');

CREATE TRIGGER approval_exceptions_stay BEFORE UPDATE ON approval_exceptions FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.reason, OLD.limits, OLD.created_by, OLD.until,
         OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.reason, NEW.limits, NEW.created_by, NEW.until,
         NEW.created_at)
        OR OLD.ended_at IS NOT NULL AND OLD.ended_at IS DISTINCT FROM NEW.ended_at)
  EXECUTE FUNCTION ledger_refuse('an exception stays as it was recorded; it can only end');

CREATE TRIGGER pay_ins_returned_once BEFORE UPDATE ON pay_ins FOR EACH ROW
  WHEN (OLD.returned_at IS NOT NULL
        AND (OLD.returned_at, OLD.returned_by, OLD.return_reason)
            IS DISTINCT FROM (NEW.returned_at, NEW.returned_by, NEW.return_reason))
  EXECUTE FUNCTION ledger_refuse('when and why it was returned stays');
"""

STAY = """
CREATE TRIGGER payouts_withdrawal_stays BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN (OLD.withdrawal_id IS DISTINCT FROM NEW.withdrawal_id)
  EXECUTE FUNCTION ledger_refuse('which withdrawal a payout is for stays');

CREATE TRIGGER settlements_approver_stays BEFORE UPDATE ON settlements FOR EACH ROW
  WHEN (OLD.approved_by IS NOT NULL
        AND (OLD.approved_for, OLD.exception_id)
            IS DISTINCT FROM (NEW.approved_for, NEW.exception_id))
  EXECUTE FUNCTION ledger_refuse('for whom, and by which exception, it was approved stays');
"""

# Who made it approves it: only under an exception that is open, and up to its limits.
EXCEPTION = """
CREATE FUNCTION settlement_exception() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong text;
BEGIN
  SELECT format('%s %s are over the limit of %s', sums.net, sums.currency,
                coalesce(e.limits ->> sums.currency, '0')) INTO wrong
    FROM approval_exceptions e
    JOIN (SELECT currency, sum(net) AS net FROM payouts
           WHERE merchant_id = NEW.merchant_id AND settlement_id = NEW.id AND state <> 'cancelled'
           GROUP BY currency) sums
      ON sums.net > coalesce(CAST(e.limits ->> sums.currency AS bigint), 0)
   WHERE e.merchant_id = NEW.merchant_id AND e.id = NEW.exception_id
   LIMIT 1;
  IF NOT FOUND AND NOT EXISTS (
    SELECT FROM approval_exceptions e WHERE e.merchant_id = NEW.merchant_id
       AND e.id = NEW.exception_id AND e.ended_at IS NULL AND e.until >= NEW.approved_at) THEN
    wrong := 'it is over';
  END IF;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'settlements',
      CONSTRAINT = 'settlements_exception_check',
      MESSAGE = format('the exception does not cover settlement %s: %s', NEW.id, wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER settlements_exception AFTER UPDATE ON settlements FOR EACH ROW
  WHEN (OLD.approved_by IS NULL AND NEW.approved_by IS NOT NULL AND NEW.exception_id IS NOT NULL)
  EXECUTE FUNCTION settlement_exception();
"""
