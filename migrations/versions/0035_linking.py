"""What links can do: slugs, targets, UTM templates, content items, and short domains."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0035_linking"
down_revision = "0034_losses"
branch_labels = None
depends_on = None

# As in 0027_freshness, with what redirects depend on since.
TELL = """
    CREATE OR REPLACE FUNCTION {table}_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT {subject} FROM new_rows n JOIN old_rows o USING ({key})
       WHERE ({new}) IS DISTINCT FROM ({old})
       ORDER BY 1;
      RETURN NULL;
    END $$;
"""
LINKS = "url sub_ids expires_at paused_at".split()
PROGRAMS = "ended_at fallback_url sold_out".split()
SHOPS = "domain name disconnected_at".split()
LINKS_TOO = "slug fallback_url targets utm content domain_id".split()

# Which domain a link is shown under depends on all of them.
TELL_DOMAINS = """
    CREATE FUNCTION short_domains_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT 'domains' FROM new_rows n JOIN old_rows o USING (id)
       WHERE (n.address, n.countries, n.is_default, n.blocked_at, n.answered_at IS NULL,
              n.failures > 1)
             IS DISTINCT FROM
             (o.address, o.countries, o.is_default, o.blocked_at, o.answered_at IS NULL,
              o.failures > 1)
       LIMIT 1;
      RETURN NULL;
    END $$;
    CREATE TRIGGER short_domains_tell AFTER UPDATE ON short_domains
      REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION short_domains_tell();
"""

# UTM templates may speak of where a content item stands; of its title links have a copy.
TELL_CONTENT = """
    CREATE FUNCTION content_items_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO link_changes (subject)
      SELECT 'link:' || l.id
        FROM new_rows n JOIN old_rows o USING (id) JOIN links l ON l.content_id = n.id
       WHERE n.platform IS DISTINCT FROM o.platform
       ORDER BY 1;
      RETURN NULL;
    END $$;
    CREATE TRIGGER content_items_tell AFTER UPDATE ON content_items
      REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION content_items_tell();
"""


def tell(table: str, subject: str, key: str, columns: list[str]) -> None:
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in "no")
    op.execute(TELL.format(table=table, subject=subject, key=key, new=new, old=old))


def upgrade() -> None:
    op.create_table(
        "short_domains",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("countries", ARRAY(sa.Text), nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("blocked_at", sa.DateTime(timezone=True)),
        sa.Column("probed_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("fault", sa.Text),
        sa.Column("failing_since", sa.DateTime(timezone=True)),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="short_domains_pkey"),
        sa.UniqueConstraint("address", name="short_domains_address_key"),
    )
    op.create_index(
        "short_domains_default_idx", "short_domains", ["is_default"],
        unique=True, postgresql_where=sa.text("is_default"),
    )  # fmt: skip
    op.create_table(
        "content_items",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("promoter_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("platform", sa.Text),
        sa.Column("url", sa.Text),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('note', 'video', 'live', 'group', 'channel')", name="content_items_kind_check"
        ),
        sa.ForeignKeyConstraint(
            ["promoter_id"], ["promoters.id"], name="content_items_promoter_id_fkey"
        ),
        sa.PrimaryKeyConstraint("id", name="content_items_pkey"),
    )
    op.create_index("content_items_promoter_id_idx", "content_items", ["promoter_id"])
    op.add_column("links", sa.Column("content_id", sa.BigInteger))
    op.add_column("links", sa.Column("slug", sa.Text))
    op.add_column("links", sa.Column("fallback_url", sa.Text))
    op.add_column(
        "links",
        sa.Column("targets", JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
    )
    op.add_column("links", sa.Column("utm", JSONB))
    op.add_column("links", sa.Column("domain_id", sa.BigInteger))
    op.create_foreign_key("links_content_id_fkey", "links", "content_items", ["content_id"], ["id"])
    op.create_foreign_key("links_domain_id_fkey", "links", "short_domains", ["domain_id"], ["id"])
    op.create_index(
        "links_content_idx", "links", ["content_id"],
        postgresql_where=sa.text("content_id IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "link_slugs",
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("link_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name="link_slugs_link_id_fkey"),
        sa.PrimaryKeyConstraint("slug", name="link_slugs_pkey"),
    )
    op.create_index("link_slugs_link_id_idx", "link_slugs", ["link_id"])
    op.add_column("programs", sa.Column("utm", JSONB))
    op.add_column("shops", sa.Column("miniprogram", JSONB))
    tell("links", "'link:' || n.id", "id", [*LINKS, *LINKS_TOO])
    tell(
        "programs",
        "'program:' || n.merchant_id || ':' || n.id",
        "merchant_id, id",
        [*PROGRAMS, "utm", "name"],
    )
    tell(
        "shops",
        "'shop:' || n.merchant_id || ':' || n.id",
        "merchant_id, id",
        [*SHOPS, "miniprogram"],
    )
    op.execute(TELL_DOMAINS)
    op.execute(TELL_CONTENT)


def downgrade() -> None:
    for table in ("short_domains", "content_items"):
        op.execute(f"DROP TRIGGER {table}_tell ON {table}")
        op.execute(f"DROP FUNCTION {table}_tell()")
    tell("links", "'link:' || n.id", "id", LINKS)
    tell("programs", "'program:' || n.merchant_id || ':' || n.id", "merchant_id, id", PROGRAMS)
    tell("shops", "'shop:' || n.merchant_id || ':' || n.id", "merchant_id, id", SHOPS)
    op.drop_column("shops", "miniprogram")
    op.drop_column("programs", "utm")
    op.drop_table("link_slugs")
    for name in ("domain_id", "utm", "targets", "fallback_url", "slug", "content_id"):
        op.drop_column("links", name)
    op.drop_table("content_items")
    op.drop_table("short_domains")
