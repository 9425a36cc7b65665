"""How many pieces were sold lately: only what was paid for, kept and is no test."""

import pytest

from affiliate import clock as time
from affiliate.catalog import queries
from affiliate.db import unit_of_work
from affiliate.orders import sales
from tests.factories.catalog import a_product, a_shop
from tests.factories.orders import a_line, a_refund, an_order, deliver
from workers import orders as job


@pytest.fixture
def shop(app):
    with unit_of_work():
        return a_shop()


def lines(quantity, **facts):
    return [a_line(product_id="p1", quantity=quantity, tax="0.00") | facts]


def test_paid_pieces_of_the_last_days_are_counted_and_what_went_back_is_not(client, shop, clock):
    with unit_of_work():
        product, rival = (a_product(each, external_id="p1") for each in (shop, a_shop()))
    clock.stand("2026-10-01T12:00:00Z")
    deliver(client, shop, an_order(lines=lines(100)))
    clock.stand("2026-11-22T12:00:00Z")
    back = {"line_id": "l1", "quantity": 2, "amount": "200.00"}
    whole = {"line_id": "l1", "amount": "10.00"}
    deliver(
        client,
        shop,
        an_order(lines=lines(3)),
        an_order(lines=lines(4), refunds=[a_refund("200.00", lines=[back])]),
        an_order(lines=lines(5), refunds=[a_refund("10.00", lines=[whole])]),
        an_order(lines=lines(6), refunds=[a_refund("1.00")]),
        an_order(lines=lines(7), refunds=[a_refund("8.00", shipping="8.00")]),
        an_order(lines=lines(1000), test=True),
        an_order(lines=lines(1000), status="pending_payment", paid_at=None),
        an_order(lines=lines(1000), status="cancelled", cancelled_at=time.now().isoformat()),
        an_order(lines=lines(1000, product_id="other")),
        an_order(lines=lines(1000, kind="gift_card")),
    )

    job.count_sales()

    assert queries.sales_of(shop.merchant_id, product.id) == 3 + 2 + 7
    assert queries.sales_of(rival.merchant_id, rival.id) == 0
    clock.move(days=31)
    assert sales.count(shop.merchant_id) == 0
    assert queries.sales_of(shop.merchant_id, product.id) == 0
