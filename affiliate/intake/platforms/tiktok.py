"""TikTok Shop (beta): signed notices that name an order, which is then fetched.

Facts: Partner Center, API 202309; the signature as in EcomPHP/tiktokshop-php. The app's secret
signs for all its shops, so a notice must also name this one. No field of ours travels with an
order: attribution belongs to TikTok's own programme.
"""

import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Answer, Api, Ask, Client, Page, Refused, Token, Window
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform, by_content
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Line, Order, Refund
from affiliate.orders.models import Status

# Order statuses, API 202309 (2026-11).
STATUSES = {
    "UNPAID": Status.PENDING_PAYMENT,
    "ON_HOLD": Status.PAID,
    "AWAITING_SHIPMENT": Status.PAID,
    "PARTIALLY_SHIPPING": Status.PAID,
    "AWAITING_COLLECTION": Status.PAID,
    "IN_TRANSIT": Status.FULFILLED,
    "DELIVERED": Status.DELIVERED,
    "COMPLETED": Status.DELIVERED,
    "CANCELLED": Status.CANCELLED,
    "CANCEL": Status.CANCELLED,
}
RETURNS = {
    "RETURN_OR_REFUND_REQUEST_PENDING": "pending",
    "REFUND_OR_RETURN_REQUEST_REJECT": "failed",
    "AWAITING_BUYER_SHIP": "pending",
    "BUYER_SHIPPED_ITEM": "pending",
    "REJECT_RECEIVE_PACKAGE": "failed",
    "RETURN_OR_REFUND_REQUEST_SUCCESS": "succeeded",
    "RETURN_OR_REFUND_REQUEST_CANCEL": "failed",
    "RETURN_OR_REFUND_REQUEST_COMPLETE": "succeeded",
    "REPLACEMENT_REQUEST_COMPLETE": "failed",
}
STALE = {105000, 105001, 105002}
BUSY = {36009003, 36009036}
AUTH = "https://auth.tiktok-shops.com"
PAGE = 50


def sign(app_key: str, secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), app_key.encode() + body, "sha256").hex()


def signed(keys: Keys, knock: Knock) -> bool:
    given, app = knock.header("Authorization").encode(), keys.get("app_id")
    wanted = (sign(app, secret, knock.body).encode() for secret in keys.secrets)
    good = security.any_same(given, wanted)
    return good and parts.names_account(knock.body, keys.get("store_id"), "shop_id")


def delivery(knock: Knock) -> str:
    return f"{parts.field(knock.body, 'tts_notification_id')}:{by_content(knock)}"


def topic(knock: Knock) -> str:
    return f"type {parts.field(knock.body, 'type')}"[:100]


def order_key(body: Node) -> str:
    if _is_order(body):
        return body.get("id").key()
    data = body.get("data")
    return data.get("order_id").key() if data and data.get("order_id") else ""


def thin(_keys: Keys, body: Node) -> bool:
    return not _is_order(body)


def _is_order(body: Node) -> bool:
    return bool(body.get("line_items")) and bool(body.get("status"))


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body):
        return []
    payment = body.get("payment")
    currency = payment.get("currency").currency()
    status = parts.one_of(body.get("status"), STATUSES)
    changed = body.get("update_time").seconds()
    ended = body.get("cancel_time").seconds_or_none() or changed
    return [
        Order(
            external_id=body.get("id").key(),
            version=parts.version(changed),
            status=status,
            test=body.get("is_sample_order").flag(),
            currency=currency,
            tax_included=True,
            placed_at=body.get("create_time").seconds(),
            paid_at=body.get("paid_time").seconds_or_none(),
            delivered_at=body.get("delivery_time").seconds_or_none(),
            cancelled_at=ended if status is Status.CANCELLED else None,
            customer=Customer(external_id=body.get("user_id").key_or_none()),
            shipping=parts.amount(payment.get("shipping_fee"), currency),
            total=parts.amount(payment.get("total_amount"), currency),
            lines=parts.distinct(body.get("line_items"), lambda node: _line(node, currency)),
            refunds=tuple(_refund(each) for each in body.get("returns").items()),
            refunds_complete=bool(body.get("returns")),
        )
    ]


def _line(node: Node, currency: str) -> Line:
    """One for each piece; what the platform itself takes off is still paid to the seller."""
    amount = parts.amount(node.get("original_price"), currency)
    return Line(
        external_id=node.get("id").key(),
        title=node.get("product_name").text_or_none() or "",
        quantity=1,
        amount=amount,
        discount=min(amount, parts.amount(node.get("seller_discount"), currency)),
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=node.get("sku_id").key_or_none(),
        sku=node.get("seller_sku").text_or_none(),
    )


