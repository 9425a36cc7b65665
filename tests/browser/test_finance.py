"""A settlement in Chromium, from the form to the file for the bank: with scripts and without."""

import re

import pytest
from playwright.sync_api import expect

from affiliate.db import unit_of_work
from affiliate.people.models import Role
from tests.browser.conftest import barriers
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import a_code, an_account, an_entry, with_totp

pytestmark = pytest.mark.browser


@pytest.fixture
def people(committed):
    """A maker and a checker, and money of two payees: one can be paid, one has no account."""
    with unit_of_work():
        merchant, bruna = a_merchant(), a_promoter("Bruna Souza")
        an_account(bruna)
        an_entry(merchant, bruna, 4500)
        an_entry(merchant, bruna, -500)
        an_entry(merchant, a_promoter("Without account"), 900)
        return a_user(Role.FINANCE_MAKER), with_totp(a_user(Role.FINANCE_CHECKER))


def fresh_code(user):
    with unit_of_work():
        return a_code(user)


def test_from_the_form_to_the_file_while_the_pages_follow(visit, people, run_jobs):
    maker, checker = people
    page = visit("/finance/settlements/new", as_=maker)

    page.get_by_role("button", name="Build").click()
    expect(page.get_by_text("Releasing the money that is due")).to_be_visible()
    run_jobs()
    expect(page.get_by_text("Waits for another person")).to_be_visible()
    assert page.locator("[hx-trigger]").count() == 0
    assert page.locator("#toasts").count() == 1
    assert barriers(page) == []

    desk = visit(re.sub(r"https?://[^/]+", "", page.url), as_=checker)
    expect(desk.get_by_text("taken back after release")).to_be_visible()
    expect(desk.get_by_text("No payout account in this currency")).to_be_visible()
    desk.get_by_role("link", name="Approve").click()
    assert barriers(desk) == []
    desk.get_by_label("Code from your authenticator app").fill(fresh_code(checker))
    desk.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(desk.get_by_text("The settlement is approved.")).to_be_visible()
    desk.get_by_role("button", name="Hand over to the bank").click()
    expect(desk.get_by_role("heading", name="Being handed over")).to_be_visible()
    run_jobs()
    expect(desk.get_by_role("link", name="Download")).to_be_visible()

    desk.get_by_role("link", name="Bruna Souza").click()
    desk.get_by_role("link", name="Mark as paid").click()
    desk.get_by_role("dialog").get_by_label("Reference of the bank").fill("BANK-1")
    desk.get_by_role("dialog").get_by_role("button", name="Mark as paid").click()
    expect(desk.get_by_text("The payout is marked as paid.")).to_be_visible()
    desk.go_back()
    desk.go_forward()
    expect(desk.get_by_text("BANK-1").first).to_be_visible()


def test_the_same_without_scripts(visit, people, run_jobs):
    maker, checker = people
    page = visit("/finance/settlements/new", as_=maker, scripts=False)

    page.get_by_role("button", name="Build").click()
    run_jobs()
    page.get_by_role("link", name="Look again").click()
    expect(page.get_by_text("Waits for another person")).to_be_visible()

    desk = visit(re.sub(r"https?://[^/]+", "", page.url), as_=checker, scripts=False)
    desk.get_by_role("link", name="Approve").click()
    desk.get_by_label("Code from your authenticator app").fill("000000")
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_text("This code is wrong")).to_be_visible()
    desk.get_by_label("Code from your authenticator app").fill(fresh_code(checker))
    desk.get_by_role("button", name="Approve").click()
    desk.get_by_role("button", name="Hand over to the bank").click()
    run_jobs()
    desk.get_by_role("link", name="Look again").click()
    with desk.expect_download() as download:
        desk.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith("-BRL.csv")

    desk.goto("/finance/ledger/")
    desk.get_by_role("button", name="Verify the books").click()
    expect(desk.get_by_text("The books prove themselves")).to_be_visible()
