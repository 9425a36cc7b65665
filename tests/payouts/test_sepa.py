"""SEPA: the file by the standard's own schema, and a bank's answer through the road of results."""

from importlib import resources
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from affiliate.db import unit_of_work
from affiliate.errors import Invalid
from affiliate.payouts import service
from affiliate.payouts.rails import sepa
from affiliate.payouts.rails.interface import Instruction
from affiliate.settlement import queries
from affiliate.settlement import service as settlements
from tests.factories.people import a_promoter
from tests.factories.settlement import a_settlement, an_entry, approved, executed, payouts_of
from tests.payouts.sandbox import configured
from tests.settlement.conftest import checker, clean_books, maker, merchant  # noqa: F401

IBANS = ("DE89370400440532013000", "NL91ABNA0417164300", "FR1420041010050500013M02606")
NAMES = ("Jürgen Müller & Söhne", "张伟", "Amélie d'Été")
PAIN = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"


@pytest.fixture
def paying(app):
    with configured(app, sepa_name="Tuike Ltd", sepa_iban="DE02120300000000202051"):
        yield


def schema():
    """As the ISO 20022 publishes it; shipped with sepaxml."""
    path = resources.files("sepaxml") / "schemas" / "pain.001.001.09.xsd"
    return xmlschema.XMLSchema(str(path))


def instruction(number=0, amount=12345):
    fields = sepa.RAIL.read(
        IBANS[number][:2], {"account_holder": NAMES[number], "iban": IBANS[number]}
    ).fields
    return Instruction(f"TK000000000000000{number}", amount, "EUR", "DE", fields)


def found(document, path):
    return [
        each.text for each in document.iterfind(f".//{PAIN}" + f"/{PAIN}".join(path.split("/")))
    ]


def test_the_file_is_valid_by_the_schema_and_says_who_gets_what(paying, clock):
    clock.stand("2026-11-30T10:00:00Z")

    content = sepa.RAIL.batch([instruction(0), instruction(1, 1), instruction(2, 5)])

    schema().validate(content.decode())
    document = ET.fromstring(content)
    assert found(document, "CdtTrfTxInf/PmtId/EndToEndId") == [
        "TK0000000000000000", "TK0000000000000001", "TK0000000000000002",
    ]  # fmt: skip
    assert found(document, "InstdAmt") == ["123.45", "0.01", "0.05"]
    assert found(document, "CdtTrfTxInf/Cdtr/Nm") == [
        "Jurgen Muller Sohne", "Zhang Wei", "Amelie d'Ete",
    ]  # fmt: skip
    assert found(document, "CdtrAcct/Id/IBAN") == list(IBANS)
    assert found(document, "GrpHdr/CtrlSum") == ["123.51"]
    assert found(document, "DbtrAcct/Id/IBAN") == ["DE02120300000000202051"]
    assert found(document, "DbtrAgt/FinInstnId/BICFI") == ["BYLADEM1001"]
    assert found(document, "ReqdExctnDt/Dt") == ["2026-11-30"]


def test_the_same_payouts_make_the_same_file(paying, clock):
    clock.stand("2026-11-30T10:00:00Z")

    first, second = (sepa.RAIL.batch([instruction(0), instruction(1)]) for _ in range(2))

    assert first == second
    assert sepa.RAIL.batch([instruction(0)]) != first


def test_without_an_account_that_pays_it_is_not_offered(app):
    assert not sepa.RAIL.is_offered()


# --- a settlement, and what the bank says of it --------------------------------------------------


@pytest.fixture
def settlement(paying, merchant, maker, checker):  # noqa: F811
    with unit_of_work():
        for number, iban in enumerate(IBANS):
            promoter = a_promoter()
            service.add_account(
                "promoter", promoter.id, rail="sepa", country=iban[:2], currency="EUR",
                fields={"account_holder": NAMES[number], "iban": iban},
            )  # fmt: skip
            an_entry(merchant, promoter, 5000 + number, currency="EUR")
    return executed(approved(a_settlement(merchant, maker), checker), maker)


def pain_002(*payments, version="03"):
    told = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{reference}</OrgnlEndToEndId><TxSts>{status}</TxSts>{more}"
        "</TxInfAndSts>"
        for reference, status, more in payments
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.{version}">'
        "<CstmrPmtStsRpt><GrpHdr><MsgId>B1</MsgId></GrpHdr><OrgnlPmtInfAndSts>"
        f"<OrgnlPmtInfId>X-1</OrgnlPmtInfId>{told}</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>"
    )


def amount(text, currency="EUR"):
    return f'<OrgnlTxRef><Amt><InstdAmt Ccy="{currency}">{text}</InstdAmt></Amt></OrgnlTxRef>'


REASON = "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>account closed</AddtlInf></StsRsnInf>"


def take(settlement, content, maker):  # noqa: F811
    with unit_of_work():
        return service.take_results(settlement.merchant_id, settlement.id, content, by=maker.id)


def test_the_file_of_a_settlement_is_the_schemas_and_its_own(settlement):
    (file,) = queries.files(settlement.merchant_id, settlement.id)

    assert file.name.endswith("-EUR.xml")
    assert (file.rail, file.payouts, file.total) == ("sepa", 3, 15003)
    schema().validate(settlements.open_file(file).decode())
    assert {each.state for each in payouts_of(settlement)} == {"accepted"}


@pytest.mark.parametrize("version", ["03", "10"])
def test_a_pain_002_tells_ends_and_nothing_else(settlement, maker, version):  # noqa: F811
    first, second, third = payouts_of(settlement)
    content = pain_002(
        (first.reference, "ACSC", amount("50.00") + "<AcctSvcrRef>BANK-1</AcctSvcrRef>"),
        (second.reference, "RJCT", REASON),
        (third.reference, "ACSP", ""),
        version=version,
    )

    report = take(settlement, content, maker)
    again = take(settlement, content, maker)

    first, second, third = payouts_of(settlement)
    assert [each.state for each in (first, second, third)] == ["paid", "failed", "accepted"]
    assert first.provider_reference == "BANK-1"
    assert second.reason == "AC04 account closed"
    assert report.counts == {"paid": 1, "failed": 1, "returned": 0}
    assert (again.changes, again.unchanged) == ([], 2)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (pain_002(("TKNOBODY", "ACSC", "")), "unknown_reference"),
        (pain_002(), "no_payments"),
        ("<html></html>", "no_pain_002"),
        ("<Document>", "no_pain_002"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + pain_002(), "no_pain_002"),
    ],
)
def test_another_file_is_refused_whole(settlement, maker, content, code):  # noqa: F811
    (first, *_rest) = payouts_of(settlement)
    mixed = content.replace(
        "<TxInfAndSts>",
        f"<TxInfAndSts><OrgnlEndToEndId>{first.reference}</OrgnlEndToEndId><TxSts>ACSC</TxSts>"
        "</TxInfAndSts><TxInfAndSts>",
    )

    with pytest.raises(Invalid) as refused:
        take(settlement, mixed, maker)

    assert refused.value.errors[0].code == code
    assert {each.state for each in payouts_of(settlement)} == {"accepted"}


@pytest.mark.parametrize(
    ("told", "code"),
    [(amount("50.01"), "wrong_amount"), (amount("50.00", "USD"), "wrong_currency")],
)
def test_other_money_is_not_ours(settlement, maker, told, code):  # noqa: F811
    with pytest.raises(Invalid) as refused:
        take(settlement, pain_002((payouts_of(settlement)[0].reference, "ACSC", told)), maker)

    assert refused.value.errors[0].code == code
