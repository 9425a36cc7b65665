"""The `sepa` rail: a pain.001.001.09 with which a bank pays euros, and its pain.002 in return.

It is there once AFFILIATE_SEPA_NAME and AFFILIATE_SEPA_IBAN say whose account pays. No addresses
are written: a name and an IBAN are enough, and unstructured ones are refused since November 2026.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar
from xml.etree import ElementTree as ET

from flask import current_app
from schwifty import IBAN
from sepaxml.transfer import SepaTransfer
from sepaxml.validation import try_valid_xml
from text_unidecode import unidecode

from affiliate import clock
from affiliate.config import Settings
from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails.fields import cleaned, error
from affiliate.payouts.rails.file import BY_IBAN, with_iban
from affiliate.payouts.rails.interface import Destination, Instruction

SCHEMA = "pain.001.001.09"
LONGEST_NAME = 70
NAMES = {"d": f"urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"}


class SepaRail:
    name = "sepa"
    ending: ClassVar[str] = "xml"

    def is_offered(self) -> bool:
        return bool(_settings().sepa_name and _settings().sepa_iban)

    def takes(self, currency: str) -> bool:
        return currency == "EUR"

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        found = with_iban(country, cleaned(fields, BY_IBAN))
        errors = []
        if not IBAN(found.fields["iban"]).in_sepa_zone:
            errors.append(error("iban", "no_sepa", _("Its banks are not part of SEPA.")))
        if not latin(found.fields["account_holder"]):
            message = _("Banks need the name in Latin letters.")
            errors.append(error("account_holder", "not_latin", message))
        if errors:
            message = _("The bank account cannot be used as it was typed.")
            raise Invalid(message, errors=tuple(errors))
        return found

    def batch(self, instructions: Iterable[Instruction]) -> bytes:
        settings, today = _settings(), clock.now().date()
        assert settings.sepa_name
        assert settings.sepa_iban
        payer = {"name": latin(settings.sepa_name), "IBAN": settings.sepa_iban,
                 "batch": True, "currency": "EUR"}  # fmt: skip
        if bic := settings.sepa_bic or IBAN(settings.sepa_iban).bic:
            payer["BIC"] = str(bic)
        file, digest = SepaTransfer(payer, schema=SCHEMA, clean=False), hashlib.sha256()
        for each in instructions:
            digest.update(each.reference.encode())
            file.add_payment(_payment(each) | {"execution_date": today})
        # Its own ids are drawn by lot. From the payouts they are the same for the same file, so a
        # bank that gets it twice can tell.
        return _named(file.export(validate=False), f"TK{digest.hexdigest()[:30].upper()}")


RAIL = SepaRail()


def latin(name: str) -> str:
    """What every bank takes: the Latin letters, digits and few signs of the EPC."""
    plain = re.sub(r"[^A-Za-z0-9/?:().,'+ -]", " ", unidecode(name))
    return " ".join(plain.split())[:LONGEST_NAME].strip()


def _payment(each: Instruction) -> dict[str, object]:
    payment: dict[str, object] = {
        "name": latin(each.fields["account_holder"]),
        "IBAN": each.fields["iban"],
        "amount": each.amount,
        "description": each.reference,
        "endtoend_id": each.reference,
    }
    return payment | ({"BIC": each.fields["bic"]} if "bic" in each.fields else {})


def _named(content: bytes, message_id: str) -> bytes:
    """With ids and time of ours, and only if its schema agrees."""
    document = ET.fromstring(content)  # noqa: S314 (made just now, by us)
    for path, text in (
        (".//d:GrpHdr/d:MsgId", message_id),
        (".//d:GrpHdr/d:CreDtTm", clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")),
        (".//d:PmtInf/d:PmtInfId", f"{message_id}-1"),
    ):
        for element in document.iterfind(path, NAMES):
            element.text = text
    ET.register_namespace("", NAMES["d"])
    text = ET.tostring(document, "utf-8", xml_declaration=True)
    try_valid_xml(text, SCHEMA)
    return bytes(text)


def _settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found
