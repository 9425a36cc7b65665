"""BigCommerce (beta): notices without a sure proof that name an order, which is then fetched.

Facts: the docs' webhook pages, which describe no signature but let the maker of a hook choose a
header: ours is `X-Tuike-Secret`, compared in constant time. It keeps strangers out; what a notice
says is believed only after the fetch with the shop's token.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from affiliate import security
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.api import Api, Ask, Client
from affiliate.intake.platforms import parts
from affiliate.intake.platforms.carriers import NAMES
from affiliate.intake.platforms.interface import Knock, Platform, by_content
from affiliate.intake.reading import Node
from affiliate.orders.facts import Customer, Line, Order, Refund
from affiliate.orders.models import Status

# status_id, orders v2 (2026-11).
STATUSES = {
    "0": Status.PENDING_PAYMENT,  # incomplete
    "1": Status.PENDING_PAYMENT,
    "2": Status.FULFILLED,
    "3": Status.PAID,  # partially shipped
    "4": Status.CANCELLED,  # refunded
    "5": Status.CANCELLED,
    "6": Status.CANCELLED,  # declined
    "7": Status.PENDING_PAYMENT,
    "8": Status.PAID,  # awaiting pickup
    "9": Status.PAID,
    "10": Status.DELIVERED,
    "11": Status.PAID,
    "12": Status.PENDING_PAYMENT,  # manual verification
    "13": Status.PENDING_PAYMENT,  # disputed
    "14": Status.PAID,  # partially refunded
}
SECRET = "X-Tuike-Secret"  # noqa: S105 (the name of a header)


def signed(keys: Keys, knock: Knock) -> bool:
    given = knock.header(SECRET).encode()
    return security.any_same(given, (secret.encode() for secret in keys.secrets))


def delivery(knock: Knock) -> str:
    return f"{parts.field(knock.body, 'hash')}:{by_content(knock)}"


def topic(knock: Knock) -> str:
    return parts.field(knock.body, "scope")[:100]


def order_key(body: Node) -> str:
    if _is_order(body):
        return body.get("id").key()
    data = body.get("data")
    if not thin(None, body) or not data:
        return ""
    return data.get("order_id" if data.get("order_id") else "id").key()


def thin(_keys: Keys | None, body: Node) -> bool:
    scope = body.get("scope").value
    return isinstance(scope, str) and scope.startswith("store/order/")


def _is_order(body: Node) -> bool:
    return bool(body.get("lines")) and body.get("status_id").value is not None


def read(body: Node) -> Sequence[Order]:
    if not _is_order(body):
        return []
    currency = body.get("currency_code").currency()
    status = parts.one_of(body.get("status_id"), STATUSES)
    changed = _time(body.get("date_modified")) or _needed(body.get("date_created"))
    back = parts.amount(body.get("refunded_amount"), currency)
    key = body.get("id").key()
    paid = status not in (Status.PENDING_PAYMENT, Status.CANCELLED) or back > 0
    placed = _needed(body.get("date_created"))
    return [
        Order(
            external_id=key,
            version=parts.version(changed),
            status=status,
            currency=currency,
            tax_included=False,
            placed_at=placed,
            paid_at=placed if paid else None,
            fulfilled_at=_time(body.get("date_shipped")),
            cancelled_at=changed if status is Status.CANCELLED else None,
            refunded_fully=body.get("status_id").key() == "4",
            customer=_customer(body),
            tokens=tuple(_tokens(body)),
            coupons=tuple(each.get("code").text() for each in body.get("coupons_used").items()),
            discount=parts.amount(body.get("discount_amount"), currency)
            + parts.amount(body.get("coupon_discount"), currency),
            shipping=parts.amount(body.get("shipping_cost_ex_tax"), currency),
            total=parts.amount(body.get("total_inc_tax"), currency),
            lines=parts.distinct(body.get("lines"), lambda node: _line(node, currency)),
            refunds=(Refund(external_id=f"{key}-refunded", amount=back),) if back else (),
            refunds_complete=True,
        )
    ]


def _time(node: Node) -> datetime | None:
    """`Tue, 20 Nov 2012 00:00:00 +0000`, and "" for never."""
    if not node or node.value == "":
        return None
    try:
        return parsedate_to_datetime(node.text()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise node.refuse("bad_time", "expected an RFC 2822 time") from None


def _needed(node: Node) -> datetime:
    found = _time(node)
    if found is None:
        raise node.refuse("missing", "this field is needed")
    return found


def _customer(body: Node) -> Customer:
    billing = body.get("billing_address")
    known = billing if billing else Node({}, body, "billing_address")
    number = body.get("customer_id")
    return Customer(
        external_id=number.key_or_none() if number.value else None,
        email=known.get("email").text_or_none(),
        phone=known.get("phone").text_or_none(),
    )


def _tokens(body: Node) -> Iterator[str]:
    """In the notes for the staff, where a script of the checkout can write: `tk=…`."""
    notes = body.get("staff_notes")
    for word in notes.text().split() if isinstance(notes.value, str) else ():
        name, _, value = word.partition("=")
        if name in NAMES and value:
            yield value


def _line(node: Node, currency: str) -> Line:
    return Line(
        external_id=node.get("id").key(),
        title=node.get("name").text_or_none() or "",
        quantity=node.get("quantity").whole(),
        amount=parts.amount(node.get("total_ex_tax"), currency),
        tax=parts.amount(node.get("total_tax"), currency),
        product_external_id=node.get("product_id").key_or_none(),
        variant_external_id=node.get("variant_id").key_or_none(),
        sku=node.get("sku").text_or_none(),
    )


def _prove(keys: Keys, _token: str, ask: Ask) -> None:
    ask.headers |= {"X-Auth-Token": keys.get("api_token"), "Accept": "application/json"}


def fetch(client: Client, body: Node) -> Sequence[bytes]:
    path = f"/stores/{client.keys.get('store_id')}/v2/orders/{order_key(body)}"
    order = client.get(path).body.value
    lines = client.get(f"{path}/products", {"limit": 250}).body.value
    coupons = client.get(f"{path}/coupons").body.value
    return [reading.dump(order | {"lines": lines, "coupons_used": coupons or []})]


PLATFORM = Platform(
    signed=signed,
    order_key=order_key,
    read=read,
    delivery=delivery,
    topic=topic,
    thin=thin,
    api=Api(base=lambda _: "https://api.bigcommerce.com", prove=_prove),
    fetch=fetch,
)
