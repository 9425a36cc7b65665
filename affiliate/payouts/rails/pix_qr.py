"""The `pix_qr` rail: each payout is a code that somebody scans with the app of their bank."""

import re
from collections.abc import Mapping
from typing import ClassVar

from affiliate.errors import invalid
from affiliate.i18n import _
from affiliate.money import decimal_text
from affiliate.payouts.rails import pix
from affiliate.payouts.rails.interface import Destination, Instruction, Task

# E, the paying bank's ISPB, the minute in UTC, eleven of the bank's own.
END_TO_END_ID = re.compile(
    r"E[0-9]{8}20[0-9]{2}(0[1-9]|1[0-2])[0-3][0-9][0-2][0-9][0-5][0-9]\w{11}"
)


class PixQrRail:
    name = "pix_qr"
    by_hand: ClassVar[bool] = True

    def is_offered(self) -> bool:
        return True

    def takes(self, currency: str) -> bool:
        return currency == "BRL"

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        return pix.read(country, fields)

    def task(self, instruction: Instruction) -> Task:
        fields = instruction.fields
        code = pix.br_code(
            fields["key"],
            name=fields["account_holder"],
            amount=decimal_text(instruction.amount, instruction.currency),
            reference=instruction.reference,
        )
        return Task(f"Pix {fields['key']}", scan=code)

    def check_proof(self, reference: str) -> None:
        if not END_TO_END_ID.fullmatch(reference):
            message = _("The proof of a Pix is its end-to-end id: E and 31 digits and letters.")
            raise invalid("/reference", "no_end_to_end_id", message)


RAIL = PixQrRail()
