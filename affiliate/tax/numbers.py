"""Tax numbers, validated where their check digits are known: python-stdnum knows most countries."""

import re

from stdnum.ar import cuit
from stdnum.br import cnpj, cpf
from stdnum.cn import ric, uscc
from stdnum.exceptions import ValidationError
from stdnum.mx import rfc
from stdnum.us import ein, tin

from affiliate.errors import invalid
from affiliate.i18n import _

# By country and person. Elsewhere a number is letters and digits, taken as it is.
KNOWN = {
    ("AR", "individual"): cuit,
    ("AR", "company"): cuit,
    ("BR", "individual"): cpf,
    ("BR", "company"): cnpj,
    ("CN", "individual"): ric,
    ("CN", "company"): uscc,
    ("MX", "individual"): rfc,
    ("MX", "company"): rfc,
    ("US", "individual"): tin,
    ("US", "company"): ein,
}
MX_LENGTH = {"individual": 13, "company": 12}


def read(country: str, person: str, text: str) -> str:
    """In its normal form, without separators; refused where it cannot be one."""
    plain = re.sub(r"[\s./-]", "", text).upper()
    if not re.fullmatch(r"[0-9A-ZÑ&]{4,20}", plain):
        raise invalid("/tax_id", "bad_tax_id", _("Letters and digits, at least four of them."))
    kind = KNOWN.get((country, person))
    if kind is not None:
        try:
            plain = kind.validate(plain).replace("-", "").upper()
        except ValidationError as error:
            message = _("This is no tax number of this country: something is mistyped.")
            raise invalid("/tax_id", "bad_tax_id", message) from error
    if country == "MX" and len(plain) != MX_LENGTH[person]:
        message = _("An RFC has 13 characters for a person and 12 for a company.")
        raise invalid("/tax_id", "bad_tax_id", message)
    return plain


def masked(number: str) -> str:
    """A short number is not given away by its last digits."""
    return f"•••• {number[-3:] if len(number) >= 9 else number[-1:]}"
