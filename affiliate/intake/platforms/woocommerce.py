"""WooCommerce: full orders by webhook, signed over the raw body; refunds in detail by its API.

Facts: woocommerce/woocommerce `class-wc-webhook.php` (11.1) and the REST API wc/v3. A webhook is
tried once and never again, so the pull is what makes sure. Only the body is signed; the delivery id
is a hash of the second, so the content is the delivery.
"""

import base64
import hmac
import html
import re
from collections.abc import Iterator, Sequence

from affiliate import security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Api, Ask, Client, Page, Refused, Window
from affiliate.intake.catalogue.woocommerce import CATALOGUE
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.carriers import NAMES, group, tokens_in_url
from affiliate.intake.platforms.interface import Knock, Platform
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Line, Note, Order, Refund, RefundLine
from affiliate.orders.models import Status

# Order statuses of WooCommerce 11.1 (2026-11). Plug-ins add their own: those are put aside.
STATUSES = {
    "pending": Status.PENDING_PAYMENT,
    "on-hold": Status.PENDING_PAYMENT,
    "processing": Status.PAID,
    "completed": Status.FULFILLED,
    "refunded": Status.CANCELLED,
    "cancelled": Status.CANCELLED,
    "trash": Status.CANCELLED,
    "failed": Status.EXPIRED,
}
DRAFTS = {"checkout-draft", "auto-draft", "draft", "new"}  # a cart that became no order yet
PING = re.compile(rb"webhook_id=\d{1,20}")
PAGE = 100


def sign(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def signed(keys: Keys, knock: Knock) -> bool:
    """WordPress may keep `&` of a secret as `&amp;`; it signs with what was typed."""
    given = knock.header("X-WC-Webhook-Signature").encode()
    secrets = [form for secret in keys.secrets for form in (secret, html.unescape(secret))]
    return security.any_same(given, (sign(each, knock.body).encode() for each in secrets))


def greet(_keys: Keys, knock: Knock) -> bytes | None:
    """When a webhook is made, WooCommerce asks without a signature whether somebody is there."""
    return b'{"ok":true}\n' if PING.fullmatch(knock.body) else None


def topic(knock: Knock) -> str:
    return knock.header("X-WC-Webhook-Topic")[:100]


def order_key(body: Node) -> str:
    return body.get("id").key() if _is_order(body) or _is_only_an_id(body) else ""


def thin(keys: Keys, body: Node) -> bool:
    """A deleted order is only an id, and refunds only sums: with keys we ask for the rest."""
    return keys.has(("consumer_key", "consumer_secret")) and (
        _is_only_an_id(body) or any(True for _ in body.get("refunds").items())
    )


def _is_order(body: Node) -> bool:
    return bool(body.get("line_items")) and bool(body.get("order_key"))


def _is_only_an_id(body: Node) -> bool:
    return set(body.value) == {"id"}


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body) or body.get("status").text() in DRAFTS:
        return []
    return [_order(body)]


def _order(body: Node) -> Order:
    currency = body.get("currency").currency()
    status = parts.one_of(body.get("status"), STATUSES)
    changed = body.get("date_modified_gmt").utc()
    completed = body.get("date_completed_gmt").utc_or_none()
    paid = body.get("date_paid_gmt").utc_or_none()
    fees = tuple(_fees(body, currency))
    return Order(
        external_id=body.get("id").key(),
        version=parts.version(changed),
        number=body.get("number").key_or_none(),
        status=status,
        renewal=any(key == "_subscription_renewal" for key, _ in _meta(body)),
        currency=currency,
        placed_at=body.get("date_created_gmt").utc(),
        # Paid by hand (a bank transfer, at the door) it has no payment date, only its end.
        paid_at=paid or (completed if status is Status.FULFILLED else None),
        fulfilled_at=completed,
        cancelled_at=changed if status is Status.CANCELLED else None,
        refunded_fully=body.get("status").text() == "refunded",
        customer=_customer(body),
        tokens=tuple(_tokens(body)),
        group_id=group(
            (key, value.value) for node in _carriers(body) for key, value in _meta(node)
        ),
        coupons=tuple(each.get("code").text() for each in body.get("coupon_lines").items()),
        discount=sum(-fee for fee in fees if fee < 0),
        shipping=_money(body.get("shipping_total"), currency),
        total=_money(body.get("total"), currency),
        lines=_lines(body, currency),
        refunds=tuple(_refund(each, currency) for each in body.get("refunds").items()),
        refunds_complete=True,
        notes=_notes(body, currency),
    )


def _customer(body: Node) -> Customer:
    person = body.get("billing")
    known = person if person else Node({}, body, "billing")
    return Customer(
        external_id=body.get("customer_id").key_or_none()
        if body.get("customer_id").value
        else None,
        email=known.get("email").text_or_none(),
        phone=known.get("phone").text_or_none(),
    )


def _meta(node: Node) -> Iterator[tuple[object, Node]]:
    for pair in node.get("meta_data").items():
        yield pair.get("key").value, pair.get("value")


def _carriers(body: Node) -> Iterator[Node]:
    yield body
    yield from body.get("line_items").items()


def _tokens(body: Node) -> Iterator[str]:
    """Our own fields of the order and its lines, then the page where the visit began."""
    for node in _carriers(body):
        for key, value in _meta(node):
            # Plug-ins write anything here; only a text in our field is ours.
            if key in NAMES and isinstance(value.value, str):
                yield value.text()
    for key, value in _meta(body):
        if key == "_wc_order_attribution_session_entry" and isinstance(value.value, str):
            yield from tokens_in_url(value.text())


