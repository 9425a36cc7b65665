"""Payout accounts cool off when they replace another; what a payee's app needs to confirm."""

import sqlalchemy as sa
from alembic import op

revision = "0020_rails"
down_revision = "0019_shops"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payout_calls", sa.Column("action", sa.Text(), nullable=True))
    op.add_column(
        "payout_accounts", sa.Column("used_from", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "payout_accounts",
        sa.Column("name_differs", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute("UPDATE payout_accounts SET used_from = created_at")
    op.alter_column("payout_accounts", "used_from", nullable=False)
    op.alter_column("payout_accounts", "name_differs", server_default=None)
    op.create_index(
        "payout_accounts_payee_idx",
        "payout_accounts",
        ["currency", "payee_kind", "payee_id", "used_from", "id"],
    )
    op.execute(_stays(("used_from", "name_differs")))


def downgrade() -> None:
    op.execute(_stays(()))
    op.drop_index("payout_accounts_payee_idx", "payout_accounts")
    op.drop_column("payout_accounts", "name_differs")
    op.drop_column("payout_accounts", "used_from")
    op.drop_column("payout_calls", "action")


def _stays(more: tuple[str, ...]) -> str:
    old, new = (", ".join(f"{row}.{name}" for name in (*FACTS, *more)) for row in ("OLD", "NEW"))
    return f"""
        DROP TRIGGER payout_accounts_stay ON payout_accounts;
        CREATE TRIGGER payout_accounts_stay BEFORE UPDATE ON payout_accounts FOR EACH ROW
          WHEN (({old}) IS DISTINCT FROM ({new})
                OR OLD.replaced_at IS NOT NULL AND OLD.replaced_at IS DISTINCT FROM NEW.replaced_at)
          EXECUTE FUNCTION ledger_refuse('another account is another row');
    """


# As in 0005.
FACTS = (
    "id", "payee_kind", "payee_id", "rail", "country", "currency", "fields", "masked",
    "fingerprint", "created_at",
)  # fmt: skip
