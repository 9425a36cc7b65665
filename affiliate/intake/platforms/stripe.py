"""Stripe: Checkout, Payment Links and subscriptions; refunds and disputes.

Facts: stripe-python 16.1 (signature), the API reference of 2026-11. Events are snapshots in no
order and do not name the codes and lines of a sale, so each is a hint: what it is about is fetched
whole, the sale with all its refunds and disputes, and the time of the fetch is the version.
"""

import hmac
from collections.abc import Iterator, Sequence
from typing import Any

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Api, Ask, Client, Page, Window
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform
from affiliate.intake.platforms.standard import recent
from affiliate.intake.reading import Node
from affiliate.money import exponent
from affiliate.orders.facts import Customer, Dispute, Line, Order, Refund
from affiliate.orders.models import Status

# Exponents where Stripe's amounts are not ISO's minor units (docs/currencies, 2026-11).
DIGITS = {"MGA": 0, "ISK": 2, "UGX": 2}
PAID = {"paid": True, "no_payment_required": True, "unpaid": False}
# Statuses of a refund and of a dispute, API reference 2026-11.
REFUNDS = {
    "succeeded": "succeeded",
    "pending": "pending",
    "requires_action": "pending",
    "failed": "failed",
    "canceled": "failed",
}
DISPUTES = {
    "needs_response": "open",
    "under_review": "open",
    "warning_needs_response": "open",
    "warning_under_review": "open",
    "warning_closed": "won",
    "prevented": "won",
    "won": "won",
    "lost": "lost",
}
TOPICS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
    "invoice.paid",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
)
DOCUMENT = "tuike.sale"
PREFIX = "tk_"  # of a `client_reference_id` that is ours
PAGE = 100


def sign(secret: str, timestamp: int, body: bytes) -> str:
    content = b"%d.%s" % (timestamp, body)
    return hmac.digest(secret.encode(), content, "sha256").hex()


def signed(keys: Keys, knock: Knock) -> bool:
    told = [each.partition("=") for each in knock.header("Stripe-Signature").split(",")[:40]]
    timestamp = next((value for name, _, value in told if name.strip() == "t"), "")
    if not recent(timestamp):
        return False
    wanted = [sign(secret, int(timestamp), knock.body).encode() for secret in keys.secrets]
    good = False
    for name, _, value in told:
        if name.strip() == "v1":
            good |= security.any_same(value.strip().encode(), wanted)
    return good


def delivery(knock: Knock) -> str:
    return parts.field(knock.body, "id") or "unreadable"


def topic(knock: Knock) -> str:
    return parts.field(knock.body, "type")[:100]


def order_key(body: Node) -> str:
    if body.get("object").value == DOCUMENT:
        return _id(body)
    return _about(body) or ""


def thin(_keys: Keys, body: Node) -> bool:
    return _about(body) is not None


def _about(body: Node) -> str | None:
    """What an event's sale is looked up by: a payment, an invoice or a session."""
    if body.get("object").value != "event" or body.get("type").value not in TOPICS:
        return None
    told = body.get("data").get("object")
    if told.get("object").value == "payment_intent":
        return told.get("id").key()
    for name in ("payment_intent", "invoice", "charge", "id"):
        if told.get(name):
            return told.get(name).key()
    raise told.get("id").refuse("missing", "this field is needed")


# --- reading what was fetched ------------------------------------------------------------------


def read(body: Node) -> Sequence[Order]:
    if body.get("object").value != DOCUMENT:
        return []
    sale = body.get(_kind(body))
    currency = _currency(sale)
    paid = _is_paid(body)
    placed = sale.get("created").seconds()
    return [
        Order(
            external_id=_id(body),
            version=body.get("fetched_at").version(),
            number=sale.get("number").text_or_none() if _kind(body) == "invoice" else None,
            status=Status.PAID if paid else Status.PENDING_PAYMENT,
            test=not sale.get("livemode").flag(default=True),
            renewal=sale.get("billing_reason").value == "subscription_cycle",
            currency=currency,
            tax_included=False,
            placed_at=placed,
            paid_at=_paid_at(body) or placed if paid else None,
            customer=_customer(sale),
            tokens=tuple(_tokens(body)),
            coupons=tuple(_coupons(sale)),
            shipping=_shipping(sale, currency),
            total=_minor(sale.get(_TOTAL[_kind(body)]), currency),
            lines=_lines(sale, _kind(body), currency),
            refunds=tuple(_refund(each, currency) for each in body.get("refunds").items()),
            refunds_complete=True,
            disputes=tuple(_dispute(each, currency) for each in body.get("disputes").items()),
        )
    ]


_TOTAL = {"session": "amount_total", "invoice": "total", "intent": "amount"}


def _kind(body: Node) -> str:
    """An invoice names its lines best, then a session; a bare payment has only a sum."""
    return next(
        kind for kind in ("invoice", "session", "intent") if body.get(kind) or kind == "intent"
    )


