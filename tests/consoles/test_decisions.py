"""Claims and held money on pages: the promoter tells, the merchant decides."""

import pytest
import sqlalchemy as sa

from affiliate.attribution.models import Claim
from affiliate.db import db
from affiliate.people.models import Role
from affiliate.risk.models import Case
from tests.commissions.town import Town, clean, earned
from tests.consoles.signed_in import hidden_in, sign_in
from tests.factories.orders import a_line, an_order, deliver
from tests.factories.people import a_user


@pytest.fixture
def town(app):
    found = Town(tiers_ppm=[])
    found.owner = a_user(Role.MERCHANT_OWNER, merchant=found.merchant)
    found.analyst = a_user(Role.MERCHANT_ANALYST, merchant=found.merchant)
    found.bias = a_user(Role.PROMOTER, promoter=found.bia)
    return found


def the(model):
    return db.session.scalars(sa.select(model).execution_options(populate_existing=True)).one()


def claimed(client, town, number="#77"):
    sign_in(client, town.bias)
    page = client.get("/promoter/claims/")
    form = hidden_in(page) | {
        "shop": f"{town.program.id}-{town.shop.id}", "order_number": number,
        "evidence": "Ela me contou 🌸",
    }  # fmt: skip
    return client.post("/promoter/claims/", data=form)


def decide(client, town, path, **typed):
    sign_in(client, town.owner)
    form = hidden_in(client.get("/merchant/decisions/")) | typed
    return client.post(f"/merchant/decisions/{path}", data=form)


def test_a_claim_is_made_seen_and_accepted(client, town):
    deliver(client, town.shop, an_order(town.tk(), number="#77"))
    assert claimed(client, town).status_code == 303
    assert claimed(client, town).status_code == 409  # twice is told, and made once
    sign_in(client, town.owner)
    assert "1 claim or odd order waits for you" in client.get("/merchant/").text
    assert "Ela me contou 🌸" in client.get("/merchant/decisions/").text

    answer = decide(client, town, f"claims/{the(Claim).id}/accept", reason="Confere.")

    assert answer.status_code == 303
    assert earned() == {("direct", "Ana"): 0, ("direct", "Bia"): 1200}
    sign_in(client, town.bias)
    page = client.get("/promoter/claims/").text
    assert "Accepted" in page
    assert "Confere." in page
    clean()


def test_a_claim_without_an_order_says_so_and_keeps_waiting(client, town):
    claimed(client, town)

    answer = decide(client, town, f"claims/{the(Claim).id}/accept")

    assert answer.status_code == 409
    assert "No order of this shop has that number." in answer.text
    assert the(Claim).state == "open"


def test_a_claim_may_be_refused(client, town):
    deliver(client, town.shop, an_order(town.tk(), number="#77"))
    claimed(client, town)

    decide(client, town, f"claims/{the(Claim).id}/refuse", reason="Não foi.")

    assert the(Claim).state == "refused"
    assert earned() == {("direct", "Ana"): 1200}


def test_a_claim_needs_a_number_and_a_reason(client, town):
    sign_in(client, town.bias)
    form = hidden_in(client.get("/promoter/claims/"))
    form |= {"shop": f"{town.program.id}-{town.shop.id}", "order_number": "", "evidence": "x"}

    answer = client.post("/promoter/claims/", data=form)

    assert answer.status_code == 422
    assert "Tell the order number" in answer.text
    assert ">x</textarea>" in answer.text


@pytest.mark.parametrize(
    ("decision", "state", "left"), [("clear", "cleared", 6000), ("confirm", "confirmed", 0)]
)
def test_held_money_is_let_go_or_taken_back(client, town, decision, state, left):
    bulk = [a_line(quantity=50, price="10.00", tax="0.00")]
    deliver(client, town.shop, an_order(town.tk(), lines=bulk))
    sign_in(client, town.owner)
    assert "50 pieces in one order." in client.get("/merchant/decisions/").text

    decide(client, town, f"cases/{the(Case).id}/{decision}", note="ok")

    assert the(Case).state == state
    assert earned() == {("direct", "Ana"): left}
    assert "Nothing waits for you" in client.get("/merchant/decisions/").text
    clean()


def test_who_only_reads_sees_no_buttons(client, town):
    claimed(client, town)
    sign_in(client, town.analyst)

    page = client.get("/merchant/decisions/").text

    assert "Ela me contou" in page
    assert "formaction" not in page
