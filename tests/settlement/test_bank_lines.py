"""A bank's statement, however the bank writes it, is the same lines."""

from datetime import date

import pytest

from affiliate.errors import Invalid
from affiliate.settlement import bank_lines

TWO = [(date(2026, 11, 2), -123450, "TK0123456789ABCDEF"), (date(2026, 11, 13), 50000, "Wire")]
CAMT = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id>
<Ntry><Amt Ccy="EUR">1234.50</Amt><CdtDbtInd>DBIT</CdtDbtInd><BookgDt><Dt>2026-11-02</Dt></BookgDt>
<NtryDtls><TxDtls><Refs><EndToEndId>TK0123456789ABCDEF</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">500.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<BookgDt><DtTm>2026-11-13T08:00:00</DtTm></BookgDt><AddtlNtryInf>Wire</AddtlNtryInf></Ntry>
</Stmt></BkToCstmrStmt></Document>"""


@pytest.mark.parametrize(
    "content",
    [
        "Date,Amount,Details\n2026-11-02,-1234.50,TK0123456789ABCDEF\n2026-11-13,500.00,Wire\n",
        "\ufeffFecha;Importe;Concepto\n02/11/2026;-1.234,50;TK0123456789ABCDEF\n"
        "13/11/2026;500,00;Wire\n",
        "Data;Valor;Histórico\r\n02.11.2026;1.234,50-;TK0123456789ABCDEF\r\n"
        "13.11.2026;500,00;Wire\r\n",
        "Banco do Brasil\nConta;0042-1\n\nData;Débito;Crédito;Histórico\n"
        "02/11/2026;1.234,50;;TK0123456789ABCDEF\n13/11/2026;;500,00;Wire\n",
        "交易日期,支出,收入,摘要\n20261102,1234.50,,TK0123456789ABCDEF\n20261113,0.00,500.00,Wire\n",
        "Booking date (UTC)\tAmount (EUR)\tText\n11/02/2026\t(1,234.50)\tTK0123456789ABCDEF\n"
        "11/13/2026\t500.00\tWire\n",
        CAMT,
    ],
)
def test_however_it_is_written_it_is_the_same(content):
    read = bank_lines.read(content, "EUR")

    assert [(each.day, each.amount) for each in read] == [(day, amount) for day, amount, _ in TWO]
    assert [words in each.text for each, (_, _, words) in zip(read, TWO, strict=True)] == [True] * 2


def test_other_currencies_of_the_same_file_are_left_out():
    content = "date,amount,currency,text\n2026-11-02,-1.00,EUR,a\n2026-11-02,-2.00,USD,b\n"

    assert [each.amount for each in bank_lines.read(content, "USD")] == [-200]


@pytest.mark.parametrize(
    "content",
    [
        "date,amount\n2026-11-02,1.234\n",  # one thousand or one
        "date,amount\n9999-12-31,1.00\n",
        f"date,amount\n{'9' * 5000}-1-1,1.00\n",
        f"date,amount\n2026-11-02,{'9' * 400}.00\n",
        "date,amount\n2026-11-02,abc\n",
        CAMT.replace("<Document", "<!DOCTYPE Document []><Document"),
        CAMT[:-30],
    ],
)
def test_what_may_mean_two_things_or_nothing_is_refused(content):
    with pytest.raises(Invalid):
        bank_lines.read(content, "EUR")


def test_signs_that_no_database_takes_are_gone():
    (line,) = bank_lines.read("date,amount,text\n2026-11-02,1.00,a\x00b\n", "EUR")

    assert line.text == "a b"
