"""What a shopkeeper does in each shop's own settings, in the words that stand there.

The words of shops that are run in Chinese only are left in Chinese: they are what one looks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from affiliate.catalog.models import Platform
from affiliate.i18n import _, _p

ADDRESS, SECRET = "address", "secret"  # what we give to the shop


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in the shop's settings: the menus that lead there, and the field."""

    path: tuple[Any, ...]
    field: Any
    what: str  # the credential to copy from there, or ADDRESS or SECRET to paste there
    words: Any = ""


@dataclass(frozen=True, slots=True)
class Guide:
    needs: Any  # what one needs at hand, for the card
    before: tuple[Place, ...] = ()  # to copy into our form
    after: tuple[Place, ...] = ()  # to paste what we give
    test: Any = ""  # how that shop sends a test
    after_words: Any = ""


_WEBHOOKS = _p("shop menu", "Webhooks")
_SETTINGS = _p("shop menu", "Settings")
_NOTIFICATIONS = _p("shop menu", "Notifications")
_TOKEN_FIELD = _p("shop menu", "Access token")
_BY_API = _(
    "This shop takes webhooks by its API only: whoever made the app registers the address there."
)
_BUY = _("Buy something small in your own shop, and refund it afterwards.")

GUIDES: Mapping[Platform, Guide] = MappingProxyType(
    {
        Platform.SHOPIFY: Guide(
            needs=_("The admin of your Shopify shop"),
            before=(
                Place(
                    (_SETTINGS, _p("shop menu", "Apps"), _p("shop menu", "Develop apps")),
                    _p("shop menu", "Admin API access token"),
                    "api_token",
                    _(
                        "Make an app that may read orders and products, install it, and copy its "
                        "token. It is shown once."
                    ),
                ),
            ),
            after=(
                Place(
                    (_SETTINGS, _NOTIFICATIONS, _WEBHOOKS),
                    _p("shop menu", "URL"),
                    ADDRESS,
                    _("Press “Create webhook” once for each event, with the format JSON."),
                ),
                Place(
                    (_SETTINGS, _NOTIFICATIONS, _WEBHOOKS),
                    _p("shop menu", "Your webhooks will be signed with"),
                    "webhook_secret",
                    _("The text stands below the list of webhooks."),
                ),
            ),
            test=_(
                "In the list of webhooks, open the menu beside one of them and press “Send test "
                "notification”."
            ),
        ),
        Platform.WOOCOMMERCE: Guide(
            needs=_("The admin of your WordPress"),
            before=(
                Place(
                    ("WooCommerce", _SETTINGS, _p("shop menu", "Advanced"), "REST API"),
                    _p("shop menu", "Consumer key"),
                    "consumer_key",
                    _("Add a key that may read, and copy both texts. They are shown once."),
                ),
            ),
            after=(
                Place(
                    ("WooCommerce", _SETTINGS, _p("shop menu", "Advanced"), _WEBHOOKS),
                    _p("shop menu", "Delivery URL"),
                    ADDRESS,
                    _("Press “Add webhook” once for each event; the status is “Active”."),
                ),
                Place(
                    ("WooCommerce", _SETTINGS, _p("shop menu", "Advanced"), _WEBHOOKS),
                    _p("shop menu", "Secret"),
                    SECRET,
                    _("The same in each webhook."),
                ),
            ),
            test=_(
                "Place an order with payment by bank transfer in your own shop, then cancel it. "
                "Saving a webhook alone only says hello."
            ),
        ),
        Platform.STRIPE: Guide(
            needs=_("The dashboard of your Stripe account"),
            before=(
                Place(
                    (_p("shop menu", "Developers"), _p("shop menu", "API keys")),
                    _p("shop menu", "Restricted key"),
                    "api_token",
                    _(
                        "Make a restricted key that may read charges, checkout sessions, invoices "
                        "and events."
                    ),
                ),
            ),
            after=(
                Place(
                    (_p("shop menu", "Developers"), _WEBHOOKS),
                    _p("shop menu", "Endpoint URL"),
                    ADDRESS,
                    _("Press “Add destination”, choose the events, then give the address."),
                ),
                Place(
                    (_p("shop menu", "Developers"), _WEBHOOKS),
                    _p("shop menu", "Signing secret"),
                    "webhook_secret",
                    _("Press “Reveal” beside the new destination."),
                ),
            ),
            test=_(
                "In a sandbox of Stripe, open the shell of the dashboard and type: stripe trigger "
                "checkout.session.completed"
            ),
        ),
        Platform.TIENDANUBE: Guide(
            needs=_("An app of the partners' portal, with its secret and a token"),
            before=(
                Place(
                    (
                        _p("shop menu", "Partners' portal"),
                        _p("shop menu", "Apps"),
                        _p("shop menu", "Keys"),
                    ),
                    _p("shop menu", "Client secret"),
                    "webhook_secret",
                    _("It signs the webhooks."),
                ),
                Place(
                    (
                        _p("shop menu", "Partners' portal"),
                        _p("shop menu", "Apps"),
                        _p("shop menu", "Installation"),
                    ),
                    _TOKEN_FIELD,
                    "api_token",
                    _(
                        "Installing the app answers with the token and the number of the shop "
                        "(user_id)."
                    ),
                ),
            ),
            after=(Place(("API", _WEBHOOKS), "url", ADDRESS, _BY_API),),
            test=_BUY,
        ),
        Platform.MERCADOLIBRE: Guide(
            needs=_("An application of the developers' site, and the seller's consent"),
            before=(
                Place(
                    (_p("shop menu", "Developers"), _p("shop menu", "My applications")),
                    _p("shop menu", "App ID"),
                    "app_id",
                    _(
                        "The secret key stands beside it. The number of the shop is that of the "
                        "seller."
                    ),
                ),
            ),
            after=(
                Place(
                    (
                        _p("shop menu", "Developers"),
                        _p("shop menu", "My applications"),
                        _p("shop menu", "Edit"),
                    ),
                    _p("shop menu", "Notifications callback URL"),
                    ADDRESS,
                    _("Tick the topic of orders, too."),
                ),
            ),
            test=_("Make two test users on the developers' site, and let one buy from the other."),
        ),
        Platform.WECHAT: Guide(
            needs=_("The admin of your 微信小店"),
            before=(
                Place(
                    ("微信小店后台", "服务市场", "开发配置"),
                    "AppID / AppSecret",
                    "app_id",
                ),
                Place(
                    ("微信小店后台", "开发配置", "消息推送"),
                    "Token / EncodingAESKey",
                    "webhook_secret",
                    _(
                        "Think of a token, let the key be made at random, and copy both here "
                        "before you save there."
                    ),
                ),
            ),
            after=(
                Place(
                    ("微信小店后台", "开发配置", "消息推送"),
                    "URL",
                    ADDRESS,
                    _(
                        "Choose the safe mode and JSON. WeChat asks this address once when you "
                        "save."
                    ),
                ),
            ),
            test=_BUY,
        ),
        Platform.FILE: Guide(needs=_("A list of orders as a table")),
        Platform.TIKTOK: Guide(
            needs=_("An app of the Partner Center, authorised by the shop"),
            before=(
                Place(
                    ("Partner Center", "App & Service", _p("shop menu", "Basic information")),
                    "App key / App secret",
                    "app_id",
                ),
            ),
            after=(
                Place(
                    ("Partner Center", "App & Service", "Manage webhook"),
                    "URL",
                    ADDRESS,
                ),
            ),
            test=_BUY,
        ),
        Platform.SHOPEE: Guide(
            needs=_("An app of the Open Platform, authorised by the shop"),
            before=(
                Place(
                    ("Open Platform", "App list", _p("shop menu", "Basic information")),
                    "Partner ID / Partner key",
                    "app_id",
                ),
                Place(
                    ("Open Platform", "Push Mechanism"), "Live Push Partner Key", "webhook_secret"
                ),
            ),
            after=(Place(("Open Platform", "Push Mechanism"), "Live Call Back URL", ADDRESS),),
            test=_(
                "Press “Verify” beside the address in the push settings, or buy something small "
                "in your own shop."
            ),
        ),
        Platform.MERCADOPAGO: Guide(
            needs=_("An application of the developers' site"),
            before=(
                Place(
                    (
                        _p("shop menu", "Your integrations"),
                        _p("shop menu", "Production credentials"),
                    ),
                    _TOKEN_FIELD,
                    "api_token",
                ),
            ),
            after=(
                Place(
                    (
                        _p("shop menu", "Your integrations"),
                        _WEBHOOKS,
                        _p("shop menu", "Production mode"),
                    ),
                    "URL",
                    ADDRESS,
                    _("Tick the event of payments, and save."),
                ),
                Place(
                    (
                        _p("shop menu", "Your integrations"),
                        _WEBHOOKS,
                        _p("shop menu", "Production mode"),
                    ),
                    _p("shop menu", "Secret key"),
                    "webhook_secret",
                    _("It is made when you save."),
                ),
            ),
            test=_("Press “Simulate notification” beside the address."),
        ),
        Platform.YOUZAN: Guide(
            needs=_("An app of 有赞云, authorised by the shop"),
            before=(
                Place(("有赞云控制台", "应用", "应用概况"), "client_id / client_secret", "app_id"),
            ),
            after=(Place(("有赞云控制台", "应用", "消息订阅"), "推送网址", ADDRESS),),
            test=_("Press 推送测试 beside the address."),
        ),
        Platform.BIGCOMMERCE: Guide(
            needs=_("The control panel of your shop"),
            before=(
                Place(
                    (_SETTINGS, "API", _p("shop menu", "Store-level API accounts")),
                    _TOKEN_FIELD,
                    "api_token",
                    _(
                        "The account may read orders. The number of the shop stands in the API "
                        "path, behind stores/."
                    ),
                ),
            ),
            after=(
                Place(("API", _WEBHOOKS), "destination", ADDRESS, _BY_API),
                Place(
                    ("API", _WEBHOOKS),
                    "X-Tuike-Secret",
                    SECRET,
                    _("It is a header of the webhook."),
                ),
            ),
            test=_BUY,
        ),
        Platform.SHOPLAZZA: Guide(
            needs=_("The admin of your shop"),
            after=(
                Place(("设置", "通知", "Webhook"), "URL", ADDRESS),
                Place(("设置", "通知", "Webhook"), "Secret", "webhook_secret"),
            ),
            test=_BUY,
        ),
        Platform.SHOPLINE: Guide(
            needs=_("The admin of your shop"),
            after=(
                Place(("设置", "通知", "Webhook"), "URL", ADDRESS),
                Place(("设置", "通知", "Webhook"), "Secret", "webhook_secret"),
            ),
            test=_BUY,
        ),
        Platform.STANDARD: Guide(
            needs=_("Somebody who can change your shop's program"),
            after=(
                Place(
                    (_p("shop menu", "Your shop"), _p("shop menu", "When an order changes")),
                    "POST",
                    ADDRESS,
                    _("Your shop posts the whole order to this address each time it changes."),
                ),
                Place(
                    (_p("shop menu", "Your shop"), _p("shop menu", "When an order changes")),
                    "webhook-signature",
                    SECRET,
                    _("Each post is signed with it, as in Standard Webhooks."),
                ),
            ),
            test=_(
                "Press the button here: it posts an order as your shop would, signed with your "
                "secret. It earns nobody anything."
            ),
        ),
    }
)


def guide(platform: str) -> Guide:
    return GUIDES[Platform(platform)]
