"""Merchants, promoters and keys by API: what works, for whom, and for whom not."""

import pytest

from affiliate.ids import encode
from affiliate.people import service
from affiliate.people.models import Role
from tests.factories.people import a_key, a_merchant, a_promoter, a_user, bearer
from tests.factories.programs import a_program, an_enrolment

ANY = {"If-Match": "*"}


@pytest.fixture
def call(client):
    """`call(key, "GET", "/merchants")`"""

    def call(key, method, path, body=None, **headers):
        return client.open(
            f"/api/v1{path}", method=method, json=body, headers=bearer(key, **headers)
        )

    return call


def mer(merchant):
    return encode("mer", merchant.id)


def prm(promoter):
    return encode("prm", promoter.id)


# --- merchants -------------------------------------------------------------------------------


def test_the_operator_makes_and_sees_every_merchant(call):
    operator = a_key()
    limit = {"amount": 500_00, "currency": "BRL"}
    body = {"name": "Casa", "country": "BR", "currency": "BRL", "timezone": "America/Bahia",
            "payout_mode": "on_request", "credit_limit": limit,
            "platform_fee_ppm": 5000}  # fmt: skip

    made = call(operator, "POST", "/merchants", body)

    assert made.status_code == 201
    assert made.json.items() >= body.items()
    assert call(operator, "GET", f"/merchants/{made.json['id']}").json == made.json
    assert call(operator, "GET", "/merchants").json["data"] == [made.json]


def test_a_credit_limit_in_another_currency_is_refused(call):
    body = {"name": "Casa", "country": "BR", "currency": "BRL", "timezone": "America/Bahia",
            "credit_limit": {"amount": 1, "currency": "EUR"}}  # fmt: skip

    refused = call(a_key(), "POST", "/merchants", body)

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/credit_limit/currency"


@pytest.mark.parametrize("role", [role for role in Role if role.startswith("merchant_")])
def test_a_merchants_people_see_their_merchant_only(call, role):
    mine, other = a_merchant(), a_merchant()
    key = a_key(role, merchant=mine)

    assert call(key, "GET", f"/merchants/{mer(mine)}").status_code == 200
    assert call(key, "GET", f"/merchants/{mer(other)}").status_code == 404
    assert [row["id"] for row in call(key, "GET", "/merchants").json["data"]] == [mer(mine)]
    assert call(key, "POST", "/merchants", {}).status_code == 403


def test_only_the_owner_changes_a_merchant(call):
    merchant = a_merchant()
    other = a_key(Role.MERCHANT_OWNER, merchant=a_merchant())
    url = f"/merchants/{mer(merchant)}"

    for role in (Role.MERCHANT_STAFF, Role.MERCHANT_ANALYST):
        key = a_key(role, merchant=merchant)
        assert call(key, "PATCH", url, {"name": "B"}, **ANY).status_code == 403
    assert call(other, "PATCH", url, {"name": "B"}, **ANY).status_code == 404
    owner = a_key(Role.MERCHANT_OWNER, merchant=merchant)
    assert call(owner, "PATCH", url, {"name": "B"}, **ANY).json["name"] == "B"


def test_an_owner_does_not_raise_its_own_credit(call):
    merchant = a_merchant()
    owner = a_key(Role.MERCHANT_OWNER, merchant=merchant)
    change = {"credit_limit": {"amount": 1, "currency": "BRL"}, "platform_fee_ppm": 0, "name": "B"}

    refused = call(owner, "PATCH", f"/merchants/{mer(merchant)}", change, **ANY)

    assert refused.status_code == 403
    pointers = {error["pointer"] for error in refused.json["errors"]}
    assert pointers == {"/credit_limit", "/platform_fee_ppm"}
    assert call(owner, "GET", f"/merchants/{mer(merchant)}").json["name"] == "Casa Ana"


def test_finance_of_one_merchant_sees_one_and_of_the_instance_all(call):
    mine = a_merchant()
    a_merchant()

    assert (
        len(call(a_key(Role.FINANCE_MAKER, merchant=mine), "GET", "/merchants").json["data"]) == 1
    )
    assert len(call(a_key(Role.FINANCE_AUDITOR), "GET", "/merchants").json["data"]) == 2


# --- promoters -------------------------------------------------------------------------------


def test_a_promoter_is_made_under_a_sponsor(call):
    operator = a_key()
    sponsor = a_promoter()
    body = {"name": "Bruna", "email": "Bruna@Example.com", "phone": "+52 1 55 1234 5678",
            "country": "MX", "locale": "es-MX", "sponsor": prm(sponsor)}  # fmt: skip

    made = call(operator, "POST", "/promoters", body)

    assert made.status_code == 201, made.json
    assert made.json["email"] == "bruna@example.com"
    assert made.json["phone"] == "+525512345678"
    assert made.json["sponsor"] == prm(sponsor)
    assert call(operator, "GET", f"/promoters/{made.json['id']}").json == made.json