def _money(node: Node, currency: str) -> int:
    return node.money(currency, numbers=True)


def _line(node: Node, currency: str) -> Line:
    """Subtotals are before coupons and totals after them, both without tax whatever is shown."""
    before, after = (_money(node.get(name), currency) for name in ("subtotal", "total"))
    variation = node.get("variation_id")
    return Line(
        external_id=node.get("id").key(),
        title=node.get("name").text_or_none() or "",
        quantity=node.get("quantity").whole(),
        amount=max(before, after),
        discount=max(0, before - after),
        tax=parts.amount(node.get("total_tax"), currency),
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=variation.key_or_none() if variation.value else None,
        sku=node.get("sku").text_or_none(),
    )


def _fee_line(node: Node, currency: str) -> Line:
    amount = node.get("total").money(currency, numbers=True, signed=True)
    title = node.get("name").text_or_none() or ""
    return Line(f"fee-{node.get('id').key()}", title, 1, max(0, amount), kind="fee")


def _lines(body: Node, currency: str) -> tuple[Line, ...]:
    sold = parts.distinct(body.get("line_items"), lambda node: _line(node, currency))
    fees = parts.distinct(body.get("fee_lines"), lambda node: _fee_line(node, currency))
    return sold + tuple(fee for fee in fees if fee.amount)


def _fees(body: Node, currency: str) -> Iterator[int]:
    """A fee below 0 is how shops take something off the whole order."""
    for node in body.get("fee_lines").items():
        yield node.get("total").money(currency, numbers=True, signed=True)


def _refund(node: Node, currency: str) -> Refund:
    """As in an order, only a sum below 0; or as in the list of refunds, with its lines."""
    told = node.get("amount")
    if not told:
        total = node.get("total").money(currency, numbers=True, signed=True)
        return Refund(external_id=node.get("id").key(), amount=abs(total))
    lines = [_refund_line(each, currency) for each in node.get("line_items").items()]
    return Refund(
        external_id=node.get("id").key(),
        amount=_money(told, currency),
        shipping=sum(
            _given_back(each, name, currency)
            for each in node.get("shipping_lines").items()
            for name in ("total", "total_tax")
        ),
        lines=tuple(line for line in lines if line is not None),
        at=node.get("date_created_gmt").utc_or_none(),
    )


def _refund_line(node: Node, currency: str) -> RefundLine | None:
    line = next((value for key, value in _meta(node) if key == "_refunded_item_id"), None)
    if line is None:
        return None
    count = node.get("quantity").value
    return RefundLine(
        line=line.key(),
        quantity=abs(count) if isinstance(count, int) else None,
        amount=_given_back(node, "total", currency),
        tax=_given_back(node, "total_tax", currency),
    )


def _given_back(node: Node, name: str, currency: str) -> int:
    told = node.get(name)
    return abs(told.money(currency, numbers=True, signed=True)) if told and told.value else 0


def _notes(body: Node, currency: str) -> tuple[Note, ...]:
    """`total` is kept and never computed with: gift cards and old apps make it something else."""
    lines = [*body.get("line_items").items(), *body.get("fee_lines").items()]
    wanted = _money(body.get("shipping_total"), currency)
    wanted += parts.amount(body.get("total_tax"), currency)
    wanted += sum(each.get("total").money(currency, numbers=True, signed=True) for each in lines)
    total = _money(body.get("total"), currency)
    return () if total == wanted else (("total_mismatch", {"total": total, "computed": wanted}),)


# --- its API -----------------------------------------------------------------------------------


def _prove(keys: Keys, _token: str, ask: Ask) -> None:
    pair = f"{keys.get('consumer_key')}:{keys.get('consumer_secret')}"
    ask.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    path = f"/wp-json/wc/v3/orders/{body.get('id').key()}"
    try:
        order = client.get(path).body.value
    except Refused as refusal:
        if refusal.code == "not_found" and _is_only_an_id(body):
            return []  # it was a coupon's id or a product's, or the order is gone for good
        raise
    if order.get("refunds"):
        refunds = client.get(f"{path}/refunds", {"per_page": PAGE}).body.value
        order = order | {"refunds": refunds}
    return [reading.dump(order)]


def pull(client: Client, window: Window, cursor: str) -> Page:
    page = int(cursor or 1)
    answer = client.get(
        "/wp-json/wc/v3/orders",
        {
            "modified_after": window.since.isoformat(timespec="seconds"),
            "modified_before": window.until.isoformat(timespec="seconds"),
            "dates_are_gmt": "true",
            "orderby": "modified",
            "order": "asc",
            "status": "any",
            "per_page": PAGE,
            "page": page,
        },
    )
    total, pages = (int(answer.headers.get(f"X-WP-Total{name}", 0)) for name in ("", "Pages"))
    bodies = [reading.dump(each.value) for each in answer.body.items()]
    return Page(bodies, str(page + 1) if page < pages else "", total)


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    topic=topic,
    greet=greet,
    thin=thin,
    api=Api(base=lambda keys: f"https://{keys.domain}", prove=_prove),
    fetch=fetch,
    pull=pull,
    catalogue=CATALOGUE,
)
