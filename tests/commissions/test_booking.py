"""From a shop's webhook to entries and transfers on the real database: all ways an order can go."""

import json
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.commissions import service
from affiliate.commissions.models import Commission
from affiliate.db import db, unit_of_work
from affiliate.intake import queries
from affiliate.intake import service as intake
from affiliate.links import token
from affiliate.people import service as people
from affiliate.programs import service as programs
from tests.commissions.town import (
    Town,
    balance,
    clean,
    codes,
    earned,
    refusal,
    states,
)
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import a_line, a_refund, an_order, deliver, send
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program


@pytest.fixture
def town(app):
    return Town()


def test_a_paid_order_pays_every_level(client, town):
    deliver(client, town.shop, an_order(town.tk()))

    assert earned() == {("direct", "Ana"): 1200, ("tier_2", "Bia"): 300, ("tier_3", "Cida"): 100}
    assert balance(town.ana, "pending") == 1200
    clean()


def test_example_1_with_its_refund(client, town):
    line = a_line(price="199.90", quantity=2, discount="39.98", tax="54.89")
    order = an_order(town.tk(), lines=[line])
    deliver(client, town.shop, order)
    assert earned()["direct", "Ana"] == 3659
    assert earned()["tier_2", "Bia"] == 914

    deliver(client, town.shop, order | {"version": 2, "refunds": [a_refund("100.00")]})

    assert earned()["direct", "Ana"] == 2642
    assert earned()["tier_2", "Bia"] == 660
    assert (-1017, "pending") in states()
    clean()


def test_a_full_refund_leaves_exactly_nothing(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order, order | {"version": 2, "refunds": [a_refund("100.00")]})

    assert set(earned().values()) == {0}
    assert [balance(who, "pending") for who in (town.ana, town.bia, town.cida)] == [0, 0, 0]
    clean()


def test_an_unpaid_order_is_only_an_estimate(client, town):
    order = an_order(town.tk(), status="pending_payment", paid_at=None)

    deliver(client, town.shop, order)
    assert states() == [(1200, "estimated"), (300, "estimated"), (100, "estimated")]
    assert balance(town.ana, "pending") == 0
    clean()

    deliver(
        client, town.shop, order | {"version": 2, "status": "paid", "paid_at": order["created_at"]}
    )
    assert states() == [(1200, "pending"), (300, "pending"), (100, "pending")]
    clean()


def test_an_expired_order_is_no_estimate_and_earns_when_it_is_paid_late(client, town):
    order = an_order(town.tk(), status="pending_payment", paid_at=None)
    deliver(client, town.shop, order, order | {"version": 2, "status": "expired"})
    assert states() == []

    late = {"version": 3, "status": "paid", "paid_at": order["created_at"]}
    deliver(client, town.shop, order | late)
    assert earned()["direct", "Ana"] == 1200
    clean()


def test_an_order_that_is_no_longer_paid_takes_everything_back_and_may_be_paid_again(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order, order | {"version": 2, "paid_at": None})
    assert balance(town.ana, "pending") == 0

    deliver(client, town.shop, order | {"version": 3})
    assert balance(town.ana, "pending") == 1200
    clean()


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_a_cancelled_order_takes_everything_back(client, town, ending):
    order = an_order(town.tk())
    gone = {"status": ending, "cancelled_at": order["created_at"]}

    deliver(client, town.shop, order, order | {"version": 2} | gone)

    assert set(earned().values()) == {0}
    clean()


def test_a_cancellation_taken_back_pays_again(client, town):
    order = an_order(town.tk())
    gone = order | {"version": 2, "status": "cancelled", "cancelled_at": order["created_at"]}

    deliver(client, town.shop, order, gone, order | {"version": 3})

    assert earned()["direct", "Ana"] == 1200
    clean()


