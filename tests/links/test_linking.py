"""What a link can do besides leading to a product: words, ends, targets, templates, content."""

from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from affiliate import ids
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.insight.sight import Sight
from affiliate.links import contents, domains, queries, service, slugs
from affiliate.links.models import Link
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program
from tests.insight import mmdb

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)
WECHAT = f"{IPHONE} MicroMessenger/8.0.50(0x18003237) NetType/WIFI Language/zh_CN"
ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-A546E) Chrome/131.0.0.0 Mobile Safari/537.36"
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


@pytest.fixture
def sol():
    return a_merchant("Sol")


@pytest.fixture
def shop(sol):
    return a_shop(sol, domain="sol.example.com")


@pytest.fixture
def program(sol, shop):
    return a_program(sol)


def a_plain(program, **fields):
    return a_link(program, url="https://sol.example.com/p/1", **fields)


def fault(call):
    with pytest.raises(AffiliateError) as refused, db.session.begin_nested():
        call()
    return refused.value.errors[0].pointer, refused.value.errors[0].code


# --- slugs -----------------------------------------------------------------------------------


def test_a_word_and_the_code_lead_to_the_same_link_whatever_the_case(client, program):
    link = a_plain(program, slug="ＳＵＭＭＥＲ-sale")

    assert link.slug == "summer-sale"
    for word in ("summer-sale", "Summer-SALE", link.code):
        assert client.get(f"/s/{word}").location.startswith("https://sol.example.com/p/1?tk=")


def test_a_word_that_was_given_up_goes_on_leading_to_its_link_and_is_nobody_elses(client, program):
    link, other = a_plain(program, slug="first"), a_plain(program)
    service.change_link(link, {"slug": "second"})

    assert client.get("/s/first").location.startswith("https://sol.example.com/p/1")
    assert fault(lambda: service.change_link(other, {"slug": "First"})) == ("/slug", "slug_taken")
    service.change_link(link, {"slug": "first"})
    service.change_link(link, {"slug": None})
    assert (link.word, queries.by_word("second").id) == (link.code, link.id)


@pytest.mark.parametrize(
    ("slug", "code"),
    [("ab", "bad_slug"), ("a" * 41, "bad_slug"), ("-ab", "bad_slug"), ("a--b", "bad_slug"),
     ("a/../b", "bad_slug"), ("a b", "bad_slug"), ("夏天", "bad_slug"),
     ("su\u202emmer", "bad_slug"), ("a\0b", "bad_slug"), ("\ud800abc", "bad_slug"),
     ("qr.svg", "bad_slug"), ("summer\u200b", "bad_slug"),
     ("Admin", "reserved_slug"), ("sign-in", "reserved_slug"), ("puta", "reserved_slug"),
     ("big-FUCK-sale", "reserved_slug")],
)  # fmt: skip
def test_words_that_offend_or_mislead_are_refused(program, slug, code):
    assert fault(lambda: a_plain(program, slug=slug)) == ("/slug", code)


def test_a_word_that_is_the_code_of_a_link_to_come_is_refused(app, program):
    taken = next(code for n in range(10**6, 10**7) if (code := service.code_of(n)) == code.lower())

    assert fault(lambda: a_plain(program, slug=taken)) == ("/slug", "reserved_slug")


def test_no_place_of_ours_can_be_a_word(app):
    first = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()}

    known = {
        each for each in first if len(each) >= slugs.SHORTEST and each.replace("-", "").isalnum()
    }
    assert known <= slugs.RESERVED


# --- where it leads --------------------------------------------------------------------------


def test_a_dead_link_leads_to_its_own_fallback_first(client, program):
    link = a_plain(program, fallback_url="https://sol.example.com/sale")
    service.change_link(link, {"paused": True})

    assert client.get(f"/s/{link.code}").location == "https://sol.example.com/sale"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [({"fallback_url": "https://evil.example.net/"}, "/fallback_url"),
     ({"targets": [{"url": "https://sol.example.com.evil.net/"}]}, "/targets/0/url"),
     ({"targets": [{"url": "https://sol.example.com/"}, {"url": "data:x"}]}, "/targets/1/url"),
     ({"targets": [{"url": "https://sol.example.com@evil.net/"}]}, "/targets/0/url"),
     ({"targets": [{"url": "https://ѕol.example.com/"}]}, "/targets/0/url"),
     ({"targets": [{"url": "https://sol.example.com/", "countries": ["XX"]}]},
      "/targets/0/countries"),
     ({"targets": [{"kind": "wechat_miniprogram"}]}, "/targets/0/kind"),
     ({"targets": [{"url": "https://sol.example.com/"}] * 11}, "/targets"),
     ({"utm": {"utm_source": "{secret}"}}, "/utm/utm_source"),
     ({"utm": {"source": "x"}}, "/utm/source")],
)  # fmt: skip
def test_nothing_leads_off_the_shops_ground_and_what_is_wrong_is_pointed_at(
    program, fields, pointer
):
    link = a_plain(program)

    assert fault(lambda: a_plain(program, **fields))[0] == pointer
    assert fault(lambda: service.change_link(link, fields))[0] == pointer


