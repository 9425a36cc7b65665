"""What every endpoint gets from the framework: problems, reading, versions, pages."""

import json

import pytest
import sqlalchemy as sa
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy.exc import OperationalError

from affiliate import ids
from affiliate.api import merchants
from affiliate.api.endpoint import ENDPOINTS
from affiliate.people import service
from tests.factories.people import a_key, a_merchant, bearer

MERCHANT = {"name": "Casa Ana", "country": "BR", "currency": "BRL", "timezone": "America/Bahia"}


@pytest.fixture
def key():
    return a_key()


@pytest.fixture
def post(client, key):
    def post(body, content_type="application/json", url="/api/v1/merchants", **headers):
        raw = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return client.post(url, data=raw, headers=bearer(key, **headers), content_type=content_type)

    return post


def problem(response, status, code):
    """The answer is this problem, in the shape of RFC 9457."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["type"] == f"/problems/{code}"
    assert response.json["status"] == status
    assert response.json["title"]
    assert response.json["request_id"] == response.headers["X-Request-Id"]
    return response.json


def pointers(response):
    return {error["pointer"]: error["code"] for error in response.json["errors"]}


# --- who asks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer x", "Basic aff_live_1_2", "Bearer aff_live_abc_def", "é"],
)
def test_without_a_good_key_nobody_gets_in(client, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}

    response = client.get("/api/v1/me", headers=headers)

    problem(response, 401, "not_signed_in")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_endpoint_asks_for_a_key(client):
    for each in ENDPOINTS:
        url = "/api" + each.rule.replace("<", "").replace(">", "")
        assert client.open(url, method=each.method).status_code == 401, each.name


def test_a_revoked_key_gets_in_no_more(client):
    key, text = service.create_key("robot", "operator")
    assert client.get("/api/v1/me", headers=bearer(text)).status_code == 200

    service.revoke_key(key)

    problem(client.get("/api/v1/me", headers=bearer(text)), 401, "not_signed_in")


def test_use_of_a_key_is_noted_once_a_minute(client, clock):
    first = clock.stand("2026-11-22T10:00:00Z")
    key, text = service.create_key("robot", "operator")

    client.get("/api/v1/me", headers=bearer(text))
    clock.move(seconds=59)
    client.get("/api/v1/nothing-here", headers=bearer(text))
    client.get("/api/v1/me", headers=bearer(text))
    assert _last_used(key) == first

    third = clock.move(seconds=2)
    client.get("/api/v1/keys/key_nothere1", headers=bearer(text))  # a refused request counts too
    assert _last_used(key) == third


def _last_used(key):
    from affiliate.db import db

    db.session.refresh(key)
    return key.last_used_at


# --- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/me", "/api/v1/me/", "/api//v1/me",
            "/api/v1/merchants/%00", "/api/v1/%F0%9F%98%80", "/api/v1/../v1"],
)  # fmt: skip
def test_an_unknown_address_is_a_problem(client, key, url):
    problem(client.get(url, headers=bearer(key)), 404, "not_found")


def test_a_wrong_method_says_which_are_right(client, key):
    response = client.delete("/api/v1/merchants", headers=bearer(key))

    problem(response, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(response.headers["Allow"].replace(" ", "").split(","))


def test_pages_do_not_answer_with_problems(client):
    page = client.get("/nothing-here", headers={"Accept": "text/html"})
    for_machines = client.get("/nothing-here", headers={"Accept": "application/json"})

    assert page.status_code == for_machines.status_code == 404
    assert page.mimetype == "text/html"
    assert "There is nothing at this address." in page.text
    assert for_machines.json["error"] == "Not Found"


@pytest.mark.parametrize(
    "public_id", ["x", "mer_", "mer_x", "shp_4MoQdyD5", "MER_4MoQdyD5", "mer_" + "A" * 5000, "é"]
)
def test_an_id_that_is_none_is_not_there(client, key, public_id):
    problem(client.get(f"/api/v1/merchants/{public_id}", headers=bearer(key)), 404, "not_found")


# --- bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        pytest.param("", 400, "malformed_json", id="nothing"),
        pytest.param("{", 400, "malformed_json", id="cut off"),
        pytest.param(b'{"name": "\xff"}', 400, "malformed_json", id="not UTF-8"),
        pytest.param('{"name": "\\ud800"}', 400, "malformed_json", id="half a surrogate pair"),
        pytest.param('{"name": "a\nb"}', 400, "malformed_json", id="a raw control character"),
        pytest.param("[" * 100_000, 400, "malformed_json", id="very deep"),
        pytest.param('{"name": ' + "9" * 5000 + "}", 400, "malformed_json", id="5000 digits"),
        pytest.param("[]", 422, "invalid", id="a list"),
        pytest.param("null", 422, "invalid", id="null"),
        pytest.param('"text"', 422, "invalid", id="a text"),
    ],
)
def test_what_is_no_object_is_refused(post, raw, status, code):
    problem(post(raw), status, code)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_another_content_type_is_refused(post, content_type):
    problem(post(MERCHANT, content_type=content_type), 415, "unsupported_media_type")


def test_a_charset_beside_the_content_type_does_no_harm(post):
    assert post(MERCHANT, content_type="application/json; charset=utf-8").status_code == 201


def test_a_body_of_ten_megabytes_is_refused(post):
    problem(post({**MERCHANT, "name": "x" * 10_000_000}), 413, "too_large")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", "", "string_too_short"),
        ("name", "   ", "string_too_short"),
        ("name", "x" * 201, "string_too_long"),
        ("name", "a\x00b", "nul_character"),
        ("name", 5, "string_type"),
        ("name", None, "string_type"),
        ("country", "XX", "unknown_country"),
        ("country", "br", "string_pattern_mismatch"),
        ("currency", "XXX", "unknown_currency"),
        ("timezone", "America/Atlantis", "unknown_timezone"),
        ("timezone", "../../etc/passwd", "unknown_timezone"),
        ("payout_mode", "never", "enum"),
        ("platform_fee_ppm", 1_000_001, "less_than_equal"),
        ("platform_fee_ppm", "12", "int_type"),
        ("platform_fee_ppm", 1.5, "int_type"),
        ("platform_fee_ppm", True, "int_type"),
        ("minimum_payout", 10**19, "out_of_range"),
        ("minimum_payout", -(10**19), "out_of_range"),
        ("minimum_payout", 10**13, "less_than_equal"),
        ("minimum_payout", -1, "greater_than_equal"),
        ("surprise", 1, "extra_forbidden"),
        ("sur/pri~se", 1, "extra_forbidden"),
    ],
)
def test_a_wrong_field_is_pointed_at(post, field, value, code):
    response = post({**MERCHANT, field: value})

    problem(response, 422, "invalid")
    escaped = field.replace("~", "~0").replace("/", "~1")
    assert pointers(response) == {f"/{escaped}": code}


def test_nested_and_missing_fields_are_pointed_at_all_together(post):
    response = post({"name": "A", "country": "BR", "currency": "BRL",
                     "credit_limit": {"amount": -1, "currency": "brl", "x": 1}})  # fmt: skip

    assert pointers(response) == {
        "/timezone": "missing",
        "/credit_limit/amount": "greater_than_equal",
        "/credit_limit/currency": "string_pattern_mismatch",
        "/credit_limit/x": "extra_forbidden",
    }


@pytest.mark.parametrize("raw", ["1e999", "NaN", "Infinity", "-Infinity", "1" + "0" * 400])
def test_numbers_beyond_all_bounds_are_refused(post, raw):
    body = json.dumps({**MERCHANT, "minimum_payout": 0}).replace(": 0}", f": {raw}}}")

    problem(post(body), 422, "invalid")


def test_values_are_never_repeated_in_a_problem(post):
    response = post({**MERCHANT, "secret": "hunter2hunter2", "name": ["hunter2hunter2"]})

    assert "hunter2" not in response.text


def test_text_in_any_language_comes_back_as_it_was(post):
    name = "推客 ☕ Ñandú \u202e العربية 👩‍👩‍👧"

    assert post({**MERCHANT, "name": name}).json["name"] == name


# --- queries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=201", "/limit"),
        ("limit=x", "/limit"),
        ("limit=" + "9" * 30, "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("colour=red", "/colour"),
        ("cursor=AAAA", "/cursor"),
        ("cursor=%F0%9F%98%80", "/cursor"),
        ("cursor=%00", ""),
        ("%00=1", ""),
    ],
)
def test_a_wrong_query_is_pointed_at(client, key, query, pointer):
    response = client.get(f"/api/v1/merchants?{query}", headers=bearer(key))

    problem(response, 422, "invalid")
    assert list(pointers(response)) == [pointer]


def test_pages_follow_each_other_without_gap_or_repeat(client, key):
    made = [ids.encode("mer", a_merchant().id) for _ in range(5)]
    seen, url = [], "/api/v1/merchants?limit=2"
    sizes = []
    while url:
        page = client.get(url, headers=bearer(key)).json
        seen += [row["id"] for row in page["data"]]
        sizes.append(len(page["data"]))
        a_merchant("came in between")  # newer rows do not shift the pages
        url = page["next"] and f"/api/v1/merchants?limit=2&cursor={page['next']}"

    assert seen == made[::-1]
    assert sizes == [2, 2, 1]


def test_a_cursor_of_another_list_or_an_altered_one_is_refused(client, key):
    for _ in range(2):
        a_merchant()
    cursor = client.get("/api/v1/merchants?limit=1", headers=bearer(key)).json["next"]
    altered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")

    other = client.get(f"/api/v1/keys?cursor={cursor}", headers=bearer(key))
    changed = client.get(f"/api/v1/merchants?cursor={altered}", headers=bearer(key))

    problem(other, 422, "invalid")
    problem(changed, 422, "invalid")


# --- versions --------------------------------------------------------------------------------


@pytest.fixture
def merchant(client, key):
    return client.post("/api/v1/merchants", json=MERCHANT, headers=bearer(key))


def test_what_is_made_says_where_it_is_and_which_version(client, key, merchant):
    again = client.get(merchant.headers["Location"], headers=bearer(key))

    assert merchant.status_code == 201
    assert again.json == merchant.json
    assert again.headers["ETag"] == merchant.headers["ETag"] == '"1"'


def test_a_change_wants_the_version_it_is_for(client, key, merchant):
    url = merchant.headers["Location"]

    problem(client.patch(url, json={"name": "B"}, headers=bearer(key)), 428, "if_match_missing")
    for wrong in ('"2"', "1", 'W/"1"', "", "x"):
        headers = bearer(key, **{"If-Match": wrong})
        problem(client.patch(url, json={"name": "B"}, headers=headers), 412, "stale")

    right = client.patch(url, json={"name": "B"}, headers=bearer(key, **{"If-Match": '"7", "1"'}))
    assert right.json["name"] == "B"
    assert right.headers["ETag"] == '"2"'
    any_version = bearer(key, **{"If-Match": "*"})
    assert client.patch(url, json={}, headers=any_version).json["name"] == "B"


def test_a_patch_changes_only_what_it_names(client, key, merchant):
    headers = bearer(key, **{"If-Match": "*"})
    url = merchant.headers["Location"]

    changed = client.patch(url, json={"credit_limit": {"amount": 5, "currency": "BRL"}},
                           headers=headers).json  # fmt: skip
    emptied = client.patch(url, json={"credit_limit": None}, headers=headers).json

    assert changed["credit_limit"] == {"amount": 5, "currency": "BRL"}
    assert emptied["credit_limit"] is None
    assert {**changed, "credit_limit": None, "version": 1} == merchant.json
    problem(client.patch(url, json={"name": None}, headers=headers), 422, "invalid")


# --- trouble ---------------------------------------------------------------------------------


def _raising(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(merchants.service, "create_merchant", fail)


def test_our_own_mistake_is_a_problem_without_details(post, monkeypatch):
    _raising(monkeypatch, RuntimeError("the secret is hunter2"))

    response = post(MERCHANT)

    problem(response, 500, "internal")
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("sqlstate", "status", "code"),
    [("40P01", 409, "busy"), ("55P03", 409, "busy"), ("08006", 503, "unavailable")],
)
def test_trouble_that_passes_asks_to_come_again(post, monkeypatch, sqlstate, status, code):
    class Trouble(Exception):
        pass

    Trouble.sqlstate = sqlstate
    _raising(monkeypatch, OperationalError("SELECT", {}, Trouble()))

    response = post(MERCHANT)

    problem(response, status, code)
    assert response.headers["Retry-After"] == "1"


def test_a_unique_key_says_that_somebody_was_faster(post, monkeypatch):
    from affiliate.db import db

    def clash(*_, **__):
        row = "INSERT INTO users (email, name, is_service, locale, timezone, totp_last_step,"
        row += " created_at) VALUES ('a@b.c', 'a', false, 'en', 'UTC', 0, now())"
        for _ in range(2):
            db.session.execute(sa.text(row))

    monkeypatch.setattr(merchants.service, "create_merchant", clash)

    problem(post(MERCHANT), 409, "conflict")


def test_what_a_refused_request_did_is_undone(post, client, key, monkeypatch):
    before = client.get("/api/v1/merchants", headers=bearer(key)).json
    create = service.create_merchant

    def half(*args, **fields):
        create(*args, **fields)
        raise service.Conflict("no")

    monkeypatch.setattr(merchants.service, "create_merchant", half)

    problem(post(MERCHANT), 409, "conflict")
    assert client.get("/api/v1/merchants", headers=bearer(key)).json == before


# --- the document ----------------------------------------------------------------------------


def test_the_openapi_document_is_valid_and_complete(client):
    document = client.get("/api/openapi.json").json

    OpenAPIV31SpecValidator(document).validate()
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert documented == {(each.method, f"/api/v1{each.path}") for each in ENDPOINTS}


def test_every_resource_that_is_made_can_be_read_listed_and_changed():
    """CONTRACT 4. Verbs on a resource (…/approve) make nothing of their own."""
    known = {(each.method, each.path) for each in ENDPOINTS}
    made = [
        each
        for each in ENDPOINTS
        if each.method == "POST" and (each.status == 201 or each.path.count("/") == 1)
    ]

    for each in made:
        ones = {path for method, path in known if method == "GET" and path.startswith(each.path)}
        assert each.path in ones, f"GET {each.path} is missing"
        assert any(path.startswith(f"{each.path}/{{") for path in ones), f"GET one of {each.path}"


def test_names_in_the_document_are_unique():
    names = [each.name for each in ENDPOINTS]

    assert len(names) == len(set(names))


def test_the_reference_page_names_every_call_and_loads_nothing_from_elsewhere(client):
    page = client.get("/api/docs").text

    for each in ENDPOINTS:
        assert f'id="{each.name}"' in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
