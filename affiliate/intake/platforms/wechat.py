"""微信小店: enciphered messages that name an order, which is then fetched.

Facts: developers.weixin.qq.com/doc/store/shop; checked against the vectors of SKIT, wechatpy and
WxJava. SHA-1 over the sorted token, timestamp, nonce and cipher text; AES-256-CBC with a key that
is its own IV. The carrier is the platform's own sharer. Amounts are fen.
"""

import base64
import binascii
import hashlib
import os
import xml.parsers.expat
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Answer, Api, Ask, Client, Refused, Token
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform
from affiliate.intake.reading import Node, Unreadable
from affiliate.orders.facts import Customer, Line, Order, Refund, RefundLine
from affiliate.orders.models import Status

# Order statuses of /channels/ec/order/get, docs of 2026-11.
STATUSES = {
    "10": Status.PENDING_PAYMENT,  # 待付款
    "12": Status.PAID,  # 礼物待收下
    "13": Status.PENDING_PAYMENT,  # 凑单买凑团中
    "20": Status.PAID,  # 待发货
    "21": Status.PAID,  # 部分发货
    "30": Status.FULFILLED,  # 待收货
    "100": Status.DELIVERED,  # 完成
    "200": Status.CANCELLED,  # 全部商品售后之后，订单取消
    "250": Status.EXPIRED,  # 未付款用户主动取消或超时未付款订单自动取消
}
# Statuses of an after-sale order, docs of 2026-11.
AFTERSALES = {
    "MERCHANT_REFUND_SUCCESS": "succeeded",
    "MERCHANT_RETURN_SUCCESS": "succeeded",
    "USER_CANCELD": "failed",
    "MERCHANT_REJECT_REFUND": "failed",
    "MERCHANT_REJECT_RETURN": "failed",
    "MERCHANT_OVERDUE_REFUND": "pending",
    "MERCHANT_PROCESSING": "pending",
    "USER_WAIT_RETURN": "pending",
    "USER_WAIT_CONFIRM": "pending",
    "USER_WAIT_CONFIRM_UPDATE": "pending",
    "USER_WAIT_HANDLE_MERCHANT_AFTER_SALE": "pending",
    "WAIT_PACKAGE_INTERCEPT": "pending",
    "PLATFORM_REFUNDING": "pending",
    "PLATFORM_REFUND_FAIL": "pending",
    "MERCHANT_WAIT_RECEIPT": "pending",
    "MERCHANT_EXCHANGE_SUCCESS": "failed",
}
STALE = {40001, 40014, 42001}
BUSY = {-1, 45009, 45011}
NOT_THERE = {100002, 10020050, 10020052}
LARGEST_XML = 64 * 1024


def sign(token: str, *told: str) -> str:
    return hashlib.sha1("".join(sorted([token, *told])).encode()).hexdigest()  # noqa: S324 (theirs)


def signed(keys: Keys, knock: Knock) -> bool:
    cipher_text = _cipher_text(knock.body)
    return bool(cipher_text) and _is_signed(keys, knock, "msg_signature", cipher_text)


def _is_signed(keys: Keys, knock: Knock, name: str, *told: str) -> bool:
    given = knock.query.get(name, "").encode()
    told = (knock.query.get("timestamp", ""), knock.query.get("nonce", ""), *told)
    return security.any_same(given, (sign(token, *told).encode() for token in keys.secrets))


def greet(keys: Keys, knock: Knock) -> bytes | None:
    """The check of the address: what was sent is sent back, deciphered if it was enciphered."""
    echo = knock.query.get("echostr", "")
    if not echo or knock.body:
        return None
    if "msg_signature" in knock.query:
        good = _is_signed(keys, knock, "msg_signature", echo)
        return deciphered(keys, echo) if good else None
    return echo.encode() if _is_signed(keys, knock, "signature") else None


def plain(keys: Keys, knock: Knock) -> bytes:
    """The message as JSON; what cannot be opened is kept as it came."""
    message = deciphered(keys, _cipher_text(knock.body))
    if message is None:
        return knock.body
    if not message.lstrip().startswith(b"<"):
        return message
    try:
        return reading.dump(_xml(message))
    except Unreadable:
        return message


def deciphered(keys: Keys, cipher_text: str) -> bytes | None:
    for key in keys.each("aes_key"):
        message = _deciphered(key, keys.get("app_id"), cipher_text)
        if message is not None:
            return message
    return None