TARGETS = [
    {"url": "https://sol.example.com/br", "countries": ["BR"]},
    {"url": "https://sol.example.com/ios", "systems": ["ios"], "languages": ["es", "pt-br"]},
    {"url": "https://sol.example.com/desk#top", "devices": ["desktop"]},
]


@pytest.mark.parametrize(
    ("agent", "languages", "address", "leads"),
    [(ANDROID, "es", "198.51.100.7", "/p/1"),
     (ANDROID, "es", "203.0.113.9", "/br"),
     (IPHONE, "es-MX,en;q=0.9", "198.51.100.7", "/ios"),
     (IPHONE, "pt-BR", "198.51.100.7", "/ios"),
     (IPHONE, "pt", "198.51.100.7", "/p/1"),
     (IPHONE, "en;q=0.9, es;q=0.8", "198.51.100.7", "/p/1"),
     (IPHONE, "\x80;q=x,,*", "not an address", "/p/1"),
     (DESK, "", "198.51.100.7", "/desk")],
)  # fmt: skip
def test_the_first_target_that_fits_wins(
    app, client, program, tmp_path, monkeypatch, agent, languages, address, leads
):
    path = tmp_path / "countries.mmdb"
    path.write_bytes(mmdb.made({"203.0.113.0/24": "BR"}))
    monkeypatch.setitem(app.extensions, "sight", Sight(path))
    link = a_plain(program, targets=TARGETS, sub_ids=["a"])
    headers = {"User-Agent": agent, "Accept-Language": languages}

    for _road in ("slow", "still slow"):
        answer = client.get(
            f"/s/{link.code}?x=1", headers=headers, environ_base={"REMOTE_ADDR": address}
        )
        parts = urlsplit(answer.location)
        assert parts.path == leads
        assert {"tk", "sub1", "x"} <= set(parse_qs(parts.query))
        assert parts.fragment == ("top" if leads == "/desk" else "")


def test_without_a_file_of_countries_no_country_target_fires(app, client, program, monkeypatch):
    monkeypatch.setitem(app.extensions, "sight", Sight(None))
    link = a_plain(program, targets=TARGETS[:1])

    answer = client.get(f"/s/{link.code}", environ_base={"REMOTE_ADDR": "203.0.113.9"})

    assert urlsplit(answer.location).path == "/p/1"


def test_inside_wechat_a_page_opens_the_shops_mini_program(client, shop, program):
    shop.miniprogram = {"appid": "wx0123456789abcdef", "path": "pages/goods/one"}
    db.session.flush()
    mini = [{"kind": "wechat_miniprogram", "apps": ["wechat"]}]
    link = a_plain(program, targets=mini)

    page = client.get(f"/s/{link.code}", headers={"User-Agent": WECHAT})
    outside = client.get(f"/s/{link.code}", headers={"User-Agent": ANDROID})
    long = client.get(f"/s/{link.code}?x={'y' * 600}", headers={"User-Agent": WECHAT})

    start = (
        "weixin://dl/business/?appid=wx0123456789abcdef&amp;path=pages/goods/one&amp;query=tk%3D"
    )
    assert (page.status_code, start in page.text) == (200, True)
    assert start in long.text
    assert outside.location.startswith("https://sol.example.com/p/1")
    shop.miniprogram = None
    db.session.flush()
    client.application.extensions["links"].clear()
    assert client.get(f"/s/{link.code}", headers={"User-Agent": WECHAT}).status_code == 302


# --- UTM -------------------------------------------------------------------------------------


