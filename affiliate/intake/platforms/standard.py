"""The `standard` platform: our own format, signed as in Standard Webhooks.

For shops of one's own and for platforms without a connector. Format: docs/shops.md.
Signature: https://github.com/standard-webhooks/standard-webhooks, checked against its vector.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.intake.platforms.carriers import is_group, tokens_in_url
from affiliate.intake.platforms.interface import Knock, Platform, not_signed
from affiliate.intake.reading import Node
from affiliate.orders.facts import (
    Customer,
    Dispute,
    Line,
    Note,
    Order,
    Refund,
    RefundLine,
    RefundNotice,
)
from affiliate.orders.models import Status

TOLERANCE_SECONDS = 300
STATUSES = {status.value: status for status in Status if status is not Status.STUB}
KINDS = {"product", "gift_card", "tip", "fee"}
REFUND_STATUSES = {"pending", "succeeded", "failed"}
DISPUTE_STATUSES = {"open", "won", "lost"}
Told = TypeVar("Told", Refund, Dispute)


def sign(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of a body: what a shop computes, and our tests."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = b"%s.%d.%s" % (delivery.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def signed(keys: Keys, knock: Knock) -> bool:
    delivery, timestamp = knock.header("webhook-id"), knock.header("webhook-timestamp")
    if not delivery or not recent(timestamp):
        return False
    given = knock.header("webhook-signature").split(" ")[:20]
    wanted = []
    for secret in keys.secrets:
        with suppress(binascii.Error):
            wanted.append(sign(secret, delivery, int(timestamp), knock.body))
    good = False
    for each in given:
        good |= security.any_same(each.encode(), (one.encode() for one in wanted))
    return good


def why(keys: Keys, knock: Knock) -> str:
    """Whoever signs by hand forgets a header, or has a clock that is wrong."""
    timestamp = knock.header("webhook-timestamp")
    if not (knock.header("webhook-id") and timestamp and knock.header("webhook-signature")):
        return "headers"
    return not_signed(keys, knock) if recent(timestamp) else "time"


def recent(timestamp: str) -> bool:
    """Whether these seconds are at most five minutes off."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    age = clock.now() - datetime.fromtimestamp(int(timestamp), UTC)
    return abs(age.total_seconds()) <= TOLERANCE_SECONDS


def delivery(knock: Knock) -> str:
    return knock.header("webhook-id")


def order_key(body: Node) -> str:
    return body.get("data").get("id").key()


def read(body: Node) -> Sequence[Order | RefundNotice]:
    told = body.get("data")
    currency = told.get("currency").currency()
    lines = _lines(told, currency)
    return [
        Order(
            external_id=told.get("id").key(),
            version=told.get("version").version(),
            number=told.get("number").text_or_none(),
            status=_status(told.get("status")),
            test=told.get("test").flag(),
            renewal=told.get("renewal").flag(),
            currency=currency,
            tax_included=told.get("tax_included").flag(),
            placed_at=told.get("created_at").time(),
            paid_at=told.get("paid_at").time_or_none(),
            fulfilled_at=told.get("fulfilled_at").time_or_none(),
            delivered_at=told.get("delivered_at").time_or_none(),
            cancelled_at=told.get("cancelled_at").time_or_none(),
            customer=_customer(told.get("customer")),
            tokens=_tokens(told),
            coupons=tuple(each.text() for each in told.get("coupons").items()),
            sharers=_sharers(told.get("sharer")),
            group_id=_group(told.get("group_id")),
            discount=_optional(told.get("discount"), currency),
            shipping=_optional(told.get("shipping"), currency),
            total=told.get("total").money(currency) if told.get("total") else None,
            lines=lines,
            refunds=_refunds(told.get("refunds"), currency),
            # Left out, the list says nothing; given, it is the whole list.
            refunds_complete=bool(told.get("refunds")),
            disputes=_disputes(told.get("disputes"), currency),
            notes=_total_note(told, currency, lines),
        )
    ]


def _status(node: Node) -> Status:
    found = STATUSES.get(node.text())
    if found is None:
        raise node.refuse("unknown_status", f"expected one of {', '.join(STATUSES)}")
    return found


def _optional(node: Node, currency: str) -> int:
    return node.money(currency) if node else 0


def _customer(node: Node) -> Customer:
    if not node:
        return Customer()
    return Customer(
        external_id=node.get("id").key_or_none(),
        email=node.get("email").text_or_none(),
        phone=node.get("phone").text_or_none(),
        new=node.get("new").flag() if node.get("new") else None,
    )


def _tokens(told: Node) -> tuple[str, ...]:
    own = told.get("tk").text_or_none()
    landing = told.get("landing_url").text_or_none()
    return (*((own,) if own else ()), *tokens_in_url(landing))


def _sharers(node: Node) -> tuple[str, ...]:
    found = node.key_or_none()
    return (found,) if found else ()