def _deciphered(key: str, app_id: str, cipher_text: str) -> bytes | None:
    """16 random bytes, the length, the message, and the app it is for."""
    try:
        raw_key, raw = base64.b64decode(f"{key}="), base64.b64decode(cipher_text)
        opening = Cipher(AES(raw_key), CBC(raw_key[:16])).decryptor()
        clear = opening.update(raw) + opening.finalize()
    except (binascii.Error, ValueError):
        return None
    clear = clear[: -clear[-1]] if clear and 1 <= clear[-1] <= 32 else b""
    size = int.from_bytes(clear[16:20], "big")
    message, receiver = clear[20 : 20 + size], clear[20 + size :]
    return message if receiver == app_id.encode() else None


def enciphered(key: str, app_id: str, message: bytes, salt: bytes | None = None) -> str:
    """The reverse, as the platform does it."""
    raw_key = base64.b64decode(f"{key}=")
    clear = (salt or os.urandom(16)) + len(message).to_bytes(4, "big") + message + app_id.encode()
    padding = 32 - len(clear) % 32
    closing = Cipher(AES(raw_key), CBC(raw_key[:16])).encryptor()
    closed = closing.update(clear + bytes([padding]) * padding) + closing.finalize()
    return base64.b64encode(closed).decode()


def _cipher_text(body: bytes) -> str:
    try:
        told = _xml(body) if body.lstrip().startswith(b"<") else reading.load(body).value
    except Unreadable:
        return ""
    found = told.get("Encrypt") if isinstance(told, dict) else None
    return found if isinstance(found, str) else ""


def _xml(body: bytes) -> dict[str, Any]:
    """A small document as a dict. Document types, and so entities and bombs, are refused."""
    if len(body) > LARGEST_XML:
        raise Unreadable("too_large", "", "an XML message of more than 64 kB")
    tree: list[dict[str, Any]] = [{}]
    texts = [""]

    def start(_name: str, _attributes: dict[str, str]) -> None:
        if len(tree) > 20:
            raise Unreadable("not_xml", "", "an XML message nested too deeply")
        tree.append({})
        texts.append("")

    def end(name: str) -> None:
        children, text = tree.pop(), texts.pop()
        tree[-1][name] = children or text.strip()

    def text(data: str) -> None:
        texts[-1] += data

    def refuse(*_: object) -> None:
        raise Unreadable("not_xml", "", "a document type is not allowed")

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    try:
        parser.Parse(body, True)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        raise Unreadable("not_xml", "", f"the message is not XML: {error}") from None
    found = tree[0].get("xml")
    return found if isinstance(found, dict) else {}


def delivery(knock: Knock) -> str:
    """A push is repeated with other random bytes, but it says the same."""
    about = [parts.field(knock.body, name) for name in ("Event", "CreateTime")]
    order = (
        parts.field(knock.body, "order_info", "order_id") or hashlib.sha256(knock.body).hexdigest()
    )
    return ":".join([*about, order])


def topic(knock: Knock) -> str:
    return parts.field(knock.body, "Event")[:100]


def order_key(body: Node) -> str:
    if _is_order(body):
        return body.get("order").get("order_id").key()
    for name in ("order_info", "finder_shop_aftersale_status_update"):
        if body.get(name) and body.get(name).get("order_id"):
            return body.get(name).get("order_id").key()
    return ""


def thin(_keys: Keys, body: Node) -> bool:
    event = body.get("Event").value
    return isinstance(event, str) and event.startswith("channels_ec_")


def _is_order(body: Node) -> bool:
    return bool(body.get("order"))


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body):
        return []
    told = body.get("order")
    detail = told.get("order_detail")
    status = parts.one_of(told.get("status"), STATUSES)
    changed = told.get("update_time").seconds()
    prices = detail.get("price_info")
    delivery_info = detail.get("delivery_info")
    lines = parts.distinct(detail.get("product_infos"), _line)
    paid = detail.get("pay_info").get("pay_time") if detail.get("pay_info") else Node(None)
    ended = status in (Status.CANCELLED, Status.EXPIRED)
    return [
        Order(
            external_id=told.get("order_id").key(),
            version=parts.version(changed),
            status=status,
            currency="CNY",
            tax_included=True,  # prices are what the buyer pays; no tax is told
            placed_at=told.get("create_time").seconds(),
            paid_at=paid.seconds_or_none(),
            fulfilled_at=_sent_at(delivery_info),
            delivered_at=changed if status is Status.DELIVERED else None,
            cancelled_at=changed if ended else None,
            refunded_fully=told.get("status").key() == "200",
            customer=Customer(external_id=told.get("openid").key_or_none()),
            sharers=tuple(dict.fromkeys(_sharers(detail))),
            discount=_discount(detail, lines),
            shipping=parts.fen(prices.get("freight")),
            total=parts.fen(prices.get("order_price")),
            lines=lines,
            refunds=tuple(_refund(each) for each in body.get("aftersales").items()),
            refunds_complete=True,
        )
    ]


