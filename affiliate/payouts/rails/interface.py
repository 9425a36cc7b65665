"""What every rail must be able to do, and what it is given.

A rail reads what people type into a payout account, and carries payouts out in one of three ways:
as a file (`BatchRail`), by a person (`HandRail`), or by calls to a provider (`CallRail`).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable


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
    provider_reference: str | None = None  # the provider's own number, once it told it


class Said(StrEnum):
    """What became of one call to a provider."""

    ACCEPTED = "accepted"
    ACTION_REQUIRED = "action_required"  # the payee has to do something
    PAID = "paid"
    FAILED = "failed"  # also refused, and expired: the money stays or comes back
    RETURNED = "returned"  # it was paid and came back
    NOT_FOUND = "not_found"  # asked, the provider says that it never saw the reference
    AGAIN = "again"  # only the same sending again can tell: it knows no question about references
    UNKNOWN = "unknown"  # sent, and no answer that says anything: it may have arrived
    UNREACHABLE = "unreachable"  # surely not sent: nobody took the call


@dataclass(frozen=True, slots=True)
class Answer:
    said: Said
    provider_reference: str | None = None
    detail: str = ""  # in the provider's words; kept in the timeline
    until: datetime | None = None  # when a required action lapses
    # What the provider says it sends: other money than ours is never taken for ours.
    amount: int | None = None
    currency: str | None = None
    # What it charges for that, on top.
    fee: int | None = None
    fee_currency: str | None = None
    # What the payee's app has to be given for a required action.
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What somebody has to pay: in words, or as a code to be scanned with a bank's app."""

    words: str
    scan: str = ""


class Rail(Protocol):
    @property
    def name(self) -> str: ...

    def is_offered(self) -> bool:
        """Whether this instance is set up for it. Payouts on their way are looked after anyway."""

    def takes(self, currency: str) -> bool:
        """Whether it can send this currency at all."""

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        """Check what somebody typed; Invalid with pointers below `/fields`."""


@runtime_checkable
class BatchRail(Rail, Protocol):
    ending: ClassVar[str]  # of the file's name

    def batch(self, instructions: Iterable[Instruction]) -> bytes:
        """One file with all payouts of one settlement and currency: the same payouts at the same
        time make the same bytes.
        """


@runtime_checkable
class HandRail(Rail, Protocol):
    """Somebody carries each payout out and says so with a proof."""

    by_hand: ClassVar[bool]

    def task(self, instruction: Instruction) -> Task:
        """What that person has to know."""

    def check_proof(self, reference: str) -> None:
        """Invalid if no payment of this rail has such a reference."""


class Line(Protocol):
    """An open connection to a provider. Used by several threads at once, outside any transaction.

    Neither call raises for what a provider or a network does: it says so in its answer.
    """

    def send(self, instruction: Instruction) -> Answer:
        """Ask for the transfer under its reference. The same reference again is the same transfer,
        so the same instruction may be sent twice.
        """

    def ask(self, instruction: Instruction) -> Answer:
        """What has become of it; without fields, which nobody needs to ask."""


@runtime_checkable
class CallRail(Rail, Protocol):
    @property
    def asks_for(self) -> timedelta:
        """For how long after the first sending the provider can be asked. Later `not_found` says
        nothing any more.
        """

    @property
    def at_once(self) -> int:
        """How many calls may run at the same time."""

    def line(self) -> AbstractContextManager[Line]:
        """Needs the application; what it opens does not."""

    def hints(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:
        """The references that a notification is about; Invalid if it makes no sense. A hint is
        never believed: it only rings, and the provider is asked.
        """
