"""Rails: the ways in which money leaves, one file each.

A rail understands the fields of a payout account when it is added, and later carries out the
payouts to it. A new rail is one file with an object like `file.RAIL` and one line in `RAILS`.
"""

from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails import file, manual, sandbox
from affiliate.payouts.rails.interface import BatchRail, CallRail, HandRail, Rail

RAILS: dict[str, Rail] = {rail.name: rail for rail in (file.RAIL, manual.RAIL, sandbox.RAIL)}


class UnknownRail(Invalid):
    code = "unknown_rail"


def offered() -> list[str]:
    """What new payouts and new accounts may use; a rail that is not set up is not there."""
    return [name for name, rail in RAILS.items() if rail.is_offered()]


def find(name: str) -> Rail:
    """A rail to be used from now on."""
    if name not in offered():
        raise UnknownRail(
            _(
                "There is no rail %(name)s; there are: %(rails)s.",
                name=name,
                rails=", ".join(offered()),
            )
        )
    return RAILS[name]


def is_called(name: str) -> bool:
    """Whether a provider is asked what became of a payout, so that nobody says so by hand."""
    return isinstance(RAILS.get(name), CallRail)


def is_by_hand(name: str) -> bool:
    return isinstance(RAILS.get(name), HandRail)


# Of each kind, offered or not: what is on its way is looked after in any case.


def called() -> list[str]:
    return [name for name in RAILS if is_called(name)]


def by_hand() -> list[str]:
    return [name for name in RAILS if is_by_hand(name)]


def in_files() -> list[str]:
    return [name for name, rail in RAILS.items() if isinstance(rail, BatchRail)]


def call_rail(name: str) -> CallRail:
    found = RAILS[name]
    assert isinstance(found, CallRail)
    return found


__all__ = [
    "RAILS", "BatchRail", "CallRail", "HandRail", "Rail", "UnknownRail", "by_hand", "call_rail",
    "called", "find", "in_files", "is_by_hand", "is_called", "offered",
]  # fmt: skip
