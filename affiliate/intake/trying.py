"""A test order of a shop of the platform `standard`, sent as the shop would send it.

It goes through our own door, from its first byte on: what comes in by it proves that the secret is
the right one and that an order is read, booked and shown. A test order earns nobody anything.
"""

import contextvars
import json
import secrets

from flask import current_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from affiliate import clock
from affiliate.catalog import service as shops
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.queries import hook_path
from affiliate.errors import Conflict
from affiliate.i18n import _
from affiliate.intake.platforms import standard

PREFIX = "tuike-test-"  # of the deliveries' ids
UNITS = 10  # what the test order costs, in whole units of the shop's currency


def order_of(shop: Shop) -> bytes:
    now = clock.now().isoformat(timespec="seconds")
    order = {
        "id": f"test-{secrets.token_hex(4)}",
        "version": 1,
        "status": "paid",
        "test": True,
        "currency": shop.currency,
        "created_at": now,
        "paid_at": now,
        "total": str(UNITS),
        "lines": [{"id": "1", "title": "Test", "quantity": 1, "unit_price": str(UNITS)}],
    }
    return json.dumps({"type": "order.updated", "timestamp": now, "data": order}).encode()


def send(shop: Shop) -> None:
    """Knock at the door with it. Its answer is another request's, with a log line of its own."""
    keys = shops.webhook_secrets(shop)
    if shop.platform != Platform.STANDARD or not keys:
        raise Conflict(_("Only a shop that posts our own format can be tested from here."))
    status = contextvars.copy_context().run(_knock, shop, keys[0])
    if status != "200 OK":
        raise Conflict(_("The test order was refused: %(status)s.", status=status))


def _knock(shop: Shop, secret: str) -> str:
    body, delivery = order_of(shop), f"{PREFIX}{secrets.token_hex(8)}"
    seconds = int(clock.now().timestamp())
    headers = [
        ("webhook-id", delivery),
        ("webhook-timestamp", str(seconds)),
        ("webhook-signature", standard.sign(secret, delivery, seconds, body)),
    ]
    asked = EnvironBuilder(hook_path(shop), method="POST", headers=headers, data=body)
    _said, status, _headers = run_wsgi_app(current_app.extensions["door"], asked.get_environ())
    return status
