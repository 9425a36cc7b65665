"""The sponsor tree: no circles whoever writes, and a dated history of who sponsored whom."""

from alembic import op

revision = "0003_sponsors"
down_revision = "0002_ledger"
branch_labels = None
depends_on = None

TREE_LOCK = 7_238_001  # the same number stands in affiliate/people/service.py


def upgrade() -> None:
    # Moves are serialised by the lock, and under READ COMMITTED every statement in here sees what
    # the move before committed. A REPEATABLE READ snapshot would not, so it is turned away;
    # SERIALIZABLE finds the conflict itself.
    op.execute(f"""
        CREATE FUNCTION promoters_keep_tree() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF NEW.sponsor_id IS NOT DISTINCT FROM OLD.sponsor_id THEN
                    NEW.sponsor_since := OLD.sponsor_since;
                    RETURN NEW;
                END IF;
                PERFORM pg_advisory_xact_lock({TREE_LOCK});
                IF current_setting('transaction_isolation') = 'repeatable read' THEN
                    RAISE EXCEPTION 'sponsors are not moved under REPEATABLE READ'
                        USING ERRCODE = 'feature_not_supported';
                END IF;
                IF NEW.sponsor_since IS NOT DISTINCT FROM OLD.sponsor_since THEN
                    NEW.sponsor_since := clock_timestamp();
                END IF;
                IF NEW.sponsor_since < OLD.sponsor_since THEN
                    NEW.sponsor_since := OLD.sponsor_since;
                END IF;
                IF EXISTS (
                    WITH RECURSIVE up AS (
                        SELECT id, sponsor_id FROM promoters WHERE id = NEW.sponsor_id
                        UNION
                        SELECT p.id, p.sponsor_id FROM promoters p JOIN up ON p.id = up.sponsor_id
                    )
                    SELECT FROM up WHERE id = NEW.id
                ) THEN
                    RAISE EXCEPTION 'promoter % would stand above its own sponsor', NEW.id
                        USING ERRCODE = 'integrity_constraint_violation',
                              CONSTRAINT = 'promoters_no_cycle';
                END IF;
            ELSIF NEW.sponsor_id IS NOT NULL THEN
                NEW.sponsor_since := coalesce(NEW.sponsor_since, NEW.created_at);
                -- Nobody stands below a new row, so it closes no circle; unless one statement
                -- brings rows that name each other, and then a sponsor is not there yet.
                IF NOT EXISTS (SELECT FROM promoters WHERE id = NEW.sponsor_id) THEN
                    RAISE EXCEPTION 'sponsor % is not there yet', NEW.sponsor_id
                        USING ERRCODE = 'foreign_key_violation',
                              CONSTRAINT = 'promoters_sponsor_first';
                END IF;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER promoters_keep_tree BEFORE INSERT OR UPDATE ON promoters
        FOR EACH ROW EXECUTE FUNCTION promoters_keep_tree()
    """)
    op.execute("""
        CREATE FUNCTION promoters_write_sponsorship() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF NEW.sponsor_id IS NOT DISTINCT FROM OLD.sponsor_id THEN
                    RETURN NULL;
                END IF;
                UPDATE sponsorships SET until = NEW.sponsor_since
                 WHERE promoter_id = NEW.id AND until IS NULL;
            END IF;
            IF NEW.sponsor_id IS NOT NULL THEN
                INSERT INTO sponsorships (promoter_id, sponsor_id, since)
                VALUES (NEW.id, NEW.sponsor_id, NEW.sponsor_since);
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER promoters_write_sponsorship AFTER INSERT OR UPDATE OF sponsor_id ON promoters
        FOR EACH ROW EXECUTE FUNCTION promoters_write_sponsorship()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER promoters_write_sponsorship ON promoters")
    op.execute("DROP FUNCTION promoters_write_sponsorship")
    op.execute("DROP TRIGGER promoters_keep_tree ON promoters")
    op.execute("DROP FUNCTION promoters_keep_tree")
