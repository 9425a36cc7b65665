"""Shopify: full orders and refunds by webhook, signed over the raw body.

Facts: https://shopify.dev/docs/apps/build/webhooks and the REST Admin API's Order and Refund
resources, version 2026-07. Only the body is signed; topic, shop and delivery id are unsigned
headers, so the order's own fields decide and the connection is the one in the URL.
"""

import base64
import hmac
from collections.abc import Iterator, Sequence
from datetime import datetime

from affiliate import security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import BUSY, Answer, Api, Ask, Client, Page, Window, next_cursor
from affiliate.intake.catalogue.shopify import API, CATALOGUE
from affiliate.intake.platforms.carriers import NAMES, group, tokens_in_url
from affiliate.intake.platforms.interface import Knock, Platform, by_content
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Line, Note, Order, Refund, RefundLine, RefundNotice
from affiliate.orders.models import Status

# financial_status, REST Admin API 2026-07. Only these have been paid in full at some time.
PAID = {"paid", "partially_refunded", "refunded"}
UNPAID = {"pending", "authorized", "partially_paid", "voided", "expired"}
PAGE = 250


def sign(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def signed(keys: Keys, knock: Knock, *, brand: str = "Shopify") -> bool:
    # "Events" subscriptions leave out the "X-"; Shopify's own libraries take both.
    given = knock.header(f"X-{brand}-Hmac-Sha256", f"{brand}-Hmac-Sha256").encode()
    return security.any_same(given, (sign(key, knock.body).encode() for key in keys.secrets))


def delivery(knock: Knock) -> str:
    # The ids are unsigned, so they never stand for a body they were not sent with.
    given = knock.header("X-Shopify-Webhook-Id", "Shopify-Webhook-Id")
    return f"{given[:100]}:{by_content(knock)}"


def topic(knock: Knock) -> str:
    return knock.header("X-Shopify-Topic", "Shopify-Topic")[:100]


def order_key(body: Node) -> str:
    if _is_refund(body):
        return body.get("order_id").key()
    return body.get("id").key() if _is_order(body) else ""


def read(body: Node) -> Sequence[Order | RefundNotice]:
    if _is_refund(body):
        return _notice(body)
    return [_order(body)] if _is_order(body) else []


def _is_order(body: Node) -> bool:
    return bool(body.get("line_items")) and bool(body.get("financial_status"))


def _is_refund(body: Node) -> bool:
    return bool(body.get("refund_line_items")) and bool(body.get("order_id"))


def _notice(body: Node) -> Sequence[RefundNotice]:
    currency = _refund_currency(body)
    refund = _refund(body, currency)
    return [RefundNotice(body.get("order_id").key(), currency, refund)]


def _refund_currency(body: Node) -> str:
    """A refund on its own does not name the shop's currency except beside its amounts."""
    for line in body.get("refund_line_items").items():
        sets = (line.get("subtotal_set"), line.get("line_item").get("price_set"))
        for each in sets:
            if each:
                return each.get("shop_money").get("currency_code").currency()
    for each in [*body.get("order_adjustments").items(), *body.get("transactions").items()]:
        amounts = each.get("amount_set")
        if amounts:
            return amounts.get("shop_money").get("currency_code").currency()
    for each in body.get("transactions").items():
        if each.get("currency"):
            return each.get("currency").currency()
    raise body.refuse("no_currency", "this refund names no currency")


def _order(body: Node) -> Order:
    currency = body.get("currency").currency()
    money = body.get("financial_status")
    paid = _is_paid(money)
    fulfilled_at, delivered_at = _fulfilled(body)
    lines = tuple(_lines(body, currency))
    return Order(
        external_id=body.get("id").key(),
        version=_version(body),
        number=body.get("name").text_or_none(),
        status=_status(body, money.text(), paid=paid, delivered=delivered_at is not None),
        test=body.get("test").flag(),
        currency=currency,
        tax_included=body.get("taxes_included").flag(),
        order_tax=_order_tax(body, lines, currency),
        placed_at=body.get("created_at").time(),
        paid_at=_paid_at(body) if paid else None,
        fulfilled_at=fulfilled_at,
        delivered_at=delivered_at,
        cancelled_at=body.get("cancelled_at").time_or_none(),
        refunded_fully=money.text() == "refunded",
        customer=_customer(body),
        tokens=tuple(_tokens(body)),
        group_id=_group(body),
        coupons=tuple(
            each.get("code").text()
            for each in body.get("discount_codes").items()
            if each.get("code")
        ),
        discount=_order_discount(body, lines, currency),
        shipping=sum(
            _amount(each, "discounted_price", currency)
            for each in body.get("shipping_lines").items()
        ),
        total=_amount(body, "total_price", currency),
        lines=lines,
        refunds=tuple(_refund(each, currency) for each in body.get("refunds").items()),
        notes=_notes(body),
        checkout=_checkout(body),
    )


def _version(body: Node) -> int:
    """Microseconds of `updated_at`, which Shopify moves on with every change."""
    at = body.get("updated_at") or body.get("created_at")
    return int(at.time().timestamp() * 1_000_000)


def _is_paid(node: Node) -> bool:
    status = node.text()
    if status not in PAID | UNPAID:
        raise node.refuse("unknown_status", f"{status[:40]!r} is no financial status we know")
    return status in PAID


def _paid_at(body: Node) -> datetime:
    """The first successful sale if the body tells its transactions, else `processed_at`."""
    sales = [
        each.get("processed_at").time()
        for each in body.get("transactions").items()
        if each.get("kind").text_or_none() in ("sale", "capture")
        and each.get("status").text_or_none() == "success"
        and each.get("processed_at")
    ]
    if sales:
        return min(sales)
    at = body.get("processed_at")
    return at.time() if at else body.get("created_at").time()


def _status(body: Node, money: str, *, paid: bool, delivered: bool) -> Status:
    if body.get("cancelled_at"):
        return Status.CANCELLED
    if money in ("voided", "expired"):
        return Status.EXPIRED
    if delivered:
        return Status.DELIVERED
    if body.get("fulfillment_status").text_or_none() == "fulfilled":
        return Status.FULFILLED
    return Status.PAID if paid else Status.PENDING_PAYMENT


def _fulfilled(body: Node) -> tuple[datetime | None, datetime | None]:
    """When the whole order was sent, and when the last of its parcels arrived if all have."""
    parcels = [
        each
        for each in body.get("fulfillments").items()
        if each.get("status").text_or_none() == "success"
    ]
    arrived = [
        each.get("updated_at").time()
        for each in parcels
        if each.get("shipment_status").text_or_none() == "delivered"
    ]
    if body.get("fulfillment_status").text_or_none() != "fulfilled":
        return None, None
    sent = [each.get("created_at").time() for each in parcels]
    all_arrived = parcels and len(arrived) == len(parcels)
    return max(sent, default=None), max(arrived) if all_arrived else None


def _customer(body: Node) -> Customer:
    person = body.get("customer")
    known = person if person else Node({}, body, "customer")
    mail = body.get("email").text_or_none() or body.get("contact_email").text_or_none()
    phone = body.get("phone").text_or_none()
    return Customer(
        external_id=known.get("id").key_or_none(),
        email=mail or known.get("email").text_or_none(),
        phone=phone or known.get("phone").text_or_none(),
    )


def _checkout(body: Node) -> str | None:
    """What a web pixel of the checkout calls `checkout.token`."""
    told = body.get("checkout_token").value
    return told if isinstance(told, str) else None


def _tokens(body: Node) -> Iterator[str]:
    """Cart attributes, line properties, then the landing page of the visit."""
    for pair in _attributes(body):
        name, value = pair.get("name").value, pair.get("value").value
        # Buyers and apps write anything here; only a text in our field is ours.
        if name in NAMES and isinstance(value, str):
            yield pair.get("value").text()
    landing = body.get("landing_site")
    if landing:
        yield from tokens_in_url(landing.text())


def _group(body: Node) -> str | None:
    return group((each.get("name").value, each.get("value").value) for each in _attributes(body))


def _attributes(body: Node) -> Iterator[Node]:
    yield from body.get("note_attributes").items()
    for line in body.get("line_items").items():
        yield from line.get("properties").items()


def _money(node: Node, currency: str) -> int:
    return node.money(currency, numbers=True)


def _amount(node: Node, name: str, currency: str) -> int:
    """An amount in the shop's currency: from its `_set` where there is one; missing is 0."""
    both = node.get(f"{name}_set")
    if both and both.get("shop_money"):
        return _money(both.get("shop_money").get("amount"), currency)
    found = node.get(name)
    return _money(found, currency) if found else 0


def _lines(body: Node, currency: str) -> Iterator[Line]:
    seen: set[str] = set()
    for node in body.get("line_items").items():
        line = _line(node, currency)
        if line.external_id in seen:
            raise node.get("id").refuse("duplicate_line", "two lines have this id")
        seen.add(line.external_id)
        yield line


def _line(node: Node, currency: str) -> Line:
    quantity = node.get("quantity").whole()
    amount = _amount(node, "price", currency) * quantity
    if amount > 9 * 10**12:
        raise node.get("price").refuse("amount_out_of_range", "quantity × price is too much")
    return Line(
        external_id=node.get("id").key(),
        title=node.get("title").text_or_none() or node.get("name").text_or_none() or "",
        quantity=quantity,
        amount=amount,
        discount=_line_discount(node, currency),
        tax=_line_tax(node, currency),
        kind=_kind(node),
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=node.get("variant_id").key_or_none(),
        sku=node.get("sku").text_or_none(),
    )


def _kind(node: Node) -> str:
    if node.get("gift_card").flag():
        return "gift_card"
    return "tip" if node.get("tip") else "product"


def _line_discount(node: Node, currency: str) -> int:
    """Allocations are the truth; `total_discount` is often 0.00 beside them."""
    if node.get("discount_allocations"):
        return sum(
            _amount(each, "amount", currency) for each in node.get("discount_allocations").items()
        )
    return _amount(node, "total_discount", currency)


def _line_tax(node: Node, currency: str) -> int | None:
    """None where no tax line tells it: then perhaps the order does."""
    taxes = [_amount(each, "price", currency) for each in node.get("tax_lines").items()]
    return sum(taxes) if taxes else None


def _order_tax(body: Node, lines: Sequence[Line], currency: str) -> int | None:
    """Tax that no line names, less what belongs to shipping; None if the lines tell it."""
    if not body.get("total_tax") or any(line.tax is not None for line in lines):
        return None
    shipping = sum(
        _amount(tax, "price", currency)
        for each in body.get("shipping_lines").items()
        for tax in each.get("tax_lines").items()
    )
    return max(0, _amount(body, "total_tax", currency) - shipping)


def _order_discount(body: Node, lines: Sequence[Line], currency: str) -> int:
    """What is not allocated to lines. Old bodies have no allocations at all."""
    if any(each.get("discount_allocations") for each in body.get("line_items").items()):
        return 0
    return max(0, _amount(body, "total_discounts", currency) - sum(line.discount for line in lines))


def _refund(node: Node, currency: str) -> Refund:
    given_back = [
        each
        for each in node.get("transactions").items()
        if each.get("kind").text_or_none() == "refund"
    ]
    done = [each for each in given_back if each.get("status").text_or_none() == "success"]
    return Refund(
        external_id=node.get("id").key(),
        status=_refund_status(given_back, done),
        amount=_cash(done, currency),
        shipping=_refunded_shipping(node, currency),
        lines=tuple(_refund_line(each, currency) for each in node.get("refund_line_items").items()),
        at=node.get("processed_at").time_or_none() or node.get("created_at").time_or_none(),
    )


def _refund_status(given_back: Sequence[Node], done: Sequence[Node]) -> str:
    """Without transactions (goods returned, an edit that removed them) it is done as told."""
    if not given_back or done:
        return "succeeded"
    waiting = any(each.get("status").text_or_none() == "pending" for each in given_back)
    return "pending" if waiting else "failed"


def _cash(done: Sequence[Node], currency: str) -> int | None:
    """Cash in the shop's currency; not told where a transaction was in another one."""
    amounts = []
    for each in done:
        if not each.get("amount_set") and each.get("currency").text_or_none() != currency:
            return None
        amounts.append(_amount(each, "amount", currency))
    return sum(amounts) if amounts else None


def _refunded_shipping(node: Node, currency: str) -> int:
    adjustments = [
        each
        for each in node.get("order_adjustments").items()
        if each.get("kind").text_or_none() == "shipping_refund"
    ]
    if adjustments:
        return sum(
            -each.get(name).money(currency, numbers=True, signed=True)
            for each in adjustments
            for name in ("amount", "tax_amount")
            if each.get(name)
        )
    return sum(
        _amount(each, "subtotal_amount", currency)
        for each in node.get("refund_shipping_lines").items()
    )


def _refund_line(node: Node, currency: str) -> RefundLine:
    told = node.get("subtotal") or node.get("subtotal_set")
    return RefundLine(
        line=node.get("line_item_id").key(),
        quantity=node.get("quantity").whole(),
        amount=_amount(node, "subtotal", currency) if told else None,
        tax=_amount(node, "total_tax", currency) if told else None,
    )


def _notes(body: Node) -> tuple[Note, ...]:
    presented = body.get("presentment_currency").text_or_none()
    if presented and presented != body.get("currency").text():
        return (("presented_in", {"currency": presented}),)
    return ()


# --- its API -----------------------------------------------------------------------------------


def _prove(keys: Keys, _token: str, ask: Ask) -> None:
    ask.headers["X-Shopify-Access-Token"] = keys.get("api_token")


def _is_busy(answer: Answer) -> bool:
    """GraphQL asks for patience in an answer 200, and has done nothing then."""
    told = answer.body.value
    errors = told.get("errors") if isinstance(told, dict) else None
    return answer.status in BUSY or (
        isinstance(errors, list)
        and any(
            isinstance(each, dict) and each.get("extensions", {}).get("code") == "THROTTLED"
            for each in errors
        )
    )


def pull(client: Client, window: Window, cursor: str) -> Page:
    """Pages follow a cursor of the shop's, so rows that change meanwhile push no other away."""
    given: dict[str, object] = {
        "status": "any",
        "updated_at_min": window.since.isoformat(timespec="seconds"),
        "updated_at_max": window.until.isoformat(timespec="seconds"),
    }
    total = None
    if not cursor:
        total = client.get(f"{API}/orders/count.json", given).body.get("count").whole()
    asked = {"page_info": cursor} if cursor else given | {"order": "updated_at asc"}
    answer = client.get(f"{API}/orders.json", {**asked, "limit": PAGE})
    bodies = [reading.dump(each.value) for each in answer.body.get("orders").items()]
    return Page(bodies, next_cursor(answer), total)


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=delivery,
    topic=topic,
    api=Api(base=lambda keys: f"https://{keys.domain}", prove=_prove, is_busy=_is_busy),
    pull=pull,
    has_checkouts=True,
    catalogue=CATALOGUE,
)
