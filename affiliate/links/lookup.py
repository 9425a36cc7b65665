"""What this process remembers of links, so that a redirect rarely asks the database.

A copy is good for a second. When the database does not answer, the last copy is good enough.
"""

import threading
import time
from collections import OrderedDict

from affiliate.db import AWAY, db
from affiliate.errors import AffiliateError
from affiliate.links import queries
from affiliate.links.rules import CODE, Facts

FRESH_SECONDS = 1.0
LINKS_MAX = 50_000


class Unavailable(AffiliateError):
    """The database is away and this process has not seen the link yet."""

    status = 503
    code = "unavailable"


class Lookup:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Facts | None]] = OrderedDict()

    def find(self, code: str) -> Facts | None:
        """The link's facts, at most a second old; None when there is no such link."""
        if not CODE.fullmatch(code):
            return None
        with self._lock:
            known = self._known.get(code)
        if known and time.monotonic() < known[0] + FRESH_SECONDS:
            return known[1]
        try:
            facts = queries.facts(code)
        except AWAY as error:
            db.session.rollback()
            if known is None:
                raise Unavailable("This link cannot be looked up at the moment.") from error
            facts = known[1]
        self._remember(code, facts)
        return facts

    def forget(self, code: str) -> None:
        with self._lock:
            self._known.pop(code, None)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()

    def _remember(self, code: str, facts: Facts | None) -> None:
        with self._lock:
            self._known[code] = (time.monotonic(), facts)
            self._known.move_to_end(code)
            while len(self._known) > LINKS_MAX:
                self._known.popitem(last=False)
