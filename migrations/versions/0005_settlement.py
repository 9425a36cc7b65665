"""Settlements and payouts defend themselves: four eyes, one way forward, amounts that stay.

`ledger_refuse` is of 0002. A refusal that needs a look at other rows is made once for a whole
statement, so that a hundred thousand payouts cost little more than one.
"""

from alembic import op

revision = "0005_settlement"
down_revision = "0004_clicks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (KEPT, SETTLEMENTS, APPROVAL, PAYOUTS, BACKED, LINES, OWNED, OFFSETS, FACTS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("""
        DROP TRIGGER settlements_kept ON settlements;
        DROP TRIGGER payouts_kept ON payouts;
        DROP TRIGGER payout_lines_kept ON payout_lines;
        DROP TRIGGER offsets_kept ON offsets;
        DROP TRIGGER payout_events_kept ON payout_events;
        DROP TRIGGER payout_files_kept ON payout_files;
        DROP TRIGGER pay_ins_kept ON pay_ins;
        DROP TRIGGER settlements_begin ON settlements;
        DROP TRIGGER settlements_stay ON settlements;
        DROP TRIGGER settlements_approved_stay ON settlements;
        DROP TRIGGER settlements_forward ON settlements;
        DROP TRIGGER settlements_by_people ON settlements;
        DROP TRIGGER settlements_approval ON settlements;
        DROP TRIGGER payouts_begin ON payouts;
        DROP TRIGGER payouts_stay ON payouts;
        DROP TRIGGER payouts_paid_stay ON payouts;
        DROP TRIGGER payouts_forward ON payouts;
        DROP TRIGGER payouts_drafted ON payouts;
        DROP TRIGGER payouts_approved ON payouts;
        DROP TRIGGER payout_lines_stay ON payout_lines;
        DROP TRIGGER payout_lines_drafted ON payout_lines;
        DROP TRIGGER payout_lines_freed ON payout_lines;
        DROP TRIGGER offsets_stay ON offsets;
        DROP TRIGGER offsets_drafted ON offsets;
        DROP TRIGGER offsets_freed ON offsets;
        DROP TRIGGER payout_accounts_stay ON payout_accounts;
        DROP TRIGGER pay_ins_stay ON pay_ins;
        DROP TRIGGER payout_events_stay ON payout_events;
        DROP TRIGGER payout_files_stay ON payout_files;
        DROP FUNCTION settlement_by_people(), settlement_approval();
        DROP FUNCTION payouts_drafted(), payouts_approved();
        DROP FUNCTION payout_lines_drafted(), payout_lines_freed();
        DROP FUNCTION offsets_drafted(), offsets_freed();
    """)


KEPT = "".join(
    f"""
CREATE TRIGGER {table}_kept BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what happened to money is kept');
"""
    for table in (
        "settlements", "payouts", "payout_lines", "offsets", "payout_events", "payout_files",
        "pay_ins",
    )
)  # fmt: skip

# The arrows stand in affiliate/settlement/rules.py too; a test compares them.
SETTLEMENTS = """
CREATE TRIGGER settlements_begin BEFORE INSERT ON settlements FOR EACH ROW
  WHEN (NEW.state <> 'building')
  EXECUTE FUNCTION ledger_refuse('a settlement begins with being built');

CREATE TRIGGER settlements_stay BEFORE UPDATE ON settlements FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.through, OLD.currencies, OLD.created_by, OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.through, NEW.currencies, NEW.created_by, NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('who made it and what it is about stay');

CREATE TRIGGER settlements_approved_stay BEFORE UPDATE ON settlements FOR EACH ROW
  WHEN ((OLD.state NOT IN ('building', 'review') OR NEW.state = 'approved')
        AND (OLD.hash, OLD.totals) IS DISTINCT FROM (NEW.hash, NEW.totals)
        OR OLD.approved_by IS NOT NULL
        AND (OLD.approved_by, OLD.approved_at) IS DISTINCT FROM (NEW.approved_by, NEW.approved_at))
  EXECUTE FUNCTION ledger_refuse('what was approved, and by whom, stays');

