"""Settings of a link and content items, on the promoter's pages."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from affiliate import clock, ids
from affiliate.attribution.models import Attribution
from affiliate.catalog.models import Shop
from affiliate.db import db, unit_of_work
from affiliate.insight import service as insight
from affiliate.links import service
from affiliate.links.models import ContentItem, Link
from affiliate.people.models import Role
from tests.consoles.promoter_town import Town
from tests.consoles.signed_in import fill_in, sign_in
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_key, a_user, bearer
from workers.clicks import Writer


@pytest.fixture
def town(app):
    with unit_of_work():
        return Town("Sol")


@pytest.fixture
def phone(client, town):
    sign_in(client, town.user)
    return client


def settings(link):
    return f"/promoter/share/{ids.encode('lnk', link.merchant_id, link.id)}/settings"


def test_a_link_gets_all_that_is_typed_and_shows_it_again(phone, town):
    home = f"https://{town.shop.domain}"
    typed = {
        "slug": "Sol-Sale", "sub_ids": "a, , c", "expires_at": "2030-05-01T10:00",
        "fallback_url": f"{home}/over", "utm_source": "{content}",
        "target_0_countries": "br，mx", "target_0_url": f"{home}/latin",
        "target_1_devices": "desktop", "target_1_languages": "ES", "target_1_url": f"{home}/desk",
    }  # fmt: skip

    answer = fill_in(phone, settings(town.link), **typed)

    link = db.session.get_one(Link, town.link.id, populate_existing=True)
    assert (answer.status_code, link.slug, link.sub_ids) == (303, "sol-sale", ["a", "", "c"])
    assert link.targets == [
        {"countries": ["BR", "MX"], "url": f"{home}/latin"},
        {"devices": ["desktop"], "languages": ["es"], "url": f"{home}/desk"},
    ]
    assert (link.utm, link.fallback_url) == ({"utm_source": "{content}"}, f"{home}/over")
    page = phone.get(settings(link)).text
    for shown in ("sol-sale", "BR, MX", "2030-05-01T10:00", f"{home}/desk", "a, , c", "{content}"):
        assert f'value="{shown}"' in page
    assert "/s/sol-sale" in phone.get(f"/promoter/share/{ids.encode('lnk', *key(link))}").text


def key(link):
    return link.merchant_id, link.id


@pytest.mark.parametrize(
    ("typed", "words"),
    [({"slug": "taken"}, "is taken already"), ({"slug": "Admin"}, "cannot be used"),
     ({"slug": "not ok"}, "single hyphens"), ({"expires_at": "soon"}, "no day and time"),
     ({"expires_at": "9999-12-31T23:59"}, "no day and time"),
     ({"sub_ids": "1,2,3,4,5,6"}, "Up to five"),
     ({"fallback_url": "https://evil.example.net"}, "lead to its shops only"),
     ({"target_1_url": "https://evil.example.net"}, "lead to its shops only"),
     ({"target_1_url": "HOME", "target_1_countries": "Brazil"}, "Not all of these are known"),
     ({"target_0_devices": "phone"}, "Where to?"), ({"utm_id": "{nobody}"}, "Placeholders are"),
     ({"item": "cnt_nothing"}, "no such content")],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_changed(phone, town, typed, words):
    with unit_of_work():
        service.change_link(a_second_link(town), {"slug": "taken"})
    good = {"utm_source": "x", "slug": "mine"}
    typed = {
        name: text.replace("HOME", f"https://{town.shop.domain}/") for name, text in typed.items()
    }

    answer = fill_in(phone, settings(town.link), **(good | typed))

    assert answer.status_code in {409, 422}
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text
    link = db.session.get_one(Link, town.link.id, populate_existing=True)
    assert (link.slug, link.utm, link.targets, link.version) == (None, None, [], 1)


def a_second_link(town):
    url = f"https://{town.shop.domain}/second"
    return service.create_link(town.program, town.ana.id, url=url)


def test_a_link_that_is_over_says_so(phone, town):
    typed = {"expires_at": "2020-01-01T00:00"}
    sheet = fill_in(phone, settings(town.link), **typed).location

    assert "This link is over" in phone.get(sheet).text
    assert "· over" in phone.get("/promoter/share/").text


def test_a_link_is_paused_and_runs_again(phone, town):
    for paused in ("1", "0"):
        where = settings(town.link).replace("/settings", "/pause")
        assert fill_in(phone, settings(town.link), to=where, paused=paused).status_code == 303
        link = db.session.get_one(Link, town.link.id, populate_existing=True)
        assert bool(link.paused_at) == (paused == "1")


def test_a_link_to_any_page_of_the_shop_is_made_or_not_at_all(phone, town):
    program = ids.encode("prg", town.merchant.id, town.program.id)
    home = f"https://{town.shop.domain}/sale#new"

    def make(**typed):
        return fill_in(phone, "/promoter/share/new", **({"program": program, "url": home} | typed))

    assert make(slug="sale").status_code == 303
    again = make(slug="SALE")
    assert (again.status_code, "is taken already" in again.text) == (409, True)
    assert make(url="https://evil.example.net").status_code == 422
    assert make(program="prg_other").status_code == 422
    made = db.session.scalars(sa.select(Link).where(Link.url.contains("/sale"))).all()
    assert [(each.slug, each.url) for each in made] == [("sale", home)]


def test_content_has_its_own_way_from_click_to_kept_order(app, phone, town):
    where = "/promoter/content/"
    made = fill_in(phone, where, kind="video", title="Linen in May", platform="Instagram")
    item = db.session.scalars(sa.select(ContentItem)).one()
    assert made.location.endswith(ids.encode("cnt", item.id))
    with unit_of_work():
        service.change_link(town.link, {"item": item})
    phone.get(f"/s/{town.link.code}", headers={"User-Agent": "Mozilla/5.0 Chrome/130.0"})
    town.order(phone)
    with unit_of_work():
        Writer(app.extensions["spool"].folder).drain()
        insight.count_orders()

    page = phone.get(made.location).text
    with unit_of_work():
        key = bearer(a_key(Role.PROMOTER, promoter=town.ana))
    asked = phone.get("/api/v1/reports?metric=orders&by=content_item", headers=key)

    assert re.findall(r'class="number">(\d+)\s', page)[:2] == ["1", "1"]
    assert [(each["name"], each["value"]) for each in asked.json["data"]] == [("Linen in May", 1)]

    assert "Linen in May" in page
    assert "Instagram" in page
    assert f"/s/{town.link.code}" in page
    assert "Linen in May" in phone.get(where).text
    again = fill_in(phone, made.location, kind="note", title="Linen in June", url="javascript:x")
    assert (again.status_code, "begins with http" in again.text) == (422, True)
    fill_in(phone, made.location, kind="note", title="Linen in June")
    fill_in(phone, made.location, to=f"{made.location}/archive", archived="1")
    db.session.refresh(item)
    db.session.refresh(town.link)
    assert (item.kind, item.archived_at is not None) == ("note", True)
    assert town.link.content == "Linen in June"
    assert clock.now() >= item.archived_at


def test_another_promoters_content_is_none(phone, town):
    with unit_of_work():
        from affiliate.links import contents

        theirs = contents.create(town.bia.id, kind="note", title="Theirs")

    where = f"/promoter/content/{ids.encode('cnt', theirs.id)}"
    assert phone.get(where).status_code == phone.get("/promoter/content/cnt_x").status_code == 404
    assert phone.post(where, data={"kind": "note", "title": "Mine"}).status_code == 404
    assert "Theirs" not in phone.get("/promoter/content/").text


def test_who_joins_a_group_buy_by_the_openers_page_is_credited_too(client, town):
    [tk] = parse_qs(urlsplit(client.get(f"/s/{town.link.code}").location).query)["tk"]
    page = f"https://{town.shop.domain}/group/7?tk={tk}"
    opener, joiner = ({"external_id": n, "email": f"{n}@example.org"} for n in ("one", "two"))

    deliver(
        client, town.shop, an_order(tk, customer=opener),
        an_order(None, landing_url=page, customer=joiner),
    )  # fmt: skip

    found = db.session.scalars(sa.select(Attribution)).all()
    assert [each.promoter_id for each in found] == [town.ana.id] * 2


def test_the_merchant_names_the_shops_mini_program(client, town):
    with unit_of_work():
        owner = a_user(Role.MERCHANT_OWNER, merchant=town.merchant)
    sign_in(client, owner)
    where = f"/merchant/shops/{town.shop.id}/miniprogram"
    mini = {"appid": "wx0123456789abcdef", "path": "pages/goods/one"}

    def after(**typed):
        status = client.post(where, data=typed).status_code
        return status, db.session.get_one(Shop, key(town.shop), populate_existing=True).miniprogram

    assert after(**mini) == (303, mini)
    assert after(**(mini | {"path": "pages?x=1"})) == (422, mini)
    assert after(appid="wx0123456789abcdef") == (422, mini)
    assert 'value="pages/goods/one"' in client.get(f"/merchant/shops/{town.shop.id}/").text
    assert after() == (303, None)
