"""From the spool into the store: exactly once, whoever dies when. And days of orders, counted anew
when one of them was booked.
"""

from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import Counter

from affiliate.commissions import service as commissions
from affiliate.insight import store
from affiliate.links import spool

log = structlog.get_logger(__name__)

BATCH_BYTES = 4 * 1024 * 1024
DAMAGED = Counter("tuike_spool_damaged_lines", "Lines of the spool whose checksum is wrong")


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch did: new clicks, how far the segment is stored, whether there is more to
    read at once, and whether that was all there will ever be.
    """

    new: int = 0
    upto: int = 0
    more: bool = False
    over: bool = False


def write_some(segment: Path, *, batch_bytes: int = BATCH_BYTES) -> Step:
    """Store the next stretch of a segment. The caller commits, and may call again at once."""
    if not store.claim(segment.name):
        return Step()
    offset = store.offset_of(segment.name)
    try:
        with segment.open("rb") as file:
            over = spool.is_over(file)
            file.seek(offset)
            stretch = file.read(batch_bytes)
    except FileNotFoundError:  # another writer was faster
        return Step()
    whole = _whole_lines(stretch, batch_bytes)
    upto, new = offset + len(whole), 0
    if whole:
        new = _keep(segment, whole, upto)
    more = len(stretch) == batch_bytes
    # A torn line at the very end of a dead process's segment was never answered.
    return Step(new, upto, more=more, over=over and not more)


def forget(segment: Path) -> None:
    """Remove a segment that is over and stored whole.

    The file goes before its offset: if we die in between, a row is left and no click comes twice.
    """
    if not store.claim(segment.name):
        return
    segment.unlink(missing_ok=True)
    store.forget(segment.name)


def count_orders() -> bool:
    """Count the days on which orders were booked since; whether there may be more of them.

    What is booked meanwhile marks its day again. One at a time: days are replaced as a whole.
    """
    if not store.claim_orders():
        return False
    days = commissions.take_touched()
    for merchant_id, day in days:
        store.count_orders(merchant_id, day)
    return bool(days)


def _whole_lines(stretch: bytes, batch_bytes: int) -> bytes:
    end = stretch.rfind(b"\n") + 1
    if end == 0 and len(stretch) == batch_bytes:
        return stretch  # rubbish without an end is passed over, not read for ever
    return stretch[:end]


def _keep(segment: Path, stretch: bytes, upto: int) -> int:
    lines = stretch.removesuffix(b"\n").split(b"\n")
    kept = store.keep(lines, segment=segment.name, upto=upto)
    if kept.damaged:
        DAMAGED.inc(kept.damaged)
        log.error("damaged lines in the spool", segment=segment.name, lines=kept.damaged)
    return kept.new
