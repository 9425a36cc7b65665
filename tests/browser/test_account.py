"""Signing in as people do it: by hand, with and without scripts, in several tabs, going back."""

import re

import pytest
from playwright.sync_api import expect

from affiliate.db import unit_of_work
from affiliate.demo.people import PASSWORD, TOTP_SECRET, address
from affiliate.people import joining, service, sessions
from affiliate.people.models import Role
from tests.browser.conftest import DESK, PHONE, barriers
from tests.factories.people import a_merchant, a_promoter, a_user

pytestmark = pytest.mark.browser
RIGHT = "correct horse battery"


@pytest.fixture
def ana(site):
    with unit_of_work():
        return a_user(Role.PROMOTER, promoter=a_promoter(), email="ana@example.com", password=RIGHT)


@pytest.fixture
def robin(site):
    with unit_of_work():
        user = a_user(Role.OPERATOR, email="robin@example.com", password=RIGHT)
        service.grant(user, Role.MERCHANT_OWNER, merchant_id=a_merchant().id)
        return user


def sign_in(page, email="ana@example.com", password=RIGHT):
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_in_out_and_back_again(visit, ana, scripts):
    page = visit("/account/security", size=PHONE, scripts=scripts)
    expect(page).to_have_title("Sign in · Tuike")

    sign_in(page, password="wrong password")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    sign_in(page)
    expect(page).to_have_url(re.compile("/account/security$"))
    page.get_by_role("link", name="Profile").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.go_back()

    expect(page).to_have_url(re.compile("/sign-in"))  # nothing private was kept for the way back


def test_a_form_in_an_old_tab_asks_to_sign_in_and_comes_back(visit, ana):
    page = visit("/account/", as_=ana, size=PHONE)
    page.get_by_label("Name").fill("Ana 🌸")
    with unit_of_work():
        sessions.end_all(ana.id)

    page.get_by_role("button", name="Save").click()
    expect(page).to_have_title("Sign in · Tuike")
    sign_in(page)

    expect(page).to_have_url(re.compile("/account/$"))


def test_going_back_after_posting_posts_nothing_twice(visit, ana):
    page = visit("/account/", as_=ana, size=PHONE)
    page.get_by_label("Name").fill("Ana 🌸")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()

    page.get_by_role("link", name="Security").click()
    page.go_back()
    page.reload()

    expect(page.get_by_label("Name")).to_have_value("Ana 🌸")
    expect(page.get_by_text("Saved.")).not_to_be_visible()


def test_somebody_of_the_demo_signs_in_with_two_taps(visit, site):
    with unit_of_work():
        user = a_user(Role.FINANCE_CHECKER, email=address("checker"), password=PASSWORD)
        user.name = "Mateo Silva"
        service.set_up_totp(user, TOTP_SECRET)
    page = visit("/sign-in")

    page.get_by_role("button", name="Mateo Silva").click()
    code = re.search(r"\d{6}", page.get_by_text("This is a demo").inner_text())[0]
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name="Continue").click()
    page.goto("/account/")

    expect(page.get_by_label("Name")).to_have_value("Mateo Silva")


@pytest.mark.parametrize(
    ("theme", "size"), [("day", PHONE), ("night", DESK)], ids=["phone", "desk"]
)
def test_axe_finds_nothing(visit, robin, theme, size):
    with unit_of_work():
        secret = service.create_link(robin, "reset")
        code = joining.invite_code(a_promoter("王小明").id)
    open_pages = (
        "/", "/sign-in", "/by-code", "/forgot", "/forgot/sent", "/offline", f"/join/{code}",
        f"/reset/{secret}",
    )  # fmt: skip
    own_pages = (
        "/account/", "/account/security", "/account/data", "/account/second-factor",
        "/account/outbox",
    )  # fmt: skip

    stranger = visit(open_pages[0], lang="pt-BR", theme=theme, size=size)
    for path in open_pages:
        stranger.goto(path)
        assert barriers(stranger) == [], path
    person = visit(own_pages[0], lang="pt-BR", theme=theme, size=size, as_=robin)
    for path in own_pages:
        person.goto(path)
        assert barriers(person) == [], path
