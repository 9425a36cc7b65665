"""What is sold and where: shops, products, their variants and reviews."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, JsonOrNull, Model, Owned, Texts, of_merchant, same_merchant


class Platform(StrEnum):
    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"
    STRIPE = "stripe"
    TIENDANUBE = "tiendanube"
    MERCADOLIBRE = "mercadolibre"
    WECHAT = "wechat"
    FILE = "file"
    TIKTOK = "tiktok"
    SHOPEE = "shopee"
    MERCADOPAGO = "mercadopago"
    YOUZAN = "youzan"
    BIGCOMMERCE = "bigcommerce"
    SHOPLAZZA = "shoplazza"
    SHOPLINE = "shopline"
    STANDARD = "standard"


class Shop(Owned, Model):
    """One connected store. Its id is also the connection in `/hooks/<connection>`."""

    __tablename__ = "shops"

    platform: Mapped[str]
    domain: Mapped[str]
    # Which shop of a marketplace, where many share one domain: the seller's or the app's id there.
    account: Mapped[str] = mapped_column(default="", server_default="")
    name: Mapped[str]
    currency: Mapped[Currency]
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    credentials: Mapped[bytes]  # sealed JSON
    miniprogram: Mapped[JsonOrNull]  # the shop inside of WeChat: {"appid", "path"}
    last_event_at: Mapped[datetime | None]
    disconnected_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (of_merchant(), sa.UniqueConstraint("platform", "domain", "account"))


class ShopCopy(Owned, Model):
    """That a shop's set-up was taken over from another: its products get what theirs had, as they
    come in.
    """

    __tablename__ = "shop_copies"

    shop_id: Mapped[int]
    from_shop_id: Mapped[int]
    rate_id: Mapped[int | None] = mapped_column(sa.ForeignKey("fx_rates.id"))  # of amounts
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))  # who asked for it
    seen_product_id: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # looked at up to here

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        same_merchant("from_shop_id", "shops"),
        sa.UniqueConstraint("merchant_id", "shop_id"),
    )


class ProductGroup(Owned, Model):
    """The same thing in several shops, each with its own price, stock and currency."""

    __tablename__ = "product_groups"

    name: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (of_merchant(), sa.UniqueConstraint("merchant_id", "name"))


class Product(Owned, Model):
    """`hidden_at` is the merchant's decision, `gone_at` the shop's: it sells it no more."""

    __tablename__ = "products"

    shop_id: Mapped[int]
    external_id: Mapped[str]
    title: Mapped[str]
    url: Mapped[str]
    image_url: Mapped[str | None]
    price: Mapped[int | None]  # minor units of `currency`
    currency: Mapped[Currency]
    category: Mapped[str | None]
    stock: Mapped[int | None]  # null: not counted
    description: Mapped[str | None]  # plain text
    images: Mapped[Texts] = mapped_column(default=list, server_default="{}")  # further pictures
    list_price: Mapped[int | None]  # what it costs otherwise, while `price` is reduced
    price_until: Mapped[datetime | None]  # from then on it costs `list_price` again
    sold: Mapped[int | None]  # so many ever, as the shop says
    group_id: Mapped[int | None]
    hidden_at: Mapped[datetime | None]
    gone_at: Mapped[datetime | None]
    synced_at: Mapped[datetime | None]  # when the shop last told us of it; null: never
    shop_version: Mapped[int | None]  # grows with each change in the shop; older news is no news
    version: Mapped[int] = mapped_column(default=1)
    # Every two letters that follow each other, without accents: words of two characters are found
    # in languages that put no blanks between words. Kept by the database.
    grams: Mapped[Texts] = mapped_column(
        sa.Computed(
            "text_grams((title || ' '::text) || COALESCE(category, ''::text))", persisted=True
        ),
        deferred=True,
    )

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        same_merchant("group_id", "product_groups"),
        sa.Index("products_grams_idx", "grams", postgresql_using="gin"),
        sa.UniqueConstraint("merchant_id", "shop_id", "external_id"),
        sa.Index(
            "products_group_idx", "merchant_id", "group_id",
            postgresql_where=sa.text("group_id IS NOT NULL"),
        ),
        sa.CheckConstraint("price >= 0", name="price"),
        sa.CheckConstraint("list_price >= 0", name="list_price"),
        sa.CheckConstraint("sold >= 0", name="sold"),
    )  # fmt: skip


class Variant(Owned, Model):
    __tablename__ = "variants"

    product_id: Mapped[int]
    external_id: Mapped[str]
    title: Mapped[str]
    sku: Mapped[str | None]
    price: Mapped[int | None]
    stock: Mapped[int | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("product_id", "products"),
        sa.UniqueConstraint("merchant_id", "product_id", "external_id"),
    )


class Review(Owned, Model):
    """What a buyer wrote of a product, and where: `origin` is shown beside it."""

    __tablename__ = "product_reviews"

    product_id: Mapped[int]
    origin: Mapped[str]
    external_id: Mapped[str]
    author: Mapped[str | None]
    rating: Mapped[int] = mapped_column(sa.SmallInteger)  # 1 to 5
    text: Mapped[str | None]
    written_on: Mapped[date | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("product_id", "products"),
        sa.UniqueConstraint("merchant_id", "product_id", "origin", "external_id"),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
    )


class Sales(Model):
    """How many pieces of a product our own orders of the last month hold; counted anew each day."""

    __tablename__ = "product_sales"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(primary_key=True)
    pieces: Mapped[int]
    lately: Mapped[int] = mapped_column(server_default="0")  # of them, in the last week
    counted_at: Mapped[datetime]

    __table_args__ = (of_merchant(), same_merchant("product_id", "products"))
