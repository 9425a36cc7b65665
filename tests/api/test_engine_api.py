"""Rules, groups, coupons, claims and risk cases over the API: shapes, dates, refusals."""

import pytest

from affiliate import ids
from affiliate.catalog import service as catalog
from affiliate.db import unit_of_work
from affiliate.people.models import Role
from tests.commissions.town import Town, earned
from tests.factories.catalog import a_product, a_shop
from tests.factories.orders import a_line, an_order, deliver
from tests.factories.people import a_key, a_merchant, bearer
from tests.factories.programs import a_program


@pytest.fixture
def town(app):
    return Town(tiers_ppm=[])


@pytest.fixture
def as_staff(client, town):
    return caller(client, a_key(Role.MERCHANT_STAFF, merchant=town.merchant))


@pytest.fixture
def as_bia(client, town):
    return caller(client, a_key(Role.PROMOTER, promoter=town.bia))


def caller(client, key):
    def call(method, path, body=None, **headers):
        return client.open(
            f"/api/v1{path}", method=method, json=body, headers=bearer(key, **headers)
        )

    return call


def own(prefix, row):
    return ids.encode(prefix, row.merchant_id, row.id)


def prm(promoter):
    return ids.encode("prm", promoter.id)


def rules_of(town):
    return f"/programs/{own('prg', town.program)}/rules"


