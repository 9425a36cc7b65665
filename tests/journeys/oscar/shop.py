"""A django-oscar shop in a folder of its own, driven by a test: run by the Python it lives in.

shop.py <folder> <hook url> <secret> prepare
shop.py <folder> <hook url> <secret> buy <token>     through its own checkout, and pays
shop.py <folder> <hook url> <secret> refund <number> <amount>
shop.py <folder> <hook url> <secret> again           tells all orders once more
"""

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

FOLDER, HOOK, SECRET, VERB, *WORDS = sys.argv[1:]
OSCAR = [
    "oscar.config.Shop", "oscar.apps.analytics.apps.AnalyticsConfig",
    "oscar.apps.checkout.apps.CheckoutConfig", "oscar.apps.address.apps.AddressConfig",
    "oscar.apps.shipping.apps.ShippingConfig", "oscar.apps.catalogue.apps.CatalogueConfig",
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    "oscar.apps.communication.apps.CommunicationConfig", "oscar.apps.partner.apps.PartnerConfig",
    "oscar.apps.basket.apps.BasketConfig", "oscar.apps.payment.apps.PaymentConfig",
    "oscar.apps.offer.apps.OfferConfig", "oscar.apps.order.apps.OrderConfig",
    "oscar.apps.customer.apps.CustomerConfig", "oscar.apps.search.apps.SearchConfig",
    "oscar.apps.voucher.apps.VoucherConfig", "oscar.apps.wishlists.apps.WishlistsConfig",
    "oscar.apps.dashboard.apps.DashboardConfig",
    "oscar.apps.dashboard.reports.apps.ReportsDashboardConfig",
    "oscar.apps.dashboard.users.apps.UsersDashboardConfig",
    "oscar.apps.dashboard.orders.apps.OrdersDashboardConfig",
    "oscar.apps.dashboard.catalogue.apps.CatalogueDashboardConfig",
    "oscar.apps.dashboard.offers.apps.OffersDashboardConfig",
    "oscar.apps.dashboard.partners.apps.PartnersDashboardConfig",
    "oscar.apps.dashboard.pages.apps.PagesDashboardConfig",
    "oscar.apps.dashboard.ranges.apps.RangesDashboardConfig",
    "oscar.apps.dashboard.reviews.apps.ReviewsDashboardConfig",
    "oscar.apps.dashboard.vouchers.apps.VouchersDashboardConfig",
    "oscar.apps.dashboard.communications.apps.CommunicationsDashboardConfig",
    "oscar.apps.dashboard.shipping.apps.ShippingDashboardConfig",
]  # fmt: skip
SEARCH = "haystack.backends.simple_backend.SimpleEngine"
PREPARED = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.sites", "django.contrib.flatpages",
    "django.contrib.staticfiles", "widget_tweaks", "haystack", "treebeard", "django_tables2",
    "sorl.thumbnail", *OSCAR, "tuike_oscar.Tuike",
]  # fmt: skip


def set_up():
    from oscar import defaults

    known = {name: getattr(defaults, name) for name in dir(defaults) if name.startswith("OSCAR_")}
    known |= {
        "OSCAR_ALLOW_ANON_CHECKOUT": True,
        "OSCAR_DEFAULT_CURRENCY": "USD",
        "OSCAR_SHOP_NAME": "Boots",
        "OSCAR_INITIAL_ORDER_STATUS": "Pending",
        "OSCAR_ORDER_STATUS_PIPELINE": {"Pending": ("Cancelled",), "Cancelled": ()},
    }
    absent = [] if _has("sorl.thumbnail") else ["sorl.thumbnail"]
    settings.configure(
        SECRET_KEY="of a test",
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SITE_ID=1,
        USE_TZ=True,
        STATIC_URL="/static/",
        MEDIA_ROOT=FOLDER,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/db"}},
        HAYSTACK_CONNECTIONS={"default": {"ENGINE": SEARCH}},
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend"],
        INSTALLED_APPS=[each for each in PREPARED if each not in absent],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "oscar.apps.basket.middleware.BasketMiddleware",
            "tuike_oscar.remember_token",
        ],
        TEMPLATES=[{
            "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.core.context_processors.metadata",
            ]},
        }],
        TUIKE_HOOK_URL=HOOK,
        TUIKE_SECRET=SECRET,
        **known,
    )  # fmt: skip
    sys.path.insert(0, str(Path(__file__).parents[3] / "deploy" / "django-oscar"))
    django.setup()


def _has(module):
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def prepare():
    call_command("migrate", verbosity=0)
    from oscar.apps.address.models import Country
    from oscar.test.factories import create_product

    Country.objects.create(
        iso_3166_1_a2="US", printable_name="United States", name="US", is_shipping_country=True
    )
    create_product(title="Boots", price=Decimal("80.00"), num_in_stock=100)


def buy(token):
    """What a guest does in a browser, request by request."""
    from django.test import Client
    from oscar.apps.order.models import Order
    from oscar.apps.payment.models import Source, SourceType

    guest = Client()
    guest.get("/", {"tk": token}, follow=True)
    guest.post("/basket/add/1/", {"quantity": 2})
    guest.post("/checkout/", {"username": "bia@example.com", "options": "anonymous"})
    guest.post("/checkout/shipping-address/", {
        "first_name": "Bia", "last_name": "S", "line1": "1 Road", "line4": "Town",
        "postcode": "10001", "country": "US",
    })  # fmt: skip
    guest.get("/checkout/shipping-method/")
    guest.get("/checkout/payment-method/")
    done = guest.post("/checkout/preview/", {"action": "place_order"}, follow=True)
    order = Order.objects.order_by("-id").first()
    assert order is not None, done.content[:3000]
    kind, _ = SourceType.objects.get_or_create(name="Card")
    source = Source.objects.create(order=order, source_type=kind, currency="USD")
    source.debit(order.total_incl_tax)
    return {"number": order.number, "total": str(order.total_incl_tax)}


def refund(number, amount):
    from oscar.apps.order.models import Order

    Order.objects.get(number=number).sources.get().refund(Decimal(amount))


def again():
    from tuike_oscar import tell_since

    tell_since(datetime(2020, 1, 1, tzinfo=UTC))


set_up()
urlpatterns = [path("", include(apps.get_app_config("oscar").urls[0]))]

if __name__ == "__main__":
    sys.modules.setdefault("shop", sys.modules["__main__"])
    verbs = {"prepare": prepare, "buy": buy, "refund": refund, "again": again}
    print(json.dumps(verbs[VERB](*WORDS)))
