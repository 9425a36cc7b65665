"""What was decided, in a chain; and months whose books are closed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016_books"
down_revision = "0015_settling"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("merchant_id", sa.BigInteger),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("key_id", sa.BigInteger),
        sa.Column("detail", postgresql.JSONB, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_index("audit_log_merchant_idx", "audit_log", ["merchant_id", "id"])
    op.create_index("audit_log_user_idx", "audit_log", ["user_id", "id"])
    op.create_index("audit_log_subject_idx", "audit_log", ["subject", "id"])
    op.create_table(
        "book_closes",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("balances", postgresql.JSONB, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id"),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"]),
        sa.UniqueConstraint("merchant_id", "month"),
        sa.UniqueConstraint("merchant_id", "until"),
    )
    for statement in (CHAIN, CLOSES, OPEN_MONTH):
        op.execute(statement)


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER ledger_transfers_are_open ON ledger_transfers;
        DROP FUNCTION ledger_open_month();
        DROP TABLE book_closes, audit_log;
        DROP FUNCTION book_close(), book_close_hash(bytea, bigint, date, text, timestamptz, bigint,
                                                    timestamptz, jsonb);
        DROP FUNCTION book_balances(bigint, timestamptz);
        DROP FUNCTION audit_chain();
        DROP FUNCTION audit_hash(bytea, bigint, timestamptz, text, text, bigint, bigint, bigint,
                                 jsonb)
    """)


# One row after the other under one lock, so the chain has no gap and no fork; it is taken as the
# last one before a commit. What is hashed is one JSON text: fields in it cannot run into each other,
# and no setting of the session changes it. Rows once written must go on proving themselves, so a
# change needs a new function beside this one.
CHAIN = """
CREATE FUNCTION audit_hash(previous bytea, id bigint, happened_at timestamptz, action text,
                           subject text, merchant_id bigint, user_id bigint, key_id bigint,
                           detail jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256(coalesce(previous, '') || convert_to(jsonb_build_array(
    id, encode(timestamptz_send(happened_at), 'hex'), action, subject, merchant_id, user_id, key_id,
    detail)::text, 'UTF8'))
$$;
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('audit_log', 0));
  SELECT id, hash INTO last FROM audit_log ORDER BY id DESC LIMIT 1;
  NEW.id := coalesce(last.id, 0) + 1;
  NEW.hash := audit_hash(last.hash, NEW.id, NEW.happened_at, NEW.action, NEW.subject,
                         NEW.merchant_id, NEW.user_id, NEW.key_id, NEW.detail);
  RETURN NEW;
END $$;
CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log FOR EACH ROW
  EXECUTE FUNCTION audit_chain();
CREATE TRIGGER audit_log_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what was decided stays as it was written')
"""

# A close is a hash over the one before it. Whoever closes holds the lock of the merchant's books
# alone; whoever books holds it with the others, so none of them is under way while a month closes.
CLOSES = """
CREATE FUNCTION book_balances(merchant bigint, until timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'currency', currency,
                                               'debits', debits, 'credits', credits)
                            ORDER BY currency, kind), '[]')
    FROM (
      SELECT a.kind, a.currency, sum(moved.debit) AS debits, sum(moved.credit) AS credits
        FROM (
          SELECT side.id, sum(side.debit) AS debit, sum(side.credit) AS credit
            FROM ledger_transfers t
            CROSS JOIN LATERAL (VALUES (source_id, amount, 0), (target_id, 0, amount))
              AS side (id, debit, credit)
           WHERE t.merchant_id = merchant AND t.created_at < book_balances.until
           GROUP BY side.id
        ) moved
        JOIN ledger_accounts a ON a.merchant_id = merchant AND a.id = moved.id
       GROUP BY a.kind, a.currency
    ) sums
$$;
CREATE FUNCTION book_close_hash(previous bytea, merchant_id bigint, month date, timezone text,
                                until timestamptz, closed_by bigint, created_at timestamptz,
                                balances jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256(coalesce(previous, '') || convert_to(jsonb_build_array(
    merchant_id, month - date '2000-01-01', timezone, encode(timestamptz_send(until), 'hex'),
    closed_by, encode(timestamptz_send(created_at), 'hex'), balances)::text, 'UTF8'))
$$;
CREATE FUNCTION book_close() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('books of ' || NEW.merchant_id, 0));
  SELECT month, until, hash INTO last FROM book_closes
   WHERE merchant_id = NEW.merchant_id ORDER BY until DESC LIMIT 1;
  IF NEW.month <> date_trunc('month', NEW.month)
     OR last.month IS NOT NULL
        AND (NEW.month <> last.month + interval '1 month' OR NEW.until <= last.until) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'book_closes',
      CONSTRAINT = 'book_closes_in_order_check',
      MESSAGE = format('months close one after the other: after %s not %s', last.month, NEW.month);
  END IF;
  NEW.balances := book_balances(NEW.merchant_id, NEW.until);
  NEW.hash := book_close_hash(last.hash, NEW.merchant_id, NEW.month, NEW.timezone, NEW.until,
                              NEW.closed_by, NEW.created_at, NEW.balances);
  RETURN NEW;
END $$;
CREATE TRIGGER book_closes_close BEFORE INSERT ON book_closes FOR EACH ROW
  EXECUTE FUNCTION book_close();
CREATE TRIGGER book_closes_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON book_closes FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('a month stays closed')
"""

# Triggers of one event fire in the order of their names: this one before `ledger_transfers_book`,
# which locks the accounts.
OPEN_MONTH = """
CREATE FUNCTION ledger_open_month() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  payer bigint;
  closed timestamptz;
BEGIN
  FOR payer IN SELECT DISTINCT merchant_id FROM added ORDER BY merchant_id LOOP
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('books of ' || payer, 0));
    SELECT until INTO closed FROM book_closes
     WHERE merchant_id = payer ORDER BY until DESC LIMIT 1;
    IF EXISTS (SELECT FROM added WHERE merchant_id = payer AND created_at < closed) THEN
      RAISE EXCEPTION USING
        ERRCODE = 'check_violation', TABLE = 'ledger_transfers',
        CONSTRAINT = 'ledger_transfers_open_month_check',
        MESSAGE = format('the books of merchant %s are closed until %s', payer, closed);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_transfers_are_open
  AFTER INSERT ON ledger_transfers REFERENCING NEW TABLE AS added FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_open_month()
"""
