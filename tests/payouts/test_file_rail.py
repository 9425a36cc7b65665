"""The `file` rail: what it makes of what people type, and the file the bank gets."""

import csv
import io

import pytest

from affiliate.errors import Invalid
from affiliate.payouts import rails
from affiliate.payouts.rails import file
from affiliate.payouts.rails.interface import Instruction

RAIL = file.RAIL
HOLDER = {"account_holder": "Bruna Souza"}
NUMBER = HOLDER | {"bank_code": "001", "account_number": "12345678-9"}


def refusal(country="DE", **fields):
    with pytest.raises(Invalid) as refused:
        RAIL.read(country, fields)
    return {error.pointer: error.code for error in refused.value.errors}


# --- what people type ------------------------------------------------------------------------


def test_an_iban_is_taken_however_it_is_spaced():
    found = RAIL.read("DE", HOLDER | {"iban": " de89 3704 0044 0532 0130 00 "})

    assert found.fields["iban"] == "DE89370400440532013000"
    assert found.fields["bic"] == "COBADEFFXXX"  # from the register of banks
    assert found.masked == "DE •••• 3000"
    same = RAIL.read("DE", {"account_holder": "Another", "iban": "DE89370400440532013000"})
    assert same.identity == found.identity


def test_a_given_bic_is_kept():
    found = RAIL.read("DE", HOLDER | {"iban": "DE89370400440532013000", "bic": "cobadeff"})

    assert found.fields["bic"] == "COBADEFF"


@pytest.mark.parametrize(
    ("iban", "code"),
    [
        ("DE89370400440532013001", "bad_checksum"),
        ("DE8937040044053201300", "bad_length"),
        ("XX89370400440532013000", "unknown_country"),
        ("GB33BUKB20201555555555", "other_country"),
        ("DE89-3704-0044-0532-0130-00", "bad_iban"),
        ("１２３", "bad_characters"),
        ("=DE89370400440532013000", "bad_characters"),
        ("", "missing"),
        (None, "missing"),
        (89370400440532013000, "not_text"),
        ("D" * 65, "too_long"),
    ],
)
def test_a_wrong_iban_is_refused_by_its_pointer(iban, code):
    assert refusal(**HOLDER, iban=iban) == {"/fields/iban": code}


def test_all_wrong_fields_are_named_at_once():
    errors = refusal(account_holder=" ", iban="DE89370400440532013000", bic="x", **{"a/b~c": "1"})

    assert errors == {
        "/fields/account_holder": "missing",
        "/fields/a~1b~0c": "unknown_field",
    }
    assert refusal(**HOLDER, iban="DE89370400440532013001", bic="ZZZZ") == {
        "/fields/iban": "bad_checksum",
        "/fields/bic": "bad_bic",
    }


def test_plain_bank_fields_are_taken():
    found = RAIL.read("BR", NUMBER | {"branch": "0042-1", "account_type": "savings"})

    assert found.fields == {
        **NUMBER, "branch": "0042-1", "account_type": "savings",
    }  # fmt: skip
    assert found.masked == "BR 001 •••• 78-9"
    respelled = RAIL.read("BR", NUMBER | {"branch": "00421", "account_number": "12345678 9"})
    assert respelled.identity == found.identity


@pytest.mark.parametrize(
    ("number", "shown"), [("123456", "56"), ("1234", ""), ("12345678", "5678")]
)
def test_a_short_number_is_not_given_away(number, shown):
    masked = RAIL.read("BR", NUMBER | {"account_number": number}).masked

    assert masked == f"BR 001 •••• {shown}".strip()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("account_holder", "Bruna\nSouza", "control_characters"),
        ("account_holder", "Bruna\u202eazuoS", "control_characters"),
        ("account_holder", "B" * 141, "too_long"),
        ("account_holder", {"a": 1}, "not_text"),
        ("bank_code", "", "missing"),
        ("bank_code", "0;DROP", "bad_characters"),
        ("account_number", "-1", "bad_characters"),
        ("account_type", "gold", "unknown_value"),
        ("bic", "COBADEFF", "unknown_field"),
    ],
)
def test_a_wrong_bank_field_is_refused_by_its_pointer(field, value, code):
    assert refusal("BR", **(NUMBER | {field: value})) == {f"/fields/{field}": code}


def test_names_in_every_script_are_kept():
    found = RAIL.read("CN", NUMBER | {"account_holder": "  张伟 "})

    assert found.fields["account_holder"] == "张伟"


def test_there_is_no_other_rail_yet():
    with pytest.raises(rails.UnknownRail):
        rails.find("pix")


# --- the file --------------------------------------------------------------------------------


def instruction(amount=19990, currency="BRL", reference="TK0123456789ABCDEF", **fields):
    return Instruction(reference, amount, currency, "BR", NUMBER | fields)


def test_the_file_as_the_bank_gets_it():
    german = Instruction(
        "TK00000000000000B2", 9990, "CLP", "DE",
        {"account_holder": 'Müller, "Jo"', "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
    )  # fmt: skip

    content = RAIL.batch([instruction(branch="0042-1"), german])

    assert content.decode() == (
        "reference,amount,currency,account_holder,country,iban,bic,bank_name,bank_code,branch,"
        "account_number,account_type,tax_id\r\n"
        "TK0123456789ABCDEF,199.90,BRL,Bruna Souza,BR,,,,001,0042-1,12345678-9,,\r\n"
        'TK00000000000000B2,9990,CLP,"Müller, ""Jo""",DE,DE89370400440532013000,COBADEFFXXX,'
        ",,,,,\r\n"
    )


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1, "BRL", "0.01"),
        (12345, "KWD", "12.345"),
        (799, "CLP", "799"),
        (9 * 10**12, "BRL", "90000000000.00"),
    ],
)
def test_amounts_are_decimal_and_exact(amount, currency, shown):
    text = RAIL.batch([instruction(amount, currency)]).decode()

    assert f",{shown},{currency}," in text


@pytest.mark.parametrize("name", ["=1+1", "+49", "-2", "@SUM(A1)", "＝1", "＠x"])
def test_a_name_is_never_a_formula(name):
    text = RAIL.batch([instruction(account_holder=name)]).decode()

    (row,) = csv.DictReader(io.StringIO(text))
    assert row["account_holder"] == f"'{name}"
