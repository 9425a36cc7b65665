"""Consent at platforms, against a server that speaks OAuth 2 as they do."""

import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import sqlalchemy as sa
from pydantic import HttpUrl, SecretStr
from werkzeug.wrappers import Request, Response

from affiliate.catalog import service
from affiliate.catalog.models import Shop
from affiliate.catalog.platforms import topics
from affiliate.db import db, unit_of_work
from affiliate.intake import consent
from affiliate.people.models import Role
from tests.browser.conftest import served
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_shop
from tests.factories.people import a_merchant, a_user

SECRET = "the app's own secret"
TYPED = {"name": "Loja", "domain": "loja.myshopify.com", "country": "BR", "currency": "BRL"}


class Consenting:
    """An authorization server: its codes are good once, and only with what they were given for."""

    def __init__(self):
        self.codes = {}
        self.hooks = []
        self.answer = {
            "access_token": "at-1", "refresh_token": "rt-1", "expires_in": 21600, "user_id": 77,
            "scope": "read", "token_type": "bearer",
        }  # fmt: skip

    def say_yes(self, address, **changed):
        """As a browser goes there; returns the query with which it is sent back."""
        query = dict(parse_qsl(urlsplit(address).query))
        assert query["response_type"] == "code"
        self.codes["code-1"] = query
        shop = changed.pop("shop", TYPED["domain"])
        back = {"code": "code-1", "state": query["state"], "shop": shop} | changed
        told = "&".join(f"{name}={back[name]}" for name in sorted(back))
        return back | {"hmac": hmac.digest(SECRET.encode(), told.encode(), "sha256").hex()}

    @Request.application
    def __call__(self, request):
        if request.path.endswith("webhooks") or request.path.endswith("graphql.json"):
            if request.method == "POST":
                self.hooks.append(request.get_json())
            return Response("[]", content_type="application/json")
        form = request.form
        asked = self.codes.pop(form.get("code"), None)
        good = asked is not None and form["client_secret"] == SECRET
        if good and (challenge := asked.get("code_challenge")):
            made = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest())
            good = made.rstrip(b"=").decode() == challenge
        if good and "redirect_uri" in asked:
            good = form["redirect_uri"] == asked["redirect_uri"]
        said = self.answer if good else {"error": "invalid_grant"}
        return Response(json.dumps(said), 200 if good else 400, content_type="application/json")


@pytest.fixture
def there(app, monkeypatch):
    server = Consenting()
    with served(server) as address:
        names = ("shopify", "mercadolibre", "tiendanube")
        settings = app.config["SETTINGS"].model_copy(
            update={"shop_apis": dict.fromkeys(names, HttpUrl(address))}
            | {f"{name}_client_id": "app-9" for name in names}
            | {f"{name}_secret": SecretStr(SECRET) for name in names}
        )
        monkeypatch.setitem(app.config, "SETTINGS", settings)
        yield server


@pytest.fixture
def merchant(client):
    with unit_of_work():
        merchant = a_merchant()
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=merchant))
    return merchant


def ask(client, platform="shopify", **typed):
    """The address to which the page leads."""
    data = TYPED | {"platform": platform} | typed
    page = client.post("/merchant/shops/consent", data=data)
    assert page.status_code == 200, page.text
    link = page.text.split('class="btn btn-primary" href="')[1].split('"')[0]
    return link.replace("&amp;", "&")


def come_back(client, query, platform="shopify"):
    return client.get(f"/merchant/shops/consent/{platform}?{urlencode(query)}")


def shops():
    db.session.expire_all()
    return db.session.scalars(sa.select(Shop)).all()


@pytest.mark.parametrize(
    ("platform", "kept"),
    [
        ("shopify", {"api_token": "at-1"}),
        ("mercadolibre", {"store_id": "77", "app_id": "app-9", "refresh_token": "rt-1"}),
        ("tiendanube", {"store_id": "77", "api_token": "at-1"}),
    ],
)
def test_a_shop_is_connected_by_consent_with_its_tokens_sealed(
    client, merchant, there, rung, platform, kept
):
    back = there.say_yes(ask(client, platform))

    answer = come_back(client, back, platform)

    assert answer.status_code == 303, answer.text
    (shop,) = shops()
    keys = service.keys(shop)
    assert {name: keys.get(name) for name in kept} == kept
    assert b"at-1" not in shop.credentials
    assert b"rt-1" not in shop.credentials
    assert "at-1" not in client.get(f"/merchant/shops/{shop.id}/").text
    if platform != "mercadolibre":
        assert keys.secrets == (SECRET,)
        assert ("workers.intake.register_hooks", merchant.id, shop.id) in rung


