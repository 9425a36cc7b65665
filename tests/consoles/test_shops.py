"""Connecting a shop page by page: what is asked, shown once, waited for, changed and ended."""

import re

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import ids
from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import CONNECTIONS, connection
from affiliate.commissions.models import Commission
from affiliate.consoles.merchant.shop_guides import ADDRESS, GUIDES, SECRET
from affiliate.db import db, unit_of_work
from affiliate.i18n import LANGUAGES
from affiliate.intake import service as intake
from affiliate.links import token
from affiliate.orders.models import Order
from affiliate.people.models import Role
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import an_order, deliver, hook
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program

SECRET_SHOWN = re.compile(r"whsec_[A-Za-z0-9+/=]+")
TYPED = {
    "platform": "standard", "name": "Loja nova", "domain": "nova.example.com", "country": "br",
    "currency": "brl",
}  # fmt: skip


@pytest.fixture
def merchant(client):
    with unit_of_work():
        merchant = a_merchant()
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=merchant))
    return merchant


def connect(client, **typed):
    return client.post("/merchant/shops/new", data=TYPED | typed)


def the_shop(name="Loja nova"):
    db.session.expire_all()
    return db.session.scalars(sa.select(Shop).where(Shop.name == name)).one()


def set_up(client, shop, path=""):
    return client.get(f"/merchant/shops/{shop.id}/{path}").text


def test_each_platform_has_a_card_and_a_guide(client, merchant):
    page = client.get("/merchant/shops/new").text

    assert set(GUIDES) == set(Platform)
    for platform, known in CONNECTIONS.items():
        assert f"platform={platform}" in page
        told = [place.what for place in GUIDES[platform].after]
        assert (ADDRESS in told) is known.hooks
        assert (SECRET in told) is (known.makes_secret and known.hooks)
        assert set(known.later) <= set(told)
        wanted = {place.what for place in GUIDES[platform].before}
        assert wanted <= set(known.required + known.optional)


@pytest.mark.parametrize("platform", Platform)
def test_every_step_of_every_platform_can_be_read(client, merchant, platform):
    lang = list(LANGUAGES)[list(Platform).index(platform) % len(LANGUAGES)]
    form = client.get(f"/merchant/shops/new?platform={platform}&lang={lang}")
    given = dict.fromkeys(connection(platform).required, "1234567890abcdef")
    told = connect(client, platform=platform, **given)

    assert (form.status_code, told.status_code) == (200, 200)
    assert client.get(f"/merchant/shops/{the_shop().id}/").status_code == 200


def test_the_secret_is_in_one_answer_and_in_no_other(client, merchant):
    told = connect(client)
    (secret,) = set(SECRET_SHOWN.findall(told.text))
    shop = the_shop()

    pages = [set_up(client, shop), set_up(client, shop, "progress")]
    pages.append(client.get("/merchant/shops/").text)
    assert not any(secret in page for page in pages)

    rotated = client.post(f"/merchant/shops/{shop.id}/secret").text
    (newer,) = set(SECRET_SHOWN.findall(rotated))
    assert service.webhook_secrets(the_shop()) == [newer, secret]


def test_a_second_click_on_connect_makes_no_second_shop(client, merchant):
    connect(client)
    again = connect(client, domain="https://Nova.example.com:443/products?x=1")

    assert again.status_code == 303
    assert again.headers["Location"] == f"/merchant/shops/{the_shop().id}/"
    assert "make a new one" in client.get(again.headers["Location"]).text


def test_another_merchants_shop_is_told_to_be_taken_and_not_shown(client, merchant):
    with unit_of_work():
        other = a_shop(domain="nova.example.com")

    refused = connect(client)

    assert refused.status_code == 409
    assert "already connected" in refused.text
    for method, path in [
        ("GET", ""), ("GET", "progress"), ("POST", "test"), ("POST", "secret"), ("POST", "name"),
        ("POST", "credentials"), ("POST", "disconnect"), ("GET", "copy"), ("POST", "copy"),
    ]:  # fmt: skip
        assert client.open(f"/merchant/shops/{other.id}/{path}", method=method).status_code == 404


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ({"domain": "https://loja.example.com/camisas?cor=azul#x"}, 200),
        ({"domain": "loja.example.com:8443"}, 200),
        ({"domain": "ação.example.com"}, 200),
        ({"domain": "商店.example.com"}, 200),
        ({"domain": ""}, 422),
        ({"domain": "loja example.com"}, 422),
        ({"domain": "ftp://loja.example.com"}, 422),
        ({"domain": "https://user@loja.example.com"}, 422),
        ({"country": "BRA"}, 422),
        ({"country": "1."}, 422),
        ({"currency": "REAIS"}, 422),
        ({"platform": "nowhere"}, 422),
        ({"platform": "stripe", "api_token": "rk_live\nx: y"}, 422),
        ({"platform": "stripe", "api_token": "  rk_live_1\r\n"}, 200),
    ],
    ids=str,
)
def test_what_people_type_is_understood_or_refused_with_words(client, merchant, typed, status):
    answer = connect(client, **typed)

    assert answer.status_code == status, answer.text
    if status != 200:
        assert 'role="alert"' in answer.text
        assert catalog.shops(merchant.id) == []


def test_a_shop_whose_secret_comes_later_lets_nobody_in_before(client, merchant):
    assert connect(client, platform="shopify").status_code == 200
    shop = the_shop()
    assert client.post(hook(shop), data=b"{}").status_code == 401
    assert "secret is still missing" in set_up(client, shop)

    client.post(f"/merchant/shops/{shop.id}/credentials", data={"webhook_secret": "shpss_hush"})

    assert service.webhook_secrets(the_shop()) == ["shpss_hush"]
    assert "secret is still missing" not in set_up(client, shop)