def _refund(node: Node) -> Refund:
    told = node.get("refund_amount")
    currency = told.get("currency").currency()
    return Refund(
        external_id=node.get("return_id").key(),
        status=parts.one_of(node.get("return_status"), RETURNS),
        amount=parts.amount(told.get("refund_total"), currency),
        at=node.get("update_time").seconds_or_none(),
    )


# --- its API -----------------------------------------------------------------------------------


def _prove(keys: Keys, token: str, ask: Ask) -> None:
    """The secret around path, sorted parameters and body, signed with the secret."""
    ask.query |= {
        "app_key": keys.get("app_id"),
        "shop_cipher": keys.get("shop_cipher"),
        "timestamp": str(int(clock.now().timestamp())),
    }
    secret = keys.secrets[0]
    told = "".join(f"{name}{value}" for name, value in sorted(ask.query.items()))
    content = f"{secret}{ask.path}{told}".encode() + ask.body + secret.encode()
    ask.query["sign"] = hmac.digest(secret.encode(), content, "sha256").hex()
    ask.headers |= {"x-tts-access-token": token, "Content-Type": "application/json"}


def _code(answer: Answer) -> int:
    code = answer.body.get("code").value if isinstance(answer.body.value, dict) else 0
    return code if isinstance(code, int) else 0


def renew(client: Client, old: Token | None) -> Token:
    keys = client.keys
    given = {
        "app_key": keys.get("app_id"),
        "app_secret": keys.secrets[0],
        "refresh_token": old.refresh if old else keys.get("refresh_token"),
        "grant_type": "refresh_token",
    }
    answer = client.for_token(Ask("GET", "/api/v2/token/refresh", given), at=client.other(AUTH))
    data = answer.body.get("data")
    if _code(answer) or not data:
        raise Refused("consent_lost", f"no new token: error {_code(answer)}")
    # The time when it ends, not how long it lasts.
    until = data.get("access_token_expire_in").seconds()
    fresh = until if until > clock.now() else clock.now() + timedelta(hours=1)
    return Token(data.get("access_token").text(), data.get("refresh_token").text(), fresh)


def _data(answer: Answer) -> Node:
    if code := _code(answer):
        raise Refused("refused", f"error {code}: {str(answer.body.get('message').value)[:100]}")
    return answer.body.get("data")


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    order = order_key(body)
    data = _data(client.get("/order/202309/orders", {"ids": order}))
    found = [each.value for each in data.get("orders").items()]
    if not found:
        raise Refused("not_found", "the shop has no such order")
    return _with_returns(client, found)


def _with_returns(client: Client, found: Sequence[dict[str, Any]]) -> list[bytes]:
    """What was given back stands in other rows than the orders."""
    returns: dict[str, list[Any]] = {str(order["id"]): [] for order in found}
    query: dict[str, object] = {"page_size": PAGE}
    while returns:
        data = _data(
            client.post("/return_refund/202309/returns/search", {"order_ids": list(returns)}, query)
        )
        for each in data.get("return_orders").items():
            returns.setdefault(each.get("order_id").key(), []).append(each.value)
        if not data.get("next_page_token").text_or_none():
            break
        query["page_token"] = data.get("next_page_token").text()
    return [reading.dump(order | {"returns": returns[str(order["id"])]}) for order in found]


def pull(client: Client, window: Window, cursor: str) -> Page:
    query: dict[str, object] = {"page_size": PAGE, "sort_field": "update_time", "sort_order": "ASC"}
    if cursor:
        query["page_token"] = cursor
    given = {
        "update_time_ge": int(window.since.timestamp()),
        "update_time_lt": int(window.until.timestamp()) + 1,
    }
    data = _data(client.post("/order/202309/orders/search", given, query))
    bodies = _with_returns(client, [each.value for each in data.get("orders").items()])
    total = data.get("total_count").whole() if data.get("total_count") else None
    return Page(bodies, data.get("next_page_token").text_or_none() or "", total)


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=delivery,
    topic=topic,
    thanks=b"",
    thin=thin,
    api=Api(
        base=lambda _: "https://open-api.tiktokglobalshop.com",
        prove=_prove,
        renew=renew,
        uses_tokens=True,
        is_stale=lambda answer: _code(answer) in STALE or answer.status == 401,
        is_busy=lambda answer: (
            answer.status >= 500 or answer.status == 429 or _code(answer) in BUSY
        ),
    ),
    fetch=fetch,
    pull=pull,
)