def test_a_rule_is_stated_changed_and_ended(client, town, as_staff, clock):
    clock.move(minutes=0)
    with unit_of_work():
        shirt = a_product(town.shop, external_id="p1")
    made = as_staff(
        "POST",
        rules_of(town),
        {
            "scope": "product", "product": own("prd", shirt), "rate_ppm": 150_000,
            "conditions": {"new_customer": True,
                           "min_order_amount": {"amount": 5000, "currency": "BRL"}},
        },
    )  # fmt: skip
    assert made.status_code == 201, made.text
    assert made.json["conditions"] == {
        "new_customer": True, "min_order_amount": {"amount": 5000, "currency": "BRL"},
    }  # fmt: skip
    clock.move(minutes=1)

    line = a_line(product_id="p1", tax="0.00")
    new = {"id": "c1", "new": True}
    deliver(client, town.shop, an_order(town.tk(), lines=[line], customer=new))
    assert earned() == {("direct", "Ana"): 1500}

    path = f"{rules_of(town)}/{made.json['id']}"
    changed = as_staff("PATCH", path, {"rate_ppm": 200_000}, **{"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.json["rate_ppm"]) == (200, 200_000)
    assert as_staff("PATCH", path, {"rate_ppm": 1}, **{"If-Match": '"0"'}).status_code == 412
    clock.move(minutes=1)
    ended = as_staff("PATCH", path, {"ended": True}, **{"If-Match": "*"})
    assert ended.json["ended"] is True
    assert (
        as_staff("PATCH", path, {"rate_ppm": 1}, **{"If-Match": "*"})
        .json["type"]
        .endswith("rule_ended")
    )
    assert [each["id"] for each in as_staff("GET", rules_of(town)).json["data"]] == [
        made.json["id"]
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scope": "program", "rate_ppm": 2_000_000}, "/rate_ppm"),
        ({"scope": "program", "kind": "percent"}, "/rate_ppm"),
        ({"scope": "program", "kind": "per_unit"}, "/currency"),
        ({"scope": "product", "rate_ppm": 5}, "/product"),
        ({"scope": "category", "rate_ppm": 5}, "/category"),
        ({"scope": "program", "rate_ppm": 5, "effective_from": "2020-01-01T00:00:00Z"},
         "/effective_from"),
        ({"scope": "program", "rate_ppm": 5, "color": "red"}, "/color"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_is_named(town, as_staff, body, pointer):
    answer = as_staff("POST", rules_of(town), body)

    assert answer.status_code == 422, answer.text
    assert pointer in [each["pointer"] for each in answer.json["errors"]]


def test_another_merchants_things_are_unknown(client, town, as_staff):
    with unit_of_work():
        other = a_merchant("Other")
        theirs = a_program(other)
    stranger = caller(client, a_key(Role.MERCHANT_OWNER, merchant=other))
    rule = as_staff("POST", rules_of(town), {"scope": "program", "rate_ppm": 5}).json["id"]

    assert stranger("GET", f"{rules_of(town)}/{rule}").status_code == 404
    mixed = f"/programs/{own('prg', theirs)}/rules/{rule}"
    assert stranger("GET", mixed).status_code == 404


def test_groups_and_named_programs(town, as_staff, as_bia):
    merchant = ids.encode("mer", town.merchant.id)
    group = as_staff("POST", "/groups", {"merchant": merchant, "name": "Stars"}).json["id"]
    assert as_staff("POST", "/groups", {"merchant": merchant, "name": "Stars"}).status_code == 409
    as_staff("POST", f"/groups/{group}/members", {"add": [prm(town.bia), prm(town.ana)]})
    as_staff("POST", f"/groups/{group}/members", {"remove": [prm(town.ana)]})
    members = as_staff("GET", f"/groups/{group}/members").json["data"]
    assert [each["promoter"] for each in members] == [prm(town.bia)]

    program = as_staff(
        "POST", "/programs",
        {"merchant": merchant, "name": "Stars", "default_rate_ppm": 5, "plan_type": "targeted"},
    ).json["id"]  # fmt: skip
    assert as_bia("GET", f"/programs/{program}").status_code == 404
    named = as_staff("POST", f"/programs/{program}/invitees", {"add_groups": [group]})
    assert [each["group"] for each in named.json["data"]] == [group]
    assert as_bia("GET", f"/programs/{program}").status_code == 200

    as_staff("POST", f"/programs/{program}/invitees", {"remove_groups": [group]})
    assert as_bia("GET", f"/programs/{program}").status_code == 404


def test_a_public_program_names_nobody(town, as_staff):
    path = f"/programs/{own('prg', town.program)}/invitees"

    assert as_staff("POST", path, {"add_promoters": [prm(town.bia)]}).status_code == 409


def test_a_coupon_is_given_shown_and_ended(town, as_staff, as_bia):
    body = {"program": own("prg", town.program), "promoter": prm(town.bia), "code": "BIA10"}
    made = as_staff("POST", "/coupons", body)
    assert made.status_code == 201
    assert as_staff("POST", "/coupons", body | {"code": "bia10"}).status_code == 409
    assert [each["code"] for each in as_bia("GET", "/coupons").json["data"]] == ["BIA10"]

    path = f"/coupons/{made.json['id']}"
    ended = as_staff("PATCH", path, {"ended": True}, **{"If-Match": made.headers["ETag"]})

    assert ended.json["until"] is not None
    assert as_staff("POST", "/coupons", body).status_code == 201


def test_a_coupon_goes_into_a_shop_is_paused_and_deleted(town, as_staff, as_bia):
    body = {
        "program": own("prg", town.program), "promoter": prm(town.bia), "code": "BIA10",
        "shops": [own("shp", town.shop)], "discount": {"percent_ppm": 100_000},
        "minimum": {"amount": 5000, "currency": "BRL"}, "uses": 9,
        "starts_at": "2100-01-01T00:00:00Z", "ends_at": "2100-02-01T00:00:00Z",
    }  # fmt: skip
    made = as_staff("POST", "/coupons", body)
    path = f"/coupons/{made.json['id']}"
    (place,) = made.json["shops"]
    assert {name: place[name] for name in ("state", "wish", "discount", "uses", "seen_at")} == {
        "state": "by_hand", "wish": "there", "uses": 9, "seen_at": None,
        "discount": {"percent_ppm": 100_000, "amount": None},
    }  # fmt: skip
    assert as_bia("GET", "/coupons").json["data"][0]["shops"][0]["state"] == "by_hand"

    stale = as_staff("PATCH", path, {"paused": True}, **{"If-Match": '"0"'})
    paused = as_staff("PATCH", path, {"paused": True}, **{"If-Match": made.headers["ETag"]})
    assert (stale.status_code, paused.json["shops"][0]["wish"]) == (412, "paused")
    assert paused.headers["ETag"] != made.headers["ETag"]
    decided = as_staff("POST", f"{path}/shops/{place['shop']}", {"what": "take_over"})
    assert decided.json["type"].endswith("nothing_to_decide")
    assert as_bia("DELETE", path).status_code == 403
    assert as_staff("DELETE", path).status_code == 204

    (gone,) = as_staff("GET", path).json["shops"]
    assert (gone["wish"], gone["state"]) == ("removed", "removed")
    assert as_staff("PUT", f"{path}/shops/{place['shop']}", TEN).status_code == 422
    again = as_staff(
        "POST", "/coupons", {key: body[key] for key in ("program", "promoter", "code")}
    )
    put = as_staff("PUT", f"/coupons/{again.json['id']}/shops/{place['shop']}", TEN)
    assert [each["state"] for each in put.json["shops"]] == ["by_hand"]


TEN = {"discount": {"percent_ppm": 100_000}}
FIVE = {"amount": 500, "currency": "BRL"}


@pytest.mark.parametrize(
    ("wrong", "pointers"),
    [
        ({"discount": {}}, {"/discount"}),
        ({"discount": None}, {"/discount"}),
        ({"discount": {"percent_ppm": 1000, "amount": FIVE}}, {"/discount"}),
        ({"discount": {"percent_ppm": 0}}, {"/discount/percent_ppm"}),
        ({"discount": {"percent_ppm": 1_010_000}}, {"/discount/percent_ppm"}),
        ({"discount": {"amount": FIVE | {"amount": 0}}}, {"/discount/amount/amount"}),
        (
            {"discount": {"amount": FIVE | {"currency": "USD"}}},
            {"/discount/amount/currency"},
        ),
        ({"minimum": FIVE | {"currency": "USD"}, "code": "A B"}, {"/minimum/currency", "/code"}),
        ({"code": "A" * 300}, {"/code"}),
        ({"code": "  "}, {"/code"}),
        ({"code": "Promoción"}, {"/code"}),
        ({"code": "ANA 10"}, {"/code"}),
        ({"starts_at": "2100-02-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00Z"}, {"/ends_at"}),
        ({"ends_at": "2020-01-01T00:00:00Z"}, {"/ends_at"}),
        ({"uses": 0}, {"/uses"}),
        ({"shops": []}, {"/shops"}),
    ],
)
def test_a_coupon_that_a_shop_could_not_take_is_refused_field_by_field(
    town, as_staff, wrong, pointers
):
    with unit_of_work():
        shopify = a_shop(town.merchant, platform="shopify")
        catalog.change_shop(shopify, credentials={"webhook_secret": "x", "api_token": "shpat"})
    body = {
        "program": own("prg", town.program), "promoter": prm(town.bia), "code": "BIA10",
        "shops": [own("shp", shopify)], **TEN,
    }  # fmt: skip

    refused = as_staff("POST", "/coupons", body | wrong)

    assert refused.status_code == 422
    assert {each["pointer"] for each in refused.json["errors"]} == pointers
    assert as_staff("GET", "/coupons").json["data"] == []


def test_a_claim_from_the_promoter_to_the_decision(client, town, as_staff, as_bia):
    deliver(client, town.shop, an_order(town.tk(), number="#77"))
    body = {
        "program": own("prg", town.program), "promoter": prm(town.bia),
        "shop": own("shp", town.shop), "order_number": "77", "evidence": "She told me.",
    }  # fmt: skip
    made = as_bia("POST", "/claims", body)
    assert made.status_code == 201
    assert as_bia("POST", "/claims", body).json["type"].endswith("already_claimed")
    assert as_bia("POST", f"/claims/{made.json['id']}/accept", {}).status_code == 403
    as_bia(
        "PATCH", f"/claims/{made.json['id']}", {"evidence": "Here is the chat."},
        **{"If-Match": made.headers["ETag"]},
    )  # fmt: skip

    accepted = as_staff("POST", f"/claims/{made.json['id']}/accept", {"reason": "Right."})

    assert (accepted.json["state"], accepted.json["reason"]) == ("accepted", "Right.")
    assert earned() == {("direct", "Ana"): 0, ("direct", "Bia"): 1200}
    order = as_staff("GET", f"/orders/{accepted.json['order']}").json
    assert order["attribution"]["source"] == "claim"
    mine = as_bia("GET", f"/orders/{accepted.json['order']}").json
    told = " ".join(each["text"] for each in mine["trace"])
    assert prm(town.ana) not in str(mine)
    assert "claim" in told


def test_a_case_is_listed_and_cleared(client, town, as_staff):
    bulk = [a_line(quantity=50, price="10.00", tax="0.00")]
    deliver(client, town.shop, an_order(town.tk(), lines=bulk))
    (case,) = as_staff("GET", "/risk-cases?state=open").json["data"]
    assert [each["code"] for each in case["signals"]] == ["bulk_purchase"]

    cleared = as_staff("POST", f"/risk-cases/{case['id']}/clear", {"note": "a company"})

    assert (cleared.json["state"], cleared.json["note"]) == ("cleared", "a company")
    again = as_staff("POST", f"/risk-cases/{case['id']}/confirm", {})
    assert again.status_code == 409