def test_a_taken_address_is_refused_when_made_and_when_changed(call):
    operator = a_key()
    a_promoter(email="ana@example.com")
    other = a_promoter()

    made = call(operator, "POST", "/promoters", {"name": "A", "email": "ANA@example.com"})
    changed = call(
        operator, "PATCH", f"/promoters/{prm(other)}", {"email": "ana@example.com"}, **ANY
    )

    for refused in (made, changed):
        assert (refused.status_code, refused.json["type"]) == (409, "/problems/email_taken")
        assert refused.json["errors"][0]["pointer"] == "/email"


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "ana"), ("phone", "12"), ("phone", "5512345678"), ("sponsor", "prm_00000000"),
     ("locale", "fr"), ("country", "ZZ")],
)  # fmt: skip
def test_wrong_contact_data_is_pointed_at(call, field, value):
    refused = call(a_key(), "POST", "/promoters", {"name": "A", field: value})

    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [f"/{field}"]


def test_a_sponsor_that_was_never_made_is_refused(call):
    sponsor = encode("prm", 10**9)

    refused = call(a_key(), "POST", "/promoters", {"name": "A", "sponsor": sponsor})

    assert refused.json["errors"][0]["pointer"] == "/sponsor"


def test_moving_under_ones_own_branch_is_refused(call):
    operator = a_key()
    top = a_promoter()
    low = a_promoter(sponsor=top)

    circle = call(operator, "POST", f"/promoters/{prm(top)}/sponsor", {"sponsor": prm(low)})
    away = call(operator, "POST", f"/promoters/{prm(low)}/sponsor", {"sponsor": None})

    assert (circle.status_code, circle.json["type"]) == (409, "/problems/sponsor_cycle")
    assert away.json["sponsor"] is None


def test_the_operator_suspends_and_resumes(call):
    bruna = a_promoter()
    url = f"/promoters/{prm(bruna)}"

    stopped = call(a_key(), "PATCH", url, {"suspended": True}, **ANY).json
    resumed = call(a_key(), "PATCH", url, {"suspended": False}, **ANY).json

    assert stopped["suspended_at"] is not None
    assert resumed["suspended_at"] is None


def test_a_promoter_sees_and_changes_only_themselves(call):
    bruna, other = a_promoter(), a_promoter()
    key = a_key(Role.PROMOTER, promoter=bruna)

    me, them = f"/promoters/{prm(bruna)}", f"/promoters/{prm(other)}"

    mine = call(key, "PATCH", me, {"locale": "en"}, **ANY)

    assert mine.json["locale"] == "en"
    assert mine.json["email"] == bruna.email
    assert [row["id"] for row in call(key, "GET", "/promoters").json["data"]] == [prm(bruna)]
    assert call(key, "GET", them).status_code == 404
    assert call(key, "PATCH", them, {"name": "x"}, **ANY).status_code == 404
    assert call(key, "PATCH", me, {"suspended": False}, **ANY).status_code == 403
    assert call(key, "POST", "/promoters", {"name": "x"}).status_code == 403
    assert call(key, "POST", f"{me}/sponsor", {"sponsor": None}).status_code == 403


def test_a_merchant_sees_its_own_enrolled_people_and_a_gap_for_others(call):
    merchant = a_merchant()
    program = a_program(merchant=merchant)
    stranger = a_promoter()
    top = a_promoter(sponsor=stranger)
    low = a_promoter(sponsor=top)
    for enrolled in (top, low):
        an_enrolment(program, promoter=enrolled)
    key = a_key(Role.MERCHANT_STAFF, merchant=merchant)

    seen = {row["id"]: row for row in call(key, "GET", "/promoters").json["data"]}

    assert set(seen) == {prm(top), prm(low)}
    assert seen[prm(low)]["sponsor"] == prm(top)
    assert seen[prm(top)]["sponsor"] is None
    assert seen[prm(top)]["email"] is seen[prm(top)]["phone"] is None
    assert call(key, "GET", f"/promoters/{prm(stranger)}").status_code == 404
    elsewhere = a_key(Role.MERCHANT_OWNER, merchant=a_merchant())
    assert call(elsewhere, "GET", "/promoters").json["data"] == []
    assert call(elsewhere, "GET", f"/promoters/{prm(top)}").status_code == 404


