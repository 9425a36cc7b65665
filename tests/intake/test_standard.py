"""The `standard` platform: its signature, its format, and what is refused with which pointer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from affiliate import clock
from affiliate.catalog.service import Keys
from affiliate.intake import reading
from affiliate.intake.platforms import Knock, standard
from affiliate.intake.reading import Unreadable
from affiliate.orders.models import Status

VECTORS = json.loads((Path(__file__).parent / "samples" / "vectors.json").read_text())
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def an_order(**changes):
    """The example of the contract, minor units in the comments of golden example 1."""
    return {
        "id": "1001",
        "version": 3,
        "number": "#1001",
        "status": "paid",
        "test": False,
        "renewal": False,
        "currency": "BRL",
        "tax_included": True,
        "created_at": "2026-11-22T10:00:00Z",
        "paid_at": "2026-11-22T10:05:00-03:00",
        "fulfilled_at": None,
        "delivered_at": None,
        "cancelled_at": None,
        "customer": {"id": "c1", "email": "bia@example.com", "phone": None, "new": True},
        "tk": "A.B",
        "coupons": ["ANA10"],
        "landing_url": "https://shop.example/?tk=C",
        "discount": "0.00",
        "shipping": "10.00",
        "total": "369.82",
        "lines": [a_line()],
        "refunds": [
            {
                "id": "r1",
                "at": "2026-11-23T10:00:00Z",
                "status": "succeeded",
                "amount": "100.00",
                "shipping": "0.00",
                "lines": [{"line_id": "l1", "quantity": 1, "amount": "100.00"}],
            }
        ],
    } | changes


def a_line(**changes):
    return {
        "id": "l1",
        "product_id": "p1",
        "variant_id": "v1",
        "sku": "S",
        "title": "Camisa 🧵",
        "category": "shirts",
        "quantity": 2,
        "unit_price": "199.90",
        "discount": "39.98",
        "tax": "54.89",
        "kind": "product",
    } | changes


def read(order):
    told = {"type": "order.updated", "timestamp": "2026-11-22T10:00:00Z", "data": order}
    (found,) = standard.read(reading.load(json.dumps(told).encode()))
    return found


def without(order, *names):
    return {name: value for name, value in order.items() if name not in names}


def headers(secret=SECRET, body=b"{}", at=NOON, delivery="msg_1"):
    seconds = int(at.timestamp())
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(seconds),
        "webhook-signature": standard.sign(secret, delivery, seconds, body),
    }


def signed(given, *, secrets=(SECRET,), body=b"{}"):
    with clock.at(NOON):
        return standard.signed(Keys(tuple(secrets)), Knock(given, body))


def test_the_published_vector_is_ours():
    (vector,) = [v for v in VECTORS if v["platform"] == "standardwebhooks"]
    delivery, timestamp, body = vector["message_utf8"].split(".", 2)

    signature = standard.sign(vector["key"], delivery, int(timestamp), body.encode())

    assert signature == vector["expected"]


def test_a_signature_is_good_while_old_and_new_secret_are():
    assert signed(headers(), secrets=["whsec_" + "QUJD" * 8, SECRET])
    several = headers()
    several["webhook-signature"] = "v1,nonsense v2,x " + several["webhook-signature"]
    assert signed(several)


@pytest.mark.parametrize(
    "given",
    [
        headers(body=b"{} "),
        headers(secret="whsec_" + "QUJD" * 8),
        headers() | {"webhook-id": "msg_2"},
        headers() | {"webhook-timestamp": "nonsense"},
        headers() | {"webhook-timestamp": "9" * 40},
        {},
    ],
    ids=["other body", "other secret", "other id", "no time", "a time beyond time", "nothing"],
)
def test_a_bad_signature_is_bad(given):
    assert not signed(given)


@pytest.mark.parametrize(
    ("seconds", "good"), [(300, True), (301, False), (-300, True), (-301, False)]
)
def test_a_replay_is_good_for_five_minutes_on_both_sides(seconds, good):
    assert signed(headers(at=NOON - timedelta(seconds=seconds))) is good


def test_the_example_of_the_contract():
    order = read(an_order())

    (line,) = order.lines
    assert (line.amount, line.discount, line.tax, line.quantity) == (39980, 3998, 5489, 2)
    assert order.paid_at == datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
    assert order.tokens == ("A.B", "C")
    assert order.coupons == ("ANA10",)
    assert (order.shipping, order.total, order.notes) == (1000, 36982, ())
    assert (order.refunds[0].amount, order.refunds[0].lines[0].amount) == (10000, 10000)


def test_what_is_optional_may_be_missing():
    optional = (
        "customer", "tk", "coupons", "landing_url", "renewal", "discount", "shipping", "refunds",
        "paid_at", "fulfilled_at", "delivered_at", "cancelled_at", "number", "total", "test",
    )  # fmt: skip
    order = read(without(an_order(), *optional) | {"lines": [without(a_line(), "kind", "tax")]})

    assert (order.refunds, order.tokens, order.discount) == ((), (), 0)
    assert order.lines[0].tax is None


def test_money_is_earned_when_paid_at_is_set_whatever_the_status_says():
    assert read(an_order(status="paid", paid_at=None)).paid_at is None
    assert read(an_order(status="delivered")).status is Status.DELIVERED


def test_a_total_that_does_not_add_up_is_a_note():
    order = read(an_order(total="1.00"))

    assert order.notes == (("total_mismatch", {"total": 100, "computed": 36982}),)


@pytest.mark.parametrize("name", ["id", "version", "status", "currency", "created_at", "lines"])
def test_what_is_needed_and_missing_is_refused(name):
    with pytest.raises(Unreadable) as refused:
        read(without(an_order(), name, "total"))

    assert (refused.value.code, refused.value.pointer) == ("missing", f"/data/{name}")


@pytest.mark.parametrize("lines", [{}, {"lines": []}])
def test_an_order_with_only_a_total_is_one_line_without_shipping(lines):
    order = read(without(an_order(), "lines") | lines)

    assert [(line.external_id, line.amount) for line in order.lines] == [("_total", 35982)]


def test_refunds_that_are_left_out_say_nothing_and_an_empty_list_says_none():
    assert not read(without(an_order(), "refunds")).refunds_complete
    assert read(an_order(refunds=[])).refunds_complete


@pytest.mark.parametrize("quantity", ["1e1000000", "1E+99999999", "1e7"])
def test_a_huge_number_is_refused_at_once(quantity):
    body = json.dumps({"data": an_order()}).replace('"quantity": 2', f'"quantity": {quantity}')

    with pytest.raises(Unreadable) as refused:
        standard.read(reading.load(body.encode()))

    assert refused.value.code == "out_of_range"


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"version": "3"}, "wrong_type", "/data/version"),
        ({"version": True}, "wrong_type", "/data/version"),
        ({"version": -1}, "out_of_range", "/data/version"),
        ({"status": "done"}, "unknown_status", "/data/status"),
        ({"currency": "ABC"}, "unknown_currency", "/data/currency"),
        ({"currency": "brl"}, "unknown_currency", "/data/currency"),
        ({"paid_at": "2026-11-22"}, "time_without_zone", "/data/paid_at"),
        ({"discount": 3.5}, "wrong_type", "/data/discount"),
        ({"discount": "-1.00"}, "negative_amount", "/data/discount"),
        ({"id": "a\x00b"}, "bad_character", "/data/id"),
        ({"tk": "\ud800"}, "bad_character", "/data/tk"),
        ({"lines": [a_line(), a_line()]}, "duplicate_line", "/data/lines/1/id"),
        ({"lines": [a_line(quantity=1.5)]}, "not_whole", "/data/lines/0/quantity"),
        ({"lines": [a_line(quantity=-1)]}, "negative", "/data/lines/0/quantity"),
        ({"lines": [a_line(unit_price="1.999")]}, "too_many_decimals", "/data/lines/0/unit_price"),
        ({"lines": [a_line(unit_price="-1")]}, "negative_amount", "/data/lines/0/unit_price"),
        (
            {"lines": [a_line(unit_price="90000000000.01", quantity=1)]},
            "amount_out_of_range",
            "/data/lines/0/unit_price",
        ),
        (
            {"lines": [a_line(unit_price="90000000000.00", quantity=2)]},
            "amount_out_of_range",
            "/data/lines/0/unit_price",
        ),
        ({"lines": [a_line(kind="gift")]}, "unknown_kind", "/data/lines/0/kind"),
        ({"lines": ["l1"]}, "wrong_type", "/data/lines/0"),
        ({"customer": "c1"}, "wrong_type", "/data/customer"),
        ({"refunds": [{"amount": "1.00"}]}, "missing", "/data/refunds/0/id"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_with_its_place(change, code, pointer):
    with pytest.raises(Unreadable) as refused:
        read(an_order(**change))

    assert (refused.value.code, refused.value.pointer) == (code, pointer)


def test_zero_quantities_and_trailing_zeros_are_fine():
    order = read(an_order(lines=[a_line(quantity=0, unit_price="2.000", discount="0")], total="10"))

    assert order.lines[0].amount == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"data": NaN}', b"\xff\xfe", b'{"data": []}', b"[" * 100_000],
    ids=["nothing", "cut", "a list", "null", "NaN", "no UTF-8", "no object", "deep"],
)
def test_what_is_no_order_is_refused_and_never_breaks(body):
    with pytest.raises(Unreadable):
        standard.read(reading.load(body))
