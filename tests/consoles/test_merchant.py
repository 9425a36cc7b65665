"""The merchant console: each page works, is closed to strangers, and shows nothing of another's."""

import io
import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import ids
from affiliate.catalog import service as shops
from affiliate.catalog.models import Platform, Product, Shop
from affiliate.catalog.platforms import connection
from affiliate.config import ROOT
from affiliate.consoles.merchant.shop_lines import PIXEL
from affiliate.db import db, unit_of_work
from affiliate.intake import service as intake
from affiliate.links import token
from affiliate.orders.models import Order
from affiliate.people.models import Role
from affiliate.programs import queries as programs
from affiliate.programs import service
from affiliate.programs.models import Membership, Program
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import a_refund, an_order, deliver, send
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment

PAGES = [
    "/merchant/", "/merchant/orders/", "/merchant/products/", "/merchant/products/new",
    "/merchant/programs/", "/merchant/programs/new", "/merchant/promoters/", "/merchant/shops/",
    "/merchant/shops/new", "/merchant/recent-orders",
]  # fmt: skip


class Town:
    def __init__(self, name):
        self.merchant = a_merchant(name)
        self.shop = a_shop(self.merchant, name=f"Loja {name}")
        self.product = a_product(self.shop, title=f"Camisa {name}", external_id="p1")
        self.program = a_program(self.merchant, name=f"Amigas {name}")
        self.ana = a_promoter(f"Ana {name}")
        an_enrolment(self.program, self.ana)
        self.link = a_link(self.program, self.ana)
        self.owner = a_user(Role.MERCHANT_OWNER, merchant=self.merchant)
        self.analyst = a_user(Role.MERCHANT_ANALYST, merchant=self.merchant)

    def order(self, client, **facts):
        tk = token.make(self.link.id, time.now(), b"abc")
        told = an_order(tk, number="#77", total="100.00", **facts)
        deliver(client, self.shop, told)
        return told


@pytest.fixture
def town(app):
    with unit_of_work():
        return Town("Sol")


@pytest.fixture
def other(app):
    with unit_of_work():
        return Town("Lua")


def order_page():
    row = db.session.scalars(sa.select(Order).order_by(Order.id)).first()
    return f"/merchant/orders/{ids.encode('ord', row.merchant_id, row.id)}"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_works_and_names_nobody_elses_things(client, town, other, page):
    town.order(client)
    other.order(client)
    sign_in(client, town.owner)

    answer = client.get(page)

    assert answer.status_code == 200
    assert "Lua" not in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_every_page_works_while_there_is_nothing_yet(client, app, page):
    with unit_of_work():
        owner = a_user(Role.MERCHANT_OWNER, merchant=a_merchant())
    sign_in(client, owner)

    assert client.get(page).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_shown_the_way_in(client, town, page):
    answer = client.get(page)

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("role", [Role.FINANCE_MAKER, Role.OPERATOR])
def test_for_other_roles_the_console_does_not_exist(client, town, role):
    with unit_of_work():
        somebody = a_user(role)
    sign_in(client, somebody)

    assert client.get("/merchant/").status_code == 404


def test_an_order_tells_who_earns_what_and_why(client, town):
    told = town.order(client)
    deliver(client, town.shop, told | {"version": 2, "refunds": [a_refund("40.00")]})
    sign_in(client, town.owner)

    page = client.get(order_page()).text

    assert "Ana Sol" in page
    assert "6.00" in page
    assert "4.00" in page
    assert "won" in page
    assert "10%" in page


def test_another_merchants_order_is_no_order_here(client, town, other):
    other.order(client)
    sign_in(client, town.owner)

    assert client.get(order_page()).status_code == 404
    assert client.get("/merchant/orders/ord_nonsense").status_code == 404


def test_orders_are_found_by_number_and_state(client, town):
    town.order(client)
    sign_in(client, town.owner)

    assert "#77" in client.get("/merchant/orders/?q=%2377").text
    assert "#77" not in client.get("/merchant/orders/?q=78").text
    assert "#77" in client.get("/merchant/orders/?state=paid").text
    assert "#77" not in client.get("/merchant/orders/?state=cancelled").text


