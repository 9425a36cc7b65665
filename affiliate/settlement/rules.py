"""Which way a settlement may go, and the hash that its approver signs."""

import hashlib
from collections.abc import Iterable

from affiliate.settlement.models import State

NEXT: dict[State, set[State]] = {
    State.BUILDING: {State.REVIEW, State.DISCARDED},
    State.REVIEW: {State.APPROVED, State.DISCARDED},
    State.APPROVED: {State.EXECUTING},
    State.EXECUTING: {State.CLOSED},
    State.CLOSED: set(),
    State.DISCARDED: set(),
}


def may_become(state: State, other: State) -> bool:
    return other in NEXT[state]


def digest(lines: Iterable[str]) -> str:
    """SHA-256 over lines of text, each ended by a line feed."""
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode() + b"\n")
    return found.hexdigest()
