"""The whole story by hand, in Chinese and in Portuguese: from publishing to the approved payout.

Merchant and finance at a desk, the promoter on a phone. Jobs are done between the clicks by the
test itself; everything else is what a person would do.
"""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest

from affiliate import clock as time
from affiliate.catalog.models import Shop
from affiliate.db import db, unit_of_work
from affiliate.intake.platforms import standard
from affiliate.ledger.verify import verify
from affiliate.people import service as people
from affiliate.people.models import Role
from tests.browser.conftest import PHONE
from tests.factories.orders import a_line, an_order, as_body
from tests.factories.people import a_merchant, a_promoter, a_user

pytestmark = pytest.mark.browser
LANGUAGES = ["zh-Hans", "pt-BR"]


class People:
    """Everybody of the story, with the ways in that an operator gave them."""

    def __init__(self):
        with unit_of_work():
            self.merchant = a_merchant("素白 Subai")
            self.bia = a_promoter("Bia")
            self.ana = a_promoter("Ana", sponsor=self.bia)
            self.owner = a_user(Role.MERCHANT_OWNER, merchant=self.merchant)
            self.promoter = a_user(Role.PROMOTER, promoter=self.ana)
            self.maker = a_user(Role.FINANCE_MAKER)
            self.checker = a_user(Role.FINANCE_CHECKER)
            self.otp = pyotp.parse_uri(people.set_up_totp(self.checker))


def press(page):
    """The one thing a form asks for."""
    page.locator("form .btn-primary").first.click()
    page.wait_for_load_state()


def number(text):
    """Digits of an amount, however the reader's language writes it."""
    return re.sub(r"\D", "", text)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_from_publishing_to_the_approved_payout(visit, site, run_jobs, lang):
    who = People()

    # The merchant connects a shop, states a program, publishes a product.
    desk = visit("/merchant/shops/new?platform=standard", lang=lang, as_=who.owner)
    for name, typed in {
        "name": "Loja", "domain": "loja.example.com", "country": "BR", "currency": "BRL"
    }.items():  # fmt: skip
        desk.fill(f"[name={name}]", typed)
    press(desk)
    hook, secret, *_lines = desk.locator(".code-line code").all_inner_texts()
    assert secret.startswith("whsec_")

    desk.goto("/merchant/programs/new")
    desk.fill("[name=name]", "Amigas")
    desk.fill("[name=rate]", "12")
    desk.fill("[name=tier_2]", "3")
    press(desk)
    desk.goto("/merchant/products/new")
    for name, typed in {
        "title": "Camisa de linho 👕", "external_id": "p1", "price": "100",
        "url": "https://loja.example.com/camisa",
    }.items():  # fmt: skip
        desk.fill(f"[name={name}]", typed)
    press(desk)
    assert "Camisa de linho" in desk.inner_text("main")

    # The promoter joins, shares, and somebody clicks.
    phone = visit("/promoter/market/", size=PHONE, lang=lang, as_=who.promoter)
    phone.locator("form[action$='join'] button").click()
    phone.goto("/promoter/market/")
    phone.locator(".goods form button").first.click()
    phone.wait_for_url("**/promoter/share/**")
    short = re.search(r"http\S+/s/\w+", phone.inner_text("main")).group()
    path = urlsplit(short).path
    answer = httpx.get(f"{site}{path}", headers={"User-Agent": "Mozilla/5.0 (Android 14) Mobile"})
    assert answer.status_code == 302
    (tk,) = parse_qs(urlsplit(answer.headers["Location"]).query)["tk"]

    # The shop reports the order; both see it, and why.
    order = an_order(
        tk, number="#1001", total="100.00", lines=[a_line(product_id="p1", tax="0.00")]
    )
    send(site, hook, secret, order)
    run_jobs()
    desk.goto("/merchant/orders/")
    desk.click("text=#1001")
    assert "1200" in number(desk.locator("table").nth(1).inner_text())
    phone.goto("/promoter/orders/")
    assert "1200" in number(phone.inner_text("main"))
    phone.goto("/promoter/wallet/")
    add_account(phone)

    # Finance builds and may not approve; another person approves; the file is made.
    maker = visit("/finance/settlements/new", lang=lang, as_=who.maker)
    if maker.locator("select[name=merchant]").count():
        maker.select_option("select[name=merchant]", index=1)
    through = (time.now() + timedelta(days=60)).date().isoformat()
    maker.fill("[name=through]", through)
    press(maker)
    run_jobs()
    maker.reload()
    settlement = urlsplit(maker.url).path
    assert maker.locator("a[href$='/approve']").count() == 0
    checker = visit(settlement, lang=lang, as_=who.checker)
    checker.goto(f"{settlement}/approve")
    checker.fill("[name=otp]", "000000")
    press(checker)
    checker.goto(f"{settlement}/approve")
    checker.fill("[name=otp]", who.otp.now())
    press(checker)
    maker.goto(settlement)
    maker.locator("form[action$='execute'] button").click()
    maker.wait_for_load_state()
    run_jobs()
    maker.goto(settlement)
    assert maker.locator("a[href*='/files/']").count() == 1

    # The bank has paid; the promoter sees it.
    maker.goto("/finance/payouts/")
    maker.locator("tbody a").first.click()
    maker.wait_for_load_state()
    maker.goto(f"{urlsplit(maker.url).path}/paid")
    press(maker)
    phone.goto("/promoter/wallet/")
    assert number(phone.inner_text("main")).count("1200") >= 1
    assert verify().ok


def send(site, hook, secret, order):
    shop = db.session.query(Shop).one()
    body = as_body(shop, order)
    seconds = int(time.now().timestamp())
    answer = httpx.post(
        f"{site}{urlsplit(hook).path}",
        content=body,
        headers={
            "webhook-id": "msg_1",
            "webhook-timestamp": str(seconds),
            "webhook-signature": standard.sign(secret, "msg_1", seconds, body),
        },
    )
    assert answer.status_code == 200


def add_account(phone):
    phone.goto("/promoter/wallet/account?kind=number")
    phone.select_option("[name=currency]", "BRL")
    phone.select_option("[name=country]", "BR")
    for name, typed in {
        "account_holder": "Ana Souza", "bank_code": "001", "account_number": "12345678"
    }.items():  # fmt: skip
        phone.fill(f"[name={name}]", typed)
    press(phone)
