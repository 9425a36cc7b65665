"""Tax by API: what payees say, what is shown of it, and who may remit."""

from datetime import date

import pytest
from click.testing import CliRunner

from affiliate.cli import main
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.fx import service as fx
from affiliate.ids import encode
from affiliate.people.models import Merchant, Role
from affiliate.tax import numbers, profiles
from tests.factories.people import a_key, a_promoter
from tests.factories.settlement import a_settlement, an_entry, payouts_of

CPF = "52998224725"


def headers(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def taxed(merchant, promoter):
    with unit_of_work():
        db.session.get_one(Merchant, merchant.id).withholding = "br_irrf"
    return merchant


def test_a_profile_is_a_new_version_and_its_number_never_comes_back(client, promoter):
    with unit_of_work():
        mine = headers(a_key(Role.PROMOTER, promoter=promoter))
        others = headers(a_key(Role.PROMOTER, promoter=a_promoter()))
    path = f"/api/v1/promoters/{encode('prm', promoter.id)}/tax-profiles"
    body = {"country": "BR", "person": "individual", "tax_id": CPF}

    made = client.post(path, json=body, headers=mine)
    again = client.post(path, json=body, headers=mine)
    client.post(path, json=body | {"regime": "simples"}, headers=mine)

    assert made.status_code == 201
    assert made.json["id"] == again.json["id"]  # nothing new was said
    assert (made.json["tax_id"], made.json["tin_status"]) == ("•••• 725", "given")
    listed = client.get(path, headers=mine)
    assert [each["regime"] for each in listed.json["data"]] == ["simples", "general"]
    assert CPF not in listed.text
    assert client.get(path, headers=others).status_code == 404
    wrong = client.post(path, json=body | {"tax_id": "52998224724"}, headers=mine)
    assert (wrong.status_code, wrong.json["errors"][0]["code"]) == (422, "bad_tax_id")


@pytest.mark.parametrize(
    ("country", "person", "good", "bad"),
    [
        ("BR", "company", "11.222.333/0001-81", "11.222.333/0001-82"),
        ("BR", "company", "12.ABC.345/01DE-35", "12.ABC.345/01DE-36"),
        ("CN", "individual", "11010519491231002X", "110105194912310021"),
        ("CN", "company", "91110000600037341L", "91110000600037341M"),
        ("MX", "individual", "GODE561231GR8", "GODE561331GR8"),
        ("MX", "company", "MAB9307148T4", "GODE561231GR8"),
        ("US", "individual", "536-90-4399", "12345"),
        ("AR", "individual", "20-05536168-2", "20-05536168-3"),
        ("PT", "individual", "AB12", "A!"),
    ],
)
def test_tax_numbers_are_checked_where_their_digits_are_known(country, person, good, bad):
    assert numbers.read(country, person, good)
    with pytest.raises(Invalid):
        numbers.read(country, person, bad)


def test_a_payout_tells_its_payee_what_was_kept(client, taxed, promoter, maker):
    with unit_of_work():
        profiles.say("promoter", promoter.id, country="BR", person="individual", tax_id=CPF)
        an_entry(taxed, promoter, 10_000_00)
        mine = headers(a_key(Role.PROMOTER, promoter=promoter))
        others = headers(a_key(Role.PROMOTER, promoter=a_promoter()))
    (payout,) = payouts_of(a_settlement(taxed, maker))
    path = f"/api/v1/payouts/{encode('pay', payout.merchant_id, payout.id)}/withholdings"

    (line,) = client.get(path, headers=mine).json["data"]

    assert line["amount"] == {"amount": 1_674_29, "currency": "BRL"}
    assert (line["table"], line["ppm"]) == ("br-irrf-2026", 275_000)
    assert client.get(path, headers=others).status_code in (403, 404)


def test_a_number_is_judged_by_finance_of_a_merchant_that_owes_the_payee(client, taxed, promoter):
    with unit_of_work():
        said = profiles.say("promoter", promoter.id, country="BR", person="individual", tax_id=CPF)
        finance = headers(a_key(Role.FINANCE_MAKER, merchant=taxed))
    path = f"/api/v1/tax-profiles/{encode('txp', said.id)}/status"
    body = {"status": "refused", "merchant": encode("mer", taxed.id)}
    assert client.post(path, json=body, headers=finance).status_code == 404
    with unit_of_work():
        an_entry(taxed, promoter, 100)

    judged = client.post(path, json=body, headers=finance)

    assert (judged.status_code, judged.json["tin_status"]) == (200, "refused")
    assert profiles.live("promoter", promoter.id).tin_status == "refused"
    late = client.post(path, json=body | {"status": "verified"}, headers=finance)
    assert late.status_code == 409


def test_a_scheme_belongs_to_the_merchants_country_and_is_the_operators(client, merchant):
    with unit_of_work():
        operator = headers(a_key()) | {"If-Match": "*"}
        owner = headers(a_key(Role.MERCHANT_OWNER, merchant=merchant)) | {"If-Match": "*"}
    path = f"/api/v1/merchants/{encode('mer', merchant.id)}"

    assert client.patch(path, json={"withholding": "br_irrf"}, headers=owner).status_code == 403
    other = client.patch(path, json={"withholding": "us_backup"}, headers=operator)
    assert (other.status_code, other.json["errors"][0]["code"]) == (422, "other_country")
    changed = client.patch(path, json={"withholding": "br_irrf"}, headers=operator)
    assert changed.json["withholding"] == "br_irrf"


def test_rates_come_from_the_shell_too(database, tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("date,base,quote,rate,source\n2026-11-27,USD,BRL,5.40,BCB")

    told = [CliRunner().invoke(main, ["fx", "import", str(file)]).output for _ in range(2)]

    assert told == [
        "1 rates added, 0 known already\n", "0 rates added, 1 known already\n",
    ]  # fmt: skip
    assert fx.find("USD", "BRL", date(2026, 11, 27)).of(100) == 540