def _group(node: Node) -> str | None:
    found = (node.key_or_none() or "").strip()
    if found and not is_group(found):
        raise node.refuse("bad_character", "an id is printable text")
    return found or None


def _lines(told: Node, currency: str) -> tuple[Line, ...]:
    if not list(told.get("lines").items()) and told.get("total"):
        return (_total_line(told, currency),)
    lines = []
    seen: set[str] = set()
    for node in told.get("lines").items():
        line = _line(node, currency)
        if line.external_id in seen:
            raise node.get("id").refuse("duplicate_line", "two lines have this id")
        seen.add(line.external_id)
        lines.append(line)
    if not told.get("lines"):
        raise told.get("lines").refuse("missing", "this field, or a total, is needed")
    return tuple(lines)


def _total_line(told: Node, currency: str) -> Line:
    """An order with only a total is one line, without shipping (DOMAIN 4)."""
    total = told.get("total").money(currency)
    goods = max(0, total - _optional(told.get("shipping"), currency))
    return Line(external_id="_total", title="", quantity=1, amount=goods)


def _line(node: Node, currency: str) -> Line:
    kind = node.get("kind").text_or_none() or "product"
    if kind not in KINDS:
        raise node.get("kind").refuse("unknown_kind", f"expected one of {', '.join(sorted(KINDS))}")
    quantity = node.get("quantity").whole()
    amount = node.get("unit_price").money(currency) * quantity
    if amount > 9 * 10**12:
        raise node.get("unit_price").refuse("amount_out_of_range", "quantity × price is too much")
    return Line(
        external_id=node.get("id").key(),
        title=node.get("title").text_or_none() or "",
        quantity=quantity,
        amount=amount,
        discount=_optional(node.get("discount"), currency),
        tax=node.get("tax").money(currency) if node.get("tax") else None,
        kind=kind,
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=node.get("variant_id").key_or_none(),
        sku=node.get("sku").text_or_none(),
        category=node.get("category").text_or_none(),
    )


def _distinct(
    nodes: Node, currency: str, read: Callable[[Node, str], Told], name: str
) -> tuple[Told, ...]:
    """All of a list, if no two have one id."""
    found: dict[str, Told] = {}
    for node in nodes.items():
        told = read(node, currency)
        if told.external_id in found:
            raise node.get("id").refuse(f"duplicate_{name}", f"two {name}s have this id")
        found[told.external_id] = told
    return tuple(found.values())


def _refunds(nodes: Node, currency: str) -> tuple[Refund, ...]:
    return _distinct(nodes, currency, _refund, "refund")


def _refund(node: Node, currency: str) -> Refund:
    status = node.get("status").text_or_none() or "succeeded"
    if status not in REFUND_STATUSES:
        raise node.get("status").refuse(
            "unknown_status", f"expected one of {', '.join(sorted(REFUND_STATUSES))}"
        )
    return Refund(
        external_id=node.get("id").key(),
        status=status,
        amount=node.get("amount").money(currency) if node.get("amount") else None,
        shipping=_optional(node.get("shipping"), currency),
        lines=tuple(_refund_line(each, currency) for each in node.get("lines").items()),
        at=node.get("at").time_or_none(),
    )


def _refund_line(node: Node, currency: str) -> RefundLine:
    return RefundLine(
        line=node.get("line_id").key(),
        quantity=node.get("quantity").whole() if node.get("quantity") else None,
        amount=node.get("amount").money(currency) if node.get("amount") else None,
    )


def _disputes(nodes: Node, currency: str) -> tuple[Dispute, ...]:
    return _distinct(nodes, currency, _dispute, "dispute")


def _dispute(node: Node, currency: str) -> Dispute:
    status = node.get("status").text()
    if status not in DISPUTE_STATUSES:
        raise node.get("status").refuse(
            "unknown_status", f"expected one of {', '.join(sorted(DISPUTE_STATUSES))}"
        )
    return Dispute(
        external_id=node.get("id").key(),
        status=status,
        amount=node.get("amount").money(currency) if node.get("amount") else None,
        at=node.get("at").time_or_none(),
    )


def _total_note(told: Node, currency: str, lines: tuple[Line, ...]) -> tuple[Note, ...]:
    """`total` is kept and never computed with; that it does not add up is worth a note."""
    if not told.get("total") or [line.external_id for line in lines] == ["_total"]:
        return ()
    total = told.get("total").money(currency)
    wanted = sum(line.amount - line.discount for line in lines)
    wanted -= _optional(told.get("discount"), currency)
    wanted += _optional(told.get("shipping"), currency)
    if not told.get("tax_included").flag():
        wanted += sum(line.tax or 0 for line in lines)
    if total == wanted:
        return ()
    return (("total_mismatch", {"total": total, "computed": wanted}),)


PLATFORM = Platform(signed=signed, why=why, order_key=order_key, read=read, delivery=delivery)
