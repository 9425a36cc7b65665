"""The page in between in a browser: with scripts and without, and in those inside of apps."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from affiliate import clock
from affiliate.catalog import queries
from affiliate.catalog import service as catalog
from affiliate.db import unit_of_work
from affiliate.links import spool
from tests.browser.conftest import DESK, PHONE, barriers
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program
from tests.live.listening import well

pytestmark = pytest.mark.browser
PHONES = (
    "Mozilla/5.0 (Linux; Android 9; SM-J415F Build/PPR1; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
)
AGENTS = {
    "WeChat": f"{PHONES} Version/4.0 Chrome/86.0.4240.99 XWEB/4317 MMWEBSDK/20220709 Mobile"
    " Safari/537.36 MicroMessenger/8.0.27.2220(0x28001B37) WeChat/arm64",
    "WhatsApp": f"{PHONES} Version/4.0 Chrome/90.0.4430.91 Mobile Safari/537.36 WhatsApp/2.23",
    "Instagram": f"{PHONES} Version/4.0 Chrome/92.0.4515.159 Mobile Safari/537.36"
    " Instagram 199.1.0.34.119 Android (28/9; 320dpi; 720x1384; samsung; SM-J415F)",
}
# The page asks by itself every few seconds; here it must be told.
ASKS_NEVER = """
    const later = window.setTimeout;
    window.setTimeout = (what, ms, ...rest) => (ms >= 4_000 ? 0 : later(what, ms, ...rest));
"""


class Stall:
    def __init__(self):
        with unit_of_work():
            self.shop = a_shop(a_merchant(), name="Loja da Ana")
            product = a_product(self.shop, title="Vestido de linho", price=19990, stock=9)
            product.image_url = "/static/demo/gone.jpg"
            product.images = ["/static/demo/linen-dress.svg"]
            self.key = (product.merchant_id, product.id)
            program = a_program(_merchant(self.shop))
            self.link = a_link(program, a_promoter("Bruna"), product=product)
        self.path = f"/p/{self.link.code}"

    def set(self, **fields):
        with unit_of_work():
            product = queries.product(*self.key)
            for name, value in fields.items():
                setattr(product, name, value)

    def change(self, **changes):
        with unit_of_work():
            catalog.change_product(self.shop, queries.product(*self.key), changes)


def _merchant(shop):
    from affiliate.people import queries as people

    return people.merchant(shop.merchant_id)


@pytest.fixture
def stall(committed):
    return Stall()


def clicks(app):
    segments = spool.segments(app.extensions["spool"].folder)
    return sum(len(path.read_bytes().splitlines()) for path in segments)


def test_all_is_there_without_scripts_and_the_button_counts_one_click(visit, stall, app):
    stall.set(price_until=clock.now() + timedelta(hours=1), list_price=24990)

    page = visit(f"{stall.path}?utm_source=ig", size=PHONE, scripts=False)

    expect(page.locator("main")).to_contain_text("R$199.90")
    expect(page.locator(".ends")).to_contain_text("Until")
    expect(page.locator("h1")).to_be_visible()
    assert page.locator("img").first.get_attribute("alt") == "Vestido de linho"
    assert clicks(app) == 0
    page.route(f"https://{stall.shop.domain}/**", lambda road: road.fulfill(body="the shop"))
    page.get_by_role("link", name="Go to the shop").click()
    page.wait_for_url(f"https://{stall.shop.domain}/**")
    assert "utm_source=ig" in page.url
    assert clicks(app) == 1


def test_browsers_inside_of_apps_show_it(browser, site, stall, app):
    for agent in AGENTS.values():
        context = browser.new_context(
            base_url=site, viewport=PHONE, user_agent=agent, locale="zh-CN"
        )
        page = context.new_page()
        errors = []
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))

        assert page.goto(stall.path).status == 200

        expect(page.get_by_role("link", name="去店铺购买")).to_be_in_viewport()
        expect(page.locator(".price")).to_be_in_viewport()
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert errors == []
        context.close()
    assert clicks(app) == 0


def test_nothing_stands_in_the_way_of_anybody(visit, stall):
    stall.set(stock=2, list_price=24990, price_until=clock.now() + timedelta(days=2))

    for size, theme in ((PHONE, "night"), (DESK, "day")):
        assert barriers(visit(stall.path, size=size, theme=theme)) == []


def test_a_dated_price_counts_down_and_is_over_when_it_is_over(visit, stall):
    stall.set(list_price=24990, price_until=clock.now() + timedelta(seconds=4))

    page = visit(stall.path, size=PHONE)

    expect(page.locator(".left")).to_have_text(re.compile(r"^00:00:0\d$"))
    expect(page.locator(".price")).to_contain_text("R$249.90")
    expect(page.locator("s")).to_have_count(0)
    expect(page.locator(".ends")).to_have_count(0)


def test_an_open_page_shows_another_price_although_it_does_not_ask(
    visit, stall, place, app, monkeypatch
):
    with well(place.redis_url) as running:
        beside = app.config["SETTINGS"].model_copy(update={"live_port": running.port})
        monkeypatch.setitem(app.config, "SETTINGS", beside)
        page = visit(stall.path, size=PHONE)
        page.add_init_script(ASKS_NEVER)
        with page.expect_response("**/live/*"):
            page.reload()

        stall.change(price=14990, stock=2)

        expect(page.locator(".price")).to_contain_text("R$149.90")
        expect(page.locator(".state")).to_contain_text("Only 2 left")
        stall.change(stock=0)
        expect(page.locator(".go")).to_contain_text("See what else the shop has")
        visit.leave(page)


def test_a_page_that_nobody_tells_asks_by_itself(visit, stall):
    page = visit(stall.path, size=PHONE)

    with page.expect_response(lambda answer: answer.url.endswith("/offer")) as same:
        pass
    assert same.value.status == 304
    stall.change(price=14990)

    expect(page.locator(".price")).to_contain_text("R$149.90", timeout=10_000)
