"""The ledger defends itself: totals follow transfers, nothing is edited, nothing overdrawn."""

from alembic import op

revision = "0002_ledger"
down_revision = "0001_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (REFUSE, APPEND_ONLY, SHAPES, BOOK, ONLY_BY_TRANSFERS, OVERDRAFT, SEALS, ROOM):
        op.execute(statement)


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER ledger_transfers_append_only ON ledger_transfers;
        DROP TRIGGER ledger_transfers_book ON ledger_transfers;
        DROP TRIGGER ledger_seals_append_only ON ledger_seals;
        DROP TRIGGER ledger_accounts_open_empty ON ledger_accounts;
        DROP TRIGGER ledger_accounts_stay ON ledger_accounts;
        DROP TRIGGER ledger_accounts_only_by_transfers ON ledger_accounts;
        DROP TRIGGER ledger_accounts_only_grow ON ledger_accounts;
        DROP TRIGGER ledger_accounts_overdraft ON ledger_accounts;
        DROP FUNCTION ledger_book(), ledger_overdrawn(), ledger_refuse();
        DROP FUNCTION ledger_shape_fits(text, text, text);
        DROP FUNCTION ledger_batch(bigint, bigint);
        DROP FUNCTION ledger_hash(bytea, bigint, bigint, bigint, timestamptz, bytea);
        ALTER TABLE ledger_accounts RESET (fillfactor)
    """)


REFUSE = """
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING
    ERRCODE = 'restrict_violation',
    TABLE = TG_TABLE_NAME,
    MESSAGE = format('%s on %s is refused: %s', TG_OP, TG_TABLE_NAME, TG_ARGV[0]);
END $$
"""

APPEND_ONLY = """
CREATE TRIGGER ledger_transfers_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfers FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('a mistake is put right by a transfer the other way round');
CREATE TRIGGER ledger_seals_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seals FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('a seal stays as it was made')
"""

# The same as SHAPES in affiliate/ledger/rules.py; a test compares them.
SHAPES = """
CREATE FUNCTION ledger_shape_fits(code text, source_kind text, target_kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT code || ': ' || source_kind || ' → ' || target_kind IN (
    'accrue: receivable → pending',
    'reverse: pending → receivable',
    'release: pending → available',
    'unrelease: available → pending',
    'reverse_available: available → receivable',
    'platform_fee: receivable → fees',
    'reverse_fee: fees → receivable',
    'reserve: available → reserved',
    'unreserve: reserved → available',
    'pay: reserved → clearing',
    'withhold: reserved → tax',
    'rail_cost: rail_costs → clearing',
    'return: clearing → available',
    'return_tax: tax → available',
    'pay_in: clearing → receivable',
    'return_pay_in: receivable → clearing',
    'remit: tax → clearing',
    'write_off: bad_debt → available',
    'recover: available → bad_debt'
  )
$$
"""

# The totals are written here and nowhere else, so no transfer can be without its totals. Once for
# a whole statement: a thousand transfers between the same two accounts are two updated rows.
#
# The plans of a function are kept. The first call, for one transfer or ten thousand and perhaps on
# an empty table, must not choose a plan that is bad for all later ones. Looking up each account by
# its key suits every size; the settings and `OFFSET 0` leave the planner no other idea.
BOOK = """
CREATE FUNCTION ledger_book() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  sealed_to bigint;
  here bigint;
  wrong record;
BEGIN
  IF NOT EXISTS (SELECT FROM added) THEN
    RETURN NULL;
  END IF;

  -- A transfer is of its own transaction, and no seal covers it already.
  SELECT to_xact, pg_current_xact_id()::text::bigint + shift INTO sealed_to, here
    FROM ledger_seals ORDER BY to_xact DESC LIMIT 1;
  here := coalesce(here, pg_current_xact_id()::text::bigint);
  IF here < sealed_to OR EXISTS (SELECT FROM added WHERE xact <> here) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'ledger_transfers',
      CONSTRAINT = 'ledger_transfers_unsealed_check',
      MESSAGE = format('a transfer of transaction %s: seals reach to %s', here, sealed_to),
      HINT = 'After a restore on another server `affiliate ledger seal` goes on from there.';
  END IF;

  SELECT added.merchant_id, added.id, added.code, s.kind AS source_kind, t.kind AS target_kind
    INTO wrong
    FROM added
    CROSS JOIN LATERAL (SELECT kind, owner_kind, owner_id FROM ledger_accounts a
      WHERE a.merchant_id = added.merchant_id AND a.id = added.source_id OFFSET 0) s
    CROSS JOIN LATERAL (SELECT kind, owner_kind, owner_id FROM ledger_accounts a
      WHERE a.merchant_id = added.merchant_id AND a.id = added.target_id OFFSET 0) t
   WHERE NOT ledger_shape_fits(added.code, s.kind, t.kind)
      OR (s.owner_kind IN ('promoter', 'agency') AND t.owner_kind IN ('promoter', 'agency')
          AND (s.owner_kind, s.owner_id) <> (t.owner_kind, t.owner_id))
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'ledger_transfers',
      CONSTRAINT = 'ledger_transfers_shape_check',
      MESSAGE = format('%s does not go from this %s account to this %s account (transfer %s)',
                       wrong.code, wrong.source_kind, wrong.target_kind, wrong.id);
  END IF;

  -- In the order of their ids, whoever books: so two never wait for each other.
  PERFORM FROM ledger_accounts a
    JOIN (SELECT merchant_id, source_id AS id FROM added
          UNION SELECT merchant_id, target_id FROM added) touched USING (merchant_id, id)
   ORDER BY a.id FOR NO KEY UPDATE OF a;

  UPDATE ledger_accounts a
     SET debits = a.debits + moved.debits,
         credits = a.credits + moved.credits,
         clawed = a.clawed + moved.clawed
    FROM (
      SELECT merchant_id, id,
             sum(debit) AS debits, sum(credit) AS credits, sum(claw) AS clawed
        FROM (
          SELECT merchant_id, source_id AS id, amount AS debit, 0 AS credit,
                 CASE WHEN code IN ('reverse_available', 'unrelease') THEN amount ELSE 0 END AS claw
            FROM added
          UNION ALL
          SELECT merchant_id, target_id, 0, amount, 0 FROM added
        ) both_sides
       GROUP BY merchant_id, id
    ) moved
   WHERE a.merchant_id = moved.merchant_id AND a.id = moved.id;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_transfers_book
  AFTER INSERT ON ledger_transfers REFERENCING NEW TABLE AS added FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_book()
"""

ONLY_BY_TRANSFERS = """
CREATE TRIGGER ledger_accounts_open_empty
  BEFORE INSERT ON ledger_accounts FOR EACH ROW
  WHEN (NEW.debits <> 0 OR NEW.credits <> 0 OR NEW.clawed <> 0)
  EXECUTE FUNCTION ledger_refuse('an account opens empty');
CREATE TRIGGER ledger_accounts_stay
  BEFORE DELETE OR TRUNCATE ON ledger_accounts FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('accounts stay');
CREATE TRIGGER ledger_accounts_only_by_transfers
  BEFORE UPDATE ON ledger_accounts FOR EACH STATEMENT
  WHEN (pg_trigger_depth() = 0)
  EXECUTE FUNCTION ledger_refuse('totals follow the transfers: add one');
CREATE TRIGGER ledger_accounts_only_grow
  BEFORE UPDATE ON ledger_accounts FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.owner_kind, OLD.owner_id, OLD.kind, OLD.currency)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.owner_kind, NEW.owner_id, NEW.kind, NEW.currency)
        OR NEW.debits < OLD.debits OR NEW.credits < OLD.credits OR NEW.clawed < OLD.clawed)
  EXECUTE FUNCTION ledger_refuse('totals only grow, and an account stays what it is')
