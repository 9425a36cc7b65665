"""Shopee (beta): signed pushes that name an order, which is then fetched.

Facts: Shopee Open Platform v2 as kept by congminh1254/shopee-sdk; the signature as in
minchao/shopee-php. It is over the address as it was registered, so that is the configured one and
never what a proxy made of it. The push key signs for all shops of a partner, so a push must also
name this one.
"""

import hmac
from collections.abc import Sequence
from datetime import timedelta

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Answer, Api, Ask, Client, Page, Refused, Token, Window
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Line, Order
from affiliate.orders.models import Status

# Order statuses, Open Platform v2 (2026-11).
STATUSES = {
    "UNPAID": Status.PENDING_PAYMENT,
    "INVOICE_PENDING": Status.PAID,
    "READY_TO_SHIP": Status.PAID,
    "PROCESSED": Status.PAID,
    "RETRY_SHIP": Status.PAID,
    "SHIPPED": Status.FULFILLED,
    "TO_CONFIRM_RECEIVE": Status.DELIVERED,
    "COMPLETED": Status.DELIVERED,
    "IN_CANCEL": Status.PAID,
    "TO_RETURN": Status.DELIVERED,
    "CANCELLED": Status.CANCELLED,
}
FIELDS = "buyer_user_id,item_list,pay_time,total_amount,estimated_shipping_fee,pickup_done_time"
STALE = {"error_auth", "invalid_acceess_token", "invalid_access_token"}
BUSY = {"error_too_many_requests", "error_server", "error_network"}
PAGE = 50


def sign(secret: str, address: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), f"{address}|".encode() + body, "sha256").hex()


def signed(keys: Keys, knock: Knock) -> bool:
    given = knock.header("Authorization").encode()
    wanted = (sign(secret, keys.hook_url, knock.body).encode() for secret in keys.secrets)
    good = security.any_same(given, wanted)
    return good and parts.names_account(knock.body, keys.get("store_id"), "shop_id")


def topic(knock: Knock) -> str:
    return f"code {parts.field(knock.body, 'code')}"[:100]


def order_key(body: Node) -> str:
    if _is_order(body):
        return body.get("order_sn").key()
    data = body.get("data")
    return data.get("ordersn").key() if data and data.get("ordersn") else ""


def thin(_keys: Keys, body: Node) -> bool:
    return not _is_order(body)


def _is_order(body: Node) -> bool:
    return bool(body.get("item_list")) and bool(body.get("order_status"))


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body):
        return []
    currency = body.get("currency").currency()
    status = parts.one_of(body.get("order_status"), STATUSES)
    changed = body.get("update_time").seconds()
    if body.get("order_status").text() == "TO_RETURN":
        # How much comes back is told by the returns API only, so nobody may guess it here.
        raise body.get("order_status").refuse("refund_not_told", "a return: settle it by hand")
    return [
        Order(
            external_id=body.get("order_sn").key(),
            version=parts.version(changed),
            status=status,
            currency=currency,
            tax_included=True,
            placed_at=body.get("create_time").seconds(),
            paid_at=body.get("pay_time").seconds_or_none(),
            fulfilled_at=body.get("pickup_done_time").seconds_or_none(),
            delivered_at=changed if status is Status.DELIVERED else None,
            cancelled_at=changed if status is Status.CANCELLED else None,
            customer=Customer(external_id=body.get("buyer_user_id").key_or_none()),
            shipping=parts.amount(body.get("estimated_shipping_fee"), currency),
            total=parts.amount(body.get("total_amount"), currency),
            lines=parts.distinct(body.get("item_list"), lambda node: _line(node, currency)),
        )
    ]


def _line(node: Node, currency: str) -> Line:
    quantity = node.get("model_quantity_purchased").whole()
    before = node.get("model_original_price").times(quantity, currency)
    after = node.get("model_discounted_price").times(quantity, currency)
    item, model = node.get("item_id").key(), node.get("model_id").key()
    group = node.get("promotion_group_id").key_or_none() or "0"
    return Line(
        external_id=f"{item}-{model}-{group}",
        title=node.get("item_name").text_or_none() or "",
        quantity=quantity,
        amount=max(before, after),
        discount=max(0, before - after),
        product_external_id=item,
        variant_external_id=model,
        sku=node.get("model_sku").text_or_none() or node.get("item_sku").text_or_none(),
    )


# --- its API -----------------------------------------------------------------------------------


def _prove(keys: Keys, token: str, ask: Ask) -> None:
    timestamp = str(int(clock.now().timestamp()))
    app, store = keys.get("app_id"), keys.get("store_id")
    content = f"{app}{ask.path}{timestamp}{token}{store if token else ''}"
    ask.query |= {
        "partner_id": app,
        "timestamp": timestamp,
        "sign": hmac.digest(keys.get("app_secret").encode(), content.encode(), "sha256").hex(),
    }
    if token:
        ask.query |= {"access_token": token, "shop_id": store}


def _error(answer: Answer) -> str:
    error = answer.body.get("error").value if isinstance(answer.body.value, dict) else ""
    return error if isinstance(error, str) and error != "-" else ""


def renew(client: Client, old: Token | None) -> Token:
    keys = client.keys
    given = {
        "refresh_token": old.refresh if old else keys.get("refresh_token"),
        "partner_id": int(keys.get("app_id")),
        "shop_id": int(keys.get("store_id")),
    }
    headers = {"Content-Type": "application/json"}
    ask = Ask("POST", "/api/v2/auth/access_token/get", {}, headers, reading.dump(given))
    _prove(keys, "", ask)
    answer = client.for_token(ask)
    if answer.status >= 300 or _error(answer):
        raise Refused("consent_lost", f"no new token: {_error(answer)[:100]}")
    until = clock.now() + timedelta(seconds=answer.body.get("expire_in").whole())
    told = answer.body
    return Token(told.get("access_token").text(), told.get("refresh_token").text(), until)


def _asked(client: Client, path: str, query: dict[str, object]) -> Node:
    answer = client.get(f"/api/v2/order/{path}", query)
    if error := _error(answer):
        kind = "not_found" if "not_found" in error else "refused"
        raise Refused(kind, f"{error[:100]} at {path}")
    return answer.body.get("response")


def _orders(client: Client, numbers: Sequence[str]) -> list[bytes]:
    if not numbers:
        return []
    query: dict[str, object] = {
        "order_sn_list": ",".join(numbers),
        "response_optional_fields": FIELDS,
    }
    found = _asked(client, "get_order_detail", query)
    return [reading.dump(each.value) for each in found.get("order_list").items()]


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    found = _orders(client, [order_key(body)])
    if not found:
        raise Refused("not_found", "the shop has no such order")
    return found


def pull(client: Client, window: Window, cursor: str) -> Page:
    told = _asked(
        client,
        "get_order_list",
        {
            "time_range_field": "update_time",
            "time_from": int(window.since.timestamp()),
            "time_to": int(window.until.timestamp()),
            "page_size": PAGE,
            "cursor": cursor,
        },
    )
    numbers = [each.get("order_sn").key() for each in told.get("order_list").items()]
    more = told.get("more").flag()
    return Page(_orders(client, numbers), told.get("next_cursor").text() if more else "")


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    topic=topic,
    thanks=b"",
    thin=thin,
    api=Api(
        base=lambda _: "https://partner.shopeemobile.com",
        prove=_prove,
        renew=renew,
        uses_tokens=True,
        is_stale=lambda answer: _error(answer) in STALE,
        is_busy=lambda answer: (
            answer.status >= 500 or answer.status == 429 or _error(answer) in BUSY
        ),
    ),
    fetch=fetch,
    pull=pull,
)
