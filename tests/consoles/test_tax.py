"""Tax on pages: what payees say of themselves, what finance remits, sums in one currency."""

import io

import pytest

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.fx import service as fx
from affiliate.ids import encode
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Invoice, Withdrawal
from affiliate.people.models import Merchant, Role
from affiliate.tax import profiles
from tests.consoles.signed_in import fill_in, sign_in
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)

CPF = "529.982.247-25"


@pytest.fixture
def merchant(database):
    with unit_of_work():
        return a_merchant("Casa Ana", withholding="br_irrf")


@pytest.fixture
def promoter(merchant):
    with unit_of_work():
        found = a_promoter("Bruna Souza")
        an_account(found)
        an_entry(merchant, found, 10_000_00)
        return found


@pytest.fixture
def maker(merchant):
    with unit_of_work():
        return a_user(Role.FINANCE_MAKER)


@pytest.fixture
def paid(merchant, promoter, maker, clock):
    """A payout of November, seen in December."""
    clock.stand("2026-11-30T12:00:00Z")
    with unit_of_work():
        checker = with_totp(a_user(Role.FINANCE_CHECKER))
        profiles.say("promoter", promoter.id, country="BR", person="individual", tax_id=CPF)
    (payout,) = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))
    with unit_of_work():
        payouts.mark_paid(merchant.id, payout.id, by=maker.id, reference="TED 1")
    clock.stand("2026-12-03T12:00:00Z")
    return payout


def as_promoter(client, promoter):
    with unit_of_work():
        user = a_user(Role.PROMOTER, promoter=promoter)
    sign_in(client, user)


def test_a_promoter_says_who_they_are_and_the_number_is_only_shown_masked(client, promoter):
    as_promoter(client, promoter)

    wrong = fill_in(
        client, "/promoter/wallet/tax", country="BR", person="individual", regime="general",
        tax_id="529.982.247-24",
    )  # fmt: skip
    assert wrong.status_code == 422
    assert "something is mistyped" in wrong.text
    saved = fill_in(
        client, "/promoter/wallet/tax", country="BR", person="individual", regime="general",
        tax_id=CPF,
    )  # fmt: skip

    assert saved.status_code == 303
    page = client.get("/promoter/wallet/tax").text
    assert "•••• 725" in page
    assert "52998224725" not in page
    assert CPF not in page
    profile = profiles.live("promoter", promoter.id)
    assert profiles.open_id(profile) == "52998224725"


def test_an_empty_number_keeps_the_one_before(client, promoter):
    as_promoter(client, promoter)
    facts = {"country": "BR", "person": "individual"}
    fill_in(client, "/promoter/wallet/tax", **facts, regime="general", tax_id=CPF)
    fill_in(client, "/promoter/wallet/tax", **facts, regime="simples", tax_id="")

    profile = profiles.live("promoter", promoter.id)
    assert (profile.regime, profile.masked) == ("simples", "•••• 725")
    versions = db.session.scalars(profiles.versions("promoter", promoter.id)).all()
    assert len(versions) == 2


def test_the_first_withdrawal_asks_for_tax_data_and_then_says_what_is_kept(
    client, merchant, promoter
):
    with unit_of_work():
        db.session.get_one(Merchant, merchant.id).payout_mode = "on_request"
    as_promoter(client, promoter)
    path = f"/promoter/wallet/withdraw/{encode('mer', merchant.id)}/BRL"

    page = client.get(path).text
    assert "Give tax data" in page
    assert 'name="amount"' not in page
    fill_in(
        client, "/promoter/wallet/tax", country="BR", person="individual", regime="general",
        tax_id=CPF,
    )  # fmt: skip

    page = client.get(path).text
    assert "1,674.29" in page
    assert "8,325.71" in page
    part = client.get(path, query_string={"amount": "1,000.00"}).text
    assert "1,000.00" in part.partition('id="sum"')[2].partition("</dl>")[0]

    answers = [fill_in(client, path, amount="1,000.00") for _ in "12"]  # a double tap
    assert [each.status_code for each in answers] == [303, 303]
    assert db.session.query(Withdrawal).count() == 1
    again = client.get(path).text  # back after posting
    assert "One at a time" in again
    assert 'name="amount"' not in again


