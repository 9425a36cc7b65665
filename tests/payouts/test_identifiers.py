"""Numbers of banks and tax offices: published examples are taken, one wrong digit is not."""

import pytest

from affiliate.errors import Invalid
from affiliate.payouts.rails import file, identifiers, pix, pix_qr, sepa
from affiliate.payouts.rails.fields import Wrong


@pytest.mark.parametrize(
    ("check", "typed", "normal"),
    [
        (identifiers.cpf, "390.533.447-05", "39053344705"),
        (identifiers.cnpj, "16.727.230/0001-97", "16727230000197"),
        # The example with which the Receita Federal announced letters in it.
        (identifiers.cnpj, "12.ABC.345/01DE-35", "12ABC34501DE35"),
        (identifiers.cpf_or_cnpj, "12.abc.345/01de-35", "12ABC34501DE35"),
        (identifiers.cpf_or_cnpj, "39053344705", "39053344705"),
        (identifiers.rfc, "GODE561231GR8", "GODE561231GR8"),
        (identifiers.cuit, "20-05536168-2", "20055361682"),
        (identifiers.cbu_or_alias, "2850590940090418135201", "2850590940090418135201"),
        (identifiers.cbu_or_alias, "mi.alias.mp", "MI.ALIAS.MP"),
        (identifiers.clabe, "032180000118359719", "032180000118359719"),
        (identifiers.mobile, "(11) 94321-4321", "+5511943214321"),
        (identifiers.mobile, "+55 11 94321 4321", "+5511943214321"),
        (identifiers.email, "Fulano@Example.com", "Fulano@example.com"),
        (identifiers.random_key, "123E4567-E12B-12D1-A456-426655440000",
         "123e4567-e12b-12d1-a456-426655440000"),
        (identifiers.openid, "o-MYE42l80oelYMDE34nYD456Xoy", "o-MYE42l80oelYMDE34nYD456Xoy"),
    ],
)  # fmt: skip
def test_what_is_right_is_taken_in_its_normal_form(check, typed, normal):
    assert check(typed) == normal


@pytest.mark.parametrize(
    ("check", "typed", "code"),
    [
        (identifiers.cpf, "39053344706", "bad_checksum"),
        (identifiers.cpf, "3905334470", "bad_number"),
        (identifiers.cnpj, "16727230000198", "bad_checksum"),
        (identifiers.cnpj, "12ABC34501DE36", "bad_checksum"),
        (identifiers.cnpj, "12ABC34501DEA5", "bad_checksum"),
        (identifiers.rfc, "GODE561231GR9", "bad_checksum"),
        (identifiers.cuit, "20055361683", "bad_checksum"),
        (identifiers.cbu_or_alias, "2850590940090418135202", "bad_checksum"),
        (identifiers.cbu_or_alias, "mi", "bad_number"),
        (identifiers.clabe, "032180000118359710", "bad_checksum"),
        (identifiers.clabe, "03218000011835971", "bad_length"),
        (identifiers.mobile, "123", "bad_phone"),
        (identifiers.mobile, "+1 212 555 0100", "bad_phone"),
        (identifiers.email, "fulano@", "bad_email"),
        (identifiers.random_key, "123e4567e12b12d1a456426655440000", "bad_key"),
        (identifiers.openid, "me@example.com", "bad_openid"),
    ],
)
def test_what_is_mistyped_is_refused(check, typed, code):
    with pytest.raises(Wrong) as refused:
        check(typed)

    assert refused.value.code == code


def refusal(rail, country, **fields):
    with pytest.raises(Invalid) as refused:
        rail.read(country, {"account_holder": "Ana Díaz", **fields})
    return {each.pointer: each.code for each in refused.value.errors}


