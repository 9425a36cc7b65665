"""The main job, once, on real parts: from a merchant's program to the payout file and back."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp

from affiliate.db import unit_of_work
from affiliate.intake.platforms import shopify
from affiliate.people import service as people
from affiliate.people.models import Role
from tests.factories.people import a_key, a_user
from tests.journeys.conftest import until

SAMPLES = Path(__file__).parents[1] / "intake" / "samples" / "shopify"
SECRET = "shpss_a_secret_of_the_shop"


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text())


def an_order(tk):
    """The order of Shopify's documentation, of today: 3 × 199.00, 10.00 off, tax on top."""
    now = datetime.now(UTC).isoformat()
    order = sample("order.rest-2026-07.partially-refunded")
    return order | {
        "created_at": now,
        "processed_at": now,
        "updated_at": now,
        "financial_status": "paid",
        "refunds": [],
        "note_attributes": [*order["note_attributes"], {"name": "tk", "value": tk}],
    }


class Town:
    """A merchant with a shop and a program; Cida sponsors Bia, Bia sponsors Ana."""

    def __init__(self, system):
        self.system = system
        self.operator = system.api(system.command("keys", "create", "--name=o", "--role=operator"))
        post = self.operator.post
        self.merchant = post(
            "/merchants", name="Casa Ana", country="US", currency="USD", timezone="America/New_York"
        )["id"]
        self.shop = post(
            "/shops", merchant=self.merchant, platform="shopify", domain="casa.myshopify.com",
            currency="USD", country="US", credentials={"webhook_secret": SECRET},
        )  # fmt: skip
        self.product = post(
            "/products", shop=self.shop["id"], external_id="632910392", title="IPod Nano - 8gb",
            url="https://casa.myshopify.com/products/ipod-nano",
            price={"amount": 19900, "currency": "USD"},
        )  # fmt: skip
        self.program = post(
            "/programs", merchant=self.merchant, name="Amigas", enrolment="open",
            default_rate_ppm=120_000, tiers_ppm=[30_000, 10_000],
        )["id"]  # fmt: skip
        self.cida = self.promoter("Cida")
        self.bia = self.promoter("Bia", sponsor=self.cida)
        self.ana = self.promoter("Ana", sponsor=self.bia)
        self.link = post(
            "/links", program=self.program, promoter=self.ana, product=self.product["id"]
        )

    def promoter(self, name, **fields):
        post = self.operator.post
        promoter = post("/promoters", name=name, email=f"{name}@example.com", **fields)["id"]
        post(f"/programs/{self.program}/enrolments", promoter=promoter)
        post(
            f"/promoters/{promoter}/payout-accounts", rail="file", country="US", currency="USD",
            fields={"account_holder": f"{name} Souza", "bank_code": "021000021",
                    "account_number": f"00{sum(name.encode())}1234567"},
        )  # fmt: skip
        return promoter

    def finance(self, role):
        """A person of finance, by a key that acts as them, and their second factor."""
        with unit_of_work():
            user = a_user(role)
            uri = people.set_up_totp(user)
            key = a_key(role, user=user)
        return self.system.api(key), pyotp.parse_uri(uri)

    def click(self):
        """Follow the link as a phone would; the token it leaves in the shop's address."""
        answer = httpx.get(
            self.link["short_url"], follow_redirects=False,
            headers={"User-Agent": "Mozilla/5.0 (Linux; Android 14) Mobile"},
        )  # fmt: skip
        assert answer.status_code == 302
        (token,) = parse_qs(urlsplit(answer.headers["Location"]).query)["tk"]
        return token

    def send(self, body, topic="orders/updated", delivery=None):
        raw = json.dumps(body).encode()
        return httpx.post(
            self.shop["hook_url"], content=raw, timeout=30,
            headers={
                "X-Shopify-Topic": topic,
                "X-Shopify-Webhook-Id": delivery or f"{topic}-{datetime.now(UTC).timestamp()}",
                "X-Shopify-Hmac-Sha256": shopify.sign(SECRET, raw),
            },
        )  # fmt: skip

    def earned(self, external_id):
        """{role: net} of an order, once it is there."""
        found = self.operator.get("/orders", shop=self.shop["id"], external_id=external_id)["data"]
        sums = {}
        for each in found[0]["commissions"] if found else []:
            sums[each["role"]] = sums.get(each["role"], 0) + each["net"]["amount"]
        return sums


