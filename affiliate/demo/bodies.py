"""Orders as the demo's shops send them: in each platform's own format, signed with its secret."""

import json
from datetime import datetime
from typing import Any

from werkzeug.datastructures import Headers

from affiliate.demo.shopping import Purchase
from affiliate.demo.story import SIZES
from affiliate.demo.town import product_key
from affiliate.intake.platforms import shopify, standard
from affiliate.money import PPM, decimal_text

SHOPIFY_ORDERS = 5_900_000_000_000  # where the numbers of this shop's orders begin


def body(bought: Purchase, at: datetime) -> bytes:
    """What the shop tells of this order at this instant."""
    known = bought.as_of(at)
    if bought.store.platform == "shopify":
        told = _shopify(known, at)
    else:
        version = sum(1 for each in bought.told if each <= at)
        told = {"type": "order.updated", "timestamp": at.isoformat()}
        told["data"] = _standard(known, version)
    return json.dumps(told, ensure_ascii=False).encode()


def headers(platform: str, secret: str, content: bytes, delivery: str, at: datetime) -> Headers:
    """Those that make this content a webhook of the shop whose secret it is."""
    if platform == "shopify":
        return Headers(
            {
                "X-Shopify-Topic": "orders/updated",
                "X-Shopify-Webhook-Id": delivery,
                "X-Shopify-Hmac-Sha256": shopify.sign(secret, content),
            }
        )
    seconds = int(at.timestamp())
    return Headers(
        {
            "webhook-id": delivery,
            "webhook-timestamp": str(seconds),
            "webhook-signature": standard.sign(secret, delivery, seconds, content),
        }
    )


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


# --- standard --------------------------------------------------------------------------------


def _standard(known: Purchase, version: int) -> dict[str, Any]:
    def money(amount: int) -> str:
        return decimal_text(amount, known.store.currency)

    return {
        "id": f"{known.store.key}{known.number}",
        "version": version,
        "number": f"{known.store.key.upper()}-{known.number}",
        "status": _status(known),
        "test": known.test,
        "currency": known.store.currency,
        "tax_included": True,
        "created_at": _text(known.placed_at),
        "paid_at": _text(known.paid_at),
        "fulfilled_at": _text(known.shipped_at),
        "delivered_at": _text(known.arrived_at),
        "cancelled_at": _text(known.cancelled_at),
        "customer": {"id": f"c{known.buyer}", "email": known.mail},
        "tk": ".".join(known.tokens) or None,
        "discount": money(known.discount),
        "shipping": money(known.store.shipping),
        "total": money(sum(known.paid) + known.store.shipping),
        "lines": [_standard_line(known, place) for place in range(len(known.pieces))],
        "refunds": [_standard_refund(known)] if known.returned else [],
    }


def _status(known: Purchase) -> str:
    states = (
        (known.expired_at, "expired"),
        (known.cancelled_at, "cancelled"),
        (known.arrived_at, "delivered"),
        (known.shipped_at, "fulfilled"),
        (known.paid_at, "paid"),
    )
    return next((name for at, name in states if at), "pending_payment")


def _standard_line(known: Purchase, place: int) -> dict[str, Any]:
    piece, store = known.pieces[place], known.store
    ppm = store.tax_ppm or 0
    return {
        "id": f"l{place + 1}",
        "product_id": product_key(store, piece.listing),
        "variant_id": f"{product_key(store, piece.listing)}{piece.size}",
        "sku": _sku(known, place),
        "title": piece.listing.title,
        "category": piece.listing.category,
        "quantity": piece.quantity,
        "unit_price": decimal_text(piece.listing.price, store.currency),
        "tax": decimal_text(known.paid[place] * ppm // (PPM + ppm), store.currency),
    }


def _sku(known: Purchase, place: int) -> str:
    piece = known.pieces[place]
    return f"SB{known.store.listings.index(piece.listing) + 1:02}-{SIZES[piece.size]}"


def _standard_refund(known: Purchase) -> dict[str, Any]:
    assert known.returned
    return {
        "id": "r1",
        "at": _text(known.returned.at),
        "status": "succeeded",
        "amount": decimal_text(sum(known.given_back), known.store.currency),
        "lines": [
            {"line_id": f"l{place + 1}", "quantity": quantity}
            for place, quantity in enumerate(known.returned.quantities)
            if quantity
        ],
    }


# --- Shopify ---------------------------------------------------------------------------------


def _shopify(known: Purchase, at: datetime) -> dict[str, Any]:
    def money(amount: int) -> str:
        return decimal_text(amount, known.store.currency)

    return {
        "id": SHOPIFY_ORDERS + known.number,
        "name": f"#{known.number}",
        "created_at": _text(known.placed_at),
        "updated_at": _text(at),
        "processed_at": _text(known.paid_at or known.placed_at),
        "cancelled_at": _text(known.cancelled_at),
        "test": known.test,
        "currency": known.store.currency,
        "taxes_included": True,
        "financial_status": _financial_status(known),
        "fulfillment_status": "fulfilled" if known.shipped_at else None,
        "fulfillments": [_parcel(known)] if known.shipped_at else [],
        "email": known.mail,
        "customer": {"id": 7_100_000_000_000 + known.buyer},
        "note_attributes": [{"name": "tk", "value": each} for each in known.tokens],
        "total_discounts": money(known.discount),
        "total_price": money(sum(known.paid) + known.store.shipping),
        "shipping_lines": [{"title": "Sedex", "discounted_price": money(known.store.shipping)}],
        "line_items": [_shopify_line(known, place) for place in range(len(known.pieces))],
        "refunds": [_shopify_refund(known)] if known.returned else [],
    }


def _financial_status(known: Purchase) -> str:
    if known.expired_at:
        return "voided"
    if not known.paid_at:
        return "pending"
    if known.cancelled_at:
        return "refunded"
    if not known.returned:
        return "paid"
    return "refunded" if known.given_back == known.paid else "partially_refunded"


def _parcel(known: Purchase) -> dict[str, Any]:
    return {
        "id": 4_200_000_000_000 + known.number,
        "status": "success",
        "created_at": _text(known.shipped_at),
        "updated_at": _text(known.arrived_at or known.shipped_at),
        "shipment_status": "delivered" if known.arrived_at else "in_transit",
    }


def _shopify_line(known: Purchase, place: int) -> dict[str, Any]:
    piece, store = known.pieces[place], known.store
    discount = known.discounts[place]
    return {
        "id": (SHOPIFY_ORDERS + known.number) * 10 + place,
        "product_id": int(product_key(store, piece.listing)),
        "variant_id": int(f"{product_key(store, piece.listing)}{piece.size}"),
        "sku": _sku(known, place),
        "title": piece.listing.title,
        "quantity": piece.quantity,
        "price": decimal_text(piece.listing.price, store.currency),
        "tax_lines": [],
        "discount_allocations": [{"amount": decimal_text(discount, store.currency)}]
        if discount
        else [],
    }


def _shopify_refund(known: Purchase) -> dict[str, Any]:
    assert known.returned
    currency = known.store.currency
    cash = {"kind": "refund", "status": "success", "currency": currency}
    return {
        "id": 880_000_000_000 + known.number,
        "processed_at": _text(known.returned.at),
        "transactions": [cash | {"amount": decimal_text(sum(known.given_back), currency)}],
        "refund_line_items": [
            {
                "line_item_id": (SHOPIFY_ORDERS + known.number) * 10 + place,
                "quantity": quantity,
                "subtotal": decimal_text(known.given_back[place], currency),
                "total_tax": "0.00",
            }
            for place, quantity in enumerate(known.returned.quantities)
            if quantity
        ],
    }