def test_an_edit_up_and_down_moves_every_level(client, town):
    order = an_order(town.tk())
    more = order | {"version": 2, "lines": [a_line(price="120.00", tax="0.00")]}
    less = order | {"version": 3, "lines": [a_line(price="50.00", tax="0.00")]}

    deliver(client, town.shop, order, more)
    assert earned() == {("direct", "Ana"): 1440, ("tier_2", "Bia"): 360, ("tier_3", "Cida"): 120}
    deliver(client, town.shop, less)
    assert earned() == {("direct", "Ana"): 600, ("tier_2", "Bia"): 150, ("tier_3", "Cida"): 50}
    clean()


def test_a_line_edited_away_and_another_added(client, town):
    order = an_order(town.tk(), lines=[a_line("l1"), a_line("l2", "30.00")])
    edited = order | {"version": 2, "lines": [a_line("l1"), a_line("l3", "50.00")]}

    deliver(client, town.shop, order, edited)

    assert earned()["direct", "Ana"] == 1200 + 600
    clean()


def test_reports_in_any_order_and_repeated_end_alike(client, town):
    """Promise 1, for one order's versions: unpaid, paid, edited, refunded in part."""
    first = an_order(town.tk(), status="pending_payment", paid_at=None)
    paid = first | {"version": 2, "status": "paid", "paid_at": first["created_at"]}
    edited = paid | {"version": 3, "lines": [a_line(price="80.00", tax="0.00")]}
    refunded = edited | {"version": 4, "refunds": [a_refund("30.00")]}
    ends = set()
    for turn, reports in enumerate(permutations([first, paid, edited, refunded])):
        for report in [*reports, reports[0]]:
            deliver(client, town.shop, report | {"id": f"turn{turn}"})
    rows = db.session.execute(
        sa.text(
            "SELECT o.external_id, c.role, sum(e.amount)::bigint FROM entries e"
            " JOIN commissions c ON c.merchant_id = e.merchant_id AND c.id = e.commission_id"
            " JOIN orders o ON o.merchant_id = c.merchant_id AND o.id = c.order_id"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
    ).all()
    for turn in range(24):
        ends.add(tuple((role, net) for key, role, net in rows if key == f"turn{turn}"))

    assert ends == {(("direct", 600), ("tier_2", 150), ("tier_3", 50))}
    clean()


def test_reports_that_are_booked_together_end_as_one_after_the_other(client, town):
    order = an_order(town.tk())
    refunded = order | {"version": 2, "refunds": [a_refund("100.00")]}
    for each in (order, refunded):
        send(client, town.shop, each)

    assert intake.drain(town.merchant.id, town.shop.id) == 1

    assert earned() == {("direct", "Ana"): 0, ("tier_2", "Bia"): 0, ("tier_3", "Cida"): 0}
    assert states() == []


def test_the_same_report_again_writes_nothing(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order)
    before = states(), db.session.scalar(sa.text("SELECT count(*) FROM ledger_transfers"))

    deliver(client, town.shop, order, order)

    assert (states(), db.session.scalar(sa.text("SELECT count(*) FROM ledger_transfers"))) == before


def test_a_test_order_earns_nothing_and_says_so(client, town):
    deliver(client, town.shop, an_order(town.tk(), test=True))

    assert earned() == {}
    assert refusal() == "test_order"


def test_a_promoters_own_purchase_earns_nothing_and_says_so(client, town):
    with unit_of_work():
        people.change_promoter(town.ana, {"email": "ana.souza@gmail.com"})

    buyer = {"id": "c1", "email": "AnaSouza+shop@googlemail.com"}
    deliver(client, town.shop, an_order(town.tk(), customer=buyer))

    assert earned() == {}
    assert refusal() == "self_purchase"


def test_a_promoters_own_purchase_is_a_rebate_where_the_program_says_so(client):
    town = Town(self_purchase="rebate")
    with unit_of_work():
        people.change_promoter(town.ana, {"email": "ana@example.com"})

    deliver(client, town.shop, an_order(town.tk(), customer={"email": "ana@example.com"}))

    assert earned() == {("rebate", "Ana"): 1200, ("tier_2", "Bia"): 300, ("tier_3", "Cida"): 100}


@pytest.mark.parametrize(
    ("mode", "paid"),
    [
        ("skip", {("direct", "Ana"): 1200, ("tier_3", "Cida"): 100}),
        ("compress", {("direct", "Ana"): 1200, ("tier_2", "Cida"): 300}),
    ],
)
def test_a_suspended_upline_is_skipped_or_compressed(client, clock, mode, paid):
    town = Town(inactive_upline=mode)
    with unit_of_work():
        people.suspend(town.bia)

    deliver(client, town.shop, an_order(town.tk()))

    assert earned() == paid
    clean()


def test_the_upline_of_the_day_of_payment_counts(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order)
    with unit_of_work():
        people.move_sponsor(town.ana, None)

    deliver(client, town.shop, order | {"version": 2, "lines": [a_line(price="200.00")]})

    assert earned() == {("direct", "Ana"): 2400, ("tier_2", "Bia"): 600, ("tier_3", "Cida"): 200}
    clean()


def test_a_late_touch_moves_the_credit_until_something_is_released(client, town):
    with unit_of_work():
        other = a_link(town.program, a_promoter("Duda"))
    order = an_order(town.tk(before=timedelta(hours=1)))
    deliver(client, town.shop, order)

    later = order | {"version": 2, "tk": f"{order['tk']}.{town.tk(other)}"}
    deliver(client, town.shop, later)
    assert earned() == {
        ("direct", "Ana"): 0,
        ("tier_2", "Bia"): 0,
        ("tier_3", "Cida"): 0,
        ("direct", "Duda"): 1200,
    }

    with unit_of_work():
        service.release(town.merchant.id, time.now() + timedelta(days=60))
    deliver(client, town.shop, order | {"version": 3})
    assert earned()["direct", "Duda"] == 1200
    clean()


@pytest.mark.parametrize(
    ("tk", "code"),
    [("x" * 32, "token_forged"), ("short", "token_forged"), ("é" * 40, "token_forged")],
)
def test_a_forged_token_is_ignored_and_told(client, town, tk, code):
    deliver(client, town.shop, an_order(f"{tk}.{town.tk()}"))

    assert codes() == [code, "won"]
    assert earned()["direct", "Ana"] == 1200


def test_a_token_of_another_merchant_is_ignored_and_told(client, town):
    foreign = Town()

    deliver(client, town.shop, an_order(foreign.tk()))

    assert codes() == ["token_foreign", "no_winner"]
    assert earned() == {}


def test_release_moves_what_is_due_and_a_refund_afterwards_claws_back(client, town):
    order = an_order(town.tk(), delivered_at=None)
    deliver(client, town.shop, order)
    with unit_of_work():
        assert service.release(town.merchant.id, time.now() + timedelta(days=29)) == 0
        assert service.release(town.merchant.id, time.now() + timedelta(days=31)) == 3
    assert balance(town.ana, "available") == 1200

    deliver(client, town.shop, order | {"version": 2, "refunds": [a_refund("25.00")]})

    assert balance(town.ana, "available") == 900
    assert (-300, "available") in states()
    clean()


def test_delivery_shortens_the_hold_while_pending(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order)
    delivered = order | {"version": 2, "status": "delivered", "delivered_at": order["created_at"]}
    deliver(client, town.shop, delivered)

    with unit_of_work():
        assert service.release(town.merchant.id, time.now() + timedelta(days=16)) == 3
    clean()


def test_a_raise_and_its_reversal_are_released_together(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order, order | {"version": 2, "refunds": [a_refund("40.00")]})

    with unit_of_work():
        assert service.release(town.merchant.id, time.now() + timedelta(days=31)) == 6

    assert (balance(town.ana, "pending"), balance(town.ana, "available")) == (0, 720)
    clean()


def test_a_products_own_rate_counts_for_its_lines_as_of_the_payment(client, town, clock):
    clock.move(minutes=0)
    with unit_of_work():
        programs.change_program(town.program, {"notice_days": 0})
        shirt = a_product(town.shop, external_id="p1")
        programs.set_product_rate(town.program, shirt.id, 200_000)
    clock.move(minutes=1)
    lines = [a_line("l1", product_id="p1"), a_line("l2", product_id="p2")]
    order = an_order(town.tk(), lines=lines)
    deliver(client, town.shop, order)
    assert earned()["direct", "Ana"] == 2000 + 1200

    clock.move(minutes=1)
    with unit_of_work():
        programs.set_product_rate(town.program, shirt.id, None)
    clock.move(minutes=1)
    deliver(client, town.shop, order | {"version": 2, "refunds": [a_refund("100.00")]})
    assert earned()["direct", "Ana"] == 1000 + 600

    deliver(client, town.shop, an_order(town.tk(), lines=lines))
    assert earned()["direct", "Ana"] == 1600 + 2400
    clean()


def test_a_refund_that_comes_before_its_order_is_booked_with_it(client, app):
    with unit_of_work():
        merchant = a_merchant(currency="USD", country="US")
        shop = a_shop(merchant, platform="shopify")
        link = a_link(a_program(merchant))
    sample = Path(__file__).parents[1] / "intake" / "samples" / "shopify"
    refund = json.loads((sample / "refund.rest-2026-07.refund-by-amount.json").read_text())
    order = json.loads((sample / "order.rest-2026-07.percentage-discount-code.json").read_text())
    now = time.now().isoformat()
    order |= {
        "created_at": now, "processed_at": now, "updated_at": now, "id": refund["order_id"],
        "note_attributes": [{"name": "tk", "value": token.make(link.id, time.now(), b"abc")}],
    }  # fmt: skip

    deliver(client, shop, refund)
    assert queries.counts() == {"waiting": 0, "done": 1, "quarantined": 0}
    deliver(client, shop, order)
    partly = sum(earned().values())

    deliver(client, shop, order | {"id": 1})
    assert 0 < partly < sum(earned().values()) - partly
    clean()


def test_an_order_keeps_its_currency_for_life(client, town):
    order = an_order(town.tk())

    deliver(client, town.shop, order, order | {"version": 2, "currency": "USD"})

    (aside,) = queries.quarantined()
    assert aside.error["code"] == "currency_changed"
    assert earned()["direct", "Ana"] == 1200
    clean()


def test_a_program_that_is_changed_today_does_not_move_the_credit_of_yesterday(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order)
    with unit_of_work():
        other = a_shop(town.merchant)
        programs.change_program(town.program, {"shop_ids": [other.id]})

    deliver(client, town.shop, order | {"version": 2, "status": "delivered"})

    assert earned()["direct", "Ana"] == 1200


def test_a_commission_says_what_it_is_computed_from_now(client, town):
    unpaid = an_order(town.tk(), status="pending_payment", paid_at=None)
    deliver(client, town.shop, unpaid)
    paid = {"version": 2, "status": "paid", "paid_at": unpaid["created_at"]}

    deliver(client, town.shop, unpaid | paid | {"lines": [a_line(price="120.00", tax="0.00")]})

    found = db.session.scalars(sa.select(Commission).where(Commission.role == "direct")).one()
    assert (found.base, found.rate_ppm) == (12000, 120_000)


def test_the_platforms_fee_is_booked_and_reversed_beside_the_rest(client):
    town = Town()
    with unit_of_work():
        town.merchant.platform_fee_ppm = 20_000
    order = an_order(town.tk())

    deliver(client, town.shop, order)
    assert earned()["platform_fee", None] == 200
    deliver(client, town.shop, order | {"version": 2, "refunds": [a_refund("100.00")]})

    assert earned()["platform_fee", None] == 0
    clean()


def test_a_commission_tells_its_sums_and_its_state(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order, order | {"version": 2, "refunds": [a_refund("25.00")]})

    found = db.session.scalars(sa.select(Commission).where(Commission.role == "direct")).one()
    assert (found.amount, found.reversed, found.state) == (1200, 300, "pending")

    deliver(client, town.shop, order | {"version": 3, "refunds": [a_refund("100.00")]})
    db.session.expire_all()
    assert (found.amount, found.reversed, found.state) == (1200, 1200, "void")