def test_from_the_program_to_the_payout_file_and_back(system):
    town = Town(system)
    order = an_order(town.click())
    key = str(order["id"])

    assert town.send(order, "orders/create").status_code == 200
    # Paid 195.66 + 195.67 + 195.67 → 12%: 2347 + 2348 + 2348; 3%: 586 + 587 + 587; 1%: 195 × 3.
    whole = {"direct": 7043, "tier_2": 1760, "tier_3": 585}
    until(lambda: town.earned(key) == whole)

    # A webhook of its own brings a refund by amount of 41.94, with tax on top.
    refund = sample("refund.rest-2026-07.refund-by-amount") | {"order_id": order["id"]}
    assert town.send(refund, "refunds/create").status_code == 200
    until(lambda: sum(town.earned(key).values()) < sum(whole.values()))
    partly = town.earned(key)
    # 4194 × 58700 // 59894 = 4110 off the order, spread over its lines.
    assert partly == {"direct": 6549, "tier_2": 1635, "tier_3": 543}

    maker, _ = town.finance(Role.FINANCE_MAKER)
    checker, otp = town.finance(Role.FINANCE_CHECKER)
    through = (datetime.now(UTC) + timedelta(days=40)).isoformat()
    settlement = maker.post("/settlements", through=through, merchant=town.merchant)["id"]

    def built():
        found = maker.get(f"/settlements/{settlement}")
        return found if found["state"] == "review" else None

    review = until(built)
    approval = {"hash": review["hash"], "otp": otp.now()}
    assert maker.http.post(f"/settlements/{settlement}/approve", json=approval).status_code in (
        403, 409,
    )  # fmt: skip
    checker.post(f"/settlements/{settlement}/approve", **approval)
    maker.post(f"/settlements/{settlement}/execute")
    files = until(lambda: maker.get(f"/settlements/{settlement}/files")["data"])
    text = maker.http.get(f"/settlements/{settlement}/files/{files[0]['id']}").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted(row["amount"] for row in rows) == ["16.35", "5.43", "65.49"]

    payouts = maker.get("/payouts", settlement=settlement)["data"]
    for payout in payouts:
        maker.post(f"/payouts/{payout['id']}/mark-paid")
    balance = town.operator.get(f"/promoters/{town.ana}/balances")["data"][0]
    assert balance["paid"]["amount"] == 6549

    (anas,) = [each for each in payouts if each["net"]["amount"] == 6549]
    maker.post(f"/payouts/{anas['id']}/mark-returned", reason="account closed")
    balance = town.operator.get(f"/promoters/{town.ana}/balances")["data"][0]
    assert (balance["paid"]["amount"], balance["available"]["amount"]) == (0, 6549)

    # Everything comes back after payout: what is out is owed back, what is in is gone.
    cancelled = order | {
        "updated_at": (datetime.now(UTC) + timedelta(seconds=5)).isoformat(),
        "cancelled_at": datetime.now(UTC).isoformat(),
        "financial_status": "refunded",
    }
    town.send(cancelled, "orders/cancelled")
    until(lambda: set(town.earned(key).values()) == {0})
    balance = town.operator.get(f"/promoters/{town.bia}/balances")["data"][0]
    assert balance["available"]["amount"] == -1635


def test_one_order_a_hundred_times_from_eight_threads_is_one_set_of_commissions(system):
    town = Town(system)
    order = an_order(town.click())

    def knock(number):
        # Half are retries of one delivery, half come as deliveries of their own.
        return town.send(order, delivery=f"d{number}" if number % 2 else "same").status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(knock, range(100)))
    assert answers == [200] * 100

    def drained():
        counts = json.loads(system.command("inbox", "list", "--json"))
        return counts if counts["waiting"] == 0 else None

    counts = until(drained)
    assert (counts["done"], counts["quarantined"]) == (51, 0)
    (found,) = town.operator.get("/orders", external_id=str(order["id"]))["data"]
    assert len(found["commissions"]) == 9  # three lines, three payees
    assert [len(each["entries"]) for each in found["commissions"]] == [1] * 9
    assert town.earned(str(order["id"])) == {"direct": 7043, "tier_2": 1760, "tier_3": 585}
