"""Shopify's own sample bodies, read to facts, also where they contradict themselves."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from affiliate.catalog.service import Keys
from affiliate.commissions.rules import worths
from affiliate.intake import reading
from affiliate.intake.platforms import Knock, shopify
from affiliate.intake.reading import Unreadable
from affiliate.orders.facts import RefundNotice
from affiliate.orders.models import Status

SAMPLES = Path(__file__).parent / "samples" / "shopify"
VECTORS = json.loads((SAMPLES.parent / "vectors.json").read_text())
ORDERS = sorted(SAMPLES.glob("order.rest*")) + sorted(SAMPLES.glob("orders.[cpuf]*"))


def body(name):
    return (SAMPLES / f"{name}.json").read_bytes()


def read(name, **changes):
    told = json.loads(body(name)) | changes
    (found,) = shopify.read(reading.load(json.dumps(told).encode()))
    return found


def left(order):
    return [worth.remaining_base for worth in worths(order)[0]]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["platform"] == "shopify"], ids=lambda v: v["name"]
)
def test_published_vectors_are_ours(vector):
    name = vector.get("body_file", "").removeprefix("shopify/").removesuffix(".json")
    raw = body(name) if name else vector["message_utf8"].encode()
    expected = vector.get("expected") or vector["headers"]["X-Shopify-Hmac-Sha256"]

    assert shopify.sign(vector["key"], raw) == expected
    keys, headers = Keys(("old", vector["key"])), {"X-Shopify-Hmac-Sha256": expected}
    assert shopify.signed(keys, Knock(headers, raw))
    assert not shopify.signed(keys, Knock(headers, raw + b" "))
    assert not shopify.signed(keys, Knock({}, raw))


@pytest.mark.parametrize("path", ORDERS, ids=lambda p: p.stem)
def test_every_sample_order_is_read(path):
    (order,) = shopify.read(reading.load(path.read_bytes()))

    assert order.lines
    assert shopify.order_key(reading.load(path.read_bytes())) == order.external_id
    assert all(line.amount >= line.discount for line in order.lines)


def test_the_partially_refunded_order_of_the_docs():
    """Refunded lines name 399.29 with tax, the transaction 209.00: lines decide, no rest."""
    order = read("order.rest-2026-07.partially-refunded")

    assert order.paid_at == order.placed_at == datetime(2008, 1, 10, 16, tzinfo=UTC)
    assert [(line.amount, line.discount, line.tax) for line in order.lines] == [
        (19900, 334, 398),
        (19900, 333, 398),
        (19900, 333, 398),
    ]
    (refund,) = order.refunds
    assert (refund.amount, refund.shipping, len(refund.lines)) == (20900, 0, 2)
    assert sorted(left(order)) == [0, 0, 19567]


def test_a_cancelled_and_refunded_order_leaves_nothing():
    order = read("order.rest-2026-07.cancelled-full-refund")

    assert order.status is Status.CANCELLED
    assert order.refunded_fully
    assert left(order) == [0, 0, 0]


@pytest.mark.parametrize(
    ("status", "paid"),
    [
        ("authorized", False),
        ("pending", False),
        ("partially_paid", False),
        ("voided", False),
        ("paid", True),
        ("partially_refunded", True),
        ("refunded", True),
    ],
)
def test_only_what_was_paid_in_full_counts_as_paid(status, paid):
    order = read("order.rest-2026-07.eur-taxlines", financial_status=status)

    assert (order.paid_at is not None) is paid


def test_the_clis_paid_order_is_a_cancelled_test_order():
    order = read("orders.paid.hookdeck-2024-10")

    assert (order.status, order.test, order.paid_at) == (Status.CANCELLED, True, None)


def test_a_status_nobody_knows_is_refused_with_its_place():
    with pytest.raises(Unreadable) as refused:
        read("order.rest-2026-07.eur-taxlines", financial_status="half_paid")

    assert (refused.value.code, refused.value.pointer) == ("unknown_status", "/financial_status")


def test_a_refund_of_its_own_by_amount():
    """The line is named with 0.00, the cash is 41.94: the cash is the order's."""
    notice = read("refund.rest-2026-07.refund-by-amount")

    assert isinstance(notice, RefundNotice)
    assert (notice.order_external_id, notice.currency) == ("450789469", "USD")
    assert (notice.refund.amount, notice.refund.lines[0].amount) == (4194, 0)


def test_a_refund_of_shipping_only():
    refund = read("refund.rest-2026-07.shipping-only").refund

    assert (refund.amount, refund.shipping, refund.lines) == (500, 500, ())