def test_the_file_rail_knows_account_numbers_of_mexico_argentina_and_brazil():
    mexican = file.RAIL.read(
        "MX", {"account_holder": "Ana", "account_number": "032180000118359719"}
    )
    assert (mexican.fields["bank_code"], mexican.masked) == ("032", "MX 032 •••• 9719")
    alias = file.RAIL.read("AR", {"account_holder": "Ana", "account_number": "mi.alias.mp"})
    assert alias.fields["account_number"] == "MI.ALIAS.MP"

    assert refusal(file.RAIL, "MX", account_number="032180000118359710", tax_id="GODE561231G") == {
        "/fields/account_number": "bad_checksum",
        "/fields/tax_id": "bad_number",
    }
    assert refusal(file.RAIL, "AR", account_number="2850590940090418135202") == {
        "/fields/account_number": "bad_checksum"
    }
    assert refusal(file.RAIL, "BR", bank_code="001", account_number="1234567", tax_id="1") == {
        "/fields/tax_id": "bad_number"
    }


@pytest.mark.parametrize(
    ("kind", "typed", "key", "shown"),
    [
        ("cpf", "390.533.447-05", "39053344705", "BR Pix •••• 4705"),
        ("cnpj", "12.ABC.345/01DE-35", "12ABC34501DE35", "BR Pix •••• DE35"),
        ("email", "Fulano@Example.com", "fulano@example.com", "BR Pix f•••@example.com"),
        ("phone", "11 94321-4321", "+5511943214321", "BR Pix •••• 4321"),
        ("random", "123E4567-E12B-12D1-A456-426655440000",
         "123e4567-e12b-12d1-a456-426655440000", "BR Pix •••• 0000"),
    ],
)  # fmt: skip
def test_each_of_the_five_pix_keys(kind, typed, key, shown):
    found = pix_qr.RAIL.read("BR", {"account_holder": "Ana", "key_type": kind, "key": typed})

    assert (found.fields["key"], found.masked, found.identity) == (key, shown, f"pix:{key}")


def test_a_pix_key_of_another_kind_is_refused():
    assert refusal(pix_qr.RAIL, "BR", key_type="cpf", key="fulano@example.com") == {
        "/fields/key": "bad_number"
    }
    assert refusal(pix_qr.RAIL, "BR", key_type="gold", key="x") == {
        "/fields/key_type": "unknown_value"
    }


def test_sepa_takes_ibans_of_its_countries_and_names_that_banks_can_write(app):
    iban = "DE89370400440532013000"
    assert sepa.RAIL.read("DE", {"account_holder": "张伟", "iban": iban})  # becomes Zhang Wei
    assert refusal(sepa.RAIL, "BR", iban="BR1800360305000010009795493C1") == {
        "/fields/iban": "no_sepa"
    }
    assert refusal(sepa.RAIL, "DE", iban=iban, account_holder="☃") == {
        "/fields/account_holder": "not_latin"
    }


# --- the code that a bank's app scans ------------------------------------------------------------


def test_the_example_of_the_central_bank():
    """Manual de Padrões para Iniciação do Pix, static code without an amount: CRC 1D3D."""
    code = pix.br_code(
        "123e4567-e12b-12d1-a456-426655440000",
        name="Fulano de Tal", city="BRASILIA", amount="", reference="***",
    )  # fmt: skip

    assert code == (
        "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000520400005303986"
        "5802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D"
    )


def test_another_generators_code_has_our_checksum():
    """From the documentation of deno.land/x/pix, another program."""
    theirs = (
        "00020126330014br.gov.bcb.pix0111263857099065204000053039865802BR5913FULANO DE TAL"
        "6006Cidade62070503***6304151C"
    )

    assert pix.checksum(theirs[:-4]) == theirs[-4:]


def test_a_code_over_an_amount_for_a_name_with_accents():
    code = pix.br_code("+5511943214321", name="João Conceição dos Santos Oliveira",
                       amount="199.90", reference="TK0123456789ABCDEF")  # fmt: skip

    assert "5406199.90" in code
    assert "5925Joao Conceicao dos Santos6006BRASIL62220518TK0123456789ABCDEF6304" in code


@pytest.mark.parametrize(
    ("proof", "fits"),
    [
        ("E00038166202611301201abcdef12345", True),
        ("E0003816620261130120abcdef123456", False),
        ("it was me", False),
    ],
)
def test_a_pix_is_proven_by_its_end_to_end_id(proof, fits):
    if fits:
        pix_qr.RAIL.check_proof(proof)
    else:
        with pytest.raises(Invalid):
            pix_qr.RAIL.check_proof(proof)
