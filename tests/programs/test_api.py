"""Programs and enrolments over the API."""

import pytest

from affiliate import ids
from affiliate.people.models import Role
from affiliate.programs import queries
from tests.factories.catalog import a_shop
from tests.factories.people import a_key, a_merchant, a_promoter, bearer
from tests.factories.programs import a_program, an_enrolment


@pytest.fixture
def ana():
    return a_merchant("Casa Ana")


@pytest.fixture
def as_ana(client, ana):
    return caller(client, a_key(Role.MERCHANT_STAFF, merchant=ana))


@pytest.fixture
def as_berta(client):
    return caller(client, a_key(Role.MERCHANT_OWNER, merchant=a_merchant("Casa Berta")))


@pytest.fixture
def bruna():
    return a_promoter("Bruna")


@pytest.fixture
def as_bruna(client, bruna):
    return caller(client, a_key(Role.PROMOTER, promoter=bruna))


def caller(client, key):
    def call(method, path, body=None, **headers):
        return client.open(
            f"/api/v1{path}", method=method, json=body, headers=bearer(key, **headers)
        )

    return call


def mer(merchant):
    return ids.encode("mer", merchant.id)


def prg(program):
    return ids.encode("prg", program.merchant_id, program.id)


def prm(promoter):
    return ids.encode("prm", promoter.id)


def new_program(merchant, **fields):
    return {"merchant": mer(merchant), "name": "Amigas", "default_rate_ppm": 100_000} | fields


def pointers(answer):
    return [each["pointer"] for each in answer.json["errors"]]


def test_a_program_is_made_with_the_usual_terms(as_ana, ana):
    answer = as_ana("POST", "/programs", new_program(ana))

    assert answer.status_code == 201
    made = answer.json
    assert (made["enrolment"], made["tiers_ppm"], made["model"]) == ("open", [], "last")
    assert (made["max_total_ppm"], made["window_days"]) == (1_000_000, 30)
    assert made["sources"] == ["coupon", "click", "sharer", "binding"]
    assert (made["hold_days"], made["hold_fallback_days"], made["shops"]) == (15, 15, [])
    assert as_ana("GET", f"/programs/{made['id']}").json == made
    assert as_ana("GET", "/programs").json == {"data": [made], "next": None}


def test_a_program_is_made_as_it_is_asked_for(as_ana, ana):
    shop = a_shop(ana)
    asked = {
        "enrolment": "approval",
        "default_rate_ppm": 200_000,
        "tiers_ppm": [50_000, 30_000],
        "max_total_ppm": 250_000,
        "window_days": 7,
        "model": "first",
        "sources": ["click", "coupon"],
        "credit": "product",
        "hold_days": 3,
        "hold_fallback_days": 30,
        "self_purchase": "rebate",
        "inactive_upline": "compress",
        "base": "gross",
        "priority": 5,
        "shops": [ids.encode("shp", shop.merchant_id, shop.id)],
        "fallback_url": f"https://{shop.domain}/sale",
        "sold_out": "pause",
    }

    made = as_ana("POST", "/programs", new_program(ana, **asked)).json

    assert {name: made[name] for name in asked} == asked


def test_other_terms_are_a_new_row_and_the_same_program(as_ana, ana, clock):
    clock.stand("2026-11-22T12:00:00Z")
    made = as_ana("POST", "/programs", new_program(ana))
    path = f"/programs/{made.json['id']}"
    clock.move(days=1)

    changed = as_ana("PATCH", path, {"tiers_ppm": [50_000]}, **{"If-Match": made.headers["ETag"]})

    assert changed.status_code == 200
    assert changed.json["tiers_ppm"] == [50_000]
    assert changed.json["terms_since"] == "2026-11-23T12:00:00Z"
    assert changed.json["default_rate_ppm"] == 100_000
    key = ids.decode_pair("prg", made.json["id"])
    assert len(queries.terms_of([key])[key]) == 2
    stale = as_ana("PATCH", path, {"name": "x"}, **{"If-Match": made.headers["ETag"]})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"default_rate_ppm": 1_000_001}, "/default_rate_ppm"),
        ({"default_rate_ppm": 0.1}, "/default_rate_ppm"),
        ({"default_rate_ppm": 300_000, "max_total_ppm": 200_000}, "/default_rate_ppm"),
        ({"tiers_ppm": [1, 1, 1]}, "/tiers_ppm"),
        ({"tiers_ppm": [1] * 12}, "/tiers_ppm"),
        ({"model": "random"}, "/model"),
        ({"sources": []}, "/sources"),
        ({"sources": ["click", "click"]}, "/sources"),
        ({"enrolment": "secret"}, "/enrolment"),
        ({"fallback_url": "https://evil.example.net/"}, "/fallback_url"),
        ({"window_days": 10**18}, "/window_days"),
        ({"name": " "}, "/name"),
    ],
)
def test_what_is_wrong_with_a_program_is_named(as_ana, ana, fields, pointer):
    a_shop(ana)
    answer = as_ana("POST", "/programs", new_program(ana, **fields))

    assert answer.status_code == 422
    assert pointers(answer) == [pointer]


def test_another_merchant_s_shop_is_unknown(as_ana, ana):
    theirs = a_shop()

    answer = as_ana(
        "POST",
        "/programs",
        new_program(ana, shops=[ids.encode("shp", theirs.merchant_id, theirs.id)]),
    )

    assert (answer.status_code, pointers(answer)) == (422, ["/shops/0"])


