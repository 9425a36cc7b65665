"""Pix: the five kinds of keys, and the BR Code that a bank's app scans.

The code is a chain of fields, each with two digits of name and two of length (EMV QRCPS-MPM, as in
the BR Code manual of the central bank of Brazil), with a checksum at the end.
"""

import binascii
import unicodedata
from collections.abc import Mapping

from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails.fields import Field, Wrong, cleaned, error
from affiliate.payouts.rails.identifiers import PIX_KEYS
from affiliate.payouts.rails.interface import Destination

FIELDS = {
    "account_holder": Field(140, required=True),
    "key_type": Field(8, one_of=tuple(PIX_KEYS), required=True),
    "key": Field(77, required=True),
}
GUI = "br.gov.bcb.pix"
NOWHERE = "BRASIL"  # a city is needed, and ours to leave open
LONGEST_NAME, LONGEST_CITY = 25, 15


def read(country: str, fields: Mapping[str, object]) -> Destination:
    taken = cleaned(fields, FIELDS)
    try:
        taken["key"] = PIX_KEYS[taken["key_type"]](taken["key"])
    except Wrong as wrong:
        message = _("The payout account cannot be used as it was typed.")
        raise Invalid(message, errors=(error("key", wrong.code, str(wrong)),)) from None
    return Destination(taken, f"{country} Pix {masked(taken)}", f"pix:{taken['key']}")


def masked(fields: Mapping[str, str]) -> str:
    key = fields["key"]
    if fields["key_type"] == "email":
        name, _at, domain = key.rpartition("@")
        return f"{name[0]}•••@{domain}"
    return f"•••• {key[-4:]}"


def br_code(key: str, *, name: str, amount: str, reference: str, city: str = NOWHERE) -> str:
    """A static code over one amount; the reference comes back on the statement as its txid."""
    text = "".join(
        (
            _field("00", "01"),
            _field("26", _field("00", GUI) + _field("01", key)),
            _field("52", "0000"),
            _field("53", "986"),
            _field("54", amount) if amount else "",
            _field("58", "BR"),
            _field("59", plain(name, LONGEST_NAME) or "N"),
            _field("60", plain(city, LONGEST_CITY)),
            _field("62", _field("05", reference)),
            "6304",
        )
    )
    return text + checksum(text)


def checksum(text: str) -> str:
    """CRC-16 with the polynomial 1021 and a start of FFFF, as the manual asks for."""
    return f"{binascii.crc_hqx(text.encode(), 0xFFFF):04X}"


def plain(text: str, longest: int) -> str:
    """Bank apps are sure of ASCII only."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(letters.split())[:longest].strip()


def _field(name: str, text: str) -> str:
    assert 0 < len(text) <= 99
    return f"{name}{len(text):02}{text}"
