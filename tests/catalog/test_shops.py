"""Connecting shops."""

import base64

import pytest
import sqlalchemy as sa

from affiliate.catalog import queries, service
from affiliate.catalog.models import Shop
from affiliate.db import db
from affiliate.errors import Invalid, NotFound
from tests.factories.catalog import a_shop
from tests.factories.people import a_merchant


def connect(merchant=None, **fields):
    given = {
        "platform": "standard",
        "domain": "ana.example.com",
        "currency": "BRL",
        "country": "BR",
        "credentials": {},
    }
    return service.create_shop((merchant or a_merchant()).id, **(given | fields))


def whsec(size: int) -> str:
    return "whsec_" + base64.b64encode(b"x" * size).decode()


def test_a_standard_shop_without_a_secret_gets_one():
    shop, made = connect()

    assert len(base64.b64decode(made["webhook_secret"].removeprefix("whsec_"))) == 32
    assert service.webhook_secrets(shop) == [made["webhook_secret"]]


def test_a_standard_shop_may_bring_its_own_secret():
    shop, made = connect(credentials={"webhook_secret": whsec(24)})

    assert made == {}
    assert service.webhook_secrets(shop) == [whsec(24)]


@pytest.mark.parametrize("secret", ["hush", "whsec_", "whsec_!!!", whsec(23), whsec(65), " "])
def test_a_standard_secret_has_its_form(secret):
    with pytest.raises(Invalid) as refused:
        connect(credentials={"webhook_secret": secret})

    assert refused.value.errors[0].pointer == "/credentials/webhook_secret"


@pytest.mark.parametrize(
    ("credentials", "pointer"),
    [
        ({}, "/credentials/webhook_secret"),
        ({"webhook_secret": ""}, "/credentials/webhook_secret"),
        ({"webhook_secret": "s", "password": "p"}, "/credentials/password"),
    ],
)
def test_a_shopify_shop_brings_what_it_needs_and_no_more(credentials, pointer):
    with pytest.raises(Invalid) as refused:
        connect(platform="shopify", credentials=credentials)

    assert refused.value.errors[0].pointer == pointer


def test_secrets_are_nowhere_in_the_clear():
    shop, _ = connect(platform="shopify", credentials={"webhook_secret": "hush-hush"})

    stored = db.session.scalar(sa.select(sa.cast(Shop.credentials, sa.Text)))
    assert b"hush-hush".hex() not in stored
    assert b"hush-hush" not in shop.credentials


def test_one_shop_s_sealed_credentials_are_of_no_use_elsewhere():
    from affiliate import security

    shop, _ = connect()

    with pytest.raises(security.Sealed):
        security.unseal(shop.credentials, place="users.totp_secret")


def test_after_a_rotation_both_secrets_are_good_for_a_day(clock):
    clock.stand("2026-11-22T12:00:00Z")
    shop, _ = connect(platform="shopify", credentials={"webhook_secret": "old"})
    service.change_shop(shop, credentials={"webhook_secret": "new"})

    assert service.webhook_secrets(shop) == ["new", "old"]
    clock.move(hours=24, seconds=-1)
    assert service.webhook_secrets(shop) == ["new", "old"]
    clock.move(seconds=1)
    assert service.webhook_secrets(shop) == ["new"]


def test_rotating_twice_in_a_day_gives_no_old_secret_a_longer_life(clock):
    clock.stand("2026-11-22T12:00:00Z")
    shop, _ = connect(platform="shopify", credentials={"webhook_secret": "first"})
    service.change_shop(shop, credentials={"webhook_secret": "second"})
    clock.move(hours=20)
    service.change_shop(shop, credentials={"webhook_secret": "third"})

    assert service.webhook_secrets(shop) == ["third", "second", "first"]
    clock.move(hours=4)
    assert service.webhook_secrets(shop) == ["third", "second"]


def test_the_same_secret_again_is_no_rotation():
    shop, _ = connect(platform="shopify", credentials={"webhook_secret": "same"})

    service.change_shop(shop, credentials={"webhook_secret": "same"})

    assert service.webhook_secrets(shop) == ["same"]


def test_a_standard_shop_rotates_without_thinking_one_up():
    shop, first = connect()

    second = service.change_shop(shop, credentials={})

    assert service.webhook_secrets(shop) == [second["webhook_secret"], first["webhook_secret"]]


def test_an_api_token_comes_and_the_secret_stays():
    shop, _ = connect(platform="shopify", credentials={"webhook_secret": "hush"})

    assert service.change_shop(shop, credentials={"api_token": "shpat_1"}) == {}

    assert service.webhook_secrets(shop) == ["hush"]


def test_a_shop_is_connected_once_whoever_asks():
    connect(domain="ana.example.com")

    with pytest.raises(service.ShopExists):
        connect(domain="https://ANA.example.com/")
    with pytest.raises(service.ShopExists):
        connect(a_merchant("Casa Berta"), domain="ana.example.com")
    connect(domain="ana.example.com", platform="shopify", credentials={"webhook_secret": "s"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("platform", "myspace"), ("domain", "no host"), ("currency", "XXX"), ("currency", "brl")],
)
def test_what_is_not_known_is_refused(field, value):
    with pytest.raises(Invalid) as refused:
        connect(**{field: value})

    assert refused.value.errors[0].pointer == f"/{field}"


def test_the_shop_of_a_page_is_the_one_with_the_most_exact_host():
    merchant = a_merchant()
    whole = a_shop(merchant, domain="ana.example.com")
    part = a_shop(merchant, domain="outlet.ana.example.com")

    def of(address):
        return queries.shop_of_address([whole, part], address)

    assert of("https://outlet.ana.example.com/x") is part
    assert of("https://www.ana.example.com/x") is whole
    assert of("https://berta.example.com/") is None


def test_another_merchant_s_shop_is_not_there():
    shop = a_shop()

    with pytest.raises(NotFound):
        queries.shop(a_merchant("Casa Berta").id, shop.id)