def test_only_an_operator_s_reason_pays_a_second_level_in_china(client):
    merchant = a_merchant(country="CN", currency="CNY")
    as_owner = caller(client, a_key(Role.MERCHANT_OWNER, merchant=merchant))
    as_operator = caller(client, a_key())
    body = new_program(merchant, tiers_ppm=[50_000])
    reason = {"policy_reason": "Reviewed by counsel"}

    plain = as_operator("POST", "/programs", body)
    assert (plain.status_code, pointers(plain)) == (422, ["/tiers_ppm"])
    assert as_owner("POST", "/programs", body | reason).status_code == 403
    assert as_operator("POST", "/programs", body | reason).status_code == 201


def test_a_program_is_its_merchant_s_business(as_ana, as_berta, ana, client):
    program = a_program(ana)
    path = f"/programs/{prg(program)}"
    as_analyst = caller(client, a_key(Role.MERCHANT_ANALYST, merchant=ana))
    etag = {"If-Match": '"1"'}

    assert as_berta("POST", "/programs", new_program(ana)).status_code == 404
    assert as_berta("GET", path).status_code == 404
    assert as_berta("GET", "/programs").json["data"] == []
    assert as_berta("PATCH", path, {"name": "x"}, **etag).status_code == 404
    assert as_berta("GET", f"{path}/enrolments").status_code == 404
    assert as_analyst("GET", path).status_code == 200
    assert as_analyst("PATCH", path, {"name": "x"}, **etag).status_code == 403


def test_a_promoter_sees_what_can_be_joined_and_what_was(as_bruna, bruna, ana):
    joinable = a_program(ana)
    invited = a_program(ana, enrolment="invite")
    a_program(ana, enrolment="invite")
    an_enrolment(invited, bruna)

    found = as_bruna("GET", "/programs").json["data"]

    assert [each["id"] for each in found] == [prg(invited), prg(joinable)]
    assert as_bruna("POST", "/programs", new_program(ana)).status_code == 403


def test_a_promoter_joins_an_open_program(as_bruna, bruna, ana):
    path = f"/programs/{prg(a_program(ana))}/enrolments"

    answer = as_bruna("POST", path, {"promoter": prm(bruna)})

    assert (answer.status_code, answer.json["state"]) == (201, "active")
    assert as_bruna("GET", f"{path}/{answer.json['id']}").json == answer.json
    assert as_bruna("GET", path).json["data"] == [answer.json]
    again = as_bruna("POST", path, {"promoter": prm(bruna)})
    assert (again.status_code, again.json["type"].rpartition("/")[2]) == (409, "already_enrolled")


def test_a_promoter_applies_and_the_merchant_decides(as_bruna, as_ana, as_berta, bruna, ana):
    path = f"/programs/{prg(a_program(ana, enrolment='approval'))}/enrolments"
    applied = as_bruna("POST", path, {"promoter": prm(bruna)}).json
    one = f"{path}/{applied['id']}"

    assert applied["state"] == "applied"
    assert as_bruna("POST", f"{one}/approve").status_code == 403
    assert as_berta("POST", f"{one}/approve").status_code == 404
    assert as_berta("POST", f"{one}/end").status_code == 404
    approved = as_ana("POST", f"{one}/approve")
    assert (approved.status_code, approved.json["state"]) == (200, "active")
    assert as_ana("POST", f"{one}/refuse").status_code == 409
    ended = as_bruna("POST", f"{one}/end")
    assert (ended.status_code, ended.json["state"]) == (200, "ended")
    assert as_ana("GET", f"{path}?state=ended").json["data"] == [ended.json]
    assert as_ana("GET", f"{path}?state=active").json["data"] == []


def test_the_merchant_refuses_an_applicant(as_bruna, as_ana, bruna, ana):
    path = f"/programs/{prg(a_program(ana, enrolment='approval'))}/enrolments"
    applied = as_bruna("POST", path, {"promoter": prm(bruna)}).json

    assert as_ana("POST", f"{path}/{applied['id']}/refuse").json["state"] == "refused"


def test_into_an_invited_circle_only_the_merchant_leads(as_bruna, as_ana, bruna, ana):
    program = a_program(ana, enrolment="invite")
    path = f"/programs/{prg(program)}/enrolments"

    assert as_bruna("POST", path, {"promoter": prm(bruna)}).status_code == 404
    answer = as_ana("POST", path, {"promoter": prm(bruna)})
    assert (answer.status_code, answer.json["state"]) == (201, "active")


def test_a_promoter_enrols_nobody_else_and_sees_nobody_else(as_bruna, ana):
    program, carla = a_program(ana), a_promoter("Carla")
    path = f"/programs/{prg(program)}/enrolments"
    other = an_enrolment(program, carla)

    assert as_bruna("POST", path, {"promoter": prm(a_promoter("Dora"))}).status_code == 404
    assert as_bruna("GET", path).json["data"] == []
    one = f"{path}/{ids.encode('enr', other.merchant_id, other.id)}"
    assert as_bruna("GET", one).status_code == 404
    assert as_bruna("POST", f"{one}/end").status_code == 404


def test_an_enrolment_of_another_program_is_not_there(as_ana, ana, bruna):
    member = an_enrolment(a_program(ana), bruna)
    other = a_program(ana)
    theirs = an_enrolment(a_program(), bruna)

    for each in (member, theirs):
        enrolment = ids.encode("enr", each.merchant_id, each.id)
        path = f"/programs/{prg(other)}/enrolments/{enrolment}"
        assert as_ana("GET", path).status_code == 404
        assert as_ana("POST", f"{path}/end").status_code == 404


def test_an_unknown_promoter_is_named(as_ana, ana):
    path = f"/programs/{prg(a_program(ana))}/enrolments"

    answer = as_ana("POST", path, {"promoter": ids.encode("prm", 999_999)})

    assert (answer.status_code, pointers(answer)) == (422, ["/promoter"])