def test_goods_returned_without_a_transaction_tell_no_cash():
    notice = read("refunds.create.hookdeck-2024-10")

    assert notice.refund.status == "succeeded"
    assert notice.refund.amount is None
    assert [part.amount for part in notice.refund.lines] == [19900, 19900]


@pytest.mark.parametrize(
    ("states", "status", "cash"),
    [
        (["success", "failure"], "succeeded", 4194),
        (["pending"], "pending", None),
        (["failure", "error"], "failed", None),
    ],
    ids=str,
)
def test_a_refund_is_what_its_transactions_are(states, status, cash):
    told = json.loads(body("refund.rest-2026-07.refund-by-amount"))
    sample = told["transactions"][0]

    refund = read(
        "refund.rest-2026-07.refund-by-amount",
        transactions=[sample | {"status": state} for state in states],
    ).refund

    assert (refund.status, refund.amount) == (status, cash)


@pytest.mark.parametrize("name", ["carts.create", "order_transactions.create", "orders.edited"])
def test_what_is_no_order_and_no_refund_says_nothing(name):
    raw = body(f"{name}.hookdeck-2024-10")

    assert list(shopify.read(reading.load(raw))) == []
    assert shopify.order_key(reading.load(raw)) == ""


def test_an_old_body_without_allocations_has_its_discount_on_the_order():
    lines = json.loads(body("order.shopify_python_api-legacy"))["line_items"]
    assert not any("discount_allocations" in line for line in lines)

    order = read("order.shopify_python_api-legacy", total_discounts="10.00")

    assert (order.discount, [line.discount for line in order.lines]) == (1000, [0, 0, 0])
    assert left(order) == [19566, 19567, 19567]


def test_tokens_come_from_attributes_properties_and_the_landing_page():
    told = json.loads(body("order.rest-2026-07.eur-taxlines"))
    lines = [told["line_items"][0] | {"properties": [{"name": "_tk", "value": "B"}]}]

    order = read(
        "order.rest-2026-07.eur-taxlines",
        note_attributes=[
            {"name": "tk", "value": "A"},
            {"name": "tk", "value": {"x": 1}},
            {"name": "group_id", "value": "a\x07b"},
            {"name": "group_id", "value": "G1"},
        ],
        line_items=lines,
        landing_site="/products/shirt?utm=1&tk=C",
    )

    assert order.tokens == ("A", "B", "C")
    assert order.group_id == "G1"


def test_amounts_are_the_shops_and_never_the_buyers():
    told = json.loads(body("order.rest-2026-07.eur-taxlines"))["line_items"][0]
    both = {
        "shop_money": {"amount": "10.00", "currency_code": "EUR"},
        "presentment_money": {"amount": "1500", "currency_code": "JPY"},
    }

    order = read(
        "order.rest-2026-07.eur-taxlines",
        presentment_currency="JPY",
        line_items=[told | {"price": "1500", "price_set": both}],
    )

    assert order.lines[0].amount == 1000 * order.lines[0].quantity
    assert order.notes == (("presented_in", {"currency": "JPY"}),)


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"currency": "XYZ"}, "unknown_currency", "/currency"),
        ({"currency": None}, "wrong_type", "/currency"),
        ({"id": {}}, "wrong_type", "/id"),
        ({"created_at": "2026-01-01T10:00:00"}, "time_without_zone", "/created_at"),
        ({"created_at": "yesterday"}, "bad_time", "/created_at"),
        ({"line_items": {"a": 1}}, "wrong_type", "/line_items"),
    ],
    ids=str,
)
def test_a_bad_field_is_refused_with_its_place(change, code, pointer):
    with pytest.raises(Unreadable) as refused:
        read("order.rest-2026-07.eur-taxlines", **change)

    assert (refused.value.code, refused.value.pointer) == (code, pointer)


@pytest.mark.parametrize(
    ("price", "code"),
    [
        ("12.345", "too_many_decimals"),
        ("-1.00", "negative_amount"),
        ("1e30", "amount_out_of_range"),
        ("NaN", "amount_out_of_range"),
        ("ten", "not_a_number"),
    ],
)
def test_a_bad_price_is_refused_with_its_place(price, code):
    line = json.loads(body("order.rest-2026-07.eur-taxlines"))["line_items"][0]
    line = {name: value for name, value in line.items() if name != "price_set"}

    with pytest.raises(Unreadable) as refused:
        read("order.rest-2026-07.eur-taxlines", line_items=[line | {"price": price}])

    assert (refused.value.code, refused.value.pointer) == (code, "/line_items/0/price")


def test_every_sample_cut_anywhere_is_refused_and_never_breaks():
    raw = body("order.rest-2026-07.partially-refunded")
    for part in range(20):
        with pytest.raises(Unreadable):
            shopify.read(reading.load(raw[: len(raw) * part // 20]))