def _id(body: Node) -> str:
    """Of a subscription its invoices are the orders; else the payment is, or a session without."""
    invoice, session = body.get("invoice"), body.get("session")
    if invoice:
        return invoice.get("id").key()
    if body.get("intent"):
        return body.get("intent").get("id").key()
    return session.get("payment_intent").key_or_none() or session.get("id").key()


def _currency(sale: Node) -> str:
    node = sale.get("currency")
    return Node(node.text().upper(), sale, "currency").currency()


def _minor(node: Node, currency: str) -> int:
    """Stripe counts a few currencies in other units than ISO does."""
    found = node.minor()
    apart = exponent(currency) - DIGITS.get(currency, exponent(currency))
    whole, rest = divmod(found * 10 ** max(0, apart), 10 ** max(0, -apart))
    if rest:
        raise node.refuse("too_many_decimals", f"{currency} has no parts that small")
    return int(whole)


def _is_paid(body: Node) -> bool:
    session, invoice, intent = (body.get(name) for name in ("session", "invoice", "intent"))
    if invoice:
        return invoice.get("status").text() == "paid"
    if session:
        return parts.one_of(session.get("payment_status"), PAID)
    return intent.get("status").text() == "succeeded"


def _paid_at(body: Node):  # type: ignore[no-untyped-def]
    """When the money came: of the payment that succeeded, if it can be told."""
    charge = body.get("charge")
    if charge:
        return charge.get("created").seconds()
    at = body.get("invoice").get("status_transitions") if body.get("invoice") else Node(None)
    return at.get("paid_at").seconds_or_none() if at else None


def _customer(sale: Node) -> Customer:
    details = sale.get("customer_details")
    known = details if details else Node({}, sale, "customer_details")
    person = sale.get("customer")
    return Customer(
        external_id=person.key_or_none() if not isinstance(person.value, dict) else None,
        email=known.get("email").text_or_none() or sale.get("customer_email").text_or_none(),
        phone=known.get("phone").text_or_none(),
    )


def _tokens(body: Node) -> Iterator[str]:
    for kind in ("session", "invoice", "intent"):
        sale = body.get(kind)
        if not sale:
            continue
        reference = sale.get("client_reference_id")
        if isinstance(reference.value, str) and reference.value.startswith(PREFIX):
            yield reference.text().removeprefix(PREFIX)
        told = sale.get("metadata")
        if told and isinstance(told.get("tk").value, str):
            yield told.get("tk").text()


def _coupons(sale: Node) -> Iterator[str]:
    for each in sale.get("discounts").items():
        code = each.get("promotion_code") if isinstance(each.value, dict) else Node(None)
        if isinstance(code.value, dict):
            yield code.get("code").text()


def _shipping(sale: Node, currency: str) -> int:
    for name, field in (("total_details", "amount_shipping"), ("shipping_cost", "amount_total")):
        if sale.get(name) and sale.get(name).get(field):
            return _minor(sale.get(name).get(field), currency)
    return 0


def _lines(sale: Node, kind: str, currency: str) -> tuple[Line, ...]:
    """The lines if they are told; else one, of the total without tax and shipping."""
    told = sale.get("lines" if kind == "invoice" else "line_items")
    if told and list(told.get("data").items()):
        return parts.distinct(told.get("data"), lambda node: _line(node, kind, currency))
    goods = _minor(sale.get(_TOTAL[kind]), currency) - _shipping(sale, currency)
    details = sale.get("total_details")
    tax = (
        _minor(details.get("amount_tax"), currency) if details and details.get("amount_tax") else 0
    )
    return (Line("_total", "", 1, max(0, goods - tax)),)


def _line(node: Node, kind: str, currency: str) -> Line:
    """`amount_total` is after discounts and with tax, whether that was on top or inside."""
    price = node.get("price")
    known = price if price else Node({}, node, "price")
    quantity = node.get("quantity").whole() if node.get("quantity") else 1
    title = node.get("description").text_or_none() or ""
    product = known.get("product").key_or_none()
    if kind == "invoice":
        amount = max(0, node.get("amount").minor(signed=True))
        taken = [each.get("amount") for each in node.get("discount_amounts").items()]
        return Line(
            node.get("id").key(), title, quantity,
            _minor(Node(amount, node, "amount"), currency),
            discount=min(amount, sum(_minor(each, currency) for each in taken)),
            product_external_id=product,
            variant_external_id=known.get("id").key_or_none(),
        )  # fmt: skip
    tax = _minor(node.get("amount_tax"), currency)
    discount = _minor(node.get("amount_discount"), currency)
    total = _minor(node.get("amount_total"), currency)
    return Line(
        node.get("id").key(), title, quantity,
        total - tax + discount,
        discount=discount,
        tax=tax,
        product_external_id=product,
        variant_external_id=known.get("id").key_or_none(),
    )  # fmt: skip


def _refund(node: Node, currency: str) -> Refund:
    return Refund(
        external_id=node.get("id").key(),
        status=parts.one_of(node.get("status"), REFUNDS),
        amount=_minor(node.get("amount"), currency),
        at=node.get("created").seconds_or_none(),
    )


