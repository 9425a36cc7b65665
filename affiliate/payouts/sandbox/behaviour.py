"""What the provider does with a transfer: by the account it goes to, or drawn from a seed.

A transfer's whole course is settled when it is taken: which state it has after how long. So
nothing has to run in the background, and the course goes on while the provider is down.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Course = tuple[tuple[float, str], ...]  # from so many seconds after it was taken: this state
SOON = 0.2
PATIENCE = 2.0  # seconds that a payee has to confirm


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to transfers to one account, and how the provider answers about them."""

    course: Course = ((0, "processing"), (SOON, "paid"))
    reason: str = ""  # said with `failed`, `expired` and `returned`
    # How the first calls about it go wrong, in their order; later ones go well.
    faults: tuple[str, ...] = ()
    tells: str = "once"  # once, twice, backwards, never


PAID = ((0.0, "paid"),)
BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "at-once": Behaviour(PAID),
        "slow": Behaviour(((0, "processing"), (3.0, "paid"))),
        "never": Behaviour(((0, "processing"),)),
        "told-twice": Behaviour(tells="twice"),
        "told-backwards": Behaviour(tells="backwards"),
        "told-nothing": Behaviour(tells="never"),
        "error-after": Behaviour(faults=("500 after",)),
        "error-before": Behaviour(faults=("500 before",)),
        "cut-after": Behaviour(faults=("cut after",)),
        "cut-before": Behaviour(faults=("cut before",)),
        "hang-after": Behaviour(faults=("hang after",)),
        "nonsense": Behaviour(faults=("nonsense after",)),
        "forgetful": Behaviour(faults=("500 after", "404")),
        "other-amount": Behaviour(faults=("other amount after",) * 3),
        "other-currency": Behaviour(faults=("other currency after",) * 3),
        "confirms": Behaviour(((0, "waiting"), (SOON, "processing"), (2 * SOON, "paid"))),
        "waits": Behaviour(((0, "waiting"),)),
        "expires": Behaviour(((0, "waiting"), (PATIENCE, "expired")), "nobody confirmed in time"),
        "refused": Behaviour(((0, "failed"),), "the account cannot receive"),
        "fails": Behaviour(((0, "processing"), (SOON, "failed")), "the account is closed"),
        "returned": Behaviour(((0, "paid"), (1.0, "returned")), "sent back by the bank"),
    }
)
FAULTS = (
    "500 before", "500 after", "cut before", "cut after", "nonsense after", "404", "503 before",
)  # fmt: skip
COURSES = (
    Behaviour(), Behaviour(), Behaviour(PAID), BEHAVIOURS["confirms"], BEHAVIOURS["expires"],
    BEHAVIOURS["refused"], BEHAVIOURS["fails"], BEHAVIOURS["told-twice"],
    BEHAVIOURS["told-backwards"],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chance:
    """Misbehaves at random, the same way for the same seed in whatever order calls come."""

    seed: int = 0
    share: float = 0.0  # of the transfers, and of the calls about each

    def behaviour(self, account: str, reference: str) -> Behaviour:
        if account in BEHAVIOURS:
            return BEHAVIOURS[account]
        chance = random.Random(f"{self.seed} course {reference}")  # noqa: S311
        return chance.choice(COURSES) if chance.random() < self.share else Behaviour()

    def fault(self, behaviour: Behaviour, reference: str, call: int) -> str:
        """How this call about it goes wrong, if it does; `call` counts from 0."""
        if call < len(behaviour.faults):
            return behaviour.faults[call]
        chance = random.Random(f"{self.seed} call {reference} {call}")  # noqa: S311
        return chance.choice(FAULTS) if chance.random() < self.share else ""


def state_after(course: Course, seconds: float) -> str:
    return [state for begins, state in course if begins <= max(seconds, 0)][-1]
