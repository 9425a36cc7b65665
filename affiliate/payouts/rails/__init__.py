"""Rails: the ways in which money leaves, one file each.

A rail understands the fields of a payout account when it is added, and later carries out the
payouts to it. A new rail is one file with an object like `file.RAIL` and one line in `RAILS`.
"""

from affiliate.errors import Invalid, invalid
from affiliate.i18n import _
from affiliate.payouts.rails import (
    file,
    manual,
    mercadopago,
    paypal,
    pix_qr,
    sandbox,
    sepa,
    wechat,
)
from affiliate.payouts.rails.interface import BatchRail, CallRail, HandRail, Rail

RAILS: dict[str, Rail] = {
    rail.name: rail
    for rail in (
        file.RAIL,
        sepa.RAIL,
        manual.RAIL,
        pix_qr.RAIL,
        mercadopago.RAIL,
        paypal.RAIL,
        wechat.RAIL,
        sandbox.RAIL,
    )
}


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


def hand_rail(name: str) -> HandRail:
    found = RAILS[name]
    assert isinstance(found, HandRail)
    return found


def check_proof(name: str, reference: str | None) -> None:
    """Whoever paid by hand says by which payment; elsewhere a reference is welcome."""
    if not is_by_hand(name):
        return
    if not reference:
        message = _("What was paid by hand needs a reference as its proof.")
        raise invalid("/reference", "missing", message)
    hand_rail(name).check_proof(reference)


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
    "called", "check_proof", "find", "hand_rail", "in_files", "is_by_hand", "is_called", "offered",
]  # fmt: skip
