"""Nothing lost: notices are fetched and shops are asked, whatever happens on the way."""

from datetime import timedelta
from itertools import pairwise
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.catalog import queries as catalog
from affiliate.catalog import service as shops
from affiliate.db import db, unit_of_work
from affiliate.intake import api, fetching, platforms, pulling, queries, service
from affiliate.intake.models import Event, Pull
from affiliate.orders import queries as orders
from tests.factories.orders import hook
from tests.factories.people import a_merchant
from tests.intake.standins import (
    FETCHED,
    PULLED,
    MercadoLibre,
    Shopify,
    Stripe,
    Tiendanube,
    WooCommerce,
)

CURRENCY = {"shopify": "EUR", "mercadolibre": "BRL", "shopee": "VND", "wechat": "CNY"}
FILE = {"shopify": platforms.shopify, "woocommerce": platforms.woocommerce}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    """Pages of seven, so that a few dozen orders fill many."""
    for name in ("shopify", "woocommerce", "tiendanube", "mercadolibre", "tiktok", "shopee"):
        module = getattr(platforms, name)
        monkeypatch.setattr(module, "PAGE", 7)
    monkeypatch.setattr(api.time, "sleep", lambda _: None)
    monkeypatch.setattr(pulling, "FIRST", timedelta(days=2))


@pytest.fixture(autouse=True)
def _never_inside_a_transaction(monkeypatch):
    """A shop that takes its time may hold nothing of ours."""
    ask = api.Client.once

    def once(self, *given, **named):
        assert not db.session().in_transaction()
        return ask(self, *given, **named)

    monkeypatch.setattr(api.Client, "once", once)


@pytest.fixture
def connect(app, monkeypatch, clock):
    """A stand-in, and our connection to it."""
    clock.stand("2026-11-20T12:00:00Z")
    started = []

    def connect(kind):
        shop = kind().__enter__()
        started.append(shop)
        settings = app.config["SETTINGS"]
        known = {**settings.shop_apis, shop.platform: shop.address}
        changed = settings.model_copy(update={"shop_apis": known})
        monkeypatch.setitem(app.config, "SETTINGS", changed)
        with unit_of_work():
            merchant = a_merchant()
            ours, _ = shops.create_shop(
                merchant.id,
                platform=shop.platform,
                domain="shop.example.com",
                currency=CURRENCY.get(shop.platform, "USD"),
                country="BR",
                credentials=shop.credentials,
            )
        shop.hook_url = catalog.hook_url(ours)
        return shop, ours

    yield connect
    for shop in started:
        shop.__exit__()


def knock(client, ours, shop, order):
    headers, body, query = shop.webhook(order)
    path = f"{hook(ours)}?{urlencode(query)}" if query else hook(ours)
    answer = client.post(path, data=body, headers=headers)
    assert answer.status_code == 200, answer.text


def work(ours):
    fetching.fetch(ours.merchant_id, ours.id)
    service.drain(ours.merchant_id, ours.id)
    db.session.rollback()


def pull(ours):
    missed = pulling.pull(ours.merchant_id, ours.id, at_once=True)
    service.drain(ours.merchant_id, ours.id)
    db.session.rollback()
    return missed


def known(ours, shop):
    """What we have: whether it is paid, what it cost, what was given back."""
    found = orders.by_external_ids(ours.merchant_id, ours.id, list(shop.orders))
    db.session.rollback()
    return {
        key: (each.facts.paid_at == shop.orders[key]["at"], each.facts.lines[0].amount, given(each))
        for key, each in found.items()
    }


def given(stored):
    if stored.facts.cancelled_at:
        return stored.facts.lines[0].amount
    return sum(each.amount for each in stored.facts.refunds if each.status == "succeeded")


def truth(shop):
    return {key: (True, each["amount"], each["refunded"]) for key, each in shop.orders.items()}


def a_refund(shop, order):
    """Of a part; at Shopee only a whole order is cancelled."""
    return order["amount"] if shop.platform == "shopee" else 1234