def _dispute(node: Node, currency: str) -> Dispute:
    return Dispute(
        external_id=node.get("id").key(),
        status=parts.one_of(node.get("status"), DISPUTES),
        amount=_minor(node.get("amount"), currency),
        at=node.get("created").seconds_or_none(),
    )


# --- its API -----------------------------------------------------------------------------------


def _prove(keys: Keys, _token: str, ask: Ask) -> None:
    ask.headers["Authorization"] = f"Bearer {keys.get('api_token')}"


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    told = body.get("data").get("object")
    kind = told.get("object").text()
    began = int(clock.now().timestamp() * 1_000_000)
    sale: dict[str, Any] = {"object": DOCUMENT, "fetched_at": began}
    if kind == "checkout.session":
        sale["session"] = _session(client, told.get("id").key())
    elif kind == "invoice":
        sale["invoice"] = _one(client, f"/v1/invoices/{told.get('id').key()}")
    payment = _payment(client, told, sale)
    if payment:
        _add_payment(client, sale, payment)
    return [reading.dump(sale)] if len(sale) > 2 else []


def _payment(client: Client, told: Node, sale: dict[str, Any]) -> str | None:
    """The payment intent behind what an event is about."""
    kind = told.get("object").text()
    if kind == "payment_intent":
        return told.get("id").key()
    if kind in ("charge", "refund", "dispute"):
        if told.get("payment_intent"):
            return told.get("payment_intent").key()
        charge = told.get("id" if kind == "charge" else "charge").key()
        return _text(_one(client, f"/v1/charges/{charge}").get("payment_intent"))
    if invoice := sale.get("invoice") or _invoice_of(client, sale.get("session")):
        sale["invoice"] = invoice
        return _text(invoice.get("payment_intent")) or _payment_of(client, invoice["id"])
    return _text(sale["session"].get("payment_intent"))


def _add_payment(client: Client, sale: dict[str, Any], payment: str) -> None:
    """The sale that a payment is for, and all that was given back or is fought over."""
    by_payment = {"payment_intent": payment}
    intent = _one(client, f"/v1/payment_intents/{payment}", {"expand[]": "latest_charge"})
    sale["charge"] = _dict(intent.get("latest_charge"))
    if "session" not in sale and "invoice" not in sale:
        found = _all(client, "/v1/checkout/sessions", by_payment)
        if found:
            sale["session"] = _session(client, found[0]["id"])
        elif invoice := _text(intent.get("invoice")) or _invoice_paid_by(client, payment):
            sale["invoice"] = _one(client, f"/v1/invoices/{invoice}")
        else:
            sale["intent"] = intent
    sale["refunds"] = _all(client, "/v1/refunds", by_payment)
    sale["disputes"] = _all(client, "/v1/disputes", by_payment)


def _session(client: Client, session: str) -> dict[str, Any]:
    path = f"/v1/checkout/sessions/{session}"
    found = _one(client, path, {"expand[]": "discounts.promotion_code"})
    return found | {"line_items": {"data": _all(client, f"{path}/line_items", {})}}


def _invoice_of(client: Client, session: dict[str, Any] | None) -> dict[str, Any] | None:
    invoice = _text(session.get("invoice")) if session else None
    return _one(client, f"/v1/invoices/{invoice}") if invoice else None


def _payment_of(client: Client, invoice: str) -> str | None:
    """Since 2025 an invoice does not name its payment; a list of payments does."""
    for each in _all(client, "/v1/invoice_payments", {"invoice": invoice}):
        if payment := _text((_dict(each.get("payment")) or {}).get("payment_intent")):
            return payment
    return None


def _invoice_paid_by(client: Client, payment: str) -> str | None:
    given = {"payment[type]": "payment_intent", "payment[payment_intent]": payment}
    for each in _all(client, "/v1/invoice_payments", given):
        return _text(each.get("invoice"))
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _dict(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _one(client: Client, path: str, query: dict[str, object] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = client.get(path, query).body.value
    return found


def _all(client: Client, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = {"starting_after": found[-1]["id"]} if found else {}
        page = _one(client, path, {**query, **after, "limit": PAGE})
        found += page["data"]
        if not page.get("has_more") or not page["data"]:
            return found


def pull(client: Client, window: Window, cursor: str) -> Page:
    """Events of the window, newest first; each sale they are about is fetched once a page."""
    given: dict[str, object] = {
        "created[gte]": int(window.since.timestamp()),
        "created[lte]": int(window.until.timestamp()),
        "limit": PAGE,
    }
    if cursor:
        given["starting_after"] = cursor
    answer = client.get("/v1/events", given).body
    bodies: dict[str, bytes] = {}
    last = ""
    for event in answer.get("data").items():
        last = event.get("id").key()
        about = _about(event)
        if about is not None and about not in bodies:
            for body in fetch(client, event):
                bodies[about] = body
    more = answer.get("has_more").flag() and last
    return Page(list(bodies.values()), last if more else "")


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=delivery,
    topic=topic,
    thin=thin,
    dated_by_us=True,
    api=Api(base=lambda _: "https://api.stripe.com", prove=_prove),
    fetch=fetch,
    pull=pull,
)