def test_addresses_cannot_be_tried_out_by_those_who_do_not_see_them(call):
    merchant = a_merchant()
    bruna = a_promoter(email="bruna@example.com")
    an_enrolment(a_program(merchant=merchant), promoter=bruna)
    path = "/promoters?email=Bruna@example.com"

    assert call(a_key(Role.MERCHANT_STAFF, merchant=merchant), "GET", path).json["data"] == []
    assert len(call(a_key(), "GET", path).json["data"]) == 1


# --- keys ------------------------------------------------------------------------------------


def test_a_key_is_shown_once_then_listed_renamed_and_revoked(call):
    operator = a_key()

    made = call(operator, "POST", "/keys", {"name": "robot", "role": "finance_auditor"}).json
    url = f"/keys/{made['id']}"
    renamed = call(operator, "PATCH", url, {"name": "r2"}, **{"If-Match": '"1"'})
    assert call(made["secret"], "GET", "/me").json["roles"][0]["role"] == "finance_auditor"
    revoked = call(operator, "DELETE", url)

    assert renamed.json["name"] == "r2"
    assert revoked.json["revoked_at"] is not None
    assert "secret" not in call(operator, "GET", url).json
    assert made["id"] in [row["id"] for row in call(operator, "GET", "/keys").json["data"]]
    assert call(made["secret"], "GET", "/me").status_code == 401


def test_a_person_makes_keys_for_themselves_with_no_more_than_they_came_with(call):
    ana = a_user(Role.FINANCE_MAKER)
    service.grant(ana, Role.OPERATOR)
    maker = a_key(Role.FINANCE_MAKER, user=ana)
    me = call(maker, "GET", "/me").json["user"]

    same = call(maker, "POST", "/keys", {"name": "k", "role": "finance_maker", "user": me})
    more = call(maker, "POST", "/keys", {"name": "k", "role": "operator", "user": me})
    service_key = call(maker, "POST", "/keys", {"name": "k", "role": "finance_maker"})

    assert same.json["user"] == me
    assert same.json["is_service"] is False
    assert more.status_code == service_key.status_code == 403


def test_nobody_makes_a_key_for_somebody_else(call):
    ana = encode("usr", a_user(Role.FINANCE_CHECKER).id)

    refused = call(a_key(), "POST", "/keys", {"name": "k", "role": "finance_checker", "user": ana})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/user"


def test_an_owner_gives_keys_of_its_own_merchant_only(call):
    mine, other = a_merchant(), a_merchant()
    owner = a_key(Role.MERCHANT_OWNER, merchant=mine)

    def give(role, merchant=None):
        body = {"name": "k", "role": role} | ({"merchant": mer(merchant)} if merchant else {})
        return call(owner, "POST", "/keys", body).status_code

    assert give("merchant_staff", mine) == 201
    assert give("merchant_staff", other) == 404
    assert give("finance_checker", mine) == 403
    assert give("operator") == 403
    assert give("merchant_staff") == 403


def test_keys_of_others_are_not_there(call):
    mine, other = a_merchant(), a_merchant()
    made = call(a_key(), "POST", "/keys",
                {"name": "k", "role": "merchant_staff", "merchant": mer(mine)}).json  # fmt: skip
    url = f"/keys/{made['id']}"
    stranger = a_key(Role.MERCHANT_OWNER, merchant=other)
    owner = a_key(Role.MERCHANT_OWNER, merchant=mine)

    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert call(stranger, method, url, body, **ANY).status_code == 404
    assert made["id"] not in [row["id"] for row in call(stranger, "GET", "/keys").json["data"]]
    assert made["id"] in [row["id"] for row in call(owner, "GET", "/keys").json["data"]]
    assert call(owner, "DELETE", url).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"role": "operator", "merchant": "mer"}, "/merchant"),
        ({"role": "promoter"}, "/promoter"),
        ({"role": "merchant_owner"}, "/merchant"),
        ({"role": "merchant_owner", "merchant": "nobody"}, "/merchant"),
        ({"role": "king"}, "/role"),
    ],
)
def test_a_role_in_the_wrong_place_is_pointed_at(call, body, pointer):
    known = {"mer": mer(a_merchant()), "nobody": encode("mer", 10**9)}
    body = {**body, **({"merchant": known[body["merchant"]]} if "merchant" in body else {})}

    refused = call(a_key(), "POST", "/keys", {"name": "k", **body})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == pointer


def test_a_key_for_a_promoter_acts_as_that_promoter(call):
    bruna = a_promoter()

    made = call(a_key(), "POST", "/keys",
                {"name": "k", "role": "promoter", "promoter": prm(bruna)}).json  # fmt: skip

    assert call(made["secret"], "GET", f"/promoters/{prm(bruna)}").json["email"] == bruna.email