@pytest.mark.parametrize("kind", PULLED, ids=lambda kind: kind.platform)
def test_after_one_pull_nothing_is_missing(connect, client, kind, clock):
    """One webhook in twenty is lost, the shop is busy every ninth time, tokens are forgotten, and
    orders change, and so move to the end of the list, while it is read.
    """
    shop, ours = connect(kind)
    shop.place(42)
    lost = [order for number, order in enumerate(shop.orders.values()) if number % 20 == 7]
    for order in shop.orders.values():
        if order not in lost:
            knock(client, ours, shop, order)
    work(ours)
    shop.busy_every = 9
    assert set(truth(shop)) - set(known(ours, shop)) == {order["id"] for order in lost}

    moved = iter(list(shop.orders.values())[::11])
    changed = []

    def change():
        order = next(moved, None)
        if order is not None:
            shop.give_back(order["id"], a_refund(shop, order))
            changed.append(order["id"])
        shop.forget_token()

    shop.between_pages = change
    missed = pull(ours)
    shop.between_pages = lambda: None

    assert set(known(ours, shop)) == set(truth(shop))
    assert len(lost) <= missed <= len(lost) + len(changed)
    assert changed

    clock.move(minutes=10)
    pull(ours)

    assert known(ours, shop) == truth(shop)
    assert queries.counts()["quarantined"] == 0
    db.session.rollback()
    clock.move(minutes=10)
    assert pull(ours) == 0


@pytest.mark.parametrize("kind", FETCHED, ids=lambda kind: kind.platform)
def test_notices_are_one_insert_and_the_order_is_fetched(connect, client, kind, rung, clock):
    shop, ours = connect(kind)
    shop.place(3)
    shop.forget_token()
    rung.clear()

    for order in shop.orders.values():
        knock(client, ours, shop, order)

    assert shop.asked == []
    assert set(rung) == {("workers.intake.fetch", ours.merchant_id, ours.id)}
    assert queries.counts()["waiting"] == 3
    db.session.rollback()

    work(ours)

    assert known(ours, shop) == truth(shop)
    assert queries.counts() == {"waiting": 0, "done": 6, "quarantined": 0}
    db.session.rollback()
    clock.move(minutes=1)
    order = next(iter(shop.orders.values()))
    shop.give_back(order["id"], a_refund(shop, order))
    knock(client, ours, shop, order)
    work(ours)
    assert known(ours, shop) == truth(shop)


def test_refunds_of_woocommerce_are_fetched_in_detail(connect, client):
    shop, ours = connect(WooCommerce)
    shop.place(1)
    (order,) = shop.orders.values()
    shop.give_back(order["id"], 500)

    knock(client, ours, shop, order)
    work(ours)

    (stored,) = orders.by_external_ids(ours.merchant_id, ours.id, [order["id"]]).values()
    assert stored.facts.refunds[0].at == order["updated"]
    assert stored.facts.refunds[0].amount == 500


def test_ten_notices_of_an_order_are_one_fetch(connect, client):
    shop, ours = connect(Tiendanube)
    shop.place(1)
    (order,) = shop.orders.values()
    for _ in range(10):
        knock(client, ours, shop, order)

    work(ours)

    assert len(shop.asked) == 1
    assert queries.counts() == {"waiting": 0, "done": 11, "quarantined": 0}


def test_a_shop_that_does_not_answer_is_asked_again_later_and_then_again(connect, client, clock):
    shop, ours = connect(Tiendanube)
    shop.place(2)
    shop.busy_every = 1
    for order in shop.orders.values():
        knock(client, ours, shop, order)

    work(ours)

    assert [event.error["code"] for event in events()] == ["no_answer"] * 2
    asked = len(shop.asked)
    work(ours)
    assert len(shop.asked) == asked  # it is not yet time

    shop.busy_every = 0
    clock.move(minutes=2)
    work(ours)
    assert known(ours, shop) == truth(shop)


