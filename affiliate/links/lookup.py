"""What this process remembers of links, so that a redirect rarely asks the database.

Whatever a redirect depends on leaves a word in the database when it changes (`link_changes`,
written by triggers). A process that serves redirects looks for such words twice a second and drops
what they speak of. While the database is away nothing can change in it, so what is remembered stays
good. A process that does not look (a test, a shell) believes a copy for a second.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from flask import Flask

from affiliate.db import AWAY, db, unit_of_work
from affiliate.errors import AffiliateError
from affiliate.links import losses, queries
from affiliate.links.rules import CODE, Facts, Ready
from affiliate.links.spool import Spool

log = structlog.get_logger(__name__)

FRESH_SECONDS = 1.0
LOOK_SECONDS = 0.4
BLIND_SECONDS_MAX = 1800.0  # words are kept for an hour
LINKS_MAX = 50_000
UNKNOWN_MAX = 10_000
CHANGES_MAX = 100_000
_NONE_YET = 2**62
_STRIPES = 64


class Unavailable(AffiliateError):
    """The database is away and this process has not seen the link yet."""

    status = 503
    code = "unavailable"


@dataclass(slots=True)
class Known:
    facts: Facts
    asked_at: float
    as_of: int  # the last word that was heard when it was true
    ready: Ready | None = field(default=None)  # made by the fast road


class Lookup:
    """Threads may share it. Reading takes no lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = [threading.Lock() for _ in range(_STRIPES)]
        self._known: dict[str, Known] = {}
        self._unknown: dict[str, float] = {}
        self._heard = 0  # counts what was told so far
        self._floor = 0  # copies of before are not believed
        self._changed: dict[str, int] = {}
        self._watch: Watch | None = None

    def find(self, code: str) -> Facts | None:
        """The link's facts, at most a second old; None when there is no such link."""
        if not CODE.fullmatch(code):
            return None
        if known := self.at_hand(code):
            return known.facts
        if self._is_unknown(code):
            return None
        with self._turns[hash(code) % _STRIPES]:  # who comes meanwhile waits for this answer
            if known := self.at_hand(code):
                return known.facts
            if self._is_unknown(code):
                return None
            return self._ask(code)

    def at_hand(self, code: str) -> Known | None:
        """What can be told without asking the database."""
        known = self._known.get(code)
        if known is None:
            return None
        if self._watch is None:
            return known if time.monotonic() < known.asked_at + FRESH_SECONDS else None
        heard = self._heard
        if known.as_of != heard:
            if known.as_of < self._floor:
                return None
            changed = self._changed
            for subject in known.facts.subjects:
                if changed.get(subject, 0) > known.as_of:
                    return None
            known.as_of = heard
        return known

    def forget(self, code: str) -> None:
        with self._lock:
            self._known.pop(code, None)
            self._unknown.pop(code, None)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self._unknown.clear()

    def watch(self, app: Flask) -> None:
        """From now on look for words of changes, for as long as this process lives."""
        self._watch = Watch(app, self)
        self._watch.start()

    def hear(self, subjects: list[str]) -> None:
        """These have changed."""
        with self._lock:
            heard = self._heard + 1
            if len(self._changed) + len(subjects) > CHANGES_MAX:
                self._changed, self._floor = {}, heard
            self._changed.update(dict.fromkeys(subjects, heard))
            self._heard = heard  # last: who reads it finds what it counts

    def distrust(self) -> None:
        """Words may have been missed: believe nothing of before."""
        with self._lock:
            self._heard += 1
            self._floor, self._changed = self._heard, {}

    def _is_unknown(self, code: str) -> bool:
        asked_at = self._unknown.get(code)
        return asked_at is not None and time.monotonic() < asked_at + FRESH_SECONDS

    def _ask(self, code: str) -> Facts | None:
        as_of = self._heard  # before asking: what is told meanwhile makes it old
        try:
            facts = queries.facts(code)
        except AWAY as error:
            db.session.rollback()
            known = self._known.get(code)
            if known is None:
                raise Unavailable("This link cannot be looked up at the moment.") from error
            return known.facts
        with self._lock:
            self._known.pop(code, None)
            if facts is not None:
                self._unknown.pop(code, None)
                self._known[code] = Known(facts, time.monotonic(), as_of)
                while len(self._known) > LINKS_MAX:
                    self._known.pop(next(iter(self._known)))
            else:
                if len(self._unknown) >= UNKNOWN_MAX:
                    self._unknown.clear()
                self._unknown[code] = time.monotonic()
        return facts


class Watch(threading.Thread):
    """Asks the database twice a second what changed. Transactions end in another order than they
    began, so it asks from the first one that was not over the last time, and skips what it heard.
    """

    def __init__(self, app: Flask, lookup: Lookup) -> None:
        super().__init__(name="links", daemon=True)
        self._app, self._lookup = app, lookup
        self._since: int | None = None
        self._told: set[str] = set()
        self._looked_at = time.monotonic()
        self._blind = False

    def run(self) -> None:
        with self._app.app_context():
            while True:
                with self._troubles_told():
                    self.look()
                    self._tell_lost()
                time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        since = _NONE_YET if self._since is None else self._since
        oldest, told = queries.news(since)
        blind_for = time.monotonic() - self._looked_at
        if self._since is None or oldest < since or blind_for > BLIND_SECONDS_MAX:
            # The first look, another database behind the same address, or too long ago.
            self._lookup.distrust()
        elif new := [each for each in told if each not in self._told]:
            self._lookup.hear([each.partition("/")[2] for each in new])
        self._since, self._told, self._looked_at = oldest, set(told), time.monotonic()

    def _tell_lost(self) -> None:
        """A full disk cannot say so itself."""
        spool: Spool = self._app.extensions["spool"]
        lost = spool.take_lost()
        if lost is None:
            return
        try:
            with unit_of_work():
                losses.note(lost)
        except BaseException:
            spool.give_back(lost)
            raise

    @contextmanager
    def _troubles_told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Whatever it is, redirects go on with what is remembered, and the next look may work.
            if not self._blind:
                log.warning("changes of links are not heard of", error=str(error))
            self._blind = True
        else:
            if self._blind:
                log.info("changes of links are heard of again")
            self._blind = False
