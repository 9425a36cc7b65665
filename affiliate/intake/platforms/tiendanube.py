"""Tiendanube / Nuvemshop: signed notices that name an order, which is then fetched.

Facts: TiendaNube/api-docs `resources/webhook.md` and `resources/order.md`, API v1. The secret is
the app's and signs for all its stores, so a notice must also name this one.
"""

import hmac
from collections.abc import Iterator, Sequence
from datetime import datetime

from affiliate import security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Api, Ask, Client, Page, Refused, Window
from affiliate.intake.catalogue.tiendanube import CATALOGUE
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.carriers import NAMES, group, tokens_in_url
from affiliate.intake.platforms.interface import Knock, Platform, each_time
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Line, Order, Refund
from affiliate.orders.models import Status

# payment_status, docs of 2026-11. Only these have been paid in full at some time.
PAID = {"paid", "partially_refunded", "refunded"}
UNPAID = {"pending", "authorized", "abandoned", "voided", "partially_paid"}
STATES = {"open", "closed", "cancelled"}
PAGE = 200


def sign(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def signed(keys: Keys, knock: Knock) -> bool:
    given = knock.header("x-linkedstore-hmac-sha256").encode()
    good = security.any_same(given, (sign(each, knock.body).encode() for each in keys.secrets))
    return good and parts.names_account(knock.body, keys.get("store_id"), "store_id")


def topic(knock: Knock) -> str:
    return parts.field(knock.body, "event")[:100]


def order_key(body: Node) -> str:
    return body.get("id").key() if _is_order(body) or _is_notice(body) else ""


def thin(_keys: Keys, body: Node) -> bool:
    return _is_notice(body)


def _is_notice(body: Node) -> bool:
    return bool(body.get("event")) and body.get("event").text().startswith("order/")


def _is_order(body: Node) -> bool:
    return bool(body.get("products")) and bool(body.get("payment_status"))


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body):
        return []
    currency = body.get("currency").currency()
    money = parts.word_of(body.get("payment_status"), PAID | UNPAID)
    state = parts.word_of(body.get("status"), STATES)
    paid = money in PAID
    shipped = body.get("shipped_at").time_or_none()
    return [
        Order(
            external_id=body.get("id").key(),
            version=parts.version(body.get("updated_at").time()),
            number=body.get("number").key_or_none(),
            status=_status(state, money, shipped=shipped is not None),
            currency=currency,
            tax_included=True,  # prices are what the buyer pays; no tax is told
            placed_at=body.get("created_at").time(),
            paid_at=_paid_at(body) if paid else None,
            fulfilled_at=shipped,
            cancelled_at=body.get("cancelled_at").time_or_none(),
            refunded_fully=money == "refunded",
            customer=_customer(body.get("customer")),
            tokens=tuple(_tokens(body)),
            group_id=_group(body.get("extra").value),
            coupons=tuple(
                each.get("code").text() for each in body.get("coupon").items() if each.get("code")
            ),
            discount=parts.amount(body.get("discount"), currency),
            shipping=parts.amount(body.get("shipping_cost_customer"), currency),
            total=body.get("total").money(currency, numbers=True),
            lines=parts.distinct(body.get("products"), lambda node: _line(node, currency)),
            refunds=_refunds(body, money, currency),
            refunds_complete=True,
        )
    ]


def _status(state: str, money: str, *, shipped: bool) -> Status:
    if state == "cancelled":
        return Status.CANCELLED
    if money in ("abandoned", "voided"):
        return Status.EXPIRED
    if shipped:
        return Status.FULFILLED
    return Status.PAID if money in PAID else Status.PENDING_PAYMENT


def _paid_at(body: Node) -> datetime:
    """`completed_at` is an object with a time and, beside it, its zone: UTC."""
    paid = body.get("paid_at").time_or_none()
    return paid or body.get("completed_at").get("date").utc()


def _customer(node: Node) -> Customer:
    if not node:
        return Customer()
    return Customer(
        external_id=node.get("id").key_or_none(),
        email=node.get("email").text_or_none(),
        phone=node.get("phone").text_or_none(),
    )


def _tokens(body: Node) -> Iterator[str]:
    extra = body.get("extra").value
    for name in NAMES:
        if isinstance(extra, dict) and isinstance(extra.get(name), str):
            yield body.get("extra").get(name).text()
    landing = body.get("landing_url")
    if isinstance(landing.value, str):
        yield from tokens_in_url(landing.text())


def _group(extra: object) -> str | None:
    return group(extra.items()) if isinstance(extra, dict) else None


def _line(node: Node, currency: str) -> Line:
    quantity = node.get("quantity").count()
    return Line(
        external_id=node.get("id").key(),
        title=node.get("name").text_or_none() or "",
        quantity=quantity,
        amount=node.get("price").times(quantity, currency),
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=node.get("variant_id").key_or_none(),
        sku=node.get("sku").text_or_none(),
    )


def _refunds(body: Node, money: str, currency: str) -> tuple[Refund, ...]:
    """An order tells only that something was given back; its transactions tell how much."""
    found = []
    for node in body.get("transactions").items():
        back = node.get("refunded_amount")
        if back and (amount := back.get("value").money(currency, numbers=True)):
            found.append(Refund(external_id=node.get("id").key(), amount=amount))
    if money == "partially_refunded" and not found:
        raise body.get("transactions").refuse("refund_not_told", "how much was given back?")
    return tuple(found)


# --- its API -----------------------------------------------------------------------------------


def _prove(keys: Keys, _token: str, ask: Ask) -> None:
    ask.headers["Authentication"] = f"bearer {keys.get('api_token')}"


def _path(client: Client, order: str = "") -> str:
    return f"/v1/{client.keys.get('store_id')}/orders{order and '/'}{order}"


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    return [_whole(client, client.get(_path(client, body.get("id").key())).body.value)]


def _whole(client: Client, order: dict[str, object]) -> bytes:
    if order.get("payment_status") == "partially_refunded":
        path = f"{_path(client, str(order['id']))}/transactions"
        order = order | {"transactions": client.get(path).body.value}
    return reading.dump(order)


def pull(client: Client, window: Window, cursor: str) -> Page:
    page = int(cursor or 1)
    given = {
        "updated_at_min": window.since.isoformat(timespec="seconds"),
        "updated_at_max": window.until.isoformat(timespec="seconds"),
        "per_page": PAGE,
        "page": page,
    }
    try:
        answer = client.get(_path(client), given)
    except Refused as refusal:
        if refusal.code == "not_found":  # how it says that there is no such page
            return Page([], "", 0 if page == 1 else None)
        raise
    total = int(answer.headers.get("X-Total-Count", 0))
    bodies = [_whole(client, each.value) for each in answer.body.items()]
    return Page(bodies, str(page + 1) if page * PAGE < total else "", total)


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=each_time,
    topic=topic,
    thin=thin,
    api=Api(base=lambda _: "https://api.tiendanube.com", prove=_prove),
    fetch=fetch,
    pull=pull,
    catalogue=CATALOGUE,
)