def test_an_invoice_goes_from_the_promoter_to_finance(client, merchant, promoter, maker):
    with unit_of_work():
        db.session.get_one(Merchant, merchant.id).invoice_required = True
    as_promoter(client, promoter)
    sent = fill_in(
        client, "/promoter/wallet/tax", to="/promoter/wallet/invoices", number="NF 77",
        amount="10,000.00", currency="BRL", merchant=encode("mer", merchant.id),
    )  # fmt: skip
    assert sent.status_code == 303
    (invoice,) = db.session.query(Invoice).all()
    key = encode("inv", invoice.merchant_id, invoice.id)
    sign_in(client, maker)
    assert "NF 77" in client.get("/finance/tax/").text

    done = fill_in(client, "/finance/tax/", to=f"/finance/tax/invoices/{key}/confirm")

    assert done.status_code == 303
    db.session.refresh(invoice)
    assert (invoice.state, invoice.decided_by) == ("confirmed", maker.id)


def test_finance_remits_what_the_page_says(client, merchant, paid, maker):
    sign_in(client, maker)
    assert "1,674.29" in client.get("/finance/tax/").text
    form = {
        "merchant": encode("mer", merchant.id), "currency": "BRL", "month": "2026-11",
        "reference": "DARF 7",
    }  # fmt: skip
    wrong = fill_in(client, "/finance/tax/", to="/finance/tax/remittances", **form, amount="1")
    assert wrong.status_code == 409

    done = fill_in(
        client, "/finance/tax/", to="/finance/tax/remittances", **form, amount="1,674.29"
    )

    assert done.status_code == 303
    page = client.get("/finance/tax/").text
    assert "DARF 7" in page
    assert "Nothing to remit" in page


def test_a_payout_shows_its_lines_of_tax(client, paid, promoter, maker):
    sign_in(client, maker)
    key = encode("pay", paid.merchant_id, paid.id)
    assert "br-irrf-2026" in client.get(f"/finance/payouts/{key}").text
    as_promoter(client, promoter)

    assert "br-irrf-2026" in client.get(f"/promoter/wallet/payouts/{key}").text


def test_the_year_is_a_page_and_a_file_for_both_sides(client, paid, promoter, maker):
    as_promoter(client, promoter)
    assert "1,674.29" in client.get("/promoter/wallet/tax?year=2026").text
    mine = client.get("/promoter/wallet/tax.csv?year=2026").text.splitlines()
    sign_in(client, maker)
    all_ = client.get("/finance/tax.csv?year=2026").text.splitlines()

    row = "2026,Casa Ana,promoter,Bruna Souza,BRL,irrf,br-irrf-2026,1,10000.00,1674.29,8325.71"
    assert mine[1:] == all_[1:] == [row]
    assert client.get("/finance/tax.csv?year=2025").text.splitlines()[1:] == []


def test_only_who_works_for_all_merchants_imports_rates(client, merchant, maker, app):
    rates = b"date;base;quote;rate;source\n2026-11-27;USD;BRL;5.40;BCB"

    def send():
        from tests.consoles.signed_in import token

        return client.post(
            "/finance/rates/", data={"file": (io.BytesIO(rates), "rates.csv")},
            headers={"X-CSRFToken": token(app)}, content_type="multipart/form-data",
        )  # fmt: skip

    with unit_of_work():
        own = a_user(Role.FINANCE_MAKER, merchant=merchant)
    sign_in(client, own)
    client.get("/finance/rates/")
    assert send().status_code == 403
    assert fx.find("USD", "BRL", time.now().date()) is None
    sign_in(client, maker)
    client.get("/finance/rates/")
    assert send().status_code == 303
    assert "1 USD = 5.4 BRL" in client.get("/finance/rates/").text


def test_sums_are_shown_in_one_currency_with_rate_and_day(client, merchant, promoter, maker):
    with unit_of_work():
        an_entry(merchant, promoter, 100_00, currency="USD")
        fx.import_csv("date,base,quote,rate,source\n2026-11-27,USD,BRL,5.40,BCB", by=None)
    sign_in(client, maker)

    page = client.get("/finance/?in=BRL").text

    assert "10,540.00" in page
    assert "BCB" in page
    assert "5.4" in page
    assert "Together" not in client.get("/finance/?in=XXQ").text
