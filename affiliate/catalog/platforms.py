"""What each kind of shop needs to be connected, and what of a click it can carry into an order."""

from dataclasses import dataclass

from affiliate.catalog.models import Platform


@dataclass(frozen=True, slots=True)
class Connection:
    title: str
    required: tuple[str, ...]  # credentials that the shop's owner must give, as the form asks
    optional: tuple[str, ...]
    carries: tuple[str, ...]
    makes_secret: bool = False  # without a webhook secret we make one and show it once
    later: tuple[str, ...] = ()  # of the required ones, what the shop tells once it has our address
    account: str = ""  # the credential that tells apart shops on one domain
    api: tuple[str, ...] = ()  # with these we can ask the shop for its orders
    beta: bool = False  # nothing but the platform's own words verifies it
    hooks: bool = True  # it sends webhooks
    signs_address: bool = False  # its signatures are over our address too


CONNECTIONS = {
    Platform.SHOPIFY: Connection(
        "Shopify", ("webhook_secret",), ("api_token",), ("token", "coupon"), api=("api_token",),
        later=("webhook_secret",),
    ),
    Platform.WOOCOMMERCE: Connection(
        "WooCommerce",
        (),
        ("webhook_secret", "consumer_key", "consumer_secret"),
        ("token", "coupon"),
        makes_secret=True,
        api=("consumer_key", "consumer_secret"),
    ),
    Platform.STRIPE: Connection(
        "Stripe", ("webhook_secret", "api_token"), (), ("token", "coupon"), api=("api_token",),
        later=("webhook_secret",),
    ),
    Platform.TIENDANUBE: Connection(
        "Tiendanube / Nuvemshop",
        ("store_id", "webhook_secret", "api_token"),
        (),
        ("token", "coupon"),
        api=("store_id", "api_token"),
    ),
    Platform.MERCADOLIBRE: Connection(
        "Mercado Libre",
        ("store_id", "app_id", "app_secret", "refresh_token"),
        (),
        ("none",),
        account="store_id",
        api=("store_id", "app_id", "app_secret", "refresh_token"),
    ),
    Platform.WECHAT: Connection(
        "微信小店",
        ("app_id", "app_secret", "webhook_secret", "aes_key"),
        (),
        ("sharer",),
        account="app_id",
        api=("app_id", "app_secret"),
    ),
    Platform.FILE: Connection("CSV / XLSX", (), (), ("token", "coupon", "sharer"), hooks=False),
    Platform.TIKTOK: Connection(
        "TikTok Shop",
        ("store_id", "app_id", "webhook_secret", "shop_cipher", "refresh_token"),
        (),
        ("none",),
        account="store_id",
        api=("app_id", "webhook_secret", "shop_cipher", "refresh_token"),
        beta=True,
    ),
    Platform.SHOPEE: Connection(
        "Shopee",
        ("store_id", "app_id", "app_secret", "webhook_secret", "refresh_token"),
        (),
        ("none",),
        account="store_id",
        api=("store_id", "app_id", "app_secret", "refresh_token"),
        beta=True,
        signs_address=True,
    ),
    Platform.MERCADOPAGO: Connection(
        "Mercado Pago", ("webhook_secret", "api_token"), (), ("token",), api=("api_token",),
        beta=True, later=("webhook_secret",),
    ),
    Platform.YOUZAN: Connection(
        "有赞", ("store_id", "app_id", "webhook_secret"), (), ("coupon",), account="store_id",
        beta=True,
    ),
    Platform.BIGCOMMERCE: Connection(
        "BigCommerce",
        ("store_id", "api_token"),
        ("webhook_secret",),
        ("token", "coupon"),
        makes_secret=True,
        api=("store_id", "api_token"),
        beta=True,
    ),
    Platform.SHOPLAZZA: Connection(
        "Shoplazza / 店匠", ("webhook_secret",), (), ("token", "coupon"), beta=True,
        later=("webhook_secret",),
    ),
    Platform.SHOPLINE: Connection(
        "Shopline", ("webhook_secret",), (), ("token", "coupon"), beta=True,
        later=("webhook_secret",),
    ),
    Platform.STANDARD: Connection(
        "Standard Webhooks",
        (),
        ("webhook_secret",),
        ("token", "coupon", "sharer"),
        makes_secret=True,
    ),
}  # fmt: skip


# The webhooks that a shop should send, in its platform's own words.
TOPICS = {
    Platform.SHOPIFY: """
        orders/create orders/paid orders/updated orders/cancelled refunds/create
        products/create products/update products/delete""",
    Platform.WOOCOMMERCE: """
        order.created order.updated order.deleted order.restored
        product.created product.updated product.deleted product.restored""",
    Platform.STRIPE: """
        checkout.session.completed checkout.session.async_payment_succeeded
        checkout.session.async_payment_failed payment_intent.succeeded invoice.paid charge.refunded
        refund.created refund.updated refund.failed charge.dispute.created charge.dispute.updated
        charge.dispute.closed""",
    Platform.TIENDANUBE: """
        order/created order/updated order/paid order/edited order/cancelled order/voided
        product/created product/updated product/deleted""",
    Platform.MERCADOLIBRE: "orders_v2 items",
    Platform.WECHAT: """
        channels_ec_order_new channels_ec_order_pay channels_ec_order_cancel
        channels_ec_order_deliver channels_ec_order_confirm channels_ec_order_settle
        channels_ec_order_ext_info_update channels_ec_aftersale_update""",
    Platform.TIKTOK: "ORDER_STATUS_CHANGE CANCELLATION_STATUS_CHANGE RETURN_STATUS_CHANGE",
    Platform.SHOPEE: "order_status_push",
    Platform.MERCADOPAGO: "payment.created payment.updated",
    Platform.YOUZAN: "trade_TradePaid trade_TradeSellerShip trade_TradeSuccess trade_TradeClose",
    Platform.BIGCOMMERCE: """
        store/order/created store/order/updated store/order/statusUpdated
        store/order/refund/created""",
    Platform.SHOPLAZZA: "orders/create orders/paid orders/update orders/cancelled refunds/create",
    Platform.SHOPLINE: "orders/create orders/paid orders/updated orders/cancelled refunds/create",
    Platform.STANDARD: "order.updated",
}


def topics(platform: str) -> list[str]:
    return TOPICS.get(Platform(platform), "").split()


def connection(platform: str) -> Connection:
    return CONNECTIONS[Platform(platform)]
