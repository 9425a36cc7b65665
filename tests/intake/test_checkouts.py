"""What a buyer's browser tells of a checkout reaches its order, whoever comes first."""

import json
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.attribution.models import Attribution
from affiliate.catalog import queries
from affiliate.db import db, unit_of_work
from affiliate.intake import checkouts, handing, service
from affiliate.intake.models import Checkout, Event
from affiliate.ledger.verify import verify
from affiliate.links import token
from affiliate.orders.models import Order
from affiliate.people import queries as people
from affiliate.people.tries import Limit
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.orders import hook, send
from tests.factories.programs import a_program

CHECKOUT = "bd5a8aa1ecd019dd3520ff791ee3a24c"
NONE = "2b9ba639fb81a1fb61a02be4c95459b5"


@pytest.fixture
def shop(app):
    with unit_of_work():
        return a_shop(platform="shopify")


@pytest.fixture
def link(shop):
    with unit_of_work():
        return a_link(a_program(people.merchant(shop.merchant_id)))


def a_token(link, nonce=b"abc"):
    return token.make(link.id, time.now() - timedelta(hours=1), nonce)


def an_order(**facts):
    now = time.now().isoformat()
    return {
        "id": 820982911946154500, "financial_status": "paid", "currency": "BRL",
        "created_at": now, "updated_at": now, "taxes_included": True, "checkout_token": CHECKOUT,
        "line_items": [{"id": 1, "title": "Camisa", "quantity": 1, "price": "100.00"}],
        "total_price": "100.00",
    } | facts  # fmt: skip


def tell(client, shop, body=None, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"{hook(shop)}/checkouts", data=data, headers=headers)


def drain(shop):
    service.drain(shop.merchant_id, shop.id)
    db.session.expire_all()


def order():
    return db.session.scalars(sa.select(Order)).one()


def credited():
    return db.session.scalars(sa.select(Attribution)).one().promoter_id


def test_a_pixel_that_speaks_before_the_order_gives_it_its_token(client, shop, link):
    tk = a_token(link)

    answer = tell(client, shop, {"checkout": CHECKOUT, "tk": tk})
    send(client, shop, an_order())
    drain(shop)

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Set-Cookie" not in answer.headers
    assert order().tokens == [tk]
    assert credited() == link.promoter_id
    assert verify().ok


def test_a_pixel_that_speaks_after_the_order_is_heard_as_well_once(client, shop, link):
    tk = a_token(link)
    send(client, shop, an_order())
    drain(shop)
    assert order().tokens == []

    for _ in range(3):
        tell(client, shop, {"checkout": CHECKOUT, "tk": tk})
    drain(shop)

    assert order().tokens == [tk]
    assert credited() == link.promoter_id
    states = db.session.scalars(sa.select(Event.state).where(Event.topic == "checkout")).all()
    assert states == ["done"]


def test_another_checkout_gives_nothing(client, shop, link):
    send(client, shop, an_order())
    drain(shop)

    tell(client, shop, {"checkout": NONE, "tk": a_token(link)})
    send(client, shop, an_order(updated_at=(time.now() + timedelta(seconds=1)).isoformat()))
    drain(shop)

    assert order().tokens == []


def test_a_checkout_stays_with_the_first_order_that_names_it(client, shop, link):
    tell(client, shop, {"checkout": CHECKOUT, "tk": a_token(link)})
    send(client, shop, an_order())
    drain(shop)

    send(client, shop, an_order(id=2))
    drain(shop)

    tokens = db.session.execute(sa.select(Order.external_id, Order.tokens)).all()
    assert [len(each) for _, each in sorted(tokens)] == [0, 1]


def test_the_same_order_again_is_no_news_and_keeps_its_token(client, shop, link):
    tell(client, shop, {"checkout": CHECKOUT, "tk": a_token(link)})
    told = an_order()
    send(client, shop, told)
    drain(shop)
    before = credited()

    send(client, shop, told, delivery="again")
    drain(shop)

    assert credited() == before
    assert len(order().tokens) == 1


