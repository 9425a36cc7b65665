"""Who an order is credited to: a pure function over dated facts (DOMAIN 3).

Everything is judged as of the order's `created_at` (here `placed_at`), never as of now, so the same
facts always give the same choice, however late a webhook comes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from affiliate.orders.facts import Note

TOLERANCE = timedelta(minutes=10)  # clocks of shops and ours differ
SECOND = timedelta(seconds=1)


When = Callable[[datetime], bool]  # whether something held at an instant


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end); None is open."""

    start: datetime | None
    end: datetime | None

    def covers(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


def moment(at: datetime, touched_at: datetime | None) -> datetime:
    """The instant as of which an order's dated facts are judged.

    Not before its touch, which a shop's slow clock may claim, and at the end of its second, since
    tokens and many shops count whole ones.
    """
    latest = max(at, touched_at) if touched_at else at
    return latest.replace(microsecond=0) + SECOND - timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Offer:
    """The program behind a touch, with its terms as of the order."""

    program_id: int
    priority: int
    window: timedelta
    sources: tuple[str, ...]
    shop_ids: tuple[int, ...]  # empty: all
    running: Span


@dataclass(frozen=True, slots=True)
class Touch:
    """Something that can earn credit. `ref` names it in the trace; dates decide, not flags."""

    ref: str
    source: str
    at: datetime
    promoter_id: int
    link_id: int | None
    offer: Offer
    usable: When  # the link: neither paused nor expired
    member: When  # the promoter took part in the program
    suspended: When


@dataclass(frozen=True, slots=True)
class Choice:
    winner: Touch | None
    trace: list[Note]


def choose(touches: Sequence[Touch], *, placed_at: datetime, shop_id: int, renewal: bool) -> Choice:
    """The winner among an order's touches, and why each of the others lost.

    The program with the higher priority, then the newest touch, is taken; inside it the last
    click counts.
    """
    trace: list[Note] = []
    standing = []
    for touch in sorted(touches, key=_newest_last):
        reason = _refused(touch, placed_at=placed_at, shop_id=shop_id, renewal=renewal)
        if reason is None:
            standing.append(touch)
        else:
            trace.append((reason, _named(touch)))
    if not standing:
        return Choice(None, [*trace, ("no_winner", {})])

    winner = max(standing, key=lambda touch: (touch.offer.priority, *_newest_last(touch)))
    for touch in standing:
        if touch is not winner:
            other = touch.offer.program_id != winner.offer.program_id
            trace.append(("other_program" if other else "earlier_touch", _named(touch)))
    return Choice(winner, [*trace, ("won", _named(winner) | {"program": winner.offer.program_id})])


def _newest_last(touch: Touch) -> tuple[datetime, int]:
    return (touch.at, touch.link_id or 0)


def _named(touch: Touch) -> dict[str, str | int]:
    return {
        "touch": touch.ref,
        "source": touch.source,
        "at": touch.at.isoformat(),
        "promoter": touch.promoter_id,
    }


def _refused(touch: Touch, *, placed_at: datetime, shop_id: int, renewal: bool) -> str | None:
    offer = touch.offer
    at = moment(placed_at, touch.at)
    checks = (
        (renewal and touch.source != "binding", "renewal_needs_binding"),
        (touch.at > placed_at + TOLERANCE, "touch_after_order"),
        (touch.at < placed_at - offer.window, "outside_window"),
        (bool(offer.shop_ids) and shop_id not in offer.shop_ids, "shop_not_in_program"),
        (not offer.running.covers(at), "program_not_running"),
        (touch.source not in offer.sources, "source_not_allowed"),
        (not touch.usable(at), "link_not_usable"),
        (not touch.member(at), "not_a_member"),
        (touch.suspended(at), "suspended"),
    )
    return next((reason for failed, reason in checks if failed), None)