"""

# Triggers of one event fire in the order of their names: this one comes after the one above.
OVERDRAFT = """
CREATE FUNCTION ledger_overdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING
    ERRCODE = 'check_violation', TABLE = 'ledger_accounts',
    CONSTRAINT = 'ledger_accounts_never_overdrawn_check',
    MESSAGE = format('the %s account of %s %s with merchant %s has %s %s, not the %s asked of it',
      NEW.kind, NEW.owner_kind, NEW.owner_id, NEW.merchant_id,
      OLD.credits - OLD.debits, NEW.currency,
      (OLD.credits - OLD.debits) - (NEW.credits - NEW.debits));
END $$;
CREATE TRIGGER ledger_accounts_overdraft
  BEFORE UPDATE ON ledger_accounts FOR EACH ROW
  WHEN (NEW.credits < NEW.debits AND CASE NEW.kind
    WHEN 'available' THEN
      (OLD.credits - OLD.debits) - (NEW.credits - NEW.debits) > NEW.clawed - OLD.clawed
    ELSE NEW.kind IN ('pending', 'reserved', 'tax') END)
  EXECUTE FUNCTION ledger_overdrawn()
"""

# What a seal is a hash of. Seals once made must go on holding, so a change needs new functions
# beside these. Nothing in here depends on a setting of the session; the texts of a row stand last
# and apart from each other, so that no two rows give the same bytes.
SEALS = """
CREATE FUNCTION ledger_batch(from_xact bigint, to_xact bigint)
RETURNS TABLE (transfers bigint, leaves bytea) LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(sum(leaf.transfers), 0)::bigint, string_agg(leaf.hash, '' ORDER BY leaf.xact)
    FROM (
      SELECT t.xact, count(*) AS transfers,
             sha256(int8send(t.xact) || string_agg(
               int8send(t.id) || int8send(t.merchant_id) || int8send(t.source_id)
               || int8send(t.target_id) || int8send(t.amount) || timestamptz_send(t.created_at)
               || convert_to(t.currency || ' ' || t.code || ' ' || t.cause || chr(10), 'UTF8'),
               '' ORDER BY t.id)) AS hash
        FROM ledger_transfers t
       WHERE t.xact >= ledger_batch.from_xact AND t.xact < ledger_batch.to_xact
       GROUP BY t.xact
    ) leaf
$$;
CREATE FUNCTION ledger_hash(previous bytea, from_xact bigint, to_xact bigint, shift bigint,
                            created_at timestamptz, leaves bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256(coalesce(previous, '') || int8send(from_xact) || int8send(to_xact)
                || int8send(shift) || timestamptz_send(created_at) || coalesce(leaves, ''))
$$
"""

# Accounts are updated all the time and only in columns without an index: with room on the page
# the new version stays there, and no index is touched.
ROOM = "ALTER TABLE ledger_accounts SET (fillfactor = 70)"