# --- the test event ------------------------------------------------------------------------------


def test_a_test_order_goes_through_the_door_ticks_the_step_off_and_earns_nothing(client, merchant):
    connect(client)
    shop = the_shop()
    assert "Waiting for the first event" in set_up(client, shop)

    assert client.post(f"/merchant/shops/{shop.id}/test").status_code == 303
    intake.drain(merchant.id, shop.id)

    order = db.session.scalars(sa.select(Order)).one()
    assert (order.test, order.total) == (True, 1000)
    page = set_up(client, shop, "progress")
    assert "its signature is right" in page
    assert 'hx-trigger="news"' in page  # the first real order is still waited for
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Commission)) == 0


def test_a_test_order_with_somebodys_link_earns_nothing_either(client, merchant):
    with unit_of_work():
        shop = a_shop(merchant)
        link = a_link(a_program(merchant))
    tk = token.make(link.id, time.now(), b"abc")

    deliver(client, shop, an_order(tk, test=True))

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Commission)) == 0
    assert "The first real order" in set_up(client, shop, "progress")


def test_the_first_real_order_ends_the_waiting(client, merchant):
    with unit_of_work():
        shop = a_shop(merchant)
    deliver(client, shop, an_order())

    page = set_up(client, shop, "progress")

    assert "The first real order came" in page
    assert "hx-trigger" not in page


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "a header of the signature is missing"),
        (("1", "now", "v1,AAAA"), "the signature is wrong"),
        (("1", "100", "v1,AAAA"), "more than five minutes off"),
    ],
    ids=str,
)
def test_a_knock_with_a_bad_signature_is_told_with_its_reason(client, merchant, headers, words):
    with unit_of_work():
        shop = a_shop(merchant)
    if headers:
        delivery, seconds, signature = headers
        seconds = str(int(time.now().timestamp())) if seconds == "now" else seconds
        headers = {
            "webhook-id": delivery, "webhook-timestamp": seconds, "webhook-signature": signature,
        }  # fmt: skip
    assert client.post(hook(shop), data=b"{}", headers=headers).status_code == 401

    page = set_up(client, shop)

    assert words in page
    assert "The shop knows our address" in page


def test_a_good_webhook_after_a_bad_one_mends_it(client, merchant, clock):
    clock.stand(time.now().replace(microsecond=0))
    with unit_of_work():
        shop = a_shop(merchant)
    client.post(hook(shop), data=b"{}")
    clock.move(seconds=2)
    client.post(f"/merchant/shops/{shop.id}/test")
    intake.drain(merchant.id, shop.id)

    assert "Something knocked" not in set_up(client, shop)


def test_who_only_looks_at_the_address_is_no_bad_signature(client, merchant):
    with unit_of_work():
        shop = a_shop(merchant)
    assert client.get(hook(shop)).status_code == 405

    assert "Something knocked" not in set_up(client, shop)


def test_however_often_somebody_knocks_three_keys_are_kept(client, merchant, valkey):
    with unit_of_work():
        shop = a_shop(merchant)
    for _ in range(20):
        client.post(hook(shop), data=b"{}")

    kept = valkey.keys("hooks:refused:*")
    assert len(kept) == 3
    assert all(valkey.ttl(key) > 0 for key in kept)


def test_an_event_that_cannot_be_read_is_told_where_it_is_waited_for(client, merchant):
    with unit_of_work():
        shop = a_shop(merchant)
    deliver(client, shop, an_order(currency="XYZ"))

    page = set_up(client, shop, "progress")
    assert "could not be read" in page
    assert "/data/currency" in page


# --- changed and ended ---------------------------------------------------------------------------


def test_a_disconnected_shop_refuses_and_is_connected_again_with_its_history(client, merchant):
    connect(client)
    shop = the_shop()
    client.post(f"/merchant/shops/{shop.id}/test")
    intake.drain(merchant.id, shop.id)

    assert client.post(f"/merchant/shops/{shop.id}/disconnect").status_code == 303

    assert client.post(hook(shop), data=b"{}").status_code == 404
    assert client.get(f"/merchant/shops/{shop.id}/").status_code == 404
    assert service.webhook_secrets(the_shop()) == []
    for path in ("/merchant/shops/", "/merchant/products/", "/merchant/orders/", "/merchant/"):
        assert client.get(path).status_code == 200, path

    assert connect(client, currency="usd").status_code == 422  # its orders are in reais
    assert connect(client, name="De volta").status_code == 200
    again = the_shop("De volta")
    assert again.id == shop.id
    assert "its signature is right" in set_up(client, again)


def test_a_product_of_a_disconnected_shop_breaks_no_page(client, merchant):
    with unit_of_work():
        shop = a_shop(merchant)
        a_product(shop)
    client.post(f"/merchant/shops/{shop.id}/disconnect")

    assert client.get("/merchant/products/").status_code == 200


def test_a_shop_is_renamed(client, merchant):
    connect(client)
    client.post(f"/merchant/shops/{the_shop().id}/name", data={"name": "Outra"})
    assert the_shop("Outra").domain == "nova.example.com"


def test_an_analyst_reads_and_changes_nothing(client, merchant):
    with unit_of_work():
        shop = a_shop(merchant)
        sign_in(client, a_user(Role.MERCHANT_ANALYST, merchant=merchant))

    page = set_up(client, shop)

    assert 'method="post"' not in page.split("<main")[1]
    assert client.post(f"/merchant/shops/{shop.id}/disconnect").status_code == 403
    assert ids.encode("shp", shop.merchant_id, shop.id) in page
