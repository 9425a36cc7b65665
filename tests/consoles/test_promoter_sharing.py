"""Market and share sheet: what may be shared, one link however often one taps, and the label."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from affiliate import ids
from affiliate.catalog import service as catalog
from affiliate.db import db, unit_of_work
from affiliate.links.models import Link
from affiliate.people import service as people
from affiliate.people.models import Promoter
from affiliate.programs import service as programs
from affiliate.programs.models import Membership, Program
from tests.consoles.promoter_town import Town, statements
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant
from tests.factories.programs import a_program

LABELS = {"zh-Hans": "广告", "es": "Publicidad", "pt-BR": "Publicidade", "en": "Ad"}


@pytest.fixture
def town(app):
    with unit_of_work():
        return Town("Sol")


def test_the_market_says_price_stock_and_what_one_earns(client, town):
    sign_in(client, town.user)

    page = client.get("/promoter/market/").text

    assert "Camisa Sol" in page
    assert "199.90" in page
    assert "7 left" in page
    assert "19.99" in page


def test_a_products_own_rate_counts_more_than_the_programs(client, town):
    with unit_of_work():
        program = db.session.get_one(Program, (town.merchant.id, town.program.id))
        programs.set_product_rate(program, town.product.id, 150_000)
    sign_in(client, town.user)

    assert "29.98" in client.get("/promoter/market/").text


def test_two_chinese_characters_are_enough_to_find_something(client, town):
    with unit_of_work():
        a_product(town.shop, title="亚麻阔腿长裤 · 燕麦色")
    sign_in(client, town.user)

    found = client.get("/promoter/market/?q=阔腿").text

    assert "亚麻阔腿长裤" in found
    assert "Camisa Sol" not in found
    assert "Camisa Sol" not in client.get("/promoter/market/?q=%").text


def test_hidden_goods_and_those_of_programs_one_is_not_in_are_not_shown(client, town):
    with unit_of_work():
        hidden = a_product(town.shop, title="Hidden thing")
        catalog.change_product(town.shop, hidden, {"hidden": True})
        a_product(a_shop(), title="Foreign thing")
    sign_in(client, town.user)

    page = client.get("/promoter/market/").text

    assert "Hidden thing" not in page
    assert "Foreign thing" not in page


def test_sold_out_goods_say_so_and_are_not_shared(client, town):
    with unit_of_work():
        catalog.change_product(town.shop, town.product, {"stock": 0})
    sign_in(client, town.user)

    page = client.get("/promoter/market/").text

    assert "Sold out" in page
    assert 'name="product"' not in page


def test_ones_own_country_comes_first_and_searching_looks_everywhere(client, town):
    with unit_of_work():
        mexico = a_shop(town.merchant, country="MX", currency="MXN")
        a_product(mexico, title="Camisa de México")
    sign_in(client, town.user)

    assert "Camisa de México" not in client.get("/promoter/market/").text
    assert "Camisa de México" in client.get("/promoter/market/?country=").text
    assert "Camisa de México" in client.get("/promoter/market/?q=camisa").text
    assert "Camisa Sol" not in client.get("/promoter/market/?country=MX").text


# --- joining -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("enrolment", "state"), [("open", "active"), ("approval", "applied")])
def test_one_tap_joins_a_program_and_the_second_changes_nothing(client, town, enrolment, state):
    with unit_of_work():
        program = a_program(a_merchant("Other house"), name="New one", enrolment=enrolment)
        a_product(
            a_shop(db.session.get_one(type(town.merchant), program.merchant_id)), title="New thing"
        )
    sign_in(client, town.user)
    assert "New one" in client.get("/promoter/market/").text

    answers = [client.post("/promoter/market/join", data={"program": key(program)}) for _ in "ab"]

    assert [each.status_code for each in answers] == [303, 303]
    members = db.session.scalars(
        sa.select(Membership).filter_by(promoter_id=town.ana.id, program_id=program.id)
    ).all()
    assert [each.state for each in members] == [state]
    assert ("New thing" in client.get("/promoter/market/").text) == (state == "active")


def test_programs_by_invitation_and_ended_ones_cannot_be_joined(client, town):
    with unit_of_work():
        closed = a_program(name="Closed one", enrolment="invite")
        ended = a_program(name="Ended one")
        programs.change_program(ended, {"ended": True})
    sign_in(client, town.user)

    page = client.get("/promoter/market/").text

    assert "Closed one" not in page
    assert "Ended one" not in page
    for each in (closed, ended):
        assert client.post("/promoter/market/join", data={"program": key(each)}).status_code == 404
    assert client.post("/promoter/market/join", data={}).status_code == 404


def key(program):
    return ids.encode("prg", program.merchant_id, program.id)


# --- sharing -----------------------------------------------------------------------------------


def share(client, product):
    asked = {"product": ids.encode("prd", product.merchant_id, product.id)}
    return client.post("/promoter/share/", data=asked)


def links_of(promoter, product):
    return db.session.scalars(
        sa.select(Link).filter_by(promoter_id=promoter.id, product_id=product.id)
    ).all()


def test_sharing_makes_one_link_however_often_one_taps(client, town):
    sign_in(client, town.user)

    first, second = share(client, town.product), share(client, town.product)

    (link,) = links_of(town.ana, town.product)
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"]
    page = client.get(first.headers["Location"])
    assert f"/s/{link.code}" in page.text
    assert client.get(f"/s/{link.code}/qr.svg").status_code == 200


def test_two_taps_at_the_same_instant_make_one_link(app, committed):
    with unit_of_work():
        town = Town("Sol")

    def tap():
        with app.app_context():
            phone = app.test_client()
            sign_in(phone, town.user)
            return share(phone, town.product).status_code

    with ThreadPoolExecutor(4) as taps:
        assert [each.result() for each in [taps.submit(tap) for _ in range(4)]] == [303] * 4
    assert len(links_of(town.ana, town.product)) == 1


def test_a_tagged_link_is_counted_apart(client, town):
    with unit_of_work():
        a_link(town.program, town.ana, product=town.product, content="Live on Friday")
    sign_in(client, town.user)

    share(client, town.product)

    assert [each.content for each in links_of(town.ana, town.product)] == ["Live on Friday", None]


def test_what_one_may_not_share_does_not_exist(client, town):
    with unit_of_work():
        foreign = a_product()
        hidden = a_product(town.shop)
        catalog.change_product(town.shop, hidden, {"hidden": True})
    sign_in(client, town.user)

    for product in (foreign, hidden):
        assert share(client, product).status_code == 404
    assert client.post("/promoter/share/", data={"product": "prd_x"}).status_code == 404
    assert links_of(town.ana, foreign) == []


def test_who_was_stopped_is_told_so_and_shares_nothing(client, town):
    with unit_of_work():
        people.suspend(db.session.get_one(Promoter, town.ana.id))
    sign_in(client, town.user)

    answer = share(client, town.product)

    assert answer.status_code == 403
    assert "Your account is stopped" in answer.text
    assert links_of(town.ana, town.product) == []


@pytest.mark.parametrize("tag", LABELS)
def test_the_caption_has_the_label_in_its_language_wherever_it_goes(client, town, tag):
    sign_in(client, town.user)
    sheet = share(client, town.product).headers["Location"]

    page = client.get(f"{sheet}?caption={tag}").text

    caption = page.split('class="caption"')[1].split(">", 1)[1].split("</blockquote>")[0]
    whatsapp = page.split('href="https://wa.me/?')[1].split('"')[0]
    copied = page.split('data-copy="')[1].split('"')[0]
    shared = page.split('data-share="')[1].split('"')[0]
    for words in (caption, parse_qs(whatsapp)["text"][0], copied, shared):
        assert LABELS[tag] in words.split("Camisa Sol")[0]
        assert "/s/" in words


def test_the_page_in_between_changes_link_caption_and_code_together(client, town):
    sign_in(client, town.user)
    sheet = share(client, town.product).headers["Location"]

    straight, between = (client.get(f"{sheet}{way}").text for way in ("", "?way=page"))

    for page, way, other in ((straight, "s", "p"), (between, "p", "s")):
        assert f"/{way}/" in page.split('class="caption"')[1].split("</blockquote>")[0]
        assert re.search(rf'src="/{way}/\w+/qr.svg"', page)
        assert re.search(rf"<code>http\S+/{way}/\w+</code>", page)
        assert not re.search(rf"/{other}/\w+/qr.svg", page)


def test_a_link_without_a_product_has_no_page_in_between(client, town):
    sign_in(client, town.user)

    page = client.get(f"/promoter/share/{sheet_key(town.link)}?way=page").text

    assert f"/s/{town.link.code}" in page
    assert f"/p/{town.link.code}" not in page


def test_a_caption_speaks_to_the_buyer_and_not_to_the_promoter(client, town):
    with unit_of_work():
        china = a_shop(town.merchant, country="CN", currency="CNY")
        shirt = a_product(china, title="亚麻衬衫", price=32900)
    sign_in(client, town.user)

    page = client.get(f"{share(client, shirt).headers['Location']}?lang=pt-BR").text

    assert "【广告】 亚麻衬衫 · ¥329.00" in page


def test_links_are_listed_with_what_became_of_them(client, town):
    town.order(client)
    sign_in(client, town.user)

    page = client.get("/promoter/share/").text

    assert f"/s/{town.link.code}" in page
    assert "stories" in page
    assert "1 order" in page


def test_somebody_elses_link_is_no_link_here(client, town):
    with unit_of_work():
        other = a_link(town.program, town.bia)
    sign_in(client, town.user)

    assert client.get(f"/promoter/share/{sheet_key(other)}").status_code == 404
    assert client.get("/promoter/share/lnk_nonsense").status_code == 404


def test_a_share_sheet_is_few_statements(client, town):
    sign_in(client, town.user)
    sheet = share(client, town.product).headers["Location"]

    with statements() as sent:
        client.get(sheet)

    assert 0 < len(sent) <= 16
    assert urlsplit(sheet).path.startswith("/promoter/share/lnk_")


def sheet_key(link):
    return ids.encode("lnk", link.merchant_id, link.id)
