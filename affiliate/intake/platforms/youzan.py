"""有赞 Youzan (beta): full trades by push, behind a weak signature.

Facts: YouZanYunSDK and the sample of Dezsidog/YzSdk. The proof is an MD5 over client id, body and
client secret: without time and old of kind, so put an IP rule before it as well. What is told is
URL-encoded JSON inside the body. Times are those of China and money is yuan as text.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from affiliate import security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform, by_content
from affiliate.intake.reading import Node, Unreadable
from affiliate.orders.facts import Customer, Line, Order
from affiliate.orders.models import Status

ZONE = ZoneInfo("Asia/Shanghai")
# Trade statuses, docs of 2026-11.
STATUSES = {
    "WAIT_BUYER_PAY": Status.PENDING_PAYMENT,
    "TRADE_PAID": Status.PAID,
    "WAIT_CONFIRM": Status.PAID,
    "WAIT_SELLER_SEND_GOODS": Status.PAID,
    "WAIT_BUYER_CONFIRM_GOODS": Status.FULFILLED,
    "TRADE_SUCCESS": Status.DELIVERED,
    "TRADE_CLOSED": Status.CANCELLED,
}


def sign(client_id: str, secret: str, body: bytes) -> str:
    return hashlib.md5(client_id.encode() + body + secret.encode()).hexdigest()  # noqa: S324 (theirs)


def signed(keys: Keys, knock: Knock) -> bool:
    given, client = knock.header("Event-Sign").lower().encode(), keys.get("app_id")
    wanted = (sign(client, secret, knock.body).encode() for secret in keys.secrets)
    good = security.any_same(given, wanted)
    return good and parts.names_account(knock.body, keys.get("store_id"), "kdt_id")


def plain(_keys: Keys, knock: Knock) -> bytes:
    """The push with its message opened."""
    try:
        body = reading.load(knock.body)
        message = body.get("msg")
        if not isinstance(message.value, str):
            return knock.body
        return reading.dump(
            body.value | {"msg": reading.load(unquote(message.value).encode()).value}
        )
    except Unreadable:
        return knock.body


def delivery(knock: Knock) -> str:
    return f"{parts.field(knock.body, 'msg_id')}:{by_content(knock)}"


def topic(knock: Knock) -> str:
    return parts.field(knock.body, "type")[:100]


def order_key(body: Node) -> str:
    return body.get("id").key() if topic_of(body).startswith("trade_") else ""


def topic_of(body: Node) -> str:
    found = body.get("type").value
    return found if isinstance(found, str) else ""


def read(body: Node) -> Sequence[Order]:
    if not topic_of(body).startswith("trade_Trade"):
        return []
    told = body.get("msg").get("full_order_info")
    if not told:
        raise body.get("msg").refuse("trade_not_told", "this push does not hold the trade")
    info, paid = told.get("order_info"), told.get("pay_info")
    status = parts.one_of(info.get("status"), STATUSES)
    changed = info.get("update_time").local(ZONE)
    ended = status is Status.CANCELLED
    return [
        Order(
            external_id=body.get("id").key(),
            version=body.get("version").version() * 1_000_000,
            status=status,
            test=body.get("test").flag(),
            currency="CNY",
            tax_included=True,
            placed_at=info.get("created").local(ZONE),
            paid_at=_time(info.get("pay_time")),
            fulfilled_at=_time(info.get("consign_time")),
            delivered_at=_time(info.get("success_time")),
            cancelled_at=changed if ended else None,
            refunded_fully=ended,
            customer=_customer(told.get("buyer_info")),
            shipping=parts.amount(paid.get("post_fee"), "CNY"),
            total=parts.amount(paid.get("payment"), "CNY"),
            lines=parts.distinct(told.get("orders"), _line),
        )
    ]


def _time(node: Node) -> datetime | None:
    return node.local(ZONE) if node and node.value != "" else None


def _customer(node: Node) -> Customer:
    if not node:
        return Customer()
    return Customer(
        external_id=node.get("yz_open_id").key_or_none() or node.get("buyer_id").key_or_none(),
        phone=node.get("buyer_phone").text_or_none(),
    )


def _line(node: Node) -> Line:
    amount = parts.amount(node.get("total_fee"), "CNY")
    paid = node.get("payment")
    return Line(
        external_id=node.get("oid").key(),
        title=node.get("title").text_or_none() or "",
        quantity=node.get("num").count(),
        amount=amount,
        discount=max(0, amount - parts.amount(paid, "CNY")) if paid else 0,
        product_external_id=node.get("item_id").key_or_none(),
        variant_external_id=node.get("sku_id").key_or_none(),
        sku=node.get("outer_sku_id").text_or_none(),
    )


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=delivery,
    topic=topic,
    plain=plain,
    thanks=b'{"code":0,"msg":"success"}',
)
