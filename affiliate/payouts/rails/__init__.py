"""Rails: the ways in which money leaves, one file each.

A rail understands the fields of a payout account when it is added, and later carries out the
payouts to it. A new rail is one file with an object like `file.RAIL` and one line in `RAILS`.
"""

from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails import file
from affiliate.payouts.rails.interface import Rail

RAILS: dict[str, Rail] = {rail.name: rail for rail in (file.RAIL,)}


class UnknownRail(Invalid):
    code = "unknown_rail"


def find(name: str) -> Rail:
    try:
        return RAILS[name]
    except KeyError:
        raise UnknownRail(
            _("There is no rail %(name)s; there are: %(rails)s.", name=name, rails=", ".join(RAILS))
        ) from None
