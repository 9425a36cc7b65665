"""A real shop engine: django-oscar takes real orders through its own checkout and tells us of them.

Its packages are fetched from the package index, so this is a part of `make test-long` only.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.journeys.conftest import until

pytestmark = pytest.mark.long
PHONE = "Mozilla/5.0 (Linux; Android 14) Mobile"
SHOP = Path(__file__).parent / "oscar" / "shop.py"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python of its own with django-oscar, or nothing to test with."""
    place = tmp_path_factory.mktemp("oscar")
    made = [sys.executable, "-m", "venv", str(place)]
    fetched = [str(place / "bin" / "pip"), "install", "--quiet", "django-oscar>=4.1,<5"]
    for command in (made, fetched):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"django-oscar cannot be had here: {done.stderr[-300:]}")
    return str(place / "bin" / "python")


class Oscar:
    def __init__(self, python, folder, hook, secret):
        self._command = [python, str(SHOP), str(folder), hook, secret]

    def __call__(self, *words):
        done = subprocess.run(
            [*self._command, *words], check=False, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])


def test_orders_of_a_real_shop_earn_and_lose_commissions(system, python, tmp_path):
    operator = system.api(system.command("keys", "create", "--name=o", "--role=operator"))
    post = operator.post
    merchant = post(
        "/merchants", name="Boots", country="US", currency="USD", timezone="America/New_York"
    )["id"]
    shop = post(
        "/shops", merchant=merchant, platform="standard", domain="boots.example.com",
        currency="USD", country="US",
    )  # fmt: skip
    program = post(
        "/programs", merchant=merchant, name="Friends", enrolment="open", default_rate_ppm=100_000,
        tiers_ppm=[],
    )["id"]  # fmt: skip
    ana = post("/promoters", name="Ana", email="ana@example.com")["id"]
    post(f"/programs/{program}/enrolments", promoter=ana)
    product = post(
        "/products", shop=shop["id"], external_id="1", title="Boots",
        url="https://boots.example.com/catalogue/boots_1/",
        price={"amount": 8000, "currency": "USD"},
    )["id"]  # fmt: skip
    link = post("/links", program=program, promoter=ana, product=product)
    landed = httpx.get(link["short_url"], follow_redirects=False, headers={"User-Agent": PHONE})
    (token,) = parse_qs(urlsplit(landed.headers["Location"]).query)["tk"]
    (tmp_path / "shop").mkdir()
    secret = shop["made_credentials"]["webhook_secret"]
    oscar = Oscar(python, tmp_path / "shop", shop["hook_url"], secret)
    oscar("prepare")

    bought = oscar("buy", token)
    assert bought["total"] == "160.00"
    number = bought["number"]
    until(lambda: nets(operator, shop, number) == [16_00])

    oscar("refund", number, "40.00")
    until(lambda: nets(operator, shop, number) == [12_00])

    oscar("again")
    oscar("refund", number, "120.00")
    until(lambda: nets(operator, shop, number) == [0])
    health = operator.get(f"/shops/{shop['id']}/health")
    assert (health["quarantined"], health["refused"], health["state"]) == (0, 0, "good")
    assert datetime.fromisoformat(health["last_webhook_at"]) > datetime.now(UTC) - timedelta(
        minutes=9
    )


def nets(operator, shop, number):
    """What each commission of an order comes to."""
    found = operator.get("/orders", shop=shop["id"], external_id=number)["data"]
    return [each["net"]["amount"] for order in found for each in order["commissions"]]
