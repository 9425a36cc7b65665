"""The simulator with scripts: another shop at once, a replay that is watched to its end."""

import pytest
import sqlalchemy as sa

from affiliate.commissions.models import Simulation
from affiliate.db import db, unit_of_work
from affiliate.people.models import Role
from tests.commissions.town import Town
from tests.factories.catalog import a_product, a_shop
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_user
from workers import commissions as jobs

pytestmark = pytest.mark.browser


@pytest.fixture
def town(committed):
    found = Town()
    with unit_of_work():
        a_product(found.shop, title="Camisa", price=5000)
        found.other = a_shop(found.merchant, domain="mx.example.com", currency="MXN", country="MX")
        a_product(found.other, title="Taza", price=9000)
    found.owner = a_user(Role.MERCHANT_OWNER, merchant=found.merchant)
    return found


def test_another_shop_brings_its_products_and_keeps_what_was_typed(visit, town):
    page = visit(f"/merchant/programs/{town.program.id}/simulator", as_=town.owner)
    page.fill("[name=promoter]", "Ana")
    page.fill("[name=product_1]", "Taza")

    page.select_option("[name=shop]", str(town.other.id))

    page.wait_for_selector("legend:has-text('MXN')")
    assert page.input_value("[name=promoter]") == "Ana"
    assert page.locator("datalist#products option[value=Taza]").count() == 1
    assert page.locator("[aria-invalid]").count() == 0, "nobody asked yet"
    page.click("[name=ask]")
    page.wait_for_selector("#answer h2")
    assert "90.00 MXN" in page.inner_text("#answer").replace("\N{NO-BREAK SPACE}", " ")


def test_a_replay_shows_how_far_it_is_and_then_what_came_out(visit, town, client):
    deliver(client, town.shop, an_order(town.tk()))
    page = visit(f"/merchant/programs/{town.program.id}/replays", as_=town.owner)
    page.evaluate("document.querySelector('[name=to]').value = '2199-01-01'")
    page.evaluate("document.querySelector('[name=from]').value = '2198-01-01'")
    page.fill("[name=rate]", "20")
    page.click("#ask .btn-primary")
    page.wait_for_selector("#working progress")
    made = db.session.scalars(sa.select(Simulation)).one()

    jobs.simulate(made.merchant_id, made.id)

    page.wait_for_selector("text=No paid orders in this period")
    assert page.locator("#working").count() == 0
