"""Finding something to share: search in languages without blanks, and advice with its reason."""

import pytest

from affiliate.commissions import together
from affiliate.db import unit_of_work
from affiliate.people.models import Role
from tests.consoles.promoter_town import Town, statements
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product
from tests.factories.links import a_link
from tests.factories.orders import a_line
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
