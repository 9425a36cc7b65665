"""Rules of foreign keys, kept by the triggers that look at the same rows anyway.

A foreign key asks for each row on its own, and locks the row it finds; that was a third of
settling. Accounts and payouts are never taken out and keep their keys (`ledger_accounts_stay`,
`ledger_accounts_only_grow`, `payouts_kept`, `payouts_stay`), and from here on neither are entries
that were earned. So it is enough to look when a transfer or a line comes in, at all of a statement
together.
"""

from alembic import op

revision = "0018_speed"
down_revision = "0017_rails"
branch_labels = None
depends_on = None

SIDES = ("source", "target")
OWNERS = {"entry_id": "entries", "payout_id": "payouts"}
OF_MERCHANT = ("payouts", "payout_events")  # which have it by their settlement and their payout


def upgrade() -> None:
    for statement in (BOOK, OWNED, EARNED):
        op.execute(statement)
    for side in SIDES:
        op.drop_constraint(f"ledger_transfers_{side}_fkey", "ledger_transfers", type_="foreignkey")
    op.drop_constraint(op.f("ledger_accounts_merchant_id_id_currency_key"), "ledger_accounts")
    for column in OWNERS:
        op.drop_constraint(
            op.f(f"payout_lines_merchant_id_{column}_fkey"), "payout_lines", type_="foreignkey"
        )
    for table in OF_MERCHANT:
        op.drop_constraint(op.f(f"{table}_merchant_id_fkey"), table, type_="foreignkey")


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER entries_earned_kept ON entries;
        DROP TRIGGER entries_not_emptied ON entries;
        DROP TRIGGER entries_keep_keys ON entries
    """)
    for table in OF_MERCHANT:
        op.create_foreign_key(
            op.f(f"{table}_merchant_id_fkey"), table, "merchants", ["merchant_id"], ["id"]
        )
    op.create_unique_constraint(
        op.f("ledger_accounts_merchant_id_id_currency_key"),
        "ledger_accounts",
        ["merchant_id", "id", "currency"],
    )
    for side in SIDES:
        op.create_foreign_key(
            f"ledger_transfers_{side}_fkey",
            "ledger_transfers",
            "ledger_accounts",
            ["merchant_id", f"{side}_id", "currency"],
            ["merchant_id", "id", "currency"],
        )
    for column, table in OWNERS.items():
        op.create_foreign_key(
            op.f(f"payout_lines_merchant_id_{column}_fkey"),
            "payout_lines",
            table,
            ["merchant_id", column],
            ["merchant_id", "id"],
        )


# As in 0002, and both accounts are there, of the merchant and in the currency.
BOOK = """
CREATE OR REPLACE FUNCTION ledger_book() RETURNS trigger LANGUAGE plpgsql
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

  SELECT added.merchant_id, added.id, added.code, added.currency,
         s.kind AS source_kind, t.kind AS target_kind,
         (s.currency = added.currency AND t.currency = added.currency) IS TRUE AS there
    INTO wrong
    FROM added
    LEFT JOIN LATERAL (SELECT kind, owner_kind, owner_id, currency FROM ledger_accounts a
      WHERE a.merchant_id = added.merchant_id AND a.id = added.source_id OFFSET 0) s ON true
    LEFT JOIN LATERAL (SELECT kind, owner_kind, owner_id, currency FROM ledger_accounts a
      WHERE a.merchant_id = added.merchant_id AND a.id = added.target_id OFFSET 0) t ON true
   WHERE (s.currency = added.currency AND t.currency = added.currency
          AND ledger_shape_fits(added.code, s.kind, t.kind)) IS NOT TRUE
      OR (s.owner_kind IN ('promoter', 'agency') AND t.owner_kind IN ('promoter', 'agency')
          AND (s.owner_kind, s.owner_id) <> (t.owner_kind, t.owner_id))
   LIMIT 1;
  IF FOUND AND NOT wrong.there THEN
    RAISE EXCEPTION USING
      ERRCODE = 'foreign_key_violation', TABLE = 'ledger_transfers',
      CONSTRAINT = 'ledger_transfers_accounts_check',
      MESSAGE = format('transfer %s: merchant %s has no such two accounts in %s',
                       wrong.id, wrong.merchant_id, wrong.currency);
  ELSIF FOUND THEN
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
END $$
"""

# As in 0005, and both are there.
OWNED = """
CREATE OR REPLACE FUNCTION payout_lines_drafted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE wrong bigint;
BEGIN
  SELECT added.entry_id INTO wrong
    FROM added
   WHERE (SELECT p.state = 'draft' AND (SELECT (e.payee_kind, e.payee_id, e.currency, e.amount)
                                               = (p.payee_kind, p.payee_id, p.currency,
                                                  added.amount)
                                               AND e.state <> 'estimated'
                                          FROM entries e
                                         WHERE e.merchant_id = added.merchant_id
                                           AND e.id = added.entry_id)
            FROM payouts p WHERE p.merchant_id = added.merchant_id AND p.id = added.payout_id)
         IS NOT TRUE
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payout_lines',
      CONSTRAINT = 'payout_lines_drafted_check',
      MESSAGE = format('entry %s: only into a draft of its own payee, with its own amount', wrong);
  END IF;
  RETURN NULL;
END $$
"""

EARNED = """
CREATE TRIGGER entries_earned_kept BEFORE DELETE ON entries FOR EACH ROW
  WHEN (OLD.state <> 'estimated')
  EXECUTE FUNCTION ledger_refuse('what was earned is kept');
CREATE TRIGGER entries_not_emptied BEFORE TRUNCATE ON entries FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what was earned is kept');
CREATE TRIGGER entries_keep_keys BEFORE UPDATE OF merchant_id, id ON entries FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id) IS DISTINCT FROM (NEW.merchant_id, NEW.id))
  EXECUTE FUNCTION ledger_refuse('an entry keeps its key')
"""
