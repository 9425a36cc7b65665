"""Finding something to share: search in languages without blanks, and advice with its reason."""

import re
from datetime import date

import pytest

from affiliate.catalog.models import Shop
from affiliate.commissions import together
from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.insight import offers
from affiliate.insight import service as insight
from affiliate.links.models import LinkDay
from affiliate.people.models import Role
from tests.consoles.promoter_town import Town, statements
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product
from tests.factories.links import a_link
from tests.factories.orders import a_line, a_refund, deliver
from tests.factories.people import a_promoter, a_user
from tests.factories.programs import an_enrolment
from workers import orders as job

TITLES = ("红色茶杯", "绿茶 250克", "Café torrado", "Camisa de linho", "ＵＳＢ cabo", "茶")


@pytest.fixture
def town(app):
    with unit_of_work():
        made = Town("Sol")
        made.goods = [
            a_product(made.shop, title=title, external_id=f"t{number}", category="日用")
            for number, title in enumerate(TITLES)
        ]
        return made


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("茶杯", {"红色茶杯"}),
        ("茶", {"红色茶杯", "绿茶 250克", "茶"}),
        ("色茶", {"红色茶杯"}),
        ("茶色", set()),
        ("cafe", {"Café torrado"}),
        ("CAFÉ tor", {"Café torrado"}),
        ("linho camisa", {"Camisa de linho"}),
        ("isa", {"Camisa de linho", "Camisa Sol"}),
        ("usb", {"ＵＳＢ cabo"}),
        ("日用 绿茶", {"绿茶 250克"}),
        ("c", {"Camisa de linho", "Camisa Sol", "Café torrado", "ＵＳＢ cabo"}),
        ("100%_\\'", set()),
        ("-", set()),
    ],
)
def test_words_are_found_wherever_they_stand(client, town, words, found):
    sign_in(client, town.user)

    page = client.get("/promoter/market/", query_string={"q": words}).text

    assert {title for title in (*TITLES, "Camisa Sol") if f">{title}</h2>" in page} == found


def sell(client, town, promoter, *goods):
    with unit_of_work():
        link = a_link(town.program, promoter)
    for each in goods:
        town.order(client, link, lines=[a_line(product_id=each.external_id, tax="0.00")])


def test_what_others_sell_who_sell_the_same_is_advised_and_nobody_is_named(client, town):
    shirt, cup, tea = town.product, town.goods[0], town.goods[1]
    with unit_of_work():
        others = [a_promoter(f"Peer {number}") for number in range(3)]
        for each in others:
            an_enrolment(town.program, each)
    sell(client, town, town.ana, shirt)
    for each in others:
        sell(client, town, each, shirt, cup)
    sell(client, town, others[0], tea)
    job.count_sales()
    sign_in(client, town.user)

    page = client.get("/promoter/market/").text

    advised = page.partition("For you")[2].partition("Everything")[0]
    order = [advised.index(title) for title in (cup.title, shirt.title, tea.title)]
    assert order == sorted(order)
    assert "3 promoters sell it who sell what you sell" in advised
    assert "1 order through your links lately" in advised
    assert "1 sold lately" in advised
    assert "Peer" not in page
    assert "For you" not in client.get("/promoter/market/?q=tea").text


def test_fewer_than_three_are_not_counted(client, town):
    with unit_of_work():
        others = [a_promoter() for _ in range(2)]
        for each in others:
            an_enrolment(town.program, each)
    for each in (*others, town.ana):
        sell(client, town, each, town.product)
    for each in others:
        sell(client, town, each, town.goods[0])
    with unit_of_work():
        together.count(town.merchant.id)
        together.count(town.merchant.id)
    sign_in(client, town.user)

    assert "who sell what you sell" not in client.get("/promoter/market/").text


def test_who_has_sold_nothing_and_is_in_nothing_is_advised_nothing(client, app):
    with unit_of_work():
        user = a_user(Role.PROMOTER, promoter=a_promoter())
    sign_in(client, user)

    assert "For you" not in client.get("/promoter/market/").text


def test_advice_costs_the_market_three_statements(client, town):
    """Which, of what, and which of these are grand enough to be shown."""
    sell(client, town, town.ana, town.product)
    sign_in(client, town.user)
    client.get("/promoter/market/")

    with statements() as sent:
        client.get("/promoter/market/")
    with statements() as looked:
        client.get("/promoter/market/?q=camisa")

    assert len(sent) <= 24
    assert len(sent) - len(looked) <= 10


def test_a_card_says_what_it_saves_oneself_what_rises_and_how_good_the_offer_is(
    client, app, clock, monkeypatch
):
    monkeypatch.setattr(offers, "ORDERS", 4)
    clock.stand("2026-11-10T12:00:00Z")
    with unit_of_work():
        town = Town("Lua", self_purchase="rebate", hold_days=7)
        town.product.price = 100_00
        calm = a_product(town.shop, title="Chá", external_id="t1")
    shirt = [a_line(product_id="p1", tax="0.00")]
    for _ in range(3):
        town.order(client, lines=[a_line(product_id="t1", tax="0.00")])
    told = town.order(client, lines=shirt)
    deliver(client, town.shop, told | {"version": 2, "refunds": [a_refund("100.00")]})
    clock.stand("2026-11-22T12:00:00Z")
    for _ in range(4):
        town.order(client, lines=shirt)
    with unit_of_work():
        insight.count_orders()
        db.session.add(
            LinkDay(
                link_id=town.link.id, day=date(2026, 11, 21), merchant_id=town.merchant.id,
                promoter_id=town.ana.id, clicks=300, valid_clicks=200, visitors=90, scans=0,
            )
        )  # fmt: skip
    job.count_sales()
    sign_in(client, town.user)

    whole = client.get("/promoter/market/").text
    rising = client.get("/promoter/market/?sort=rising").text
    key = encode("prd", town.merchant.id, town.product.id)
    sheet = client.post("/promoter/share/", data={"product": key}).location

    figures = whole.partition('<dl class="worth">')[2].partition("</dl>")[0]
    assert re.findall("<dd>([^<]+)</dd>", figures) == ["R$35.00", "88%", "12.5%", "7 days"]
    assert "For yourself: save R$10.00" in whole
    assert calm.title in whole
    assert calm.title not in rising
    assert town.product.title in rising
    assert "Buy it yourself and save R$10.00" in client.get(sheet).text


@pytest.mark.parametrize(
    ("platform", "only"),
    [
        ("standard", None),
        ("youzan", "coupon only"),
        ("wechat", "by the shop&#39;s own sharing only"),
        ("mercadolibre", "by claim only"),
    ],
)
def test_a_card_says_what_alone_the_shop_can_track(client, town, platform, only):
    with unit_of_work():
        db.session.get_one(Shop, (town.shop.merchant_id, town.shop.id)).platform = platform
    sign_in(client, town.user)

    page = client.get("/promoter/market/").text

    small = re.search(r"Loja Sol[^<]*</span>", page.partition('id="goods"')[2])[0]
    assert small == (f"Loja Sol · {only}</span>" if only else "Loja Sol</span>")
    key = encode("prd", town.merchant.id, town.product.id)
    sheet = client.post("/promoter/share/", data={"product": key}).location
    assert ("Links are not tracked in this shop" in client.get(sheet).text) == (only is not None)