def test_the_reader_reads_and_cannot_write(client, town):
    sign_in(client, town.analyst)

    assert "inline-rate" not in client.get("/merchant/products/").text
    answer = client.post(
        f"/merchant/products/{town.product.id}/rate",
        data={"program": town.program.id, "rate": "20"},
    )
    assert answer.status_code == 403


def rate_of(town):
    rates = programs.inline_rates(town.merchant.id, [town.product.id])
    return rates.get((town.program.id, town.product.id))


def test_a_rate_is_changed_where_it_stands(client, town):
    sign_in(client, town.owner)
    url = f"/merchant/products/{town.product.id}/rate"

    row = client.post(
        url, data={"program": town.program.id, "rate": "12.5"}, headers={"HX-Request": "true"}
    )

    assert row.status_code == 200
    assert row.text.count("<tr") == 1
    assert "12.5" in row.text
    assert rate_of(town) == 125_000
    client.post(url, data={"program": town.program.id, "rate": ""})
    assert rate_of(town) is None


@pytest.mark.parametrize("rate", ["101", "-1", "ten", "1.23456", "1e2"])
def test_a_rate_that_cannot_be_is_refused_with_words(client, town, rate):
    sign_in(client, town.owner)

    answer = client.post(
        f"/merchant/products/{town.product.id}/rate",
        data={"program": town.program.id, "rate": rate},
        headers={"HX-Request": "true"},
    )

    assert answer.status_code == 422
    assert rate_of(town) is None


@pytest.mark.parametrize("what", ["rate", "visibility"])
def test_another_merchants_product_cannot_be_touched(client, town, other, what):
    sign_in(client, town.owner)

    answer = client.post(
        f"/merchant/products/{other.product.id}/{what}",
        data={"program": other.program.id, "rate": "20"},
    )

    assert answer.status_code == 404
    assert db.session.get(Product, (other.merchant.id, other.product.id)).hidden_at is None


def test_a_product_is_published_and_a_wrong_one_explained(client, town):
    sign_in(client, town.owner)
    typed = {
        "shop": town.shop.id, "title": "Vestido 👗", "external_id": "p9", "price": "199.90",
        "url": f"https://{town.shop.domain}/vestido",
    }  # fmt: skip

    refused = client.post("/merchant/products/new", data=typed | {"url": "https://evil.example/"})
    assert refused.status_code == 422
    assert "Vestido 👗" in refused.text
    assert client.post("/merchant/products/new", data=typed).status_code == 303

    assert "Vestido 👗" in client.get("/merchant/products/").text


def test_products_say_how_they_are_kept_and_a_shop_is_read_again(client, town, rung):
    sign_in(client, town.owner)
    told_only = a_shop(town.merchant, platform="shopify")
    credentials = {"webhook_secret": "s", "consumer_key": "ck", "consumer_secret": "cs"}
    asked, _ = shops.create_shop(
        town.merchant.id, platform="woocommerce", domain="woo.example.com", currency="BRL",
        country="BR", credentials=credentials,
    )  # fmt: skip
    facts = shops.ProductFacts(
        "p1", "Bolsa", "https://woo.example.com/1", price=90_00, list_price=120_00, shop_version=1
    )
    shops.take_products(asked, [facts, replace(facts, external_id="p2", gone=True)])

    page = client.get("/merchant/products/")

    assert "1 product<" in page.text
    assert "By webhook only" in page.text
    assert "Not read yet" in page.text
    assert "Not on sale in the shop" in page.text
    assert re.search(r"<s class=\"under\">.*120,00|<s class=\"under\">.*120\.00", page.text)
    rung.clear()
    assert client.post(f"/merchant/shops/{asked.id}/read-again").status_code == 303
    assert rung == [("workers.intake.pull_products", town.merchant.id, asked.id)]
    assert "Being read" in client.get("/merchant/products/").text
    client.post(f"/merchant/shops/{told_only.id}/read-again")
    assert "gave no access token" in client.get("/merchant/products/").text
    assert len(rung) == 1


