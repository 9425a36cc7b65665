"""Connections of every platform: made, changed, greeted at the door, and how they are doing."""

import base64
import json
from datetime import timedelta

import pytest

from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Platform
from affiliate.catalog.platforms import CONNECTIONS, connection, topics
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.intake import health, pulling
from affiliate.intake import service as intake
from affiliate.intake.models import Pull
from affiliate.intake.platforms import PLATFORMS, wechat
from tests.factories.catalog import a_shop
from tests.factories.orders import an_order, deliver, hook, send
from tests.factories.people import a_key, a_merchant

AES = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def connect(platform, merchant=None, **given):
    wanted = connection(platform).required
    with unit_of_work():
        shop, made = service.create_shop(
            (merchant or a_merchant()).id,
            platform=platform,
            domain="shop.example.com",
            currency="USD",
            country="BR",
            credentials=dict.fromkeys(wanted, "x" * 43) | given,
        )
    return shop, made


def test_every_platform_has_a_connection_a_connector_and_its_events():
    assert set(PLATFORMS) == set(CONNECTIONS) == set(Platform)
    for platform, known in CONNECTIONS.items():
        assert bool(topics(platform)) is known.hooks
        assert set(known.api) <= set(known.required + known.optional)
        assert not known.account or known.account in known.required
        assert bool(PLATFORMS[platform].api) is bool(known.api)


@pytest.mark.parametrize("platform", Platform)
def test_a_shop_of_each_platform_is_connected_with_what_it_needs(app, platform):
    shop, made = connect(platform)

    assert set(made) == ({"webhook_secret"} if connection(platform).makes_secret else set())
    assert service.keys(shop).has(connection(platform).required)
    if connection(platform).required:
        with pytest.raises(Invalid), unit_of_work():
            service.create_shop(
                shop.merchant_id, platform=platform, domain="other.example.com", currency="USD",
                country="BR", credentials={},
            )  # fmt: skip


def test_two_sellers_of_a_marketplace_share_its_domain_but_not_an_account(app):
    merchant = a_merchant()
    connect("mercadolibre", merchant, store_id="1")
    shop, _ = connect("mercadolibre", merchant, store_id="2")

    with pytest.raises(service.ShopExists):
        connect("mercadolibre", merchant, store_id="2")
    with pytest.raises(Invalid), unit_of_work():
        service.change_shop(shop, credentials={"store_id": "3"})


def test_of_several_credentials_one_is_changed_and_the_others_stay(app, clock):
    shop, _ = connect("wechat", webhook_secret="old", aes_key=AES)

    with unit_of_work():
        service.change_shop(shop, credentials={"aes_key": AES[::-1]})
        service.change_shop(shop, credentials={"webhook_secret": "new"})

    keys = service.keys(shop)
    assert keys.secrets == ("new", "old")
    assert keys.each("aes_key") == (AES[::-1], AES)
    assert keys.get("app_secret") == "x" * 43
    clock.move(hours=25)
    assert service.keys(shop).each("aes_key") == (AES[::-1],)


# --- at the door -------------------------------------------------------------------------------


def test_wechat_checks_the_address_and_hears_what_it_wants(client, app):
    shop, _ = connect("wechat", app_id="wx1", webhook_secret="token", aes_key=AES)
    query = {"timestamp": "1", "nonce": "2", "echostr": "hello"}
    query["signature"] = wechat.sign("token", "1", "2")

    assert client.get(hook(shop), query_string=query).data == b"hello"
    assert client.get(hook(shop), query_string=query | {"nonce": "3"}).status_code == 405

    message = json.dumps({"Event": "channels_ec_order_pay", "order_info": {"order_id": 5}})
    closed = wechat.enciphered(AES, "wx1", message.encode())
    told = {"timestamp": "1", "nonce": "2", "msg_signature": wechat.sign("token", "1", "2", closed)}
    xml = f"<xml><ToUserName>g</ToUserName><Encrypt><![CDATA[{closed}]]></Encrypt></xml>"
    for body in (json.dumps({"Encrypt": closed}), xml):
        answer = client.post(hook(shop), query_string=told, data=body)
        assert (answer.status_code, answer.data) == (200, b"success")