def test_a_template_wins_over_our_own_parameters_and_the_links_over_the_programs(client, program):
    program.utm = {"utm_source": "aff", "utm_campaign": "{program}"}
    db.session.flush()
    bruna = a_promoter()
    item = contents.create(bruna.id, kind="note", title="My note", platform="小红书")
    mine = {"utm_source": "{platform}", "utm_content": "{content}/{sub1}", "utm_term": "{sub2}",
            "utm_id": "{promoter}.{link}"}  # fmt: skip
    of_program = a_plain(program, promoter=bruna)
    own = a_link(program, bruna, url="https://sol.example.com/?utm_source=old&utm_x=1", item=item,
                 sub_ids=["a&b"], utm=mine, slug="my-note")  # fmt: skip

    def utm(link, query=""):
        asked = parse_qs(urlsplit(client.get(f"/s/{link.code}{query}").location).query)
        return {name: value for name, [value] in asked.items() if name.startswith("utm_")}

    assert utm(of_program) == {"utm_source": "aff", "utm_campaign": program.name}
    assert utm(own) == {
        "utm_x": "1", "utm_source": "小红书", "utm_content": "My note/a&b",
        "utm_id": f"{ids.encode('prm', bruna.id)}.my-note",
    }  # fmt: skip
    assert utm(own, "?utm_source=ad")["utm_source"] == "ad"


def test_whatever_a_redirect_depends_on_is_told(program):
    bruna = a_promoter()
    item = contents.create(bruna.id, kind="note", title="My note")
    link = a_plain(program, promoter=bruna, item=item)
    domains.add("go.example.com")
    of_program = f"program:{program.merchant_id}:{program.id}"
    of_shop = f"shop:{program.merchant_id}:{link.shop_id}"
    told = {
        "UPDATE links SET slug = 'x'": f"link:{link.id}",
        "UPDATE links SET targets = '[1]'": f"link:{link.id}",
        "UPDATE links SET fallback_url = 'x'": f"link:{link.id}",
        "UPDATE links SET utm = '{}'": f"link:{link.id}",
        "UPDATE links SET content = 'x'": f"link:{link.id}",
        "UPDATE content_items SET platform = 'x'": f"link:{link.id}",
        "UPDATE programs SET utm = '{}'": of_program,
        "UPDATE programs SET name = 'x'": of_program,
        "UPDATE shops SET miniprogram = '{}'": of_shop,
        "UPDATE short_domains SET blocked_at = now()": "domains",
        "UPDATE short_domains SET answered_at = now()": "domains",
        "UPDATE short_domains SET failures = 2": "domains",
    }
    silent = ["UPDATE links SET version = 9", "UPDATE content_items SET title = 'x'",
              "UPDATE short_domains SET probed_at = now(), answered_at = now()"]  # fmt: skip

    def words(statement):
        db.session.execute(sa.text("DELETE FROM link_changes"))
        db.session.execute(sa.text(statement))
        return db.session.scalars(sa.text("SELECT subject FROM link_changes")).all()

    assert {statement: words(statement) for statement in told} == {
        statement: [word] for statement, word in told.items()
    }
    assert [words(statement) for statement in silent] == [[]] * 3


# --- content ---------------------------------------------------------------------------------


def test_links_go_by_the_title_of_their_content_and_only_by_ones_own(program):
    bruna = a_promoter()
    item = contents.create(bruna.id, kind="live", title="Friday live")
    link = a_plain(program, promoter=bruna, item=item)
    contents.change(item, {"title": "Saturday live"})
    db.session.refresh(link)

    assert link.content == "Saturday live"
    other = contents.create(a_promoter().id, kind="note", title="Theirs")
    assert fault(lambda: service.change_link(link, {"item": other})) == (
        "/content_item", "unknown_content"
    )  # fmt: skip
    service.change_link(link, {"item": None})
    assert (link.content, link.content_id) == (None, None)


# --- previews --------------------------------------------------------------------------------


def test_a_preview_shows_the_products_picture_also_where_people_are_led_elsewhere(
    client, shop, program
):
    product = a_product(shop, title="Bag", image_url="https://cdn.example.com/bag.jpg")
    link = a_link(program, product=product, targets=[{"url": "https://sol.example.com/all"}])

    card = client.get(f"/s/{link.code}", headers={"User-Agent": "WhatsApp/2.23.20.0 A"})

    assert 'property="og:image" content="https://cdn.example.com/bag.jpg"' in card.text
    assert db.session.get_one(Link, link.id).targets == [{"url": "https://sol.example.com/all"}]
