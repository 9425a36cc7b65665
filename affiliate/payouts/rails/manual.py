"""The `manual` rail: somebody pays by hand, and says so with a reference as the proof."""

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import ClassVar

from affiliate.money import EXPONENTS
from affiliate.payouts.rails.fields import Field, cleaned
from affiliate.payouts.rails.interface import Destination, Instruction, Task

FIELDS = {
    "account_holder": Field(140, required=True),
    "instructions": Field(500, required=True),
}
SHOWN = 4  # characters of the instructions that are shown
HIDDEN_AT_LEAST = 8


class ManualRail:
    name = "manual"
    by_hand: ClassVar[bool] = True

    def is_offered(self) -> bool:
        return True

    def takes(self, currency: str) -> bool:
        return currency in EXPONENTS

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        taken = cleaned(fields, FIELDS)
        plain = _plain(taken["instructions"])
        # A short text is not given away by its last characters.
        shown = plain[-SHOWN:] if len(plain) >= SHOWN + HIDDEN_AT_LEAST else ""
        # Free text may be long; only whether it is the same matters.
        identity = hashlib.sha256(plain.encode()).hexdigest()
        return Destination(taken, f"{country} •••• {shown}".strip(), f"manual:{identity}")

    def task(self, instruction: Instruction) -> Task:
        return Task(instruction.fields["instructions"])

    def check_proof(self, reference: str) -> None:
        """Whatever the person has."""


RAIL = ManualRail()


def _plain(text: str) -> str:
    """Letters and digits only: the same number is the same however it is written."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if char.isalnum())
