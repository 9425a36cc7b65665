"""Links over the API."""

from urllib.parse import urlsplit

import pytest

from affiliate import ids
from affiliate.links import token
from affiliate.people.models import Role
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_key, a_merchant, a_promoter, bearer
from tests.factories.programs import a_program, an_enrolment
from workers.clicks import Writer


@pytest.fixture
def ana():
    return a_merchant("Casa Ana")


@pytest.fixture
def shop(ana):
    return a_shop(ana, domain="ana.example.com")


@pytest.fixture
def bruna():
    return a_promoter("Bruna")


@pytest.fixture
def program(ana, shop, bruna):
    program = a_program(ana)
    an_enrolment(program, bruna)
    return program


@pytest.fixture
def as_ana(client, ana):
    return caller(client, a_key(Role.MERCHANT_STAFF, merchant=ana))


@pytest.fixture
def as_bruna(client, bruna):
    return caller(client, a_key(Role.PROMOTER, promoter=bruna))


@pytest.fixture
def as_berta(client):
    return caller(client, a_key(Role.MERCHANT_OWNER, merchant=a_merchant("Casa Berta")))


def caller(client, key):
    def call(method, path, body=None, **headers):
        return client.open(
            f"/api/v1{path}", method=method, json=body, headers=bearer(key, **headers)
        )

    return call


@pytest.fixture
def new_link(program, bruna):
    def body(**fields):
        given = {
            "program": ids.encode("prg", program.merchant_id, program.id),
            "promoter": ids.encode("prm", bruna.id),
            "url": "https://ana.example.com/p/1",
        }
        return given | fields

    return body


def lnk(link):
    return ids.encode("lnk", link.merchant_id, link.id)


def test_a_promoter_makes_a_link_and_it_leads_to_the_shop(as_bruna, new_link, client):
    answer = as_bruna("POST", "/links", new_link(sub_ids=["live", "", "3"], content="Reel 12"))

    assert answer.status_code == 201
    link = answer.json
    assert link["short_url"] == f"http://127.0.0.1:8765/s/{link['code']}"
    assert (link["clicks"], link["content"], link["paused_at"]) == (0, "Reel 12", None)
    visit = client.get(urlsplit(link["short_url"]).path)
    assert visit.location.startswith("https://ana.example.com/p/1?tk=")
    tk = visit.location.partition("tk=")[2][:32]
    assert token.read(tk).link_id == ids.decode_pair("lnk", link["id"])[1]


def test_a_click_is_seen_at_the_link_once_it_is_written(app, as_bruna, new_link, client):
    link = as_bruna("POST", "/links", new_link()).json
    for somebody in range(3):  # who taps twice is one
        client.get(f"/s/{link['code']}", headers={"User-Agent": f"Firefox/{somebody}"})
        client.get(f"/s/{link['code']}", headers={"User-Agent": f"Firefox/{somebody}"})

    Writer(app.extensions["spool"].folder).drain()

    assert as_bruna("GET", f"/links/{link['id']}").json["clicks"] == 3


def test_a_merchant_makes_a_link_to_a_product_for_a_promoter(as_ana, new_link, shop):
    product = a_product(shop)
    key = ids.encode("prd", product.merchant_id, product.id)

    answer = as_ana("POST", "/links", new_link(product=key, url=None))

    assert answer.status_code == 201
    assert (answer.json["product"], answer.json["url"]) == (key, product.url)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "https://evil.example.com/"}, "/url"),
        ({"url": "nowhere"}, "/url"),
        ({"url": None}, "/url"),
        ({"sub_ids": ["a"] * 6}, "/sub_ids"),
        ({"sub_ids": ["a" * 101]}, "/sub_ids/0"),
        ({"product": "prd_nothing1"}, "/product"),
        ({"expires_at": "yesterday"}, "/expires_at"),
        ({"expires_at": "2026-11-22T10:00:00"}, "/expires_at"),
    ],
)
def test_what_is_wrong_with_a_link_is_named(as_bruna, new_link, fields, pointer):
    answer = as_bruna("POST", "/links", new_link(**fields))

    assert answer.status_code == 422
    assert pointers(answer) == [pointer]


def pointers(answer):
    return [each["pointer"] for each in answer.json["errors"]]


def test_a_product_of_another_merchant_or_a_hidden_one_is_unknown(as_bruna, new_link, shop):
    from affiliate.catalog import service

    hidden = a_product(shop)
    service.change_product(shop, hidden, {"hidden": True})

    for product in (a_product(), hidden):
        key = ids.encode("prd", product.merchant_id, product.id)
        answer = as_bruna("POST", "/links", new_link(product=key, url=None))
        assert (answer.status_code, pointers(answer)) == (422, ["/product"])


