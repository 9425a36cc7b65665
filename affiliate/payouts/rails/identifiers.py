"""Numbers with which banks and tax offices name people, checked by their own check digits.

Each function takes what somebody typed, without spaces, and returns its normal form; `Wrong` says
what is the matter.
"""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from stdnum import exceptions
from stdnum.ar import cbu as ar_cbu
from stdnum.ar import cuit as ar_cuit
from stdnum.br import cnpj as br_cnpj
from stdnum.br import cpf as br_cpf
from stdnum.mx import rfc as mx_rfc

from affiliate.i18n import _
from affiliate.payouts.rails.fields import Wrong

CLABE_WEIGHTS = (3, 7, 1)
ALIAS = re.compile(r"[A-Z0-9.-]{6,20}")  # of a CBU or CVU
OPENID = re.compile(r"[A-Za-z0-9_-]{20,64}")


def cpf(text: str) -> str:
    return _checked(br_cpf.validate, text, _("A CPF has eleven digits."))


def cnpj(text: str) -> str:
    """With letters as well: that is how they are given out since July 2026."""
    return _checked(br_cnpj.validate, text, _("A CNPJ has fourteen digits or letters."))


def cpf_or_cnpj(text: str) -> str:
    return cpf(text) if len(re.sub(r"[./-]", "", text)) <= 11 else cnpj(text)


def rfc(text: str) -> str:
    return _checked(
        lambda number: mx_rfc.validate(number, validate_check_digits=True),
        text,
        _("An RFC has twelve or thirteen letters and digits."),
    )


def cuit(text: str) -> str:
    return _checked(ar_cuit.validate, text, _("A CUIT or CUIL has eleven digits."))


def cbu_or_alias(text: str) -> str:
    """A CBU or CVU of 22 digits, or the alias of one."""
    plain = re.sub(r"[\s-]", "", text)
    if not plain.isdecimal() and ALIAS.fullmatch(text.upper()):
        return text.upper()
    return _checked(ar_cbu.validate, plain, _("A CBU or CVU has 22 digits, an alias 6 to 20."))


def clabe(text: str) -> str:
    """Eighteen digits, the last of which follows from the others."""
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{18}", digits):
        raise Wrong("bad_length", _("A CLABE has 18 digits."))
    if clabe_digit(digits[:17]) != digits[17]:
        raise _mistyped()
    return digits


def clabe_digit(digits: str) -> str:
    total = sum(int(digit) * CLABE_WEIGHTS[n % 3] % 10 for n, digit in enumerate(digits))
    return str(-total % 10)


def email(text: str) -> str:
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        raise Wrong("bad_email", _("This is not an e-mail address.")) from None


def mobile(text: str) -> str:
    """Of Brazil, as Pix knows it: with +55."""
    try:
        number = phonenumbers.parse(text, "BR")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or number.country_code != 55 or not phonenumbers.is_valid_number(number):
        raise Wrong("bad_phone", _("This is no telephone number of Brazil."))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def random_key(text: str) -> str:
    try:
        found = str(UUID(text))
    except ValueError:
        found = ""
    if found != text.lower():
        raise Wrong("bad_key", _("A random key looks like 123e4567-e89b-12d3-a456-426614174000."))
    return found


def openid(text: str) -> str:
    if not OPENID.fullmatch(text):
        raise Wrong("bad_openid", _("This is not an openid of WeChat."))
    return text


PIX_KEYS: dict[str, Callable[[str], str]] = {
    "cpf": cpf, "cnpj": cnpj, "email": lambda text: email(text).lower(), "phone": mobile,
    "random": random_key,
}  # fmt: skip


def _checked(validate: Callable[[str], str], text: str, shape: Any) -> str:
    try:
        return validate(text.upper())
    except exceptions.InvalidChecksum:
        raise _mistyped() from None
    except exceptions.ValidationError:
        raise Wrong("bad_number", shape) from None


def _mistyped() -> Wrong:
    return Wrong("bad_checksum", _("The check digits do not fit: something is mistyped."))
