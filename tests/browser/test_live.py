"""An order appears on the page that is open, told or found, without anybody touching it."""

import pytest
from playwright.sync_api import expect

from affiliate import clock
from affiliate.db import unit_of_work
from affiliate.links import token
from affiliate.people.models import Role
from tests.browser.conftest import DESK, PHONE
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.orders import a_line, an_order, deliver
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program

pytestmark = pytest.mark.browser
# The page asks after ten seconds by itself; here it must be told.
ASKS_NEVER = """
    const later = window.setTimeout;
    window.setTimeout = (what, ms, ...rest) => (ms >= 10_000 ? 0 : later(what, ms, ...rest));
"""


class Sale:
    """Bruna shares for a merchant with one shop."""

    def __init__(self):
        with unit_of_work():
            merchant, bruna = a_merchant(), a_promoter("Bruna")
            self.shop = a_shop(merchant)
            self.link = a_link(a_program(merchant), bruna)
            self.owner = a_user(Role.MERCHANT_OWNER, merchant=merchant)
            self.bruna = a_user(Role.PROMOTER, promoter=bruna)

    def order(self, title):
        line = a_line(title=title, tax="0.00")
        return an_order(token.make(self.link.id, clock.now(), b"abc"), lines=[line])


@pytest.fixture
def sale(committed):
    return Sale()


@pytest.mark.parametrize(
    ("path", "who", "size"), [("/merchant/", "owner", DESK), ("/promoter/", "bruna", PHONE)]
)
def test_an_order_appears_on_the_open_page_although_nobody_asks(
    live, visit, client, sale, path, who, size
):
    page = visit(path, as_=getattr(sale, who), size=size)
    page.add_init_script(ASKS_NEVER)
    with page.expect_response("**/live/*"):
        page.reload()

    for title in ("Camisa azul", "Camisa verde"):
        deliver(client, sale.shop, sale.order(title))
        expect(page.locator("main")).to_contain_text(title)


def test_without_anybody_to_tell_it_the_page_asks_by_itself(live, visit, client, sale):
    page = visit("/merchant/", as_=sale.owner)
    live.process.kill()
    live.process.wait()

    deliver(client, sale.shop, sale.order("Camisa azul"))

    expect(page.locator("main")).to_contain_text("Camisa azul", timeout=30_000)
    # The browser itself says that nobody is there; ours says nothing.
    assert all("net::ERR_" in each for each in visit.errors)
    visit.errors.clear()
