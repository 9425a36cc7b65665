"""What every rail must be able to do, and what it is given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Destination:
    """A payout account as its rail understood it."""

    fields: dict[str, str]  # normalised; kept sealed
    masked: str  # may be shown
    identity: str  # equal for the same account, however and by whomever it was typed


@dataclass(frozen=True, slots=True)
class Instruction:
    """One payout as a rail gets to see it. Its reference was frozen and stored before."""

    reference: str
    amount: int  # minor units, what the payee gets
    currency: str
    country: str
    fields: Mapping[str, str]


class Rail(Protocol):
    @property
    def name(self) -> str: ...

    def takes(self, currency: str) -> bool:
        """Whether it can send this currency at all."""

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        """Check what somebody typed; Invalid with pointers below `/fields`."""

    def batch(self, instructions: Iterable[Instruction]) -> bytes:
        """One file with all payouts of one settlement and currency: same payouts, same bytes."""