def test_the_way_there_proves_itself_and_names_no_secret(client, merchant, there):
    query = parse_qs(urlsplit(ask(client, "mercadolibre")).query)

    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [consent.return_address("mercadolibre")]
    assert SECRET not in str(query)


def test_a_state_is_good_once(client, merchant, there):
    back = there.say_yes(ask(client))
    assert come_back(client, back).status_code == 303

    again = come_back(client, back)

    assert again.status_code == 409
    assert "too old or was used already" in again.text
    assert len(shops()) == 1


def test_a_state_ends_after_ten_minutes(client, merchant, there, valkey):
    back = there.say_yes(ask(client))
    (key,) = valkey.keys("consent:*")
    assert 590 < valkey.ttl(key) <= 600
    valkey.delete(key)

    assert come_back(client, back).status_code == 409
    assert shops() == []


def test_a_state_is_good_only_in_the_session_it_was_made_in(app, client, merchant, there):
    back = there.say_yes(ask(client))
    other = app.test_client()
    with unit_of_work():
        sign_in(other, a_user(Role.MERCHANT_OWNER, merchant=merchant))

    assert come_back(other, back).status_code == 409
    assert come_back(client, back).status_code == 303


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"shop": "other.myshopify.com"}, "You said yes in other.myshopify.com"),
        ({"error": "access_denied"}, "gave no consent"),
        ({"code": "guessed"}, "did not take its own code back"),
        ({"state": "guessed"}, "too old or was used already"),
    ],
    ids=str,
)
def test_what_goes_wrong_is_told_plainly_and_connects_nothing(
    client, merchant, there, changed, words
):
    answer = come_back(client, there.say_yes(ask(client), **changed))

    assert answer.status_code == 409
    assert words in answer.text
    assert shops() == []


def test_an_answer_that_shopify_did_not_sign_connects_nothing(client, merchant, there):
    back = there.say_yes(ask(client))

    answer = come_back(client, back | {"timestamp": "1"})

    assert answer.status_code == 409
    assert "not signed by Shopify" in answer.text
    assert shops() == []


def test_a_state_for_one_platform_opens_no_other(client, merchant, there):
    back = there.say_yes(ask(client, "tiendanube"))

    assert come_back(client, back, "mercadolibre").status_code == 409
    assert shops() == []


@pytest.mark.parametrize(
    "domain", ["loja.example.com", "myshopify.com", "a.b.myshopify.com", "x.myshopify.com.evil.com"]
)
def test_shopify_is_asked_at_its_own_address_only(client, merchant, there, domain):
    typed = TYPED | {"platform": "shopify", "domain": domain}

    answer = client.post("/merchant/shops/consent", data=typed)

    assert answer.status_code == 422
    assert "your-shop.myshopify.com" in answer.text


def test_consent_of_a_connected_shop_is_renewed_and_of_another_account_refused(
    client, merchant, there
):
    assert come_back(client, there.say_yes(ask(client, "tiendanube")), "tiendanube")
    (shop,) = shops()

    def again():
        page = client.post(f"/merchant/shops/{shop.id}/consent")
        link = page.text.split('class="btn btn-primary" href="')[1].split('"')[0]
        return come_back(client, there.say_yes(link.replace("&amp;", "&")), "tiendanube")

    there.answer["access_token"] = "at-2"
    assert again().status_code == 303
    there.answer |= {"access_token": "at-3", "user_id": 78}
    refused = again()
    assert refused.status_code == 409
    assert "You said yes in shop 78" in refused.text
    assert service.keys(shops()[0]).get("api_token") == "at-2"


def test_without_an_app_of_the_operator_tokens_are_pasted(client, merchant):
    assert "consent" not in client.get("/merchant/shops/new?platform=shopify").text
    refused = client.post("/merchant/shops/consent", data=TYPED | {"platform": "shopify"})
    assert refused.status_code == 409


@pytest.mark.parametrize("platform", ["shopify", "tiendanube"])
def test_the_shop_is_told_where_its_webhooks_go(app, there, platform):
    given = {"api_token": "at-1", "webhook_secret": SECRET}
    given |= {"store_id": "77"} if platform == "tiendanube" else {}
    with unit_of_work():
        shop, _ = service.create_shop(
            a_merchant().id, platform=platform, domain="loja.myshopify.com", currency="BRL",
            country="BR", credentials=given,
        )  # fmt: skip

    consent.register(shop.merchant_id, shop.id)

    assert len(there.hooks) == len(topics(platform))
    assert "/hooks/shp_" in json.dumps(there.hooks[0])


def test_another_merchants_shop_is_renewed_by_nobody_else(client, merchant, there):
    with unit_of_work():
        other = a_shop(platform="shopify")

    assert client.post(f"/merchant/shops/{other.id}/consent").status_code == 404
