"""From nothing to the green mark: a shop is connected, knocks with a wrong secret, then with its
own, and the page that is open says so each time.
"""

import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from affiliate import clock
from affiliate.db import unit_of_work
from affiliate.intake.platforms import standard
from affiliate.people.models import Role
from tests.browser.conftest import PHONE, barriers
from tests.browser.test_live import ASKS_NEVER
from tests.factories.people import a_merchant, a_user

pytestmark = pytest.mark.browser
WRONG = "whsec_" + "A" * 43 + "="


def knock(client, hook, secret, order):
    body = json.dumps({"type": "order.updated", "data": order}).encode()
    seconds, delivery = int(clock.now().timestamp()), f"msg_{order['id']}"
    headers = {
        "webhook-id": delivery,
        "webhook-timestamp": str(seconds),
        "webhook-signature": standard.sign(secret, delivery, seconds, body),
    }
    return client.post(urlsplit(hook).path, data=body, headers=headers).status_code


def test_a_shop_is_connected_step_by_step(live, visit, client, run_jobs):
    with unit_of_work():
        owner = a_user(Role.MERCHANT_OWNER, merchant=a_merchant())
    page = visit("/merchant/shops/", as_=owner, size=PHONE)
    page.add_init_script(ASKS_NEVER)  # the page is told, or shows nothing

    page.click("text=Connect a shop")
    page.locator(".platforms a", has_text="Your own shop").click()
    page.fill("[name=domain]", "https://Loja.example.com/camisas")
    page.get_by_role("button", name="Connect").click()
    hook, secret, *_ = page.locator(".code-line code").all_inner_texts()
    assert barriers(page) == []
    with page.expect_response("**/live/*"):
        page.click("text=Go on: test it")
    main = page.locator("main")
    expect(main).to_contain_text("Waiting for the first event")
    assert secret not in page.content()
    assert barriers(page) == []

    assert knock(client, hook, WRONG, {"id": "1"}) == 401
    expect(main).to_contain_text("was the secret copied whole?")

    now = clock.now().isoformat()
    order = {
        "id": "7",
        "version": 1,
        "status": "paid",
        "currency": "BRL",
        "created_at": now,
        "paid_at": now,
        "lines": [{"id": "1", "quantity": 1, "unit_price": "10.00"}],
    }
    expect(page.locator("[aria-current=step]")).to_have_text("Test")
    with page.expect_response("**/test"):
        page.get_by_role("button", name="Send a test event").click()
    assert knock(client, hook, secret, order | {"test": True}) == 200
    run_jobs()
    expect(main).to_contain_text("its signature is right")
    expect(main).not_to_contain_text("was the secret copied whole?")

    assert knock(client, hook, secret, order | {"id": "8"}) == 200
    run_jobs()
    expect(main).to_contain_text("The first real order came")
    assert page.locator("#progress[data-live]").count() == 0