def test_who_does_not_take_part_gets_no_link(as_ana, new_link):
    answer = as_ana("POST", "/links", new_link(promoter=ids.encode("prm", a_promoter("Carla").id)))

    assert answer.status_code == 409
    assert answer.json["type"].endswith("not_enrolled")


def test_a_link_is_paused_and_runs_again(as_bruna, new_link, client):
    made = as_bruna("POST", "/links", new_link())
    path = f"/links/{made.json['id']}"

    paused = as_bruna("PATCH", path, {"paused": True}, **{"If-Match": made.headers["ETag"]})
    assert (paused.status_code, paused.json["paused_at"] is None) == (200, False)
    assert client.get(f"/s/{made.json['code']}").location == "https://ana.example.com/"
    stale = as_bruna("PATCH", path, {"paused": False}, **{"If-Match": made.headers["ETag"]})
    assert stale.status_code == 412
    again = as_bruna("PATCH", path, {"paused": False}, **{"If-Match": paused.headers["ETag"]})
    assert again.json["paused_at"] is None
    assert "tk=" in client.get(f"/s/{made.json['code']}").location


def test_end_sub_ids_and_content_can_be_changed_and_emptied(as_bruna, new_link):
    made = as_bruna("POST", "/links", new_link(sub_ids=["a"], content="Reel"))
    change = {"expires_at": "2027-01-01T00:00:00Z", "sub_ids": [], "content": None}

    changed = as_bruna(
        "PATCH", f"/links/{made.json['id']}", change, **{"If-Match": made.headers["ETag"]}
    ).json

    assert {name: changed[name] for name in change} == change


def test_links_are_their_promoter_s_and_merchant_s_business(
    client, as_ana, as_bruna, as_berta, program, bruna, new_link
):
    link = a_link(program, bruna, url="https://ana.example.com/")
    path = f"/links/{lnk(link)}"
    carla = a_promoter("Carla")
    as_carla = caller(client, a_key(Role.PROMOTER, promoter=carla))
    etag = {"If-Match": "*"}

    for call in (as_ana, as_bruna):
        assert call("GET", path).status_code == 200
        assert [each["id"] for each in call("GET", "/links").json["data"]] == [lnk(link)]
    for call in (as_berta, as_carla):
        assert call("GET", path).status_code == 404
        assert call("GET", "/links").json["data"] == []
        assert call("GET", f"/links?code={link.code}").json["data"] == []
        assert call("PATCH", path, {"paused": True}, **etag).status_code == 404
        assert call("POST", "/links", new_link()).status_code == 404
    assert link.paused_at is None


def test_a_link_under_another_merchant_s_number_is_not_there(as_berta, client):
    link = a_link()
    forged = ids.encode("lnk", link.merchant_id + 1, link.id)

    assert caller(client, a_key())("GET", f"/links/{forged}").status_code == 404


def test_lists_are_filtered(as_ana, program, bruna):
    carla = a_promoter("Carla")
    ours = a_link(program, bruna, url="https://ana.example.com/")
    a_link(program, carla, url="https://ana.example.com/")

    for query in (f"code={ours.code}", f"promoter={ids.encode('prm', bruna.id)}"):
        found = as_ana("GET", f"/links?{query}").json["data"]
        assert [each["id"] for each in found] == [lnk(ours)]
    every = f"/links?program={ids.encode('prg', program.merchant_id, program.id)}"
    assert len(as_ana("GET", every).json["data"]) == 2