def test_only_tokens_that_we_signed_are_kept_and_few(client, shop, link):
    good = [a_token(link, bytes([n]) * 3) for n in range(9)]
    text = ".".join(["A" * 32, *good, "rubbish", good[0][:-1] + "_"])

    tell(client, shop, {"checkout": CHECKOUT, "tk": text})
    row = db.session.scalars(sa.select(Checkout)).one()
    assert set(row.tokens) == set(good[-5:])

    for few in (good[:5], good[2:7]):
        tell(client, shop, {"checkout": CHECKOUT, "tk": ".".join(few)})
    db.session.expire_all()
    assert len(db.session.scalars(sa.select(Checkout)).one().tokens) <= 10


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff\xfe", b"null", b"[]", b"{", b'{"checkout":1,"tk":[]}', b"NaN", b"[" * 2000,
        b'{"checkout":"bd5a8aa1ecd019dd3520ff791ee3a24c","tk":"\\u0000"}',
        b'{"checkout":"bd5a8aa1ecd019dd3520ff791ee3a24c","tk":"\\ud800"}',
        {"checkout": CHECKOUT, "tk": "A" * 32}, {"checkout": CHECKOUT, "tk": "<script>"},
        {"checkout": CHECKOUT, "tk": "." * 900}, {"checkout": "short", "tk": "x"},
    ],
)  # fmt: skip
def test_rubbish_is_thanked_for_and_not_kept(client, shop, body):
    assert tell(client, shop, body).status_code == 204
    assert db.session.scalars(sa.select(Checkout)).all() == []


def test_a_checkout_that_is_none_is_not_kept(client, shop, link):
    for name in ("", "short", "with blanks in its name!", "é" * 32, "x" * 201):
        assert tell(client, shop, {"checkout": name, "tk": a_token(link)}).status_code == 204

    assert db.session.scalars(sa.select(Checkout)).all() == []


def test_a_long_body_is_refused_unread(client, shop):
    answer = tell(client, shop, b" " * 2049)

    assert answer.status_code == 413
    assert answer.data == b""


def test_who_asks_too_often_is_told_to_wait(client, shop, link, monkeypatch):
    monkeypatch.setattr(handing, "OF_ADDRESS", Limit("few", 2, timedelta(minutes=1)))

    told = [tell(client, shop, {}).status_code for _ in range(3)]

    assert told == [204, 204, 429]


def test_a_shop_without_checkouts_has_no_such_door(client, app):
    with unit_of_work():
        other = a_shop(platform="standard")

    assert tell(client, other, {}).status_code == 404
    assert client.post("/hooks/shp_nothing/checkouts").status_code == 404


def test_a_browser_may_ask_from_any_page_and_only_post(client, shop):
    asked = client.options(f"{hook(shop)}/checkouts", headers={"Origin": "null"})

    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert client.get(f"{hook(shop)}/checkouts").status_code == 405


def test_checkouts_are_forgotten_after_thirty_days(client, shop, link, clock):
    tell(client, shop, {"checkout": CHECKOUT, "tk": a_token(link)})
    assert checkouts.forget() == 0

    clock.move(days=31)
    assert checkouts.forget() == 1


def test_a_strange_checkout_token_spoils_no_order(client, shop):
    for key, strange in enumerate((7, ["x"], {}, "", None, "\ud800")):
        send(client, shop, an_order(id=100 + key, checkout_token=strange))
    drain(shop)

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 6


@pytest.mark.parametrize("order_first", [True, False])
def test_both_sides_at_once_find_each_other(app, committed, order_first):
    with unit_of_work():
        shop = a_shop(platform="shopify")
        link = a_link(a_program(people.merchant(shop.merchant_id)))
    tk, sent = a_token(link), an_order()
    send(app.test_client(), shop, sent)

    def browser():
        with app.app_context(), unit_of_work():
            service.hand_over(queries.door(shop.merchant_id, shop.id), CHECKOUT, [tk])

    def booking():
        with app.app_context():
            service.drain(shop.merchant_id, shop.id)

    first, second = (booking, browser) if order_first else (browser, booking)
    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    service.drain(shop.merchant_id, shop.id)
    db.session.rollback()
    db.session.expire_all()

    assert order().tokens == [tk]
