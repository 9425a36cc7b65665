"""What goes along with a link: looks, pictures, posters, words and material."""

import sqlalchemy as sa
from alembic import op

revision = "0036_sharing"
down_revision = "0035_linking"
branch_labels = None
depends_on = None


def _owned(table: str, *columns: sa.Column | sa.Constraint) -> None:
    op.create_table(
        table,
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=f"{table}_merchant_id_fkey"
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=f"{table}_pkey"),
    )


def _of(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["merchant_id", column],
        [f"{other}.merchant_id", f"{other}.id"],
        name=f"{table}_merchant_id_{column}_fkey",
    )


def upgrade() -> None:
    op.create_table(
        "looks",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("color", sa.Text),
        sa.Column("logo", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.CheckConstraint("color ~ '^#[0-9a-f]{6}$'", name="looks_color_check"),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name="looks_merchant_id_fkey"),
        sa.PrimaryKeyConstraint("merchant_id", name="looks_pkey"),
    )
    _owned(
        "shop_pictures",
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("file", sa.Text),
        sa.Column("fault", sa.Text),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("merchant_id", "address", name="shop_pictures_merchant_id_address_key"),
    )
    _owned(
        "drawn_posters",
        sa.Column("link_id", sa.BigInteger, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("product_version", sa.BigInteger, nullable=False),
        sa.Column("look_version", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name="drawn_posters_link_id_fkey"),
        sa.UniqueConstraint(
            "link_id", "template", "language", name="drawn_posters_link_id_template_language_key"
        ),
    )
    op.create_index("drawn_posters_used_idx", "drawn_posters", ["used_at"])
    _owned(
        "captions",
        sa.Column("product_id", sa.BigInteger),
        sa.Column("program_id", sa.BigInteger),
        sa.Column("link_id", sa.BigInteger),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        _of("captions", "product_id", "products"),
        _of("captions", "program_id", "programs"),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name="captions_link_id_fkey"),
        sa.CheckConstraint(
            "num_nonnulls(product_id, program_id, link_id) = 1", name="captions_of_one_check"
        ),
    )
    op.create_index(
        "captions_once_idx",
        "captions",
        ["merchant_id", "product_id", "program_id", "link_id", "language"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "captions_link_idx", "captions", ["link_id"],
        postgresql_where=sa.text("link_id IS NOT NULL"),
    )  # fmt: skip
    _owned(
        "materials",
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.BigInteger, nullable=False),
        _of("materials", "product_id", "products"),
    )
    op.create_index(
        "materials_product_idx", "materials", ["merchant_id", "product_id"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )  # fmt: skip
    _owned(
        "material_files",
        sa.Column("material_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("thumb", sa.Text),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("width", sa.BigInteger),
        sa.Column("height", sa.BigInteger),
        _of("material_files", "material_id", "materials"),
        sa.UniqueConstraint(
            "merchant_id", "material_id", "position",
            name="material_files_merchant_id_material_id_position_key",
        ),
        sa.CheckConstraint("position BETWEEN 1 AND 9", name="material_files_position_check"),
        sa.CheckConstraint("kind IN ('picture', 'video')", name="material_files_kind_check"),
    )  # fmt: skip


def downgrade() -> None:
    for table in (
        "material_files", "materials", "captions", "drawn_posters", "shop_pictures", "looks",
    ):  # fmt: skip
        op.drop_table(table)
