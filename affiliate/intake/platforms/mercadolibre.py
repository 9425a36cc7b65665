"""Mercado Libre: unsigned notices that name an order; the authenticated fetch is the proof.

Facts: developers.mercadolibre.com, notifications and orders (2026-11). A notice must name the
connected seller and our application, which keeps out noise and proves nothing: what it says is
never believed. The marketplace carries no referral of ours, so orders are kept to reconcile.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Api, Ask, Client, Page, Refused, Token, Window
from affiliate.intake.catalogue.mercadolibre import CATALOGUE
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Dispute, Line, Order, Refund
from affiliate.orders.models import Status

# Order statuses, docs of 2026-11.
STATUSES = {
    "confirmed": Status.PENDING_PAYMENT,
    "payment_required": Status.PENDING_PAYMENT,
    "payment_in_process": Status.PENDING_PAYMENT,
    "partially_paid": Status.PENDING_PAYMENT,
    "paid": Status.PAID,
    "partially_refunded": Status.PAID,
    "pending_cancel": Status.PAID,
    "cancelled": Status.CANCELLED,
    "invalid": Status.CANCELLED,
}
GOOD = {"approved", "refunded", "in_mediation", "charged_back", "partially_refunded"}
BAD = {"pending", "authorized", "in_process", "rejected", "cancelled"}
PAGE = 50


def signed(keys: Keys, knock: Knock) -> bool:
    """No signature exists. Nothing here is secret, and nothing that is told is believed."""
    seller = parts.field(knock.body, "user_id")
    ours = security.same(seller, keys.get("store_id"))
    return ours and security.same(parts.field(knock.body, "application_id"), keys.get("app_id"))


def topic(knock: Knock) -> str:
    return parts.field(knock.body, "topic")[:100]


def order_key(body: Node) -> str:
    if _is_order(body):
        return body.get("id").key()
    head, _, order = (
        body.get("resource").text().rpartition("/") if thin(None, body) else ("", "", "")
    )
    return order if head == "/orders" and order.isascii() and order.isdigit() else ""


def thin(_keys: Keys | None, body: Node) -> bool:
    return body.get("topic").value in ("orders_v2", "orders")


def _is_order(body: Node) -> bool:
    return bool(body.get("order_items")) and bool(body.get("status"))


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body):
        return []
    currency = body.get("currency_id").currency()
    status = parts.one_of(body.get("status"), STATUSES)
    payments = [each for each in body.get("payments").items() if _is_good(each)]
    changed = _changed(body)
    return [
        Order(
            external_id=body.get("id").key(),
            version=parts.version(changed),
            status=status,
            test="test_order" in [each.value for each in body.get("tags").items()],
            currency=currency,
            tax_included=True,  # prices are what the buyer pays; no tax is told
            placed_at=body.get("date_created").time(),
            paid_at=_paid_at(body, status, payments),
            cancelled_at=_cancelled_at(body, changed) if status is Status.CANCELLED else None,
            customer=_customer(body.get("buyer")),
            total=parts.amount(body.get("total_amount"), currency),
            lines=parts.distinct(body.get("order_items"), lambda node: _line(node, currency)),
            refunds=tuple(
                Refund(external_id=each.get("id").key(), amount=back)
                for each in payments
                if (back := _given_back(each, currency))
            ),
            refunds_complete=True,
            disputes=tuple(_disputes(body, payments, currency)),
        )
    ]


def _changed(body: Node) -> datetime:
    for name in ("date_last_updated", "last_updated", "date_closed"):
        if body.get(name):
            return body.get(name).time()
    return body.get("date_created").time()


def _is_good(payment: Node) -> bool:
    """Rejected attempts stand beside the payment that went through."""
    return parts.word_of(payment.get("status"), GOOD | BAD, "payment_status") in GOOD


def _paid_at(body: Node, status: Status, payments: Sequence[Node]) -> datetime | None:
    if not payments or status is Status.PENDING_PAYMENT:
        return None
    told = [each.get("date_approved").time_or_none() for each in payments]
    first = min((at for at in told if at), default=None)
    return first or body.get("date_closed").time_or_none() or body.get("date_created").time()


def _cancelled_at(body: Node, changed: datetime) -> datetime:
    detail = body.get("cancel_detail")
    return (detail.get("date").time_or_none() if detail else None) or changed


def _given_back(payment: Node, currency: str) -> int:
    told = parts.amount(payment.get("transaction_amount_refunded"), currency)
    if told or payment.get("status").text() != "refunded":
        return told
    return parts.amount(payment.get("transaction_amount"), currency)


def _disputes(body: Node, payments: Sequence[Node], currency: str) -> Sequence[Dispute]:
    """A mediation holds the money; when its payment is approved again, it was won."""
    meanings = {"in_mediation": "open", "charged_back": "lost"}
    if any(True for _ in body.get("mediations").items()):
        meanings |= {"approved": "won", "refunded": "won", "partially_refunded": "won"}
    return [
        Dispute(
            external_id=each.get("id").key(),
            status=meanings[status],
            amount=parts.amount(each.get("transaction_amount"), currency),
        )
        for each in payments
        if (status := each.get("status").text()) in meanings
    ]


def _customer(node: Node) -> Customer:
    return Customer(external_id=node.get("id").key_or_none()) if node else Customer()


def _line(node: Node, currency: str) -> Line:
    item = node.get("item")
    variation = item.get("variation_id").key_or_none()
    quantity = node.get("quantity").whole()
    sku = item.get("seller_sku")
    return Line(
        external_id=f"{item.get('id').key()}-{variation}" if variation else item.get("id").key(),
        title=item.get("title").text_or_none() or "",
        quantity=quantity,
        amount=node.get("unit_price").times(quantity, currency),
        product_external_id=item.get("id").key(),
        variant_external_id=variation,
        sku=sku.key_or_none() if not isinstance(sku.value, dict | list) else None,
    )


# --- its API -----------------------------------------------------------------------------------


def _prove(_keys: Keys, token: str, ask: Ask) -> None:
    ask.headers["Authorization"] = f"Bearer {token}"


def renew(client: Client, old: Token | None) -> Token:
    """Each refresh token is good for one use; the answer brings the next one."""
    keys = client.keys
    given = {
        "grant_type": "refresh_token",
        "client_id": keys.get("app_id"),
        "client_secret": keys.get("app_secret"),
        "refresh_token": old.refresh if old else keys.get("refresh_token"),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.for_token(Ask("POST", "/oauth/token", {}, headers, urlencode(given).encode()))
    return token_of(answer.status, answer.body)


def token_of(status: int, body: Node) -> Token:
    """What an OAuth 2 server answers."""
    if status >= 300:
        raise Refused("consent_lost", f"no new token ({status}): connect the shop again")
    seconds = body.get("expires_in").whole()
    return Token(
        body.get("access_token").text(),
        body.get("refresh_token").text_or_none() or "",
        clock.now() + timedelta(seconds=seconds),
    )


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    order = client.get(f"/orders/{order_key(body)}").body
    if order.get("seller").get("id").key() != client.keys.get("store_id"):
        raise Refused("not_found", "this order is of another seller")
    return [reading.dump(order.value)]


def pull(client: Client, window: Window, cursor: str) -> Page:
    offset = int(cursor or 0)
    answer = client.get(
        "/orders/search",
        {
            "seller": client.keys.get("store_id"),
            "order.date_last_updated.from": window.since.isoformat(timespec="milliseconds"),
            "order.date_last_updated.to": window.until.isoformat(timespec="milliseconds"),
            "sort": "date_asc",
            "offset": offset,
            "limit": PAGE,
        },
    ).body
    total = answer.get("paging").get("total").whole()
    bodies = [reading.dump(each.value) for each in answer.get("results").items()]
    more = offset + PAGE < total and bodies
    return Page(bodies, str(offset + PAGE) if more else "", total)


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    topic=topic,
    thin=thin,
    api=Api(
        base=lambda _: "https://api.mercadolibre.com", prove=_prove, renew=renew, uses_tokens=True
    ),
    fetch=fetch,
    pull=pull,
    catalogue=CATALOGUE,
)
