"""Mercado Pago (beta): signed notices that name a payment, which is then fetched.

Facts: the docs' notifications page and PyPI mercadopago 3.6.0. Signed are the id of the query, the
request's id and its time, not the body; so the body is believed in nothing. `external_reference` or
`metadata.tk`, which the shop sets, carry the token.
"""

import hmac
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Api, Ask, Client
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.interface import Knock, Platform
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Dispute, Line, Order, Refund
from affiliate.orders.models import Status

TOLERANCE_SECONDS = 600
# Payment statuses, docs of 2026-11.
STATUSES = {
    "pending": Status.PENDING_PAYMENT,
    "authorized": Status.PENDING_PAYMENT,
    "in_process": Status.PENDING_PAYMENT,
    "approved": Status.PAID,
    "in_mediation": Status.PAID,
    "refunded": Status.CANCELLED,
    "charged_back": Status.CANCELLED,
    "cancelled": Status.EXPIRED,
    "rejected": Status.EXPIRED,
}
DISPUTES = {"in_mediation": "open", "charged_back": "lost"}
PREFIX = "tk_"


def sign(secret: str, about: str, request: str, timestamp: str) -> str:
    told = {"id": about, "request-id": request, "ts": timestamp}
    manifest = "".join(f"{name}:{value};" for name, value in told.items() if value)
    return hmac.digest(secret.encode(), manifest.encode(), "sha256").hex()


def signed(keys: Keys, knock: Knock) -> bool:
    given = dict(
        part.strip().partition("=")[::2] for part in knock.header("x-signature").split(",")
    )
    timestamp, about = given.get("ts", ""), knock.query.get("data.id", "")
    if not _recent(timestamp) or about != parts.field(knock.body, "data", "id"):
        return False
    # The docs make the id small, the libraries take it as it came.
    wanted = [
        sign(secret, form, knock.header("x-request-id"), timestamp).encode()
        for secret in keys.secrets
        for form in (about, about.lower())
    ]
    return security.any_same(given.get("v1", "").encode(), wanted)


def _recent(timestamp: str) -> bool:
    """Seconds or milliseconds: documents and libraries differ, the number of digits tells."""
    if not timestamp.isascii() or not timestamp.isdigit() or not 9 <= len(timestamp) <= 13:
        return False
    seconds = int(timestamp) // (1000 if len(timestamp) > 11 else 1)
    age = clock.now() - datetime.fromtimestamp(seconds, UTC)
    return abs(age.total_seconds()) <= TOLERANCE_SECONDS


def topic(knock: Knock) -> str:
    return (parts.field(knock.body, "action") or parts.field(knock.body, "type"))[:100]


def order_key(body: Node) -> str:
    if _is_payment(body):
        return body.get("id").key()
    return body.get("data").get("id").key() if _is_notice(body) else ""


def thin(_keys: Keys, body: Node) -> bool:
    return _is_notice(body)


def _is_notice(body: Node) -> bool:
    return body.get("type").value == "payment" and bool(body.get("data"))


def _is_payment(body: Node) -> bool:
    return bool(body.get("transaction_amount")) and bool(body.get("status"))


def read(body: Node) -> Sequence[Order]:
    if not _is_payment(body):
        return []
    currency = body.get("currency_id").currency()
    status = parts.one_of(body.get("status"), STATUSES)
    changed = body.get("date_last_updated").time()
    amount = parts.amount(body.get("transaction_amount"), currency)
    dispute = DISPUTES.get(body.get("status").text())
    key = body.get("id").key()
    payer = body.get("payer")
    return [
        Order(
            external_id=key,
            version=parts.version(changed),
            status=status,
            test=not body.get("live_mode").flag(default=True),
            currency=currency,
            tax_included=True,
            placed_at=body.get("date_created").time(),
            paid_at=body.get("date_approved").time_or_none(),
            cancelled_at=changed if status is Status.CANCELLED else None,
            refunded_fully=body.get("status").text() == "refunded",
            customer=Customer(email=payer.get("email").text_or_none()) if payer else Customer(),
            tokens=tuple(_tokens(body)),
            shipping=parts.amount(body.get("shipping_amount"), currency),
            total=amount,
            lines=(Line("_total", "", 1, amount),),
            refunds=tuple(_refund(each, currency) for each in body.get("refunds").items()),
            refunds_complete=True,
            disputes=(Dispute(key, dispute, amount),) if dispute else (),
        )
    ]


def _tokens(body: Node) -> Iterator[str]:
    reference, told = body.get("external_reference"), body.get("metadata")
    if isinstance(reference.value, str) and reference.value.startswith(PREFIX):
        yield reference.text().removeprefix(PREFIX)
    if told and isinstance(told.get("tk").value, str):
        yield told.get("tk").text()


def _refund(node: Node, currency: str) -> Refund:
    status = parts.one_of(
        node.get("status"),
        {"approved": "succeeded", "in_process": "pending", "rejected": "failed",
         "cancelled": "failed", "authorized": "pending"},
    )  # fmt: skip
    return Refund(
        external_id=node.get("id").key(),
        status=status,
        amount=parts.amount(node.get("amount"), currency),
        at=node.get("date_created").time_or_none(),
    )


def _prove(keys: Keys, _token: str, ask: Ask) -> None:
    ask.headers["Authorization"] = f"Bearer {keys.get('api_token')}"


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    return [reading.dump(client.get(f"/v1/payments/{order_key(body)}").body.value)]


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    topic=topic,
    thin=thin,
    api=Api(base=lambda _: "https://api.mercadopago.com", prove=_prove),
    fetch=fetch,
)
