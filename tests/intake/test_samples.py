"""What each platform's own samples say, read to facts."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from affiliate.catalog.service import Keys
from affiliate.commissions.rules import worths
from affiliate.intake import reading
from affiliate.intake.platforms import (
    PLATFORMS,
    Knock,
    mercadolibre,
    shopee,
    stripe,
    tiendanube,
    tiktok,
    wechat,
    woocommerce,
    youzan,
)
from affiliate.intake.reading import Unreadable
from affiliate.orders.models import Status

SAMPLES = Path(__file__).parent / "samples"


def told(name):
    return json.loads((SAMPLES / name).read_text())


def node(value):
    return reading.load(json.dumps(value).encode())


def read(platform, value):
    (order,) = platform.read(node(value))
    return order


def left(order):
    return [worth.remaining_base for worth in worths(order)[0]]


def refusal(platform, value):
    with pytest.raises(Unreadable) as refused:
        platform.read(node(value))
    return refused.value.code, refused.value.pointer


# --- WooCommerce -------------------------------------------------------------------------------

WOO = "woocommerce/order.updated.docs-723-partially-refunded.json"


def test_woocommerce_partially_refunded():
    """Paid by bank transfer: no payment date, so its completion is. 19 of 29 and 10 for shipping
    went back, shipping first is not said, so the sums are the order's.
    """
    order = read(woocommerce, told(WOO))

    assert (order.external_id, order.status, order.currency) == ("723", Status.FULFILLED, "USD")
    assert order.paid_at == datetime(2017, 3, 21, 19, 54, 51, tzinfo=UTC)
    assert [(line.amount, line.tax) for line in order.lines] == [(900, 0), (2000, 0)]
    assert [(each.external_id, each.amount) for each in order.refunds] == [
        ("726", 1000),
        ("724", 900),
    ]
    assert order.refunds_complete
    assert sum(left(order)) == 1000


def test_woocommerce_refund_in_detail():
    line = {
        "id": 9, "quantity": -1, "total": "-9.00", "total_tax": "0.00",
        "meta_data": [{"key": "_refunded_item_id", "value": "311"}],
    }  # fmt: skip
    detailed = told("woocommerce/refund.docs-726.json") | {"amount": "9.00", "line_items": [line]}

    order = read(woocommerce, told(WOO) | {"refunds": [detailed]})

    (refund,) = order.refunds
    assert refund.at == datetime(2017, 3, 21, 20, 7, 11, tzinfo=UTC)
    assert [(each.line, each.quantity, each.amount) for each in refund.lines] == [("311", 1, 900)]
    assert left(order) == [0, 2000]


def test_woocommerce_carries_a_token_in_meta_and_in_where_the_visit_began():
    meta = [
        {"key": "_tk", "value": "A"},
        {"key": "tk", "value": {"not": "text"}},
        {"key": "group_id", "value": "x" * 10_000},
        {"key": "_group_id", "value": "G1"},
        {"key": "_wc_order_attribution_session_entry", "value": "https://s.example/?a=1&tk=B"},
    ]
    coupons = [{"code": "ANA10", "discount": "1.00"}]

    order = read(woocommerce, told(WOO) | {"meta_data": meta, "coupon_lines": coupons})

    assert (order.tokens, order.coupons) == (("A", "B"), ("ANA10",))
    assert order.group_id == "G1"


def test_woocommerce_fees_are_lines_and_fees_below_zero_discounts():
    fees = [
        {"id": 1, "name": "Gift wrap", "total": "2.00"},
        {"id": 2, "name": "Off", "total": "-3.00"},
    ]

    order = read(woocommerce, told(WOO) | {"fee_lines": fees, "refunds": []})

    assert (order.discount, order.lines[-1].kind, order.lines[-1].amount) == (300, "fee", 200)


def test_woocommerce_discounts_are_what_coupons_took_from_a_line():
    sample = told(WOO)
    sample["line_items"][0] |= {"subtotal": "12.000", "total": "9.00", "total_tax": "1.80"}

    line = read(woocommerce, sample).lines[0]

    assert (line.amount, line.discount, line.tax) == (1200, 300, 180)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [("pending", Status.PENDING_PAYMENT), ("on-hold", Status.PENDING_PAYMENT),
     ("processing", Status.PAID), ("cancelled", Status.CANCELLED), ("refunded", Status.CANCELLED),
     ("trash", Status.CANCELLED), ("failed", Status.EXPIRED)],
)  # fmt: skip
def test_woocommerce_statuses(status, meaning):
    sample = told("woocommerce/order.created.docs-727-processing.json") | {"status": status}
    order = read(woocommerce, sample)

    assert order.status is meaning
    assert (order.cancelled_at is not None) is (meaning is Status.CANCELLED)
    assert order.refunded_fully is (status == "refunded")


def test_woocommerce_statuses_of_plugins_are_put_aside_and_drafts_are_nothing():
    sample = told(WOO)

    assert refusal(woocommerce, sample | {"status": "wc-preparing"}) == (
        "unknown_status",
        "/status",
    )
    assert woocommerce.read(node(sample | {"status": "checkout-draft"})) == []


def test_woocommerce_says_hello_without_a_signature():
    ping = (SAMPLES / "woocommerce/ping.form-body.txt").read_bytes()

    assert woocommerce.greet(Keys(()), Knock({}, ping)) is not None
    assert woocommerce.greet(Keys(()), Knock({}, ping + b"&order=1")) is None


def test_woocommerce_a_deleted_order_is_only_an_id():
    with_keys = Keys((), {"consumer_key": "k", "consumer_secret": "s"})
    gone = node(told("woocommerce/coupon.deleted.hookdeck-wc7.4.json"))

    assert woocommerce.thin(with_keys, gone)
    assert not woocommerce.thin(Keys(()), gone)
    assert woocommerce.read(gone) == []
    assert woocommerce.order_key(gone) == "16"


# --- Tiendanube --------------------------------------------------------------------------------

NUBE = "tiendanube/order.resource.docs-450789469.json"


def test_tiendanube_paid():
    extra = {"tk": "B", "group_id": 7}
    sample = told(NUBE) | {"landing_url": "https://s.example/?tk=A", "extra": extra}

    order = read(tiendanube, sample)

    assert (order.external_id, order.number, order.total) == ("450789469", "10872", 566000)
    assert order.paid_at == datetime(2022, 2, 23, 12, 25, 18, tzinfo=UTC)
    assert [(line.quantity, line.amount, line.sku) for line in order.lines] == [
        (1, 519000, "12331471")
    ]
    assert (order.tokens, order.coupons, order.shipping) == (("B", "A"), ("SUPERDISCOUNT",), 47000)
    assert order.group_id == "7"


def test_tiendanube_tells_how_much_was_given_back_by_its_transactions():
    sample = told(NUBE) | {"payment_status": "partially_refunded"}
    assert refusal(tiendanube, sample) == ("refund_not_told", "/transactions")

    back = {"id": "t1", "refunded_amount": {"value": "200.45", "currency": "USD"}}
    order = read(tiendanube, sample | {"transactions": [back]})
    assert [(each.external_id, each.amount) for each in order.refunds] == [("t1", 20045)]

    assert read(tiendanube, told(NUBE) | {"payment_status": "refunded"}).refunded_fully


def test_tiendanube_unknown_words_are_put_aside():
    sample = told(NUBE)

    assert refusal(tiendanube, sample | {"payment_status": "maybe"}) == (
        "unknown_status", "/payment_status",
    )  # fmt: skip
    assert refusal(tiendanube, sample | {"status": "archived"}) == ("unknown_status", "/status")


# --- Mercado Libre -----------------------------------------------------------------------------

LIBRE = "mercadolibre/order.resource.docs-768570754-paid.json"


def test_mercadolibre_paid():
    order = read(mercadolibre, told(LIBRE))

    assert (order.external_id, order.status, order.total) == ("768570754", Status.PAID, 49900)
    assert order.paid_at == datetime(2013, 5, 27, 14, 4, 7, tzinfo=UTC)
    assert [(line.external_id, line.amount) for line in order.lines] == [("MLB12345678", 49900)]
    assert (order.tokens, order.coupons, order.sharers) == ((), (), ())


def test_mercadolibre_rejected_attempts_are_no_payment_and_refunds_are_per_payment():
    payment = told(LIBRE)["payments"][0]
    payments = [
        payment | {"id": 1, "status": "rejected"},
        payment | {"id": 2, "transaction_amount_refunded": 99.5},
    ]
    order = read(mercadolibre, told(LIBRE) | {"payments": payments, "status": "partially_refunded"})
    assert [(each.external_id, each.amount) for each in order.refunds] == [("2", 9950)]

    only = read(mercadolibre, told(LIBRE) | {"payments": payments[:1]})
    assert only.paid_at is None


def test_mercadolibre_mediations_hold_and_are_won_or_lost():
    payment = told(LIBRE)["payments"][0]

    def statuses(status):
        sample = told(LIBRE) | {
            "payments": [payment | {"status": status}],
            "mediations": [{"id": 1}],
        }
        return [each.status for each in read(mercadolibre, sample).disputes]

    assert [statuses(each) for each in ("in_mediation", "charged_back", "approved")] == [
        ["open"], ["lost"], ["won"],
    ]  # fmt: skip
    assert read(mercadolibre, told(LIBRE)).disputes == ()


def test_mercadolibre_test_orders_and_unknown_words():
    assert read(mercadolibre, told(LIBRE) | {"tags": ["test_order"]}).test
    assert refusal(mercadolibre, told(LIBRE) | {"status": "lost"}) == ("unknown_status", "/status")
    payment = told(LIBRE)["payments"][0] | {"status": "odd"}
    assert refusal(mercadolibre, told(LIBRE) | {"payments": [payment]}) == (
        "unknown_payment_status", "/payments/0/status",
    )  # fmt: skip


# --- 微信小店 ------------------------------------------------------------------------------------


def wechat_order(**changes):
    sample = told("wechat/api.order.get.response.skit.json")
    return {"order": sample["order"] | changes, "aftersales": []}


def test_wechat_order_with_its_sharer():
    order = read(wechat, wechat_order())

    assert (order.external_id, order.currency, order.total) == ("37423523451235145", "CNY", 10500)
    assert order.paid_at == datetime(2022, 7, 22, 17, tzinfo=UTC)
    assert [(line.external_id, line.quantity, line.amount) for line in order.lines] == [
        ("23424", 10, 20000)
    ]
    assert (order.discount, order.shipping, left(order)) == (10000, 500, [10000])
    assert order.sharers == ("SHAREROPENID", "sph3FZbOEY46mAB")


def test_wechat_refunds_are_after_sales_orders():
    aftersale = {
        "after_sale_order_id": 1234, "status": "MERCHANT_REFUND_SUCCESS",
        "product_info": {"product_id": "234245", "sku_id": "23424", "count": 3},
        "refund_info": {"amount": 3000}, "update_time": 1658509999,
    }  # fmt: skip

    order = read(wechat, wechat_order() | {"aftersales": [aftersale]})

    assert left(order) == [7000]
    aftersale["status"] = "USER_CANCELD"
    assert left(read(wechat, wechat_order() | {"aftersales": [aftersale]})) == [10000]
    aftersale["status"] = "NEW_WORD"
    value = wechat_order() | {"aftersales": [aftersale]}
    assert refusal(wechat, value) == ("unknown_status", "/aftersales/0/status")


@pytest.mark.parametrize(
    ("status", "meaning", "cancelled"),
    [(10, Status.PENDING_PAYMENT, False), (30, Status.FULFILLED, False),
     (100, Status.DELIVERED, False), (200, Status.CANCELLED, True), (250, Status.EXPIRED, True)],
)  # fmt: skip
def test_wechat_statuses(status, meaning, cancelled):
    order = read(wechat, wechat_order(status=status))

    assert (order.status, order.cancelled_at is not None) == (meaning, cancelled)
    assert (order.delivered_at is not None) is (status == 100)


@pytest.mark.parametrize(
    "path", sorted((SAMPLES / "wechat").glob("event.*.json")), ids=lambda p: p.stem
)
def test_wechat_events_name_an_order_as_number_or_text(path):
    event = reading.load(path.read_bytes())

    assert wechat.order_key(event) == "3705115058471208928"
    assert wechat.thin(Keys(()), event)
    assert wechat.read(event) == []


# --- Stripe ------------------------------------------------------------------------------------


def stripe_sale(**changes):
    session = told("stripe/checkout.session.completed.payment_mode.stripe-ruby-mock.json")
    sale = session["data"]["object"] | {"livemode": True, "created": 1326853478} | changes
    return {"object": "tuike.sale", "fetched_at": 7, "session": sale}


def test_stripe_a_session_without_lines_is_its_total_without_tax_and_shipping():
    details = {"amount_discount": 0, "amount_shipping": 1500, "amount_tax": 2000}

    order = read(stripe, stripe_sale(total_details=details))

    assert (order.external_id, order.version, order.total) == ("pi_00000000000000", 7, 25000)
    assert [(line.external_id, line.amount) for line in order.lines] == [("_total", 21500)]
    assert (order.shipping, order.test, order.status) == (1500, False, Status.PAID)
    assert read(stripe, stripe_sale(livemode=False)).test
    unpaid = read(stripe, stripe_sale(payment_status="unpaid"))
    assert (unpaid.paid_at, unpaid.status) == (None, Status.PENDING_PAYMENT)


@pytest.mark.parametrize(
    ("currency", "told", "minor"),
    [("jpy", 500, 500), ("kwd", 12340, 12340), ("isk", 50000, 500), ("mga", 500, 50000)],
)
def test_stripe_counts_a_few_currencies_in_units_of_its_own(currency, told, minor):
    assert read(stripe, stripe_sale(currency=currency, amount_total=told)).total == minor


def test_stripe_words_nobody_knows_are_put_aside():
    sale = stripe_sale(currency="isk", amount_total=50)
    assert refusal(stripe, sale) == ("too_many_decimals", "/session/amount_total")
    assert refusal(stripe, stripe_sale(payment_status="maybe")) == (
        "unknown_status", "/session/payment_status",
    )  # fmt: skip
    back = {"id": "re_1", "amount": 1, "status": "odd"}
    assert refusal(stripe, stripe_sale() | {"refunds": [back]}) == (
        "unknown_status", "/refunds/0/status",
    )  # fmt: skip


# --- beta --------------------------------------------------------------------------------------


def test_shopee_order_of_the_docs():
    sample = told("shopee/api.v2.order.get_order_detail.sample.repaired.json")
    value = sample["response"]["order_list"][0]

    order = read(shopee, value)

    assert (order.external_id, order.currency, order.total) == ("2404098R48U37H", "VND", 32119)
    assert [(line.amount, line.discount) for line in order.lines] == [(300000, 252000)]
    assert order.paid_at == datetime(2024, 4, 11, 6, 42, 46, tzinfo=UTC)
    assert refusal(shopee, value | {"order_status": "TO_RETURN"}) == (
        "refund_not_told", "/order_status",
    )  # fmt: skip


def test_notices_of_marketplaces_name_the_order_and_nothing_else():
    push = node(told("shopee/push.code3.order_status.json"))
    assert shopee.order_key(push) == "220810QSK8S7BX"
    for name in ("type1.order_status_change.docs", "type11.cancellation_status_change.docs"):
        notice = node(told(f"tiktokshop/{name}.json"))
        assert (tiktok.order_key(notice), tiktok.read(notice)) == ("576486316948490001", [])


def test_youzan_opens_the_message_and_waits_for_the_whole_trade():
    raw = (SAMPLES / "youzan/trade_TradeClose.dezsidog-test.json").read_bytes()

    body = reading.load(youzan.plain(Keys(()), Knock({}, raw)))

    assert youzan.order_key(body) == "E20170807181905034500002"
    assert body.get("msg").get("close_type").value == 1
    with pytest.raises(Unreadable) as refused:
        youzan.read(body)
    assert refused.value.code == "trade_not_told"


@pytest.mark.parametrize("name", PLATFORMS)
def test_an_empty_object_says_nothing_or_is_refused(name):
    found = []
    with suppress(Unreadable):
        found = PLATFORMS[name].read(node({}))
    assert list(found) == []
