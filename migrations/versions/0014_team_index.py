"""Who is below whom, in the sequence in which teams are shown: one index for both."""

from alembic import op

revision = "0014_team_index"
down_revision = "0013_simulations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX promoters_team_idx ON promoters (sponsor_id, sponsor_since DESC, id DESC)"
    )
    op.drop_index("promoters_sponsor_id_idx", "promoters")


def downgrade() -> None:
    op.create_index("promoters_sponsor_id_idx", "promoters", ["sponsor_id"])
    op.drop_index("promoters_team_idx", "promoters")