def test_an_order_nobody_has_is_put_aside_in_the_end_and_found_after_a_mend(connect, client, clock):
    shop, ours = connect(Tiendanube)
    shop.place(1)
    (hidden,) = [shop.orders.pop(key) for key in list(shop.orders)]
    knock(client, ours, shop, hidden)
    for _ in range(10):
        work(ours)
        clock.move(hours=1)

    assert [(event.state, event.error["code"]) for event in events()] == [
        ("quarantined", "not_found")
    ]

    shop.orders[hidden["id"]] = hidden
    with unit_of_work():
        assert service.retry() == 1
    work(ours)
    assert known(ours, shop) == truth(shop)


def test_a_lost_consent_keeps_everything_waiting_until_it_is_given_again(connect, client, clock):
    shop, ours = connect(MercadoLibre)
    shop.place(2)
    shop.refresh = "another"
    for order in shop.orders.values():
        knock(client, ours, shop, order)
    work(ours)
    assert {event.error["code"] for event in events()} == {"consent_lost"}
    assert queries.counts()["waiting"] == 2
    db.session.rollback()

    with unit_of_work():
        again = catalog.shop(ours.merchant_id, ours.id)
        shops.change_shop(again, credentials={"refresh_token": "another"})
    clock.move(minutes=15)
    work(ours)

    assert known(ours, shop) == truth(shop)


def test_an_order_of_another_seller_is_never_believed(connect, client, monkeypatch, clock):
    shop, ours = connect(MercadoLibre)
    shop.place(1)
    told = shop.told
    monkeypatch.setattr(shop, "told", lambda order: told(order) | {"seller": {"id": 666}})
    for order in shop.orders.values():
        knock(client, ours, shop, order)

    work(ours)

    assert known(ours, shop) == {}


def test_who_dies_in_the_middle_of_a_window_goes_on_where_he_was(
    connect, client, monkeypatch, clock
):
    shop, ours = connect(Shopify)
    shop.place(40, hours=6)
    turn, turns = pulling._turn, []

    def dying(*given):
        turns.append(1)
        if len(turns) == 2 + 4:  # two windows without orders, then some pages
            raise SystemExit
        return turn(*given)

    monkeypatch.setattr(pulling, "_turn", dying)
    with pytest.raises(SystemExit):
        pulling.pull(ours.merchant_id, ours.id, at_once=True)
    db.session.rollback()
    asked = len(shop.asked)
    assert pulling.pull(ours.merchant_id, ours.id, at_once=True) == 0  # the lease still runs

    clock.move(minutes=11)
    pull(ours)

    assert set(known(ours, shop)) == set(truth(shop))
    assert len(shop.asked) - asked < 6 + 4


def test_a_worker_that_dies_at_a_fetch_is_followed_by_another(connect, client, monkeypatch, clock):
    shop, ours = connect(Tiendanube)
    shop.place(3)
    for order in shop.orders.values():
        knock(client, ours, shop, order)
    with monkeypatch.context() as dying:
        dying.setattr(service, "keep_read", _die)
        with pytest.raises(SystemExit):
            fetching.fetch(ours.merchant_id, ours.id)
    db.session.rollback()

    work(ours)
    assert known(ours, shop) == {}  # what it held is leased for five minutes

    clock.move(minutes=6)
    work(ours)
    assert known(ours, shop) == truth(shop)


def _die(*_):
    raise SystemExit


def test_windows_overlap_and_are_logged_with_their_counts(connect, client, clock):
    shop, ours = connect(Tiendanube)
    shop.place(20, hours=5)
    pull(ours)
    clock.move(hours=1)
    pull(ours)

    rows = list(db.session.scalars(sa.select(Pull).order_by(Pull.id)))

    assert all(after.since < before.until for before, after in pairwise(rows))
    assert rows[-1].until == time.now() - pulling.LAG
    assert sum(row.missed for row in rows) == 20
    assert all(row.seen == (row.total or 0) and row.error is None for row in rows)
    assert max(row.pages for row in rows) == 3


