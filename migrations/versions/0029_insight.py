"""Clicks say what they are, and what is counted of clicks and orders has tables of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0029_insight"
down_revision = "0028_landing"
branch_labels = None
depends_on = None

COUNTS = ("clicks", "valid_clicks", "visitors", "scans")


def counts() -> list[sa.Column]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS]


def upgrade() -> None:
    for name in ("reason", "device", "os", "browser", "app", "language"):
        op.add_column("clicks", sa.Column(name, sa.Text))
    op.add_column("clicks", sa.Column("visitor", sa.BigInteger))
    op.add_column("clicks", sa.Column("country", sa.CHAR(2)))
    op.drop_index("clicks_link_idx", "clicks")  # no page reads clicks any more

    op.add_column("link_days", sa.Column("merchant_id", sa.BigInteger))
    op.add_column("link_days", sa.Column("promoter_id", sa.BigInteger))
    # Only people's clicks were kept until now; how many came twice is not known.
    for name, before in (("valid_clicks", "clicks"), ("visitors", "clicks"), ("scans", "0")):
        op.add_column("link_days", sa.Column(name, sa.BigInteger))
        op.execute(f"UPDATE link_days SET {name} = {before}")
        op.alter_column("link_days", name, nullable=False)
    op.execute(
        "UPDATE link_days d SET merchant_id = l.merchant_id, promoter_id = l.promoter_id"
        " FROM links l WHERE l.id = d.link_id"
    )
    op.create_index("link_days_merchant_idx", "link_days", ["merchant_id", "day"])
    op.create_index("link_days_promoter_idx", "link_days", ["promoter_id", "day"])

    op.create_table(
        "visits",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("link_id", sa.BigInteger, nullable=False),
        sa.Column("visitor", sa.BigInteger, nullable=False),
        sa.Column("last", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("day", "link_id", "visitor", name="visits_pkey"),
        postgresql_partition_by="RANGE (day)",
    )
    op.execute("CREATE TABLE visits_default PARTITION OF visits DEFAULT")
    op.create_table(
        "click_days",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("promoter_id", sa.BigInteger, nullable=False),
        sa.Column("dimension", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        *counts(),
        sa.PrimaryKeyConstraint(
            "merchant_id", "promoter_id", "dimension", "day", "value", name="click_days_pkey"
        ),
    )
    op.execute(
        "INSERT INTO click_days (merchant_id, promoter_id, dimension, day, value,"
        " clicks, valid_clicks, visitors, scans)"
        " SELECT merchant_id, coalesce(promoter_id, 0), 'total', day, '', sum(clicks),"
        " sum(valid_clicks), sum(visitors), 0 FROM link_days WHERE merchant_id IS NOT NULL"
        " GROUP BY GROUPING SETS ((merchant_id, day), (merchant_id, day, promoter_id))"
    )
    op.create_table(
        "click_quarters",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("promoter_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *counts(),
        sa.PrimaryKeyConstraint("merchant_id", "promoter_id", "at", name="click_quarters_pkey"),
    )
    op.create_table(
        "click_marks",
        sa.Column("work", sa.Text, nullable=False),
        sa.Column("upto", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("work", name="click_marks_pkey"),
    )
    orders()


def orders() -> None:
    op.create_table(
        "order_days",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (
                "shop_id", "program_id", "promoter_id", "link_id", "orders", "paid_orders",
                "kept_orders", "revenue", "refunds", "commission", "earned",
            )
        ),
        sa.PrimaryKeyConstraint(
            "merchant_id", "day", "currency", "shop_id", "program_id", "promoter_id", "link_id",
            name="order_days_pkey",
        ),
    )  # fmt: skip
    op.create_index("order_days_promoter_idx", "order_days", ["promoter_id", "day"])
    op.create_table(
        "assist_days",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("promoter_id", sa.BigInteger, nullable=False),
        sa.Column("assists", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "day", "promoter_id", name="assist_days_pkey"),
    )
    op.create_index("assist_days_promoter_idx", "assist_days", ["promoter_id", "day"])
    op.create_table(
        "touched_days",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="touched_days_merchant_id_fkey"
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="touched_days_pkey"),
    )
    # Every day there is, to be counted by the job.
    op.execute(
        "INSERT INTO touched_days (merchant_id, created_at, day)"
        " SELECT DISTINCT o.merchant_id, now(), CAST(o.placed_at AT TIME ZONE m.timezone AS date)"
        " FROM orders o JOIN merchants m ON m.id = o.merchant_id WHERE o.placed_at IS NOT NULL"
    )


def downgrade() -> None:
    for name in ("touched_days", "assist_days", "order_days", "click_marks", "click_quarters",
                 "click_days", "visits"):  # fmt: skip
        op.drop_table(name)
    op.drop_index("link_days_promoter_idx", "link_days")
    op.drop_index("link_days_merchant_idx", "link_days")
    for name in ("scans", "visitors", "valid_clicks", "promoter_id", "merchant_id"):
        op.drop_column("link_days", name)
    op.create_index("clicks_link_idx", "clicks", ["link_id", "at"])
    for name in ("country", "visitor", "language", "app", "browser", "os", "device", "reason"):
        op.drop_column("clicks", name)