def test_woocommerce_is_greeted_without_a_trace(client, app):
    shop, _ = connect("woocommerce")

    assert client.post(hook(shop), data=b"webhook_id=42").status_code == 200
    assert health.of_shops([shop])[shop.id].state == "new"


# --- how they are doing ------------------------------------------------------------------------


def state(shop):
    db.session.expire_all()
    return health.of_shops([catalog.shop(shop.merchant_id, shop.id)])[shop.id]


def test_a_shop_that_tells_is_good_and_one_with_something_aside_is_failing(client, app):
    with unit_of_work():
        shop = a_shop()
    deliver(client, shop, an_order())
    assert (state(shop).state, state(shop).done) == ("good", 1)

    deliver(client, shop, an_order(currency="XYZ"))
    assert (state(shop).state, state(shop).quarantined) == ("failing", 1)


def test_bad_signatures_are_counted_for_a_day(client, app):
    with unit_of_work():
        shop = a_shop()
    for _ in range(3):
        client.post(hook(shop), data=b"{}")

    assert (state(shop).state, state(shop).refused) == ("failing", 3)


def test_what_waits_too_long_is_behind(client, app, clock):
    with unit_of_work():
        shop = a_shop()
    send(client, shop, an_order())
    assert state(shop).state == "good"

    clock.move(minutes=11)
    assert state(shop).state == "behind"


def test_a_shop_that_does_not_tell_what_it_changes_is_silent(app, clock):
    shop, _ = connect("tiendanube")
    now = clock.stand("2026-11-20T12:00:00Z")
    with unit_of_work():
        db.session.add(
            Pull(merchant_id=shop.merchant_id, shop_id=shop.id, since=now - timedelta(hours=1),
                 until=now, seen=5, missed=5, ended_at=now)
        )  # fmt: skip
    assert (state(shop).state, state(shop).missed) == ("silent", 5)
    assert state(shop).is_pulled

    clock.move(days=2)
    assert (state(shop).state, state(shop).missed) == ("behind", 0)


def test_the_log_of_windows_is_forgotten_after_ninety_days(app, clock):
    shop, _ = connect("tiendanube")
    now = clock.stand("2026-01-01T00:00:00Z")
    with unit_of_work():
        db.session.add(
            Pull(merchant_id=shop.merchant_id, shop_id=shop.id, since=now, until=now, ended_at=now)
        )
    clock.move(days=89)
    with unit_of_work():
        assert pulling.forget() == 0
    clock.move(days=2)
    with unit_of_work():
        assert pulling.forget() == 1


# --- by the API --------------------------------------------------------------------------------


def test_orders_of_a_file_and_health_by_the_api(client, app):
    shop, _ = connect("file")
    with unit_of_work():
        key = a_key()
    asked = {"headers": {"Authorization": f"Bearer {key}"}}
    connection_id = hook(shop).removeprefix("/hooks/")
    content = b"order_id,status,created_at,total\n7,paid,2026-11-20,10.00\n"

    answer = client.post(
        f"/api/v1/shops/{connection_id}/orders",
        json={"content": base64.b64encode(content).decode(), "timezone": "America/Sao_Paulo"},
        **asked,
    )
    assert (answer.status_code, answer.json) == (200, {"orders": 1, "changed": 1}), answer.text
    intake.drain(shop.merchant_id, shop.id)

    found = client.get(f"/api/v1/shops/{connection_id}/health", **asked).json
    assert (found["state"], found["done"], found["last_webhook_at"]) == ("good", 1, None)
    bad = client.post(f"/api/v1/shops/{connection_id}/orders", json={"content": "!!!!"}, **asked)
    assert bad.status_code == 422
