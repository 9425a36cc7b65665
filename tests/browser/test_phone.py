"""The promoter's phone in a browser: no connection, signed out, without scripts."""

import re

import pytest
from playwright.sync_api import expect

from affiliate import ids
from affiliate.db import unit_of_work
from tests.browser.conftest import PHONE
from tests.consoles.promoter_town import Town

pytestmark = pytest.mark.browser
# Of everything that moved by itself since the page began (web.dev/cls).
SHIFTS = """
    new Promise((done) => new PerformanceObserver((list) => done(
        list.getEntries().filter((each) => !each.hadRecentInput)
            .reduce((sum, each) => sum + each.value, 0)
    )).observe({type: "layout-shift", buffered: true}) || setTimeout(() => done(0), 500))
"""
KEPT = "caches.keys().then((all) => all.filter((each) => each.startsWith('pages:')).length)"
READY = """
    navigator.serviceWorker.ready.then((here) => here.active && navigator.serviceWorker.controller)
"""


@pytest.fixture
def town(app, site):
    with unit_of_work():
        return Town("Sol")


def settled(page):
    """The worker has the page in its hands and kept it."""
    page.wait_for_function(READY)
    page.reload()
    page.wait_for_function(f"{KEPT}.then((number) => number === 1)")
    return page


def test_without_a_connection_the_last_pages_open_and_say_from_when_they_are(visit, town):
    page = settled(visit("/promoter/", size=PHONE, as_=town.user))
    page.goto("/promoter/wallet/")
    page.goto("/promoter/share/")
    page.context.set_offline(True)

    page.goto("/promoter/")
    expect(page.get_by_text("This is what you saw last:")).to_be_visible()
    page.get_by_role("link", name="Wallet", exact=True).click()
    expect(page).to_have_title("Wallet · Tuike")
    page.get_by_role("link", name="Market", exact=True).click()
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    page.context.set_offline(False)
    page.goto("/promoter/")

    expect(page.get_by_text("This is what you saw last:")).not_to_be_visible()
    visit.errors[:] = [each for each in visit.errors if "ERR_INTERNET_DISCONNECTED" not in each]


def test_a_form_sent_without_a_connection_is_answered_by_the_phone(visit, town):
    page = settled(visit("/promoter/", size=PHONE, as_=town.user))
    page.goto("/promoter/me/")
    page.context.set_offline(True)

    page.get_by_label("What I share").fill("tea")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("look before you send it once more")).to_be_visible()
    visit.errors[:] = [each for each in visit.errors if "ERR_INTERNET_DISCONNECTED" not in each]


def test_after_signing_out_nothing_of_a_person_is_left_on_the_phone(visit, town):
    page = settled(visit("/promoter/", size=PHONE, as_=town.user))

    page.goto("/promoter/me/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))

    page.wait_for_function(f"{KEPT}.then((number) => number === 0)")
    page.context.set_offline(True)
    page.goto("/promoter/")
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    visit.errors[:] = [each for each in visit.errors if "ERR_INTERNET_DISCONNECTED" not in each]


@pytest.mark.parametrize("path", ["", "market/", "share/{link}", "orders/", "wallet/", "me/"])
def test_nothing_jumps_while_a_page_loads(visit, town, client, path):
    town.order(client)
    link = ids.encode("lnk", town.merchant.id, town.link.id)

    page = visit(f"/promoter/{path.format(link=link)}", size=PHONE, lang="pt-BR", as_=town.user)

    assert page.evaluate(SHIFTS) < 0.05


def test_a_link_can_be_made_and_copied_without_scripts(visit, town):
    page = visit("/promoter/market/", size=PHONE, scripts=False, as_=town.user)

    page.get_by_role("button", name="Share").first.click()

    address = page.get_by_text(re.compile(r"/s/\w+")).first
    expect(address).to_be_visible()
    assert address.evaluate("(each) => getComputedStyle(each).userSelect") != "none"


def test_a_page_from_before_an_expired_session_leads_to_signing_in_and_back(visit, town):
    page = visit("/promoter/wallet/", size=PHONE, as_=town.user)
    page.context.clear_cookies()

    page.get_by_role("link", name="Orders", exact=True).click()

    expect(page).to_have_url(
        re.compile(r"/sign-in\?next=%2Fpromoter%2Forders%2F|/sign-in\?next=/promoter/orders/")
    )
