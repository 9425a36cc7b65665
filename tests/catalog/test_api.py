"""Shops and products over the API."""

import pytest

from affiliate import ids
from affiliate.catalog import queries, service
from affiliate.people.models import Role
from tests.factories.catalog import a_product, a_shop
from tests.factories.people import a_key, a_merchant, a_promoter, bearer
from tests.factories.programs import a_program, an_enrolment


@pytest.fixture
def ana():
    return a_merchant("Casa Ana")


@pytest.fixture
def berta():
    return a_merchant("Casa Berta")


@pytest.fixture
def as_ana(client, ana):
    return caller(client, a_key(Role.MERCHANT_STAFF, merchant=ana))


@pytest.fixture
def as_berta(client, berta):
    return caller(client, a_key(Role.MERCHANT_OWNER, merchant=berta))


VARIANT_IN_EUROS = {
    "external_id": "a",
    "title": "A",
    "price": {"amount": 1, "currency": "EUR"},
}


def caller(client, key):
    def call(method, path, body=None, **headers):
        return client.open(
            f"/api/v1{path}", method=method, json=body, headers=bearer(key, **headers)
        )

    return call


def mer(merchant):
    return ids.encode("mer", merchant.id)


def shp(shop):
    return ids.encode("shp", shop.merchant_id, shop.id)


def prd(product):
    return ids.encode("prd", product.merchant_id, product.id)


def new_shop(merchant, /, **fields):
    given = {
        "merchant": mer(merchant),
        "platform": "standard",
        "domain": "ana.example.com",
        "currency": "BRL",
        "country": "BR",
    }
    return given | fields


def new_product(shop, **fields):
    given = {
        "shop": shp(shop),
        "external_id": "p1",
        "title": "Bolsa",
        "url": f"https://{shop.domain}/p1",
        "price": {"amount": 19990, "currency": "BRL"},
        "variants": [{"external_id": "v1", "title": "P", "stock": 3}],
    }
    return given | fields


def pointers(answer):
    return [each["pointer"] for each in answer.json["errors"]]


# --- shops -----------------------------------------------------------------------------------


def test_a_shop_is_connected_and_told_where_to_send(as_ana, ana):
    answer = as_ana("POST", "/shops", new_shop(ana, domain="https://Ana.Example.com/"))

    assert answer.status_code == 201
    shop = answer.json
    assert shop["domain"] == "ana.example.com"
    assert shop["hook_url"] == f"http://127.0.0.1:8765/hooks/{shop['id']}"
    assert shop["carries"] == ["token", "coupon", "sharer"]
    secret = shop["made_credentials"]["webhook_secret"]
    assert service.webhook_secrets(queries.shop(*ids.decode_pair("shp", shop["id"]))) == [secret]
    assert answer.headers["Location"] == f"/api/v1/shops/{shop['id']}"


def test_a_secret_is_shown_once(as_ana, ana):
    made = as_ana("POST", "/shops", new_shop(ana)).json
    secret = made["made_credentials"]["webhook_secret"]

    one = as_ana("GET", f"/shops/{made['id']}")
    every = as_ana("GET", "/shops")

    assert one.status_code == every.status_code == 200
    assert secret not in one.text + every.text
    assert one.json == {k: v for k, v in made.items() if k != "made_credentials"}
    assert every.json["data"] == [one.json]


def test_a_given_secret_is_never_shown(as_ana, ana):
    answer = as_ana(
        "POST",
        "/shops",
        new_shop(ana, platform="shopify", credentials={"webhook_secret": "hush-hush"}),
    )

    assert answer.status_code == 201
    assert "hush-hush" not in answer.text
    assert answer.json["made_credentials"] == {}


def test_a_shop_is_renamed_and_its_secret_rotated(as_ana, ana):
    made = as_ana("POST", "/shops", new_shop(ana))
    path = f"/shops/{made.json['id']}"

    renamed = as_ana("PATCH", path, {"name": "Outlet"}, **{"If-Match": made.headers["ETag"]})
    stale = as_ana("PATCH", path, {"credentials": {}}, **{"If-Match": made.headers["ETag"]})
    rotated = as_ana("PATCH", path, {"credentials": {}}, **{"If-Match": renamed.headers["ETag"]})

    assert (renamed.status_code, stale.status_code, rotated.status_code) == (200, 412, 200)
    assert renamed.json["name"] == "Outlet"
    assert renamed.json["made_credentials"] == {}
    shop = queries.shop(*ids.decode_pair("shp", made.json["id"]))
    assert service.webhook_secrets(shop) == [
        rotated.json["made_credentials"]["webhook_secret"],
        made.json["made_credentials"]["webhook_secret"],
    ]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"platform": "myspace"}, "/platform"),
        ({"domain": "not a host"}, "/domain"),
        ({"currency": "ABC"}, "/currency"),
        ({"country": "XX"}, "/country"),
        ({"credentials": {"webhook_secret": "short"}}, "/credentials/webhook_secret"),
        ({"credentials": {"password": "x"}}, "/credentials/password"),
        ({"credentials": {"api_token": "x"}}, "/credentials/api_token"),
        ({"platform": "shopify"}, "/credentials/webhook_secret"),
        ({"colour": "red"}, "/colour"),
        ({"merchant": "mer_nobody"}, "/merchant"),
    ],
)
def test_what_is_wrong_with_a_shop_is_named(as_ana, ana, fields, pointer):
    answer = as_ana("POST", "/shops", new_shop(ana, **fields))

    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert pointers(answer) == [pointer]


