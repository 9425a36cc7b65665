"""Orders from a CSV or XLSX file, for marketplaces without a connector. Format: docs/shops.md.

Rows become bodies in the `standard` format, with a note of which row said what. Nobody knocks:
there is no door for such a shop.
"""

from collections.abc import Sequence

from affiliate.catalog.service import Keys
from affiliate.intake.platforms import standard
from affiliate.intake.platforms.interface import Knock, Platform, Report
from affiliate.intake.reading import Node, Unreadable


def signed(_keys: Keys, _knock: Knock) -> bool:
    return False


def read(body: Node) -> Sequence[Report]:
    """A fault is told by the row and the column where somebody can mend it."""
    try:
        return standard.read(body)
    except Unreadable as error:
        raise Unreadable(error.code, _pointer(body, error.pointer), error.message) from None


def _pointer(body: Node, pointer: str) -> str:
    rows = body.get("rows").value
    steps = pointer.split("/")[2:]  # without "" and "data"
    for depth in range(len(steps), -1, -1):
        key = "/".join(steps[:depth])
        if isinstance(rows, dict) and key in rows:
            rest = steps[depth:]
            return "/".join(["", "rows", str(rows[key]), *rest])
    return pointer


PLATFORM = Platform(signed=signed, order_key=standard.order_key, read=read)
