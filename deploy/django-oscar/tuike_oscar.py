"""Tells Tuike of the orders of a django-oscar shop, signed as in Standard Webhooks.

Put this file beside your settings, then

    INSTALLED_APPS += ["tuike_oscar.Tuike"]
    MIDDLEWARE += ["tuike_oscar.remember_token"]
    TUIKE_HOOK_URL = "https://go.example.com/hooks/shp_…"
    TUIKE_SECRET = "whsec_…"

The token of a visit (`?tk=…`) stays in its session until an order is placed. An order is told when
it is placed, when its status changes, and when money came or went back; `tell_since(datetime)`
tells all of them again, which does no harm. Nothing but Django and Oscar is needed.
"""

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
import urllib.request
import uuid
from datetime import UTC

from django.apps import AppConfig
from django.conf import settings
from django.db import transaction

log = logging.getLogger("tuike")
_visit = threading.local()
STATUSES = {"Cancelled": "cancelled", "Complete": "fulfilled", "Shipped": "fulfilled"}
PAID = {"Debit", "Capture"}


class Tuike(AppConfig):
    name = "tuike_oscar"
    label = "tuike_oscar"

    def ready(self):
        from django.db.models.signals import post_save
        from oscar.apps.order.signals import order_placed, order_status_changed
        from oscar.core.loading import get_model

        order_placed.connect(_placed, dispatch_uid="tuike")
        order_status_changed.connect(_changed, dispatch_uid="tuike")
        payment = get_model("payment", "Transaction")
        post_save.connect(_paid, sender=payment, dispatch_uid="tuike")


def remember_token(get_response):
    """Middleware: keeps the token that the visit came with."""

    def handle(request):
        if request.GET.get("tk"):
            request.session["tuike_tk"] = request.GET["tk"][:200]
        _visit.request = request
        try:
            return get_response(request)
        finally:
            _visit.request = None

    return handle


def _placed(order, **_):
    from oscar.core.loading import get_model

    request = getattr(_visit, "request", None)
    token = request.session.pop("tuike_tk", None) if request is not None else None
    if token:
        get_model("order", "OrderNote").objects.create(
            order=order, note_type="System", message=f"tk={token}"
        )
    _tell_later(order)


def _changed(order, **_):
    _tell_later(order)


def _paid(instance, **_):
    if instance.source.order_id:
        _tell_later(instance.source.order)


def _tell_later(order):
    transaction.on_commit(lambda: tell(order))


def tell_since(instant):
    """Tell all orders again that were placed since then."""
    from oscar.core.loading import get_model

    for order in get_model("order", "Order").objects.filter(date_placed__gte=instant):
        tell(order)


def tell(order):
    """Post the whole order. A failure is logged, and made good by `tell_since`."""
    body = json.dumps({"type": "order.updated", "data": told(order)}).encode()
    delivery, seconds = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    key = base64.b64decode(settings.TUIKE_SECRET.removeprefix("whsec_"))
    content = b".".join([delivery.encode(), seconds.encode(), body])
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    request = urllib.request.Request(  # noqa: S310 (the operator's own address)
        settings.TUIKE_HOOK_URL,
        data=body,
        headers={
            "Content-Type": "application/json",
            "webhook-id": delivery,
            "webhook-timestamp": seconds,
            "webhook-signature": f"v1,{signature}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            return True
    except OSError:
        log.exception("order %s was not told", order.number)
        return False


def told(order):
    """The order in Tuike's `standard` format."""
    from oscar.core.loading import get_model

    money = list(get_model("payment", "Transaction").objects.filter(source__order=order))
    came = [each for each in money if each.txn_type in PAID]
    paid = sum(each.amount for each in came) >= order.total_incl_tax and bool(came)
    notes = order.notes.filter(message__startswith="tk=").values_list("message", flat=True)
    status = STATUSES.get(order.status, "paid" if paid else "pending_payment")
    return {
        "id": str(order.number),
        "version": time.time_ns() // 1000,
        "number": str(order.number),
        "status": status,
        "currency": order.currency,
        "tax_included": False,
        "created_at": _time(order.date_placed),
        "paid_at": _time(max(each.date_created for each in came)) if paid else None,
        "cancelled_at": _time(order.date_placed) if status == "cancelled" else None,
        "customer": {"id": str(order.user_id) if order.user_id else None, "email": order.email},
        "tk": next((note.removeprefix("tk=") for note in notes), None),
        "coupons": [each.voucher_code for each in order.discounts.all() if each.voucher_code],
        "shipping": str(order.shipping_excl_tax),
        "total": str(order.total_incl_tax),
        "lines": [_line(line) for line in order.lines.all()],
        "refunds": [
            {"id": str(each.id), "amount": str(each.amount), "at": _time(each.date_created)}
            for each in money
            if each.txn_type == "Refund"
        ],
    }


def _line(line):
    before, after = line.line_price_before_discounts_excl_tax, line.line_price_excl_tax
    return {
        "id": str(line.id),
        "product_id": str(line.product_id) if line.product_id else None,
        "sku": line.partner_sku or None,
        "title": line.title,
        "quantity": 1,  # Oscar rounds whole lines, so a line is told as one piece
        "unit_price": str(before),
        "discount": str(max(before - after, 0)),
        "tax": str(line.line_price_incl_tax - after),
    }


def _time(instant):
    return instant.astimezone(UTC).isoformat()
