"""Orders as shops send them, signed, and the way through the real intake."""

import itertools
import json
from datetime import UTC

from affiliate import clock, ids
from affiliate.catalog import service as catalog
from affiliate.intake import service as intake
from affiliate.intake.platforms import shopify, standard

_numbers = itertools.count(1)


def a_line(key="l1", price="100.00", **facts):
    return {"id": key, "title": "Camisa", "quantity": 1, "unit_price": price} | facts


def an_order(tk=None, **facts):
    """A paid order of one line of 100.00 in the `standard` format, created now."""
    now = clock.now().astimezone(UTC).isoformat()
    return {
        "id": f"o{next(_numbers)}",
        "version": 1,
        "status": "paid",
        "currency": "BRL",
        "tax_included": True,
        "created_at": now,
        "paid_at": now,
        "tk": tk,
        "lines": [a_line(tax="0.00")],
    } | facts


def a_refund(amount=None, key="r1", **facts):
    return {"id": key, "status": "succeeded", "amount": amount} | facts


def hook(shop):
    return f"/hooks/{ids.encode('shp', shop.merchant_id, shop.id)}"


def signed(shop, body, delivery=None):
    """Headers that make this body a webhook of this shop."""
    secret = catalog.webhook_secrets(shop)[0]
    delivery = delivery or f"msg_{next(_numbers)}"
    if shop.platform == "shopify":
        return {
            "X-Shopify-Topic": "orders/updated",
            "X-Shopify-Webhook-Id": delivery,
            "X-Shopify-Hmac-Sha256": shopify.sign(secret, body),
        }
    seconds = int(clock.now().timestamp())
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(seconds),
        "webhook-signature": standard.sign(secret, delivery, seconds, body),
    }


def as_body(shop, order):
    told = order if shop.platform == "shopify" else {"type": "order.updated", "data": order}
    return json.dumps(told).encode()


def send(client, shop, order, delivery=None):
    """Knock at the door; the answer of the door."""
    body = as_body(shop, order)
    return client.post(hook(shop), data=body, headers=signed(shop, body, delivery))


def deliver(client, shop, *orders):
    """Send these one after the other, and let the worker book each."""
    for order in orders:
        answer = send(client, shop, order)
        assert answer.status_code == 200, answer.text
        intake.drain(shop.merchant_id, shop.id)
