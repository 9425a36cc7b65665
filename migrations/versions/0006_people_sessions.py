"""Sessions, devices, recovery codes, and what a person has confirmed and accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0006_people_sessions"
down_revision = "0005_settlement"
branch_labels = None
depends_on = None

NOW = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("unconfirmed_since", NOW))
    op.add_column("users", sa.Column("terms_accepted_at", NOW))
    op.create_table(
        "devices",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("devices_pkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("devices_user_id_fkey")),
        sa.UniqueConstraint("user_id", "secret_hash", name=op.f("devices_user_id_secret_hash_key")),
    )
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("is_half", sa.Boolean, nullable=False),
        sa.Column("seen_at", NOW, nullable=False),
        sa.Column("otp_at", NOW),
        sa.Column("network", sa.Text),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("grant_id", sa.BigInteger),
        sa.Column("revoked_at", NOW),
        sa.Column("created_at", NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("user_sessions_pkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("user_sessions_user_id_fkey")),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["role_grants.id"], name=op.f("user_sessions_grant_id_fkey")
        ),
        sa.UniqueConstraint("secret_hash", name=op.f("user_sessions_secret_hash_key")),
    )
    op.create_index(op.f("user_sessions_user_id_idx"), "user_sessions", ["user_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("code_hash", sa.LargeBinary, nullable=False),
        sa.Column("used_at", NOW),
        sa.Column("created_at", NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("recovery_codes_pkey")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("recovery_codes_user_id_fkey")
        ),
        sa.UniqueConstraint(
            "user_id", "code_hash", name=op.f("recovery_codes_user_id_code_hash_key")
        ),
    )


def downgrade() -> None:
    op.drop_table("recovery_codes")
    op.drop_table("user_sessions")
    op.drop_table("devices")
    op.drop_column("users", "terms_accepted_at")
    op.drop_column("users", "unconfirmed_since")