def test_a_shop_is_connected_once(as_ana, as_berta, ana, berta):
    as_ana("POST", "/shops", new_shop(ana))

    answer = as_berta("POST", "/shops", new_shop(berta))

    assert answer.status_code == 409
    assert answer.json["type"].endswith("shop_exists")


def test_the_same_post_again_connects_no_second_shop(as_ana, ana):
    key = {"Idempotency-Key": "one"}
    first = as_ana("POST", "/shops", new_shop(ana), **key)

    again = as_ana("POST", "/shops", new_shop(ana), **key)

    assert again.status_code == 201
    assert again.json == first.json


def test_a_shop_where_programs_pay_too_many_levels_is_refused(as_ana, ana):
    a_program(ana, tiers_ppm=(50_000,))

    answer = as_ana("POST", "/shops", new_shop(ana, country="CN", currency="CNY"))

    assert answer.status_code == 422
    assert answer.json["type"].endswith("policy_levels")


def test_a_shop_is_its_merchant_s_business(as_ana, as_berta, ana, client):
    shop = a_shop(ana)
    path = f"/shops/{shp(shop)}"
    as_analyst = caller(client, a_key(Role.MERCHANT_ANALYST, merchant=ana))
    as_promoter = caller(client, a_key(Role.PROMOTER, promoter=a_promoter()))
    etag = {"If-Match": '"1"'}

    assert as_berta("POST", "/shops", new_shop(ana)).status_code == 404
    assert as_berta("GET", path).status_code == 404
    assert as_berta("PATCH", path, {"name": "Mine"}, **etag).status_code == 404
    assert as_berta("GET", "/shops").json["data"] == []
    assert as_berta("GET", f"/shops?merchant={mer(ana)}").json["data"] == []
    assert as_analyst("GET", path).status_code == 200
    assert as_analyst("PATCH", path, {"name": "Mine"}, **etag).status_code == 403
    assert as_promoter("GET", path).status_code == 403
    assert queries.shop(shop.merchant_id, shop.id).name == shop.domain


def test_the_operator_sees_all_shops_and_filters_them(client, ana, berta):
    a_shop(ana)
    theirs = a_shop(berta, platform="shopify")
    as_operator = caller(client, a_key())

    assert len(as_operator("GET", "/shops").json["data"]) == 2
    for query in (f"merchant={mer(berta)}", "platform=shopify"):
        found = as_operator("GET", f"/shops?{query}").json["data"]
        assert [each["id"] for each in found] == [shp(theirs)]


def test_a_merchant_that_is_not_there_has_no_shops(client):
    as_operator = caller(client, a_key())
    nobody = ids.encode("mer", 999_999)

    answer = as_operator("POST", "/shops", new_shop(a_merchant()) | {"merchant": nobody})

    assert answer.status_code == 404


# --- products --------------------------------------------------------------------------------