def test_all_that_a_link_can_do_comes_in_and_is_shown_again(as_bruna, new_link, bruna):
    note = {"promoter": ids.encode("prm", bruna.id), "kind": "note", "title": "Nota"}
    item = as_bruna("POST", "/content-items", note | {"platform": "Instagram"}).json
    wanted = {
        "slug": "verao", "fallback_url": "https://ana.example.com/fim", "content_item": item["id"],
        "utm": {"utm_source": "{platform}"},
        "targets": [
            {"kind": "url", "url": "https://ana.example.com/br", "countries": ["BR"],
             "devices": ["phone"], "systems": [], "languages": ["pt"], "apps": []},
        ],
    }  # fmt: skip

    link = as_bruna("POST", "/links", new_link(**wanted)).json

    assert {name: link[name] for name in wanted} == wanted
    assert (link["content"], link["short_url"]) == ("Nota", "http://127.0.0.1:8765/s/verao")
    [found] = as_bruna("GET", f"/links?content_item={item['id']}&code=Verao").json["data"]
    assert found["id"] == link["id"]
    blank = {"slug": None, "targets": [], "utm": None, "fallback_url": None, "content_item": None}
    changed = as_bruna("PATCH", f"/links/{link['id']}", blank, **{"If-Match": "*"}).json
    assert {name: changed[name] for name in blank} == blank
    assert changed["short_url"].endswith(link["code"])
    pasted = as_bruna("POST", "/links/find", {"text": "看 ￥verao￥ 复制"}).json
    assert (pasted["code"], pasted["opens"]) == (link["code"], changed["short_url"])
    assert as_bruna("POST", "/links/find", {"text": "nothing"}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "pointer"),
    [({"slug": "taken"}, 409, "/slug"), ({"slug": "API"}, 422, "/slug"),
     ({"slug": "\u202eabc"}, 422, "/slug"), ({"slug": "x" * 200}, 422, "/slug"),
     ({"targets": [{"url": "https://other.example/"}]}, 422, "/targets/0/url"),
     ({"targets": [{}]}, 422, "/targets/0/url"),
     ({"targets": [{"url": "https://ana.example.com/", "countries": ["ZZ"]}]}, 422,
      "/targets/0/countries/0"),
     ({"targets": [{"kind": "wechat_miniprogram"}]}, 422, "/targets/0/kind"),
     ({"fallback_url": "//ana.example.com"}, 422, "/fallback_url"),
     ({"utm": {"utm_source": "{x}"}}, 422, "/utm/utm_source"),
     ({"content_item": "cnt_zzzzzzzz"}, 422, "/content_item")],
)  # fmt: skip
def test_what_a_link_cannot_do_is_refused_with_a_pointer(
    as_bruna, new_link, program, bruna, fields, status, pointer
):
    a_link(program, bruna, url="https://ana.example.com/", slug="taken")

    refused = as_bruna("POST", "/links", new_link(**fields))

    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (status, pointer)


def test_a_merchant_sees_content_in_which_its_links_stand_and_nobody_elses(
    as_bruna, as_ana, as_berta, new_link, bruna
):
    note = {"promoter": ids.encode("prm", bruna.id), "kind": "live", "title": "Live"}
    shown, hidden = (as_bruna("POST", "/content-items", note).json for _ in range(2))
    as_bruna("POST", "/links", new_link(content_item=shown["id"]))

    assert [each["id"] for each in as_ana("GET", "/content-items").json["data"]] == [shown["id"]]
    assert as_berta("GET", "/content-items").json["data"] == []
    assert as_ana("GET", f"/content-items/{hidden['id']}").status_code == 404
    stale = as_bruna(
        "PATCH", f"/content-items/{shown['id']}", {"archived": True}, **{"If-Match": '"9"'}
    )
    assert stale.status_code == 412
    put_away = as_bruna(
        "PATCH", f"/content-items/{shown['id']}", {"archived": True}, **{"If-Match": "*"}
    )
    assert put_away.json["archived_at"]
    assert as_bruna("POST", "/links", new_link(content_item=shown["id"])).status_code == 422


def test_operators_add_and_block_short_domains(client, as_ana):
    call = caller(client, a_key())
    asked = {"address": "Go.example.com", "countries": ["BR"], "is_default": True}

    made = call("POST", "/short-domains", asked).json
    blocked = call("PATCH", f"/short-domains/{made['id']}", {"blocked": True}, **{"If-Match": "*"})

    assert (made["address"], made["state"]) == ("https://go.example.com", "new")
    assert (blocked.json["state"], blocked.json["is_default"]) == ("blocked", True)
    assert call("GET", "/short-domains").json["data"] == [blocked.json]
    assert call("GET", f"/short-domains/{made['id']}").json == blocked.json
    again = call("POST", "/short-domains", asked)
    assert (again.status_code, again.json["errors"][0]["pointer"]) == (409, "/address")
    assert as_ana("GET", "/short-domains").status_code == 403


def test_a_program_and_a_shop_say_what_their_links_do(as_ana, shop, program):
    of_program = f"/programs/{ids.encode('prg', program.merchant_id, program.id)}"
    of_shop = f"/shops/{ids.encode('shp', shop.merchant_id, shop.id)}"
    mini = {"appid": "wx0123456789abcdef", "path": "pages/goods"}

    def change(path, body):
        return as_ana("PATCH", path, body, **{"If-Match": "*"})

    assert change(of_program, {"utm": {"utm_id": "{link}"}}).json["utm"] == {"utm_id": "{link}"}
    assert (
        change(of_program, {"utm": {"utm_id": "{no}"}}).json["errors"][0]["pointer"]
        == "/utm/utm_id"
    )
    assert change(of_shop, {"miniprogram": mini}).json["miniprogram"] == mini
    assert change(of_shop, {"miniprogram": mini | {"appid": "x"}}).status_code == 422
    assert change(of_shop, {"miniprogram": None}).json["miniprogram"] is None
