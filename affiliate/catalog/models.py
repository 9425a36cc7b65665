"""What is sold and where: shops, products and their variants."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Model, Owned, of_merchant, same_merchant


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
    last_event_at: Mapped[datetime | None]
    disconnected_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (of_merchant(), sa.UniqueConstraint("platform", "domain", "account"))


class Product(Owned, Model):
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
    hidden_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        same_merchant("shop_id", "shops"),
        sa.UniqueConstraint("merchant_id", "shop_id", "external_id"),
        sa.CheckConstraint("price >= 0", name="price"),
    )


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