CREATE TRIGGER settlements_forward BEFORE UPDATE ON settlements FOR EACH ROW
  WHEN (OLD.state <> NEW.state AND OLD.state || ' → ' || NEW.state NOT IN (
    'building → review', 'building → discarded', 'review → approved', 'review → discarded',
    'approved → executing', 'executing → closed'))
  EXECUTE FUNCTION ledger_refuse('a settlement does not go this way');
"""

APPROVAL = """
CREATE FUNCTION settlement_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM users WHERE id IN (NEW.created_by, NEW.approved_by) AND is_service) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'settlements',
      CONSTRAINT = 'settlements_by_people_check',
      MESSAGE = 'a service user neither makes nor approves a settlement';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER settlements_by_people AFTER INSERT OR UPDATE OF approved_by ON settlements
  FOR EACH ROW EXECUTE FUNCTION settlement_by_people();

CREATE FUNCTION settlement_approval() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong text;
BEGIN
  SELECT format('payout %s is %s with gross %s and lines of %s',
                p.id, p.state, p.gross, coalesce(sum(l.amount), 0)) INTO wrong
    FROM payouts p
    LEFT JOIN payout_lines l ON l.merchant_id = p.merchant_id AND l.payout_id = p.id AND l.live
   WHERE p.merchant_id = NEW.merchant_id AND p.settlement_id = NEW.id AND p.state <> 'cancelled'
   GROUP BY p.merchant_id, p.id
  HAVING p.state <> 'awaiting_approval' OR p.gross <> coalesce(sum(l.amount), 0)
   LIMIT 1;
  IF wrong IS NULL THEN
    SELECT format('the offsets of %s %s sum up to %s', payee_kind, payee_id, sum(amount))
      INTO wrong
      FROM offsets WHERE merchant_id = NEW.merchant_id AND settlement_id = NEW.id
     GROUP BY payee_kind, payee_id, currency HAVING sum(amount) <> 0
     LIMIT 1;
  END IF;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'settlements',
      CONSTRAINT = 'settlements_adds_up_check',
      MESSAGE = format('settlement %s cannot be approved: %s', NEW.id, wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER settlements_approval AFTER UPDATE ON settlements FOR EACH ROW
  WHEN (OLD.state = 'review' AND NEW.state = 'approved')
  EXECUTE FUNCTION settlement_approval();
"""

# The arrows stand in affiliate/payouts/rules.py too; a test compares them.
PAYOUTS = """
CREATE TRIGGER payouts_begin BEFORE INSERT ON payouts FOR EACH ROW
  WHEN (NEW.state <> 'draft')
  EXECUTE FUNCTION ledger_refuse('a payout begins as a draft');

CREATE TRIGGER payouts_stay BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.settlement_id, OLD.payee_kind, OLD.payee_id, OLD.currency,
         OLD.account_id, OLD.rail, OLD.gross, OLD.withheld, OLD.net, OLD.reference, OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.settlement_id, NEW.payee_kind, NEW.payee_id, NEW.currency,
         NEW.account_id, NEW.rail, NEW.gross, NEW.withheld, NEW.net, NEW.reference, NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('amount, payee, account and reference of a payout stay');

CREATE TRIGGER payouts_paid_stay BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN (OLD.paid_at IS NOT NULL AND (OLD.paid_at, OLD.provider_reference)
        IS DISTINCT FROM (NEW.paid_at, NEW.provider_reference))
  EXECUTE FUNCTION ledger_refuse('when and how it was paid stays');

CREATE TRIGGER payouts_forward BEFORE UPDATE ON payouts FOR EACH ROW
  WHEN (OLD.state <> NEW.state AND OLD.state || ' → ' || NEW.state NOT IN (
    'draft → awaiting_approval', 'draft → cancelled',
    'awaiting_approval → approved', 'awaiting_approval → cancelled',
    'approved → submitting', 'approved → cancelled',
    'submitting → accepted', 'submitting → failed', 'submitting → unknown',
    'accepted → action_required', 'accepted → paid', 'accepted → failed',
    'action_required → paid', 'action_required → failed',
    'unknown → accepted', 'unknown → action_required', 'unknown → paid', 'unknown → failed',
    'paid → returned'))
  EXECUTE FUNCTION ledger_refuse('a payout does not go this way');
"""

# Their plans are kept, and must be good for one row and for fifty thousand: a subquery for each
# row, by the index. As a join the planner could turn it round and go through all new rows for
# every payout.
_PLANS = "SET enable_seqscan = off"

BACKED = f"""
CREATE FUNCTION payouts_drafted() RETURNS trigger LANGUAGE plpgsql {_PLANS} AS $$
DECLARE wrong bigint;
BEGIN
  SELECT added.id INTO wrong
    FROM added
   WHERE (SELECT s.state FROM settlements s
           WHERE s.merchant_id = added.merchant_id AND s.id = added.settlement_id) <> 'building'
      OR (SELECT (a.payee_kind, a.payee_id, a.currency, a.rail)
                 <> (added.payee_kind, added.payee_id, added.currency, added.rail)
            FROM payout_accounts a WHERE a.id = added.account_id)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payouts', CONSTRAINT = 'payouts_drafted_check',
      MESSAGE = format('payout %s: only while its settlement is built, and to an account of its '
                       'own payee', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payouts_drafted AFTER INSERT ON payouts REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION payouts_drafted();

CREATE FUNCTION payouts_approved() RETURNS trigger LANGUAGE plpgsql {_PLANS} AS $$
DECLARE wrong bigint;
BEGIN
  SELECT changed.id INTO wrong
    FROM changed
   WHERE changed.state NOT IN ('draft', 'awaiting_approval', 'cancelled')
     AND (SELECT s.approved_by IS NULL FROM settlements s
           WHERE s.merchant_id = changed.merchant_id AND s.id = changed.settlement_id)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payouts', CONSTRAINT = 'payouts_approved_check',
      MESSAGE = format('payout %s: nobody has approved its settlement', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payouts_approved AFTER UPDATE ON payouts REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION payouts_approved();
"""

LINES = """
CREATE TRIGGER payout_lines_stay BEFORE UPDATE ON payout_lines FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.payout_id, OLD.entry_id, OLD.amount)
        IS DISTINCT FROM (NEW.merchant_id, NEW.payout_id, NEW.entry_id, NEW.amount)
        OR NEW.live AND NOT OLD.live)
  EXECUTE FUNCTION ledger_refuse('a line stays what it is, and does not come back');
"""

OWNED = f"""
CREATE FUNCTION payout_lines_drafted() RETURNS trigger LANGUAGE plpgsql {_PLANS} AS $$
DECLARE wrong bigint;
BEGIN
  SELECT added.entry_id INTO wrong
    FROM added
   WHERE (SELECT p.state <> 'draft' OR (SELECT (e.payee_kind, e.payee_id, e.currency, e.amount)
                                               <> (p.payee_kind, p.payee_id, p.currency,
                                                   added.amount)
                                          FROM entries e
                                         WHERE e.merchant_id = added.merchant_id
                                           AND e.id = added.entry_id)
            FROM payouts p WHERE p.merchant_id = added.merchant_id AND p.id = added.payout_id)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payout_lines',
      CONSTRAINT = 'payout_lines_drafted_check',
      MESSAGE = format('entry %s: only into a draft of its own payee, with its own amount', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payout_lines_drafted AFTER INSERT ON payout_lines REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION payout_lines_drafted();

CREATE FUNCTION payout_lines_freed() RETURNS trigger LANGUAGE plpgsql {_PLANS} AS $$
DECLARE wrong bigint;
BEGIN
  SELECT changed.entry_id INTO wrong
    FROM changed
   WHERE NOT changed.live
     AND (SELECT p.state FROM payouts p
           WHERE p.merchant_id = changed.merchant_id AND p.id = changed.payout_id)
         NOT IN ('failed', 'cancelled', 'returned')
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'payout_lines', CONSTRAINT = 'payout_lines_freed_check',
      MESSAGE = format('entry %s: its payout lives, so no other may own it', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payout_lines_freed AFTER UPDATE ON payout_lines REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION payout_lines_freed();
"""

OFFSETS = f"""
CREATE TRIGGER offsets_stay BEFORE UPDATE ON offsets FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.settlement_id, OLD.entry_id, OLD.payee_kind, OLD.payee_id,
         OLD.currency, OLD.amount)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.settlement_id, NEW.entry_id, NEW.payee_kind, NEW.payee_id,
         NEW.currency, NEW.amount)
        OR NEW.live AND NOT OLD.live)
  EXECUTE FUNCTION ledger_refuse('an offset stays what it is, and does not come back');

