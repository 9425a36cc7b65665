"""A promoter's ten minutes on a phone, in Chinese by day and in Portuguese by night: invited,
joined, something shared, an order that comes while one looks, why it earned what it did, and the
money.

What merchant, buyer and bank do meanwhile happens beside it.
"""

import re

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from affiliate import clock as time
from affiliate.commissions import service as commissions
from affiliate.db import db, unit_of_work
from affiliate.links.models import Link
from affiliate.notices import queries as outbox
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Withdrawal
from affiliate.people import joining
from affiliate.people.models import Role
from tests.browser.conftest import PHONE, barriers
from tests.consoles.promoter_town import Town
from tests.factories.orders import a_line
from tests.factories.people import a_user
from tests.factories.settlement import (
    a_settlement,
    approved,
    executed,
    payouts_of,
    with_totp,
)
from workers import notices

pytestmark = pytest.mark.browser
# As a browser that could put the page on the home screen.
INSTALLABLE = """
    dispatchEvent(Object.assign(new Event("beforeinstallprompt"), {
        prompt: async () => { document.body.dataset.asked = "yes"; },
    }))
"""


@pytest.fixture
def town(committed):
    with unit_of_work():
        town = Town("Sol", hold_days=0, hold_fallback_days=0, self_purchase="rebate")
        town.product.price = 100_00
        town.merchant.payout_mode = "on_request"
        town.maker = a_user(Role.FINANCE_MAKER)
        town.checker = with_totp(a_user(Role.FINANCE_CHECKER))
    return town


def pay(town):
    """Finance settles what was asked for, and the bank has paid."""
    settlement = a_settlement(town.merchant, town.maker, through=time.now())
    (payout,) = payouts_of(executed(approved(settlement, town.checker), town.maker))
    with unit_of_work():
        payouts.mark_paid(town.merchant.id, payout.id, by=town.maker.id)


def digits(locator):
    return re.sub(r"\D", "", locator.inner_text())


@pytest.mark.parametrize(
    ("lang", "theme", "said"),
    [
        ("zh-Hans", "day", {"join": "加入", "why": "金额说明", "paid": "已打款"}),
        ("pt-BR", "night", {"join": "Participar", "why": "Por que este valor", "paid": "Pago"}),
    ],
)
def test_invited_shared_earned_understood_and_paid(live, visit, client, town, lang, theme, said):
    invitation = f"/join/{joining.invite_code(town.ana.id)}?lang={lang}"
    phone = visit(invitation, size=PHONE, lang=lang, theme=theme)
    main, dock = phone.locator("main"), phone.locator(".phone-dock a")

    # Joined: by a name with a flower and a code from a letter, whoever invited is named.
    expect(main).to_contain_text("Ana Sol")
    phone.fill("[name=name]", "王小明 🌸")
    phone.fill("[name=contact]", "xiaoming@example.com")
    phone.get_by_role("checkbox").check()
    assert barriers(phone) == []
    phone.locator("form button.btn-primary").dblclick()
    phone.wait_for_selector("[name=code]")
    notices.tell()
    (letter,) = outbox.outbox()
    phone.fill("[name=code]", re.search(r"\d{6}", outbox.text_of(letter).plain)[0])
    phone.locator("form button.btn-primary").first.dblclick()
    phone.wait_for_url("**/promoter/")
    phone.evaluate(INSTALLABLE)
    phone.locator("[data-install] button").click()
    expect(phone.locator("body")).to_have_attribute("data-asked", "yes")

    # Found and shared: one tap to join, one to share.
    dock.nth(1).click()
    phone.get_by_role("button", name=re.compile(said["join"])).dblclick()
    expect(main.locator(".goods")).to_have_count(1)
    phone.fill("[name=q]", "camisa")
    phone.keyboard.press("Enter")
    phone.wait_for_url("**q=camisa*")
    assert "1000" in digits(main.locator(".goods .earn"))
    main.locator(".goods form button").click()
    phone.wait_for_url("**/promoter/share/**")
    expect(main.locator(".code-line code").first).to_contain_text("/s/")

    # An order comes while Today is open, and tells why it earned what it did.
    dock.nth(0).click()
    phone.wait_for_load_state("networkidle")
    link = db.session.scalars(sa.select(Link).order_by(Link.id.desc())).first()
    town.order(client, link, lines=[a_line(title="Camisa 🌞", product_id="p1", tax="0.00")])
    expect(main).to_contain_text("Camisa 🌞")
    notices.tell()
    main.get_by_role("link", name=re.compile("Camisa")).click()
    expect(phone.get_by_role("heading", name=said["why"])).to_be_visible()
    expect(main.locator(".story")).to_contain_text(f"/s/{link.code}")
    assert digits(main.locator(".earn-large")) == "1000"
    phone.goto("/promoter/news")
    assert "1000" in digits(main.locator(".unseen"))

    # Withdrawn: where it goes, what arrives, two taps, the way back, and paid.
    with unit_of_work():
        commissions.release(town.merchant.id, time.now())
    phone.goto("/promoter/wallet/account?kind=number")
    phone.select_option("[name=currency]", "BRL")
    phone.select_option("[name=country]", "BR")
    for name, typed in {
        "account_holder": "王小明", "bank_code": "001", "account_number": "12345678"
    }.items():  # fmt: skip
        phone.fill(f"[name={name}]", typed)
    phone.locator("form .btn-primary").first.click()
    phone.wait_for_url("**/promoter/wallet/")
    main.locator(".purse-foot .btn").click()
    expect(main.locator("#sum .result")).to_contain_text("10")
    phone.fill("[name=amount]", "4")
    expect(main.locator("#sum .result")).to_contain_text("4")
    phone.fill("[name=amount]", "")
    assert barriers(phone) == []
    main.locator("form .btn-primary").dblclick()
    phone.wait_for_url("**/promoter/wallet/")
    phone.go_back()
    expect(main.locator("[name=amount]")).to_have_count(0)
    (asked,) = db.session.scalars(sa.select(Withdrawal)).all()
    assert asked.amount == 1000
    pay(town)
    dock.nth(4).click()
    expect(main.locator(".lines").last).to_contain_text(said["paid"])