def test_a_failed_refund_at_stripe_leaves_the_money_again(connect, client, clock):
    shop, ours = connect(Stripe)
    shop.place(1)
    (order,) = shop.orders.values()
    shop.give_back(order["id"], 5000)
    knock(client, ours, shop, order)
    work(ours)
    assert known(ours, shop)[order["id"]][2] == 5000

    clock.move(minutes=1)
    order["refund_status"] = "failed"
    order["reference"] = "tk_ABC"
    shop.disputes[order["id"]] = {
        "id": "dp_1", "status": "needs_response", "amount": 100, "created": 1700000000,
    }  # fmt: skip
    order["refunded"] += 1  # another event
    knock(client, ours, shop, order)
    work(ours)

    (stored,) = orders.by_external_ids(ours.merchant_id, ours.id, [order["id"]]).values()
    assert [each.status for each in stored.facts.refunds] == ["failed"]
    assert [(each.status, each.amount) for each in stored.facts.disputes] == [("open", 100)]
    assert (stored.facts.tokens, stored.facts.coupons) == (("ABC",), ("ANA10",))


def test_a_renewal_at_stripe_is_its_invoice_and_so_are_its_refunds(
    connect, client, clock, monkeypatch
):
    shop, ours = connect(Stripe)
    shop.place(1)
    (order,) = shop.orders.values()
    order["renewal"] = True
    monkeypatch.setattr(
        shop, "webhook", lambda order: shop.event("invoice.paid", shop.invoice(order))
    )
    knock(client, ours, shop, order)
    work(ours)

    key = f"in_{order['id']}"
    (stored,) = orders.by_external_ids(ours.merchant_id, ours.id, [key]).values()
    assert (stored.facts.renewal, stored.facts.number) == (True, "A-1")
    assert [line.amount for line in stored.facts.lines] == [order["amount"]]
    db.session.rollback()

    clock.move(minutes=1)
    shop.give_back(order["id"], 1000)
    monkeypatch.setattr(
        shop, "webhook", lambda order: shop.event("charge.refunded", shop.charge(order))
    )
    knock(client, ours, shop, order)
    work(ours)

    (stored,) = orders.by_external_ids(ours.merchant_id, ours.id, [key]).values()
    assert [each.amount for each in stored.facts.refunds] == [1000]


def test_a_payment_at_stripe_without_a_checkout_is_one_line(connect, client, clock, monkeypatch):
    shop, ours = connect(Stripe)
    shop.place(1)
    (order,) = shop.orders.values()
    order["renewal"] = True  # no session belongs to it
    monkeypatch.setattr(shop, "invoice_payments", lambda query: [])
    intent = {"id": order["id"], "object": "payment_intent"}
    monkeypatch.setattr(
        shop, "webhook", lambda order: shop.event("payment_intent.succeeded", intent)
    )
    knock(client, ours, shop, order)
    work(ours)

    (stored,) = orders.by_external_ids(ours.merchant_id, ours.id, [order["id"]]).values()
    assert [line.external_id for line in stored.facts.lines] == ["_total"]


def test_a_shop_on_a_private_network_is_never_asked(app, clock):
    with unit_of_work():
        ours, _ = shops.create_shop(
            a_merchant().id,
            platform="woocommerce",
            domain="localhost:5432",
            currency="USD",
            country="BR",
            credentials=WooCommerce.credentials,
        )

    pulling.pull(ours.merchant_id, ours.id)

    row = db.session.scalars(sa.select(Pull)).one()
    assert (row.error["code"], row.pages) == ("not_public", 0)


def test_the_sweep_rings_for_shops_that_are_due(connect, rung, clock):
    _, ours = connect(Shopify)
    bell = ("workers.intake.pull", ours.merchant_id, ours.id)

    with unit_of_work():
        pulling.ring_for_due()
    assert rung.count(bell) == 1

    pull(ours)
    with unit_of_work():
        assert pulling.ring_for_due() == 0
    clock.move(minutes=40)
    with unit_of_work():
        assert pulling.ring_for_due() == 1


def events():
    db.session.expire_all()
    found = list(db.session.scalars(sa.select(Event).where(Event.thin).order_by(Event.id)))
    db.session.rollback()
    return found
