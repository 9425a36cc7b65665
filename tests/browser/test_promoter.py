"""The promoter's phone in a real browser, in Chinese and Portuguese, with and without scripts."""

import re

import pytest
from playwright.sync_api import expect

from affiliate.db import unit_of_work
from affiliate.people.models import Role
from tests.browser.conftest import PHONE, barriers
from tests.consoles.promoter_town import Town, key_of_newest
from tests.factories.people import a_promoter, a_user
from tests.factories.settlement import an_account

pytestmark = pytest.mark.browser

PAGES = [
    "", "market/", "share/", "orders/", "orders/customers", "claims/", "team/", "wallet/",
    "wallet/account", "me/", "news", "notices",
]  # fmt: skip
SHARE = "navigator.share = async (given) => { document.body.dataset.shared = given.text; };"


@pytest.fixture(autouse=True)
def nobody_tells(app, monkeypatch):
    """These pages ask by themselves; test_live.py has the process that tells them."""
    alone = app.config["SETTINGS"].model_copy(update={"live_port": 0})
    monkeypatch.setitem(app.config, "SETTINGS", alone)


@pytest.fixture
def phone(visit):
    """Opens a page in a language, which outdoes the one in the person's profile."""

    def open_page(path, user, lang, **more):
        mark = "&" if "?" in path else "?"
        return visit(f"/promoter/{path}{mark}lang={lang}", as_=user, size=PHONE, **more)

    return open_page


@pytest.fixture
def town(committed, client):
    with unit_of_work():
        town = Town("Sol")
        an_account(town.ana)
        a_promoter("Cora", sponsor=town.bia)
    town.order(client)
    return town


@pytest.mark.parametrize(("lang", "theme"), [("zh-Hans", "day"), ("pt-BR", "night")])
def test_every_page_fits_the_phone_and_shuts_nobody_out(phone, town, lang, theme):
    page = phone("", town.user, lang, theme=theme)

    for path in [*PAGES, f"orders/{key_of_newest()}"]:
        page.goto(f"/promoter/{path}")
        assert barriers(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_from_the_market_to_a_shared_link_in_one_tap(phone, town):
    page = phone("market/", town.user, "zh-Hans")
    page.add_init_script(SHARE)

    page.get_by_role("button", name=re.compile("分享.*Camisa Sol")).click()

    expect(page.locator(".caption").first).to_contain_text("[Publicidade] Camisa Sol")
    assert barriers(page) == []
    page.get_by_role("button", name="其他应用").click()
    expect(page.locator("body")).to_have_attribute(
        "data-shared", page.locator(".caption").first.inner_text()
    )
    page.get_by_role("link", name="放大二维码").click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    assert page.get_by_role("dialog").bounding_box()["width"] == PHONE["width"]
    page.get_by_role("button", name="关闭").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_where_the_device_has_no_sheet_of_its_own_none_is_offered(phone, town):
    page = phone("market/", town.user, "en")
    page.add_init_script("delete Navigator.prototype.share;")

    page.get_by_role("button", name=re.compile("Share.*Camisa Sol")).click()

    expect(page.get_by_role("button", name="Copy all")).to_be_visible()
    expect(page.get_by_role("button", name="Other app")).to_be_hidden()


def test_the_caption_is_copied_with_its_label(phone, town):
    page = phone("market/", town.user, "en")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=re.compile("Share.*Camisa Sol")).click()

    page.get_by_role("button", name="Copy all").click()

    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("[Publicidade] Camisa Sol")


def test_the_team_opens_a_level_when_it_is_asked_for(phone, town):
    page = phone("team/", town.user, "pt-BR")
    expect(page.get_by_text("Cora")).to_have_count(0)

    page.get_by_text("Bia Sol").click()

    expect(page.get_by_text("Cora")).to_be_visible()


def test_reading_and_sharing_work_without_scripts(phone, town):
    page = phone("market/", town.user, "pt-BR", scripts=False)

    page.get_by_role("button", name=re.compile("Divulgar.*Camisa Sol")).click()
    expect(page.locator(".code-line code")).to_contain_text("/s/")
    for path in PAGES:
        page.goto(f"/promoter/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto("/promoter/team/")
    page.get_by_text("Bia Sol").click()
    page.get_by_role("link", name="Mostrar").click()
    expect(page.get_by_text("Cora")).to_be_visible()


def test_a_payout_account_is_typed_and_mended_without_scripts(phone, committed):
    with unit_of_work():
        user = a_user(Role.PROMOTER, promoter=a_promoter())
    page = phone("wallet/account?kind=number", user, "pt-BR", scripts=False)
    page.get_by_label("Titular da conta").fill("Bruna Souza")
    page.get_by_label("Código do banco").fill("0?1")
    page.get_by_label("Número da conta").fill("12345678-9")
    page.get_by_role("button", name="Salvar").click()
    expect(page.get_by_label("Código do banco")).to_have_attribute("aria-invalid", "true")

    page.get_by_label("Código do banco").fill("001")
    page.get_by_role("button", name="Salvar").click()

    expect(page.get_by_text("BR 001 •••• 78-9")).to_be_visible()
