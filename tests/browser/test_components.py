"""The components in Chromium: they work by mouse and keyboard, with and without scripts."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, PHONE, barriers, served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(app):
    """These pages ask nothing of the database, so one server does for all tests."""
    with served(app) as address:
        yield address


@pytest.mark.parametrize("theme", ["day", "night"])
@pytest.mark.parametrize(
    ("path", "size"), [("/-/components", DESK), ("/-/phone", PHONE), ("/-/error/404", PHONE)]
)
def test_axe_finds_nothing(visit, path, size, theme):
    page = visit(path, size=size, theme=theme, lang="pt-BR")

    assert barriers(page) == []


def test_axe_finds_nothing_at_a_desk_as_narrow_as_a_phone(visit):
    assert barriers(visit("/-/components", size=PHONE, lang="zh-Hans")) == []


def test_an_open_dialog_and_an_open_menu_have_no_barriers_either(visit):
    page = visit("/-/components")
    page.get_by_role("link", name="New program").first.click()
    assert barriers(page) == []

    page.keyboard.press("Escape")
    page.locator("summary", has_text="Language").click()
    assert barriers(page) == []


def test_a_dialog_opens_holds_the_focus_and_closes_by_keyboard(visit):
    page = visit("/-/components")
    opener = page.get_by_role("link", name="New program").first

    opener.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")

    expect(dialog).not_to_be_visible()
    expect(opener).to_be_focused()


def test_a_menu_closes_by_escape_and_when_attention_goes_elsewhere(visit):
    page = visit("/-/components")
    menu = page.locator("details[data-menu]:has(a[hreflang])")

    page.locator("summary", has_text="Language").click()
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    page.locator("summary", has_text="Language").click()
    page.locator("h1").click()

    expect(menu).not_to_have_attribute("open", "")


def test_the_theme_changes_at_once_and_stays_without_a_flash(visit):
    page = visit("/-/components")
    page.locator("summary", has_text="Light or dark").click()

    page.get_by_role("link", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "night")
    page.reload(wait_until="commit")

    assert 'data-theme="night"' in page.content()


def test_a_refusal_is_a_toast_that_stays_and_the_next_try_sweeps_it_away(visit):
    page = visit("/-/components")
    page.get_by_label("E-mail").fill("ana@example.com")
    page.get_by_label("Code from your authenticator app").first.fill("123456")
    toasts = page.locator("[data-toast]")

    page.get_by_label("Rate", exact=True).fill("95")
    page.get_by_role("button", name="Save").click()
    expect(toasts).to_have_text("The rates of all levels together would be above 90%.")
    assert barriers(page) == []
    page.get_by_label("Rate", exact=True).fill("12.5")
    page.get_by_role("button", name="Save").click()

    expect(toasts).to_have_text("The rate is now 12.5%.")


def test_a_fault_of_a_proxy_is_told_and_not_swapped_into_the_page(visit):
    page = visit("/-/components")

    page.get_by_role("button", name="Try a fault of the server").click()

    expect(page.locator("[data-toast]")).to_contain_text("Nothing was changed")
    expect(page.get_by_text("What a proxy says")).to_have_count(0)


def test_losing_the_connection_is_told(visit):
    page = visit("/-/components")
    page.context.set_offline(True)

    page.get_by_role("button", name="Try a fault of the server").click()

    expect(page.locator("[data-toast]")).to_contain_text("No connection")
    page.context.set_offline(False)
    visit.errors.clear()  # Chromium and htmx both report the failed request


def test_a_branch_of_the_tree_is_fetched_when_it_is_opened(visit):
    page = visit("/-/components")
    rows = page.locator(".tree-row")
    before = rows.count()

    page.locator(".tree summary").first.press("Enter")

    expect(rows).to_have_count(before + 3)


def test_copying_says_so(visit):
    page = visit("/-/components")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "https://go.example.com/s/Kx7Qm2"


def test_a_chart_is_drawn_and_has_its_numbers_as_a_table(visit):
    page = visit("/-/components")

    expect(page.locator(".chart canvas")).to_be_visible()
    page.get_by_text("Show as a table").click()

    expect(page.locator(".chart .ledger tbody tr")).to_have_count(30)


def test_without_scripts_pages_read_forms_send_and_settings_change(visit):
    page = visit("/-/components", scripts=False)
    page.get_by_text("Show as a table").click()
    expect(page.locator(".chart .ledger")).to_be_visible()
    page.get_by_label("E-mail").fill("ana@example.com")
    page.get_by_label("Code from your authenticator app").first.fill("123456")
    page.get_by_label("Rate", exact=True).fill("95")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("above 90%")
    page.get_by_role("link", name="Back").click()

    page.locator("summary", has_text="Language").click()
    page.get_by_role("link", name="简体中文").click()
    expect(page.locator("h1")).to_have_text("概览")
    page.locator("summary", has_text="浅色或深色").click()
    page.get_by_role("link", name="深色").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "night")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")


def test_on_a_narrow_screen_the_side_opens_and_closes_as_a_link(visit):
    page = visit("/-/components", size=PHONE)
    orders = page.get_by_role("link", name="Orders 12")
    expect(orders).not_to_be_visible()

    page.get_by_role("link", name="Open menu").click()
    expect(orders).to_be_visible()
    page.get_by_role("link", name="Close menu").click()

    expect(orders).not_to_be_visible()