def _sent_at(node: Node) -> datetime | None:
    return node.get("ship_done_time").seconds_or_none() if node else None


def _line(node: Node) -> Line:
    quantity = node.get("sku_cnt").whole()
    amount = node.get("sale_price").minor() * quantity
    paid = node.get("real_price")
    if amount > 9 * 10**12:
        raise node.get("sale_price").refuse("amount_out_of_range", "quantity × price is too much")
    return Line(
        external_id=node.get("sku_id").key(),
        title=node.get("title").text_or_none() or "",
        quantity=quantity,
        amount=amount,
        discount=max(0, amount - paid.minor()) if paid else 0,
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=node.get("sku_id").key(),
        sku=node.get("sku_code").key_or_none(),
    )


def _discount(detail: Node, lines: Sequence[Line]) -> int:
    """Of the whole order, where the lines do not tell what was paid for each."""
    told = parts.fen(detail.get("price_info").get("discounted_price"))
    return max(0, told - sum(line.discount for line in lines))


def _sharers(detail: Node) -> Iterator[str]:
    """Who shared it, of the order and of its lines; then the channel it was sold in."""
    shared = [detail.get("sharer_info"), *detail.get("sku_sharer_infos").items()]
    for each in shared:
        if each and (found := each.get("sharer_openid").key_or_none()):
            yield found
    channel = detail.get("ext_info")
    if channel and (found := channel.get("finder_id").key_or_none()):
        yield found


def _refund(node: Node) -> Refund:
    told = node.get("product_info")
    amount = node.get("refund_info").get("amount").minor()
    line = told.get("sku_id").key_or_none() if told else None
    count = told.get("count").whole() if told and told.get("count") else None
    return Refund(
        external_id=node.get("after_sale_order_id").key(),
        status=parts.one_of(node.get("status"), AFTERSALES),
        amount=amount,
        lines=(RefundLine(line, count, amount),) if line else (),
        at=node.get("update_time").seconds_or_none(),
    )


# --- its API -----------------------------------------------------------------------------------


def _prove(_keys: Keys, token: str, ask: Ask) -> None:
    ask.query["access_token"] = token


def _code(answer: Answer) -> int:
    """Errors come with a good status, and a code inside."""
    code = answer.body.get("errcode").value if isinstance(answer.body.value, dict) else 0
    return code if isinstance(code, int) else 0


def renew(client: Client, old: Token | None) -> Token:
    given = {
        "grant_type": "client_credential",
        "appid": client.keys.get("app_id"),
        "secret": client.keys.get("app_secret"),
    }
    headers = {"Content-Type": "application/json"}
    answer = client.for_token(
        Ask("POST", "/cgi-bin/stable_token", {}, headers, reading.dump(given))
    )
    if not answer.body.get("access_token"):
        raise Refused("consent_lost", f"no access token: error {_code(answer)}")
    until = clock.now() + timedelta(seconds=answer.body.get("expires_in").whole())
    return Token(answer.body.get("access_token").text(), "", until)


def _asked(client: Client, path: str, given: dict[str, str]) -> Node:
    answer = client.post(path, given)
    if code := _code(answer):
        kind = "not_found" if code in NOT_THERE else "refused"
        raise Refused(kind, f"error {code} at {path}")
    return answer.body


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    order = _asked(client, "/channels/ec/order/get", {"order_id": order_key(body)})
    detail = order.get("order").get("aftersale_detail")
    listed = detail.get("aftersale_order_list") if detail else Node(None)
    aftersales = [
        _asked(
            client,
            "/channels/ec/aftersale/getaftersaleorder",
            {"after_sale_order_id": each.get("aftersale_order_id").key()},
        )
        .get("after_sale_order")
        .value
        for each in listed.items()
    ]
    return [reading.dump({"order": order.get("order").value, "aftersales": aftersales})]


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=delivery,
    topic=topic,
    plain=plain,
    greet=greet,
    thanks=b"success",
    thin=thin,
    api=Api(
        base=lambda _: "https://api.weixin.qq.com",
        prove=_prove,
        renew=renew,
        uses_tokens=True,
        is_stale=lambda answer: _code(answer) in STALE,
        is_busy=lambda answer: answer.status >= 500 or _code(answer) in BUSY,
    ),
    fetch=fetch,
)