def test_products_come_from_a_file_or_its_faults_are_told(client, town):
    sign_in(client, town.owner)
    head = "external_id,title,url,price\n"
    good = f"{head}p1,Bolsa,https://{town.shop.domain}/1,9.90\n"

    def upload(content):
        sent = {"shop": town.shop.id, "file": (io.BytesIO(content.encode()), "p.csv")}
        return client.post("/merchant/products/", data=sent)

    refused = upload(good + "p2,<i>x</i>,https://evil.example/,x\n")
    assert refused.status_code == 422
    assert "/rows/3/url" in refused.text
    assert "/rows/3/price" in refused.text
    assert "Bolsa" not in client.get("/merchant/products/").text
    assert upload(good).status_code == 303
    assert "Bolsa" in client.get("/merchant/products/").text


def a_form(**changes):
    return {
        "name": "Verão", "rate": "12", "tier_2": "3", "tier_3": "", "window_days": "30",
        "hold_days": "7", "enrolment": "open", "self_purchase": "none", "inactive_upline": "skip",
    } | changes  # fmt: skip


def test_a_program_is_made_and_changed_from_now_on(client, town):
    sign_in(client, town.owner)
    assert client.post("/merchant/programs/new", data=a_form()).status_code == 303
    made = db.session.scalars(sa.select(Program).where(Program.name == "Verão")).one()

    changed = a_form(rate="15", version=str(made.version), utm_campaign="{program}")
    assert client.post(f"/merchant/programs/{made.id}", data=changed).status_code == 303

    versions = programs.terms_of([(made.merchant_id, made.id)])[made.merchant_id, made.id]
    assert [terms.default_rate_ppm for terms in versions] == [120_000, 150_000]
    db.session.refresh(made)
    assert made.utm == {"utm_campaign": "{program}"}


def test_the_second_of_two_editors_is_told_and_loses_nothing(client, town):
    sign_in(client, town.owner)
    url = f"/merchant/programs/{town.program.id}"
    version = str(town.program.version)
    assert client.post(url, data=a_form(version=version)).status_code == 303

    second = client.post(url, data=a_form(name="Meu nome", version=version))

    assert second.status_code == 409
    assert "Meu nome" in second.text


@pytest.mark.parametrize(
    "change",
    [{"rate": "120"}, {"rate": ""}, {"hold_days": "many"}, {"name": ""}, {"utm_id": "{nobody}"}],
    ids=str,
)
def test_terms_that_cannot_be_are_refused_with_words(client, town, change):
    sign_in(client, town.owner)

    answer = client.post("/merchant/programs/new", data=a_form(**change))

    assert answer.status_code == 422
    assert "notice tone-bad" in answer.text


def test_merchants_read_where_their_promoters_share(client, town):
    with unit_of_work():
        duda = a_promoter("Duda")
        duda.profile = {
            "niche": "tea",
            "channels": [{"kind": "instagram", "name": "@duda", "followers": 12000}],
        }
        service.enrol(a_program(town.merchant), duda.id, by_merchant=True)
    sign_in(client, town.owner)

    page = client.get("/merchant/promoters/").text

    assert "Instagram @duda · 12,000" in page
    assert "tea" in page


def test_an_application_is_decided_once(client, town):
    with unit_of_work():
        program = a_program(town.merchant, enrolment="approval")
        member = service.enrol(program, a_promoter("Duda").id, by_merchant=False)
    sign_in(client, town.owner)
    url = f"/merchant/promoters/{program.id}/{member.id}/approve"
    assert "Duda" in client.get("/merchant/promoters/?state=applied").text

    assert client.post(url).status_code == 303
    assert client.post(url).status_code == 409

    db.session.expire_all()
    assert db.session.get(Membership, (town.merchant.id, member.id)).state == "active"


