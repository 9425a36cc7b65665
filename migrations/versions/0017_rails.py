"""Rails: calls to providers, attempts written before them, and proofs of two people."""

import sqlalchemy as sa
from alembic import op

revision = "0017_rails"
down_revision = "0016_books"
branch_labels = None
depends_on = None

TABLES = ("payout_calls", "payout_attempts", "payout_proofs")


def upgrade() -> None:
    op.create_table(
        "payout_calls",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("next", sa.Text(), nullable=False),
        sa.Column("call_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sends", sa.BigInteger(), nullable=False),
        sa.Column("pauses", sa.BigInteger(), nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("next IN ('send', 'ask')", name=op.f("payout_calls_next_check")),
        *_of_payout("payout_calls"),
        sa.PrimaryKeyConstraint("merchant_id", "payout_id", name=op.f("payout_calls_pkey")),
    )
    op.create_index(
        "payout_calls_due_idx",
        "payout_calls",
        ["call_at"],
        postgresql_where=sa.text("call_at IS NOT NULL"),
    )
    op.create_index(
        "payout_calls_settlement_idx", "payout_calls", ["merchant_id", "settlement_id", "call_at"]
    )
    op.create_table(
        "payout_attempts",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(said IS NULL) = (answered_at IS NULL)", name=op.f("payout_attempts_answered_check")
        ),
        *_of_payout("payout_attempts"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payout_attempts_pkey")),
    )
    op.create_index(
        "payout_attempts_payout_idx", "payout_attempts", ["merchant_id", "payout_id", "id"]
    )
    _create_proofs()
    op.execute(KEPT)
    op.execute(FORWARD.format(more=MORE))
    op.execute(ATTEMPTS)
    op.execute(PROOFS)
    op.execute(KNOWN)


def _create_proofs() -> None:
    op.create_table(
        "payout_proofs",
        sa.Column("merchant_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payout_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stated_by", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dropped_by", sa.BigInteger(), nullable=True),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.CheckConstraint(rule, name=op.f(f"payout_proofs_{name}_check"))
            for name, rule in (
                ("outcome", "outcome IN ('paid', 'failed')"),
                ("four_eyes", "confirmed_by <> stated_by"),
                ("confirmed", "(confirmed_by IS NULL) = (confirmed_at IS NULL)"),
                ("dropped", "(dropped_by IS NULL) = (dropped_at IS NULL)"),
                ("one_end", "confirmed_at IS NULL OR dropped_at IS NULL"),
                ("reference", "outcome = 'failed' OR reference IS NOT NULL"),
            )
        ),
        *(
            sa.ForeignKeyConstraint([name], ["users.id"], name=op.f(f"payout_proofs_{name}_fkey"))
            for name in ("stated_by", "confirmed_by", "dropped_by")
        ),
        *_of_payout("payout_proofs"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payout_proofs_pkey")),
    )
    op.create_index(
        "payout_proofs_one_idx",
        "payout_proofs",
        ["merchant_id", "payout_id"],
        unique=True,
        postgresql_where=sa.text("dropped_at IS NULL"),
    )


def _of_payout(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f(f"{table}_merchant_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payout_id"],
            ["payouts.merchant_id", "payouts.id"],
            name=op.f(f"{table}_merchant_id_payout_id_fkey"),
        ),
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER payouts_known ON payouts")
    op.execute("DROP FUNCTION payout_known()")
    op.execute(FORWARD.format(more=""))
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION payout_proof_by_people()")


KEPT = "".join(
    f"""
CREATE TRIGGER {table}_kept BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what happened to money is kept');
"""
    for table in TABLES
)

# The arrows of 0005, and two more: a provider that was asked for long enough and has no answer.
FORWARD = """
DROP TRIGGER payouts_forward ON payouts;
CREATE TRIGGER payouts_forward BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN (OLD.state <> NEW.state AND OLD.state || ' → ' || NEW.state NOT IN (
    'draft → awaiting_approval', 'draft → cancelled',
    'awaiting_approval → approved', 'awaiting_approval → cancelled',
    'approved → submitting', 'approved → cancelled',
    'submitting → accepted', 'submitting → failed', 'submitting → unknown',
    'accepted → action_required', 'accepted → paid', 'accepted → failed',
    'action_required → paid', 'action_required → failed', {more}
    'unknown → accepted', 'unknown → action_required', 'unknown → paid', 'unknown → failed',
    'paid → returned'))
  EXECUTE FUNCTION ledger_refuse('a payout does not go this way');
"""
MORE = "'accepted → unknown', 'action_required → unknown',"

ATTEMPTS = """
CREATE TRIGGER payout_attempts_stay BEFORE UPDATE ON payout_attempts FOR EACH ROW
  WHEN (OLD.answered_at IS NOT NULL
        OR (OLD.merchant_id, OLD.id, OLD.payout_id, OLD.created_at)
           IS DISTINCT FROM (NEW.merchant_id, NEW.id, NEW.payout_id, NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('what was tried and answered stays');
"""

PROOFS = """
CREATE TRIGGER payout_proofs_stay BEFORE UPDATE ON payout_proofs FOR EACH ROW
  WHEN (OLD.confirmed_at IS NOT NULL OR OLD.dropped_at IS NOT NULL
        OR (OLD.merchant_id, OLD.id, OLD.payout_id, OLD.outcome, OLD.proof, OLD.reference,
            OLD.paid_at, OLD.stated_by, OLD.created_at)
           IS DISTINCT FROM
           (NEW.merchant_id, NEW.id, NEW.payout_id, NEW.outcome, NEW.proof, NEW.reference,
            NEW.paid_at, NEW.stated_by, NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('what somebody stated stays as it was stated');

CREATE TRIGGER payout_proofs_begin BEFORE INSERT ON payout_proofs FOR EACH ROW
  WHEN (NEW.confirmed_by IS NOT NULL OR NEW.dropped_by IS NOT NULL)
  EXECUTE FUNCTION ledger_refuse('a proof is stated before anybody confirms it');

CREATE FUNCTION payout_proof_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM users WHERE id IN (NEW.stated_by, NEW.confirmed_by) AND is_service) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payout_proofs',
      CONSTRAINT = 'payout_proofs_by_people_check',
      MESSAGE = 'a service user neither states nor confirms what became of a payout';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payout_proofs_by_people AFTER INSERT OR UPDATE OF confirmed_by ON payout_proofs
  FOR EACH ROW EXECUTE FUNCTION payout_proof_by_people();
"""

# Of what nobody knows only two can tell: the provider, and two people with a proof.
KNOWN = """
CREATE FUNCTION payout_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM payout_calls
                  WHERE merchant_id = NEW.merchant_id AND payout_id = NEW.id
                    AND (said = NEW.state OR said = 'returned' AND NEW.state = 'paid'))
     AND NOT EXISTS (SELECT FROM payout_proofs
                      WHERE merchant_id = NEW.merchant_id AND payout_id = NEW.id
                        AND confirmed_at IS NOT NULL AND outcome = NEW.state) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payouts', CONSTRAINT = 'payouts_known_check',
      MESSAGE = format('payout %s: neither its provider nor two people say that it is %s',
                       NEW.id, NEW.state);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payouts_known BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN (OLD.state = 'unknown' AND NEW.state IN ('paid', 'failed'))
  EXECUTE FUNCTION payout_known();
"""