CREATE FUNCTION offsets_drafted() RETURNS trigger LANGUAGE plpgsql {_PLANS} AS $$
DECLARE wrong bigint;
BEGIN
  SELECT added.entry_id INTO wrong
    FROM added
   WHERE (SELECT s.state FROM settlements s
           WHERE s.merchant_id = added.merchant_id AND s.id = added.settlement_id) <> 'building'
      OR (SELECT (e.payee_kind, e.payee_id, e.currency, e.amount)
                 <> (added.payee_kind, added.payee_id, added.currency, added.amount)
            FROM entries e WHERE e.merchant_id = added.merchant_id AND e.id = added.entry_id)
      OR EXISTS (SELECT FROM payout_lines l
                  WHERE l.merchant_id = added.merchant_id AND l.entry_id = added.entry_id
                    AND l.live)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'offsets', CONSTRAINT = 'offsets_drafted_check',
      MESSAGE = format('entry %s: only while its settlement is built, as it is, and if no payout '
                       'owns it', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER offsets_drafted AFTER INSERT ON offsets REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION offsets_drafted();

CREATE FUNCTION offsets_freed() RETURNS trigger LANGUAGE plpgsql {_PLANS} AS $$
DECLARE wrong bigint;
BEGIN
  SELECT changed.entry_id INTO wrong
    FROM changed
   WHERE NOT changed.live
     AND (SELECT s.state FROM settlements s
           WHERE s.merchant_id = changed.merchant_id AND s.id = changed.settlement_id)
         <> 'discarded'
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'check_violation', TABLE = 'offsets', CONSTRAINT = 'offsets_freed_check',
      MESSAGE = format('entry %s: its settlement was not discarded', wrong);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER offsets_freed AFTER UPDATE ON offsets REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION offsets_freed();
"""

FACTS = """
CREATE TRIGGER payout_accounts_stay BEFORE UPDATE ON payout_accounts FOR EACH ROW
  WHEN ((OLD.id, OLD.payee_kind, OLD.payee_id, OLD.rail, OLD.country, OLD.currency, OLD.fields,
         OLD.masked, OLD.fingerprint, OLD.created_at)
        IS DISTINCT FROM
        (NEW.id, NEW.payee_kind, NEW.payee_id, NEW.rail, NEW.country, NEW.currency, NEW.fields,
         NEW.masked, NEW.fingerprint, NEW.created_at)
        OR OLD.replaced_at IS NOT NULL AND OLD.replaced_at IS DISTINCT FROM NEW.replaced_at)
  EXECUTE FUNCTION ledger_refuse('another account is another row');

CREATE TRIGGER pay_ins_stay BEFORE UPDATE ON pay_ins FOR EACH ROW
  WHEN ((OLD.merchant_id, OLD.id, OLD.amount, OLD.currency, OLD.reference, OLD.created_by,
         OLD.created_at)
        IS DISTINCT FROM
        (NEW.merchant_id, NEW.id, NEW.amount, NEW.currency, NEW.reference, NEW.created_by,
         NEW.created_at))
  EXECUTE FUNCTION ledger_refuse('what was booked stays');

CREATE TRIGGER payout_events_stay BEFORE UPDATE ON payout_events FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('the timeline of a payout is only added to');

CREATE TRIGGER payout_files_stay BEFORE UPDATE ON payout_files FOR EACH STATEMENT
  EXECUTE FUNCTION ledger_refuse('what the bank got stays as it was');
"""