def test_a_shop_is_connected_and_its_secret_shown_once(client, town):
    sign_in(client, town.owner)
    typed = {
        "platform": "standard", "name": "Loja nova", "domain": "nova.example.com",
        "country": "br", "currency": "brl",
    }  # fmt: skip

    page = client.post("/merchant/shops/new", data=typed)

    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", page.text)
    assert secret
    assert "/hooks/shp_" in page.text
    assert secret.group() not in client.get("/merchant/shops/").text
    assert db.session.scalar(sa.select(Shop.currency).where(Shop.name == "Loja nova")) == "BRL"


@pytest.mark.parametrize("platform", Platform)
def test_every_platform_has_a_form_that_asks_for_what_it_needs(client, town, platform):
    sign_in(client, town.owner)

    page = client.get(f"/merchant/shops/new?platform={platform}").text

    for name in connection(platform).required:
        assert (f'name="{name}"' in page) is (name not in connection(platform).later)
    assert ("checked against a real shop" in page) is connection(platform).beta


def test_orders_come_by_a_file_and_what_is_wrong_with_it_is_said(client, town):
    sign_in(client, town.owner)
    typed = {
        "platform": "file", "name": "Feira", "domain": "feira.example.com", "country": "BR",
        "currency": "BRL",
    }  # fmt: skip
    assert "/hooks/" not in client.post("/merchant/shops/new", data=typed).text
    shop = db.session.scalars(sa.select(Shop).where(Shop.name == "Feira")).one()

    def upload(content):
        sent = {"file": (io.BytesIO(content), "orders.csv")}
        return client.post(f"/merchant/shops/{shop.id}/file", data=sent)

    good = b"order_id,status,created_at,total\n7,paid,2026-11-20,10.00\n"
    assert upload(good).status_code == 303
    assert "1 orders read, of which 1 are new" in client.get("/merchant/shops/").text
    intake.drain(town.merchant.id, shop.id)
    assert upload(b"colour\nred\n").status_code == 422


def test_what_could_not_be_read_is_shown_and_tried_again(client, town):
    send(client, town.shop, an_order(currency="XYZ"))
    intake.drain(town.merchant.id, town.shop.id)
    sign_in(client, town.owner)

    page = client.get("/merchant/shops/").text
    assert "/data/currency" in page

    assert client.post("/merchant/shops/retry").status_code == 303
    assert "/data/currency" not in client.get("/merchant/shops/").text


def test_titles_of_shops_are_written_out_and_never_run(client, town):
    with unit_of_work():
        a_product(town.shop, title="<script>alert(1)</script>")
    sign_in(client, town.owner)

    assert "<script>alert" not in client.get("/merchant/products/").text


@pytest.mark.parametrize(
    ("platform", "script", "pixel", "settings"),
    [
        ("shopify", True, True, False),
        ("woocommerce", False, False, True),
        ("standard", True, False, False),
        ("youzan", False, False, False),
    ],
)
def test_a_shop_shows_the_lines_to_copy_into_its_pages(
    client, town, platform, script, pixel, settings
):
    sign_in(client, town.owner)
    typed = {
        "platform": platform, "name": "Nova", "domain": "nova.example.com", "country": "BR",
        "currency": "BRL",
    }  # fmt: skip
    typed |= dict.fromkeys(connection(platform).required, "1234567890abcdef")

    told = client.post("/merchant/shops/new", data=typed)

    assert told.status_code == 200
    shop = db.session.scalars(sa.select(Shop).where(Shop.name == "Nova")).one()
    hook = f"/hooks/{ids.encode('shp', shop.merchant_id, shop.id)}/checkouts"
    set_up = client.get(f"/merchant/shops/{shop.id}/").text
    assert ("affiliate.js&#34; data-days=&#34;30&#34; defer" in told.text) is script
    for page in (told.text, set_up):
        assert (hook in page) is pixel
        assert ("TUIKE_DAYS" in page) is settings


def test_the_pixel_that_is_shown_is_that_of_the_docs():
    docs = (ROOT / "docs" / "shops.md").read_text()

    assert PIXEL % "https://go.example.com/hooks/shp_…" in docs
