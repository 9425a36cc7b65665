"""An order appears on the page that is open, told or found, without anybody touching it."""

import pytest
from playwright.sync_api import expect

from affiliate.db import unit_of_work
from affiliate.people.models import Role
from tests.factories.catalog import a_shop
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_merchant, a_user
from tests.live.listening import well

pytestmark = pytest.mark.browser


@pytest.fixture
def live(place, app, monkeypatch):
    with well(place.redis_url) as running:
        beside = app.config["SETTINGS"].model_copy(update={"live_port": running.port})
        monkeypatch.setitem(app.config, "SETTINGS", beside)
        yield running


@pytest.fixture
def shop(committed):
    with unit_of_work():
        return a_shop(a_merchant())


@pytest.fixture
def owner(shop):
    from affiliate.people import queries

    with unit_of_work():
        return a_user(Role.MERCHANT_OWNER, merchant=queries.merchant(shop.merchant_id))


def test_an_order_appears_on_the_open_page_although_nobody_asks(live, visit, client, shop, owner):
    page = visit("/merchant/", as_=owner)
    # The page's own clock stands still from here on, so it cannot be the one that asks.
    page.clock.install()
    with page.expect_request("**/live/*"):
        page.reload()

    for number in ("A-1001", "A-1002"):
        deliver(client, shop, an_order(number=number))
        expect(page.locator("#recent-rows")).to_contain_text(number)


def test_without_anybody_to_tell_it_the_page_asks_by_itself(live, visit, client, shop, owner):
    page = visit("/merchant/", as_=owner)
    live.process.kill()
    live.process.wait()

    deliver(client, shop, an_order(number="A-1003"))

    expect(page.locator("#recent-rows")).to_contain_text("A-1003", timeout=30_000)
    # The browser itself says that nobody is there; ours says nothing.
    assert all("net::ERR_" in each for each in visit.errors)
    visit.errors.clear()
