"""What happened, and what people were told about it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_events_notices"
down_revision = "0006_people_sessions"
branch_labels = None
depends_on = None

NOW = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("merchant_id", sa.BigInteger),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("promoter_id", sa.BigInteger),
        sa.Column("payload", postgresql.JSONB, nullable=False),
        sa.Column("happened_at", NOW, nullable=False),
        sa.Column("told_at", NOW),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
    )
    op.create_index(
        "events_untold_idx", "events", ["id"], postgresql_where=sa.text("told_at IS NULL")
    )
    op.create_index("events_merchant_idx", "events", ["merchant_id", "id"])
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("letter", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tries", sa.BigInteger, nullable=False),
        sa.Column("due_at", NOW, nullable=False),
        sa.Column("sent_at", NOW),
        sa.Column("trouble", sa.Text),
        sa.Column("created_at", NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("notices_pkey")),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("notices_event_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("notices_user_id_fkey")),
        sa.UniqueConstraint("event_id", "user_id", name=op.f("notices_event_id_user_id_key")),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'sent', 'kept', 'failed')",
            name=op.f("notices_state_check"),
        ),
    )
    op.create_index(op.f("notices_user_id_idx"), "notices", ["user_id"])
    op.create_index(
        "notices_due_idx", "notices", ["due_at"],
        postgresql_where=sa.text("state IN ('waiting', 'sending')"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_table("events")
