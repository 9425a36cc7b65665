"""What rails leave to people on the finance desk: proofs, payouts by hand, results of the bank."""

import io

import pytest

from affiliate.db import unit_of_work
from affiliate.ids import encode
from affiliate.payouts import service
from tests.consoles.signed_in import sign_in
from tests.factories.people import a_promoter
from tests.factories.settlement import a_settlement, an_entry, approved, executed, payouts_of
from tests.payouts.sandbox import owed
from tests.settlement.conftest import (  # noqa: F401 (fixtures)
    checker,
    clean_books,
    maker,
    merchant,
    promoter,
    sandbox,
)


@pytest.fixture
def as_(app):
    def client(user):
        found = app.test_client()
        sign_in(found, user)
        return found

    return client


def page_of(payout, more=""):
    return f"/finance/payouts/{encode('pay', payout.merchant_id, payout.id)}{more}"


def posted(client, path, **fields):
    page = client.get(path)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    return client.post(path, data={"csrf_token": token, **fields})


@pytest.fixture
def unknown(merchant, maker, checker, sandbox):  # noqa: F811
    owed(merchant, "error-after")
    return payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))[0]


def test_two_people_tell_what_became_of_it(unknown, as_, maker, checker):  # noqa: F811
    page = as_(maker).get(page_of(unknown)).text
    assert "Calls to the provider" in page
    assert "500" in page  # what it said
    assert "/outcome" in page
    assert "/paid" not in page

    path = page_of(unknown, "/outcome")
    assert posted(as_(maker), path, do="state").status_code == 422
    told = {"do": "state", "outcome": "paid", "proof": "letter of May", "reference": "B1"}
    assert posted(as_(maker), path, **told).status_code == 303
    assert posted(as_(maker), path, do="confirm").status_code == 403
    assert "letter of May" in as_(checker).get(path).text
    assert posted(as_(checker), path, do="confirm").status_code == 303

    (payout,) = payouts_of_settlement(unknown)
    assert (payout.state, payout.provider_reference) == ("paid", "B1")


def payouts_of_settlement(payout):
    from affiliate.settlement import queries

    return payouts_of(queries.find(payout.merchant_id, payout.settlement_id))


def test_what_is_paid_by_hand_stands_in_a_list(merchant, as_, maker, checker):  # noqa: F811
    with unit_of_work():
        ana = a_promoter("Ana")
        service.add_account(
            "promoter", ana.id, rail="manual", country="MX", currency="BRL",
            fields={"account_holder": "Ana", "instructions": "OXXO 4152 3134 5678 9012"},
        )  # fmt: skip
        an_entry(merchant, ana, 500)
    (payout,) = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))

    assert "OXXO 4152 3134 5678 9012" in as_(maker).get("/finance/payouts/by-hand").text
    assert posted(as_(maker), page_of(payout, "/paid")).status_code == 422
    assert posted(as_(maker), page_of(payout, "/paid"), reference="r1").status_code == 303
    assert "OXXO" not in as_(maker).get("/finance/payouts/by-hand").text


def test_a_pix_is_scanned_and_proven_by_its_end_to_end_id(merchant, as_, maker, checker):  # noqa: F811
    with unit_of_work():
        ana = a_promoter("Ana")
        service.add_account(
            "promoter", ana.id, rail="pix_qr", country="BR", currency="BRL",
            fields={"account_holder": "Ana", "key_type": "email", "key": "ana@example.com"},
        )  # fmt: skip
        an_entry(merchant, ana, 500)
    (payout,) = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))

    page = as_(maker).get("/finance/payouts/by-hand").text
    assert "<svg width=" in page
    code = page.split('<p class="code-line"><code>')[1].split("</code>")[0]
    assert "54045.00" in code
    assert payout.reference in code
    assert posted(as_(maker), page_of(payout, "/paid"), reference="r1").status_code == 422
    proof = "E00038166202611301201abcdef12345"
    assert posted(as_(maker), page_of(payout, "/paid"), reference=proof).status_code == 303
    (payout,) = payouts_of_settlement(payout)
    assert (payout.state, payout.provider_reference) == ("paid", proof)


def test_results_are_looked_at_and_then_taken(merchant, promoter, as_, maker, checker):  # noqa: F811
    an_entry(merchant, promoter, 500)
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(settlement)
    path = f"/finance/settlements/{encode('stl', merchant.id, settlement.id)}/results"
    content = f"reference,result\r\n{payout.reference},paid\r\n"

    def uploaded(text):
        return posted(as_(maker), path, file=(io.BytesIO(text.encode()), "results.csv"))

    page = uploaded(content)
    assert page.status_code == 200
    assert payout.reference in page.text
    assert payouts_of(settlement)[0].state == "accepted"
    assert uploaded("reference,result\r\nTKX,paid").status_code == 422
    assert "Line 2" in uploaded("reference,result\r\nTKX,paid").text

    assert posted(as_(maker), path, do="take", content=content).status_code == 303
    assert payouts_of(settlement)[0].state == "paid"
