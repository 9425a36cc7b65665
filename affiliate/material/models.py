"""How a merchant looks, what goes along with its products, and which posters are drawn."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Model, Owned, Stamped, of_merchant, same_merchant

PICTURES_MOST = 9  # as many as a moment in WeChat takes


class Look(Stamped, Model):
    """A merchant's colour and logo on posters and QR codes. Without a row it has ours and none."""

    __tablename__ = "looks"

    merchant_id: Mapped[int] = mapped_column(sa.ForeignKey("merchants.id"), primary_key=True)
    color: Mapped[str | None]  # #rrggbb
    logo: Mapped[str | None]  # name of a stored PNG
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (sa.CheckConstraint("color ~ '^#[0-9a-f]{6}$'", name="color"),)


class ShopPicture(Owned, Model):
    """A product's picture as we last fetched it from a shop, for posters."""

    __tablename__ = "shop_pictures"

    address: Mapped[str]
    file: Mapped[str | None]  # name of the stored JPEG; null: there is none worth showing
    fault: Mapped[str | None]  # why
    tried_at: Mapped[datetime]

    __table_args__ = (of_merchant(), sa.UniqueConstraint("merchant_id", "address"))


class DrawnPoster(Owned, Model):
    """A poster that somebody was shown lately. When what it shows changes it is drawn again, before
    it is asked for the next time.
    """

    __tablename__ = "drawn_posters"

    link_id: Mapped[int] = mapped_column(sa.ForeignKey("links.id"))
    template: Mapped[str]
    language: Mapped[str]
    fingerprint: Mapped[str]
    product_version: Mapped[int]  # 0: the link leads to no product
    look_version: Mapped[int]  # 0: the merchant has chosen none
    used_at: Mapped[datetime]

    __table_args__ = (
        of_merchant(),
        sa.UniqueConstraint("link_id", "template", "language"),
        sa.Index("drawn_posters_used_idx", "used_at"),
    )


class Caption(Owned, Model):
    """Words to go with a link in one language: the merchant's for a product or a whole program, a
    promoter's for one link. The label is put in front when they are shown.
    """

    __tablename__ = "captions"

    product_id: Mapped[int | None]
    program_id: Mapped[int | None]
    link_id: Mapped[int | None] = mapped_column(sa.ForeignKey("links.id"))
    language: Mapped[str]
    text: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("product_id", "products"),
        same_merchant("program_id", "programs"),
        sa.CheckConstraint("num_nonnulls(product_id, program_id, link_id) = 1", name="of_one"),
        sa.Index(
            "captions_once_idx", "merchant_id", "product_id", "program_id", "link_id", "language",
            unique=True, postgresql_nulls_not_distinct=True,
        ),
        sa.Index(
            "captions_link_idx", "link_id", postgresql_where=sa.text("link_id IS NOT NULL")
        ),
    )  # fmt: skip


class Material(Owned, Model):
    """Up to nine pictures or a video, with words, to be passed on as they are (发圈素材)."""

    __tablename__ = "materials"

    product_id: Mapped[int]
    text: Mapped[str]
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("product_id", "products"),
        sa.Index(
            "materials_product_idx", "merchant_id", "product_id",
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )  # fmt: skip


class MaterialFile(Owned, Model):
    __tablename__ = "material_files"

    material_id: Mapped[int]
    position: Mapped[int] = mapped_column(sa.SmallInteger)  # from 1
    kind: Mapped[str]  # picture, video
    file: Mapped[str]  # name in the store: the hash of its content
    thumb: Mapped[str | None]  # a small one, for lists; null: a video
    bytes: Mapped[int]
    width: Mapped[int | None]
    height: Mapped[int | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("material_id", "materials"),
        sa.UniqueConstraint("merchant_id", "material_id", "position"),
        sa.CheckConstraint("position BETWEEN 1 AND 9", name="position"),
        sa.CheckConstraint("kind IN ('picture', 'video')", name="kind"),
    )
