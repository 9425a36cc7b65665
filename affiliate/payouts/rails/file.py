"""The `file` rail: a CSV that somebody hands to the bank, one per settlement and currency."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from schwifty import BIC, IBAN, exceptions

from affiliate.errors import FieldError, Invalid
from affiliate.exports import harmless
from affiliate.i18n import _
from affiliate.money import EXPONENTS, decimal_text
from affiliate.payouts.rails import identifiers
from affiliate.payouts.rails.fields import Field, cleaned, error
from affiliate.payouts.rails.interface import Destination, Instruction

HOLDER = Field(140, required=True)
BY_IBAN = {
    "account_holder": HOLDER,
    "iban": Field(64, is_code=True, required=True),
    "bic": Field(11, is_code=True),
}
BY_NUMBER = {
    "account_holder": HOLDER,
    "bank_name": Field(140),
    "bank_code": Field(34, is_code=True, required=True),
    "branch": Field(34, is_code=True),
    "account_number": Field(34, is_code=True, required=True),
    "account_type": Field(16, one_of=("checking", "savings", "payment")),
    "tax_id": Field(34, is_code=True),
}
# What countries know of account numbers, beyond their length.
LOCAL: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "AR": {"account_number": identifiers.cbu_or_alias, "tax_id": identifiers.cuit},
    "BR": {"tax_id": identifiers.cpf_or_cnpj},
    "MX": {"account_number": identifiers.clabe, "tax_id": identifiers.rfc},
}
NUMBER_NAMES_BANK = ("AR", "MX")
COLUMNS = (
    "reference", "amount", "currency", "account_holder", "country", "iban", "bic", "bank_name",
    "bank_code", "branch", "account_number", "account_type", "tax_id",
)  # fmt: skip


class FileRail:
    name = "file"
    ending: ClassVar[str] = "csv"

    def is_offered(self) -> bool:
        return True

    def takes(self, currency: str) -> bool:
        return currency in EXPONENTS

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        if "iban" in fields:
            return with_iban(country, cleaned(fields, BY_IBAN))
        return _with_number(country, cleaned(fields, by_number(country)))

    def batch(self, instructions: Iterable[Instruction]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(each) for each in instructions)
        return text.getvalue().encode()


RAIL = FileRail()


def by_number(country: str) -> dict[str, Field]:
    """The fields of an account number, with what this country knows of it."""
    checks = LOCAL.get(country, {})
    fields = {name: replace(each, check=checks.get(name)) for name, each in BY_NUMBER.items()}
    if country in NUMBER_NAMES_BANK:
        fields["bank_code"] = replace(fields["bank_code"], required=False)
    return fields


def with_iban(country: str, fields: dict[str, str]) -> Destination:
    errors = [*_iban_errors(country, fields["iban"]), *_bic_errors(fields.get("bic"))]
    if errors:
        raise Invalid(_("The bank account cannot be used as it was typed."), errors=tuple(errors))
    iban = IBAN(fields["iban"])
    fields["iban"] = iban.compact
    if "bic" not in fields and iban.bic:
        fields["bic"] = str(iban.bic)
    return Destination(fields, f"{country} •••• {iban.compact[-4:]}", f"iban:{iban.compact}")


def _iban_errors(country: str, text: str) -> list[FieldError]:
    try:
        iban = IBAN(text)
    except exceptions.InvalidChecksumDigits:
        return [
            error("iban", "bad_checksum", _("The check digits do not fit: something is mistyped."))
        ]
    except exceptions.InvalidLength:
        return [error("iban", "bad_length", _("An IBAN of this country has another length."))]
    except exceptions.InvalidCountryCode:
        return [error("iban", "unknown_country", _("No country with IBANs begins like this."))]
    except ValueError:
        return [error("iban", "bad_iban", _("This is not an IBAN."))]
    if iban.country_code != country:
        return [
            error(
                "iban",
                "other_country",
                _("This IBAN is of %(country_code)s.", country_code=iban.country_code),
            )
        ]
    return []


def _bic_errors(text: str | None) -> list[FieldError]:
    try:
        if text is not None:
            BIC(text)
    except ValueError:
        return [error("bic", "bad_bic", _("This is not a BIC."))]
    return []


def _with_number(country: str, fields: dict[str, str]) -> Destination:
    number = fields["account_number"]
    if country in NUMBER_NAMES_BANK and number.isdecimal():
        fields["bank_code"] = number[:3]
    bank_code = fields.get("bank_code", "")
    # A short number is not given away by its last digits.
    shown = number[-4:] if len(number) >= 8 else number[-2:] if len(number) >= 5 else ""
    parts = (bank_code, fields.get("branch", ""), number)
    identity = ":".join("".join(char for char in part if char.isalnum()) for part in parts)
    return Destination(
        fields,
        " ".join(filter(None, (country, bank_code, "••••", shown))),
        f"bank:{country}:{identity}",
    )


def _row(each: Instruction) -> list[str]:
    cells = {
        **each.fields,
        "reference": each.reference,
        "currency": each.currency,
        "country": each.country,
    }
    texts = {name: harmless(text) for name, text in cells.items()}
    texts["amount"] = decimal_text(each.amount, each.currency)
    return [texts.get(name, "") for name in COLUMNS]
