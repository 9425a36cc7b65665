"""The finance desk: what is owed by its age, and payouts as a bank's statement asks for them."""

from alembic import op

revision = "0022_desk"
down_revision = "0021_tax"
branch_labels = None
depends_on = None


INDEXES = {
    "entries_open_idx": "entries (merchant_id, state, currency, id)"
    " WHERE state IN ('pending', 'available', 'reserved')",
    "payouts_waiting_idx": "payouts (merchant_id, currency, id)"
    " WHERE state IN ('accepted', 'unknown')",
    "payouts_paid_idx": "payouts (merchant_id, currency, paid_at) WHERE paid_at IS NOT NULL",
    "payouts_provider_idx": "payouts (merchant_id, provider_reference)"
    " WHERE provider_reference IS NOT NULL",
}


def upgrade() -> None:
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {what}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