def test_a_product_is_entered_read_and_changed(as_ana, ana):
    shop = a_shop(ana)
    made = as_ana("POST", "/products", new_product(shop))
    assert made.status_code == 201
    path = f"/products/{made.json['id']}"
    assert made.json["price"] == {"amount": 19990, "currency": "BRL"}
    assert [each["external_id"] for each in made.json["variants"]] == ["v1"]
    assert as_ana("GET", path).json == made.json

    change = {"price": None, "stock": 0, "hidden": True, "variants": []}
    changed = as_ana("PATCH", path, change, **{"If-Match": made.headers["ETag"]})

    assert changed.status_code == 200
    assert (changed.json["price"], changed.json["stock"], changed.json["variants"]) == (None, 0, [])
    assert changed.json["hidden_at"] is not None
    assert changed.json["title"] == "Bolsa"
    assert as_ana("PATCH", path, change, **{"If-Match": made.headers["ETag"]}).status_code == 412
    assert as_ana("PATCH", path, change).status_code == 428


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "https://evil.example.com/"}, "/url"),
        ({"url": "javascript:alert(1)"}, "/url"),
        ({"image_url": "x"}, "/image_url"),
        ({"price": {"amount": 1, "currency": "EUR"}}, "/price/currency"),
        ({"price": {"amount": -1, "currency": "BRL"}}, "/price/amount"),
        ({"price": {"amount": 10**14, "currency": "BRL"}}, "/price/amount"),
        ({"price": 12.5}, "/price"),
        ({"title": ""}, "/title"),
        ({"title": "nul \x00"}, "/title"),
        ({"variants": [VARIANT_IN_EUROS]}, "/variants/0/price/currency"),
        ({"stock": "many"}, "/stock"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_product_is_named(as_ana, ana, fields, pointer):
    answer = as_ana("POST", "/products", new_product(a_shop(ana), **fields))

    assert answer.status_code == 422
    assert pointers(answer) == [pointer]


def test_many_products_come_by_the_shop_s_own_ids(as_ana, ana):
    shop = a_shop(ana)
    items = [
        {"external_id": f"p{n}", "title": f"Bolsa {n}", "url": f"https://{shop.domain}/{n}"}
        for n in range(3)
    ]
    first = as_ana("PUT", "/products/bulk", {"shop": shp(shop), "products": items})
    items[0]["title"] = "New"
    second = as_ana("PUT", "/products/bulk", {"shop": shp(shop), "products": items})

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json["created"] == 3
    counts = {name: second.json[name] for name in ("created", "updated", "unchanged")}
    assert counts == {"created": 0, "updated": 1, "unchanged": 2}
    assert second.json["data"] == first.json["data"]
    found = as_ana("GET", f"/products?shop={shp(shop)}&external_id=p0").json["data"]
    assert [each["title"] for each in found] == ["New"]


def test_each_wrong_item_of_many_is_named(as_ana, ana):
    shop = a_shop(ana)
    good = {"external_id": "a", "title": "A", "url": f"https://{shop.domain}/a"}
    foreign = good | {"external_id": "b", "url": "https://evil.example.com/"}

    answer = as_ana("PUT", "/products/bulk", {"shop": shp(shop), "products": [good, foreign, good]})
    mistyped = as_ana(
        "PUT", "/products/bulk", {"shop": shp(shop), "products": [good, {"title": 5}]}
    )

    assert (answer.status_code, mistyped.status_code) == (422, 422)
    assert sorted(pointers(answer)) == ["/products/1/url", "/products/2/external_id"]
    assert "/products/1/url" in pointers(mistyped)
    assert as_ana("GET", "/products").json["data"] == []


def test_products_are_their_merchant_s_business(as_ana, as_berta, ana):
    shop = a_shop(ana)
    product = a_product(shop)
    path = f"/products/{prd(product)}"

    assert as_ana("GET", path).status_code == 200
    assert as_berta("GET", path).status_code == 404
    assert as_berta("GET", "/products").json["data"] == []
    assert as_berta("PATCH", path, {"title": "x"}, **{"If-Match": '"1"'}).status_code == 404
    assert as_berta("POST", "/products", new_product(shop)).status_code == 404
    bulk = {"shop": shp(shop), "products": []}
    assert as_berta("PUT", "/products/bulk", bulk).status_code == 404


def test_what_the_shop_tells_is_read_and_some_of_it_may_be_written(as_ana, ana):
    shop = a_shop(ana)
    more = {
        "description": "Couro", "images": ["https://cdn.test/a.png"],
        "list_price": {"amount": 250_00, "currency": shop.currency},
        "price_until": "2026-12-24T00:00:00Z",
    }  # fmt: skip
    made = as_ana("POST", "/products", new_product(shop) | more).json

    assert {name: made[name] for name in more} == more
    assert (made["sold"], made["gone_at"], made["synced_at"]) == (None, None, None)
    path = f"/products/{made['id']}"
    wrong = as_ana("PATCH", path, {"images": ["nowhere"]}, **{"If-Match": '"1"'})
    assert pointers(wrong) == ["/images/0"]
    changed = as_ana("PATCH", path, {"list_price": None}, **{"If-Match": '"1"'}).json
    assert (changed["list_price"], changed["description"]) == (None, "Couro")
    service.take_products(shop, [], [service.Gone(made["external_id"], shop_version=1)])
    assert as_ana("GET", path).json["gone_at"] is not None


def test_a_promoter_sees_what_can_be_promoted(client, ana, berta):
    shop, other_shop = a_shop(ana), a_shop(ana)
    shown, hidden, gone = a_product(shop), a_product(shop), a_product(shop)
    service.take_products(shop, [], [service.Gone(gone.external_id, shop_version=1)])
    elsewhere = a_product(other_shop)
    foreign = a_product(a_shop(berta))
    service.change_product(shop, hidden, {"hidden": True})
    promoter = a_promoter()
    an_enrolment(a_program(ana, shop_ids=[shop.id]), promoter)
    as_promoter = caller(client, a_key(Role.PROMOTER, promoter=promoter))

    found = as_promoter("GET", "/products").json["data"]

    assert [each["id"] for each in found] == [prd(shown)]
    assert as_promoter("GET", f"/products/{prd(shown)}").status_code == 200
    for product in (hidden, gone, elsewhere, foreign):
        assert as_promoter("GET", f"/products/{prd(product)}").status_code == 404
    assert as_promoter("POST", "/products", new_product(shop)).status_code == 403


def test_lists_go_on_where_they_stopped(as_ana, ana):
    shop = a_shop(ana)
    made = [prd(a_product(shop)) for _ in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page = as_ana("GET", f"/products?limit=2{cursor and '&cursor=' + cursor}").json
        seen += [each["id"] for each in page["data"]]
        cursor = page["next"]

    assert seen == made[::-1]
