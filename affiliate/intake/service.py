"""The shops' door: keep what was sent, then book it order by order.

The row is the work: a webhook is answered once its row is stored. Workers claim *orders*, not
events, so an order is never in two hands and any number of workers share one big shop. What is
about a product goes another way (intake/products.py), so that no order waits for it.
"""

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import uuid4

import sqlalchemy as sa
import structlog
from flask import current_app
from redis import Redis
from redis.exceptions import RedisError

from affiliate import clock, jobs, security
from affiliate.attribution import service as attribution
from affiliate.attribution.service import Credit
from affiliate.catalog import service as catalog
from affiliate.catalog.models import Shop
from affiliate.catalog.queries import Door
from affiliate.catalog.service import Keys
from affiliate.commissions import queries as earned
from affiliate.commissions import service as commissions
from affiliate.db import AWAY, alone, among, db, unit_of_work, within
from affiliate.errors import AffiliateError
from affiliate.intake import checkouts, reading
from affiliate.intake.catalogue.parts import named
from affiliate.intake.coupons import seeing
from affiliate.intake.models import Event
from affiliate.intake.platforms import PLATFORMS, Knock, Platform
from affiliate.intake.reading import Unreadable
from affiliate.live import channels
from affiliate.orders import queries as order_queries
from affiliate.orders import service as orders
from affiliate.orders.facts import TokenNotice
from affiliate.orders.queries import Stored
from affiliate.risk import service as risk

log = structlog.get_logger(__name__)

BATCH_ORDERS = 500
BELL_MS = 100
DAY = 24 * 3600
TELL_SECONDS = 2  # open pages hear of bad signatures no more often
PLACE = "inbox.body"
OF_PRODUCT = "product:"  # before a product's id, where orders have theirs
OF_GROUP = "group"  # the topic of a second look at an order whose group was opened only now
LONGEST_DELIVERY = 200  # characters of an id; longer ones are kept as their hash
KEEP_DONE = timedelta(days=30)
KEEP_QUARANTINED = timedelta(days=90)


# Only into a shop that is as it was when the signature was checked: connected, the same secrets.
KEEP: LiteralString = (
    "INSERT INTO inbox (merchant_id, shop_id, dedup_key, order_key, goods, topic, body, thin,"
    "   received_at, created_at, state, attempts)"
    " SELECT merchant_id, id, %(dedup_key)s, %(order_key)s, %(goods)s, %(topic)s, %(body)s,"
    "   %(thin)s, %(now)s, %(now)s, 'waiting', 0"
    " FROM shops WHERE merchant_id = %(merchant_id)s AND id = %(shop_id)s"
    "   AND disconnected_at IS NULL AND credentials = %(credentials)s"
    " ON CONFLICT (merchant_id, shop_id, dedup_key) DO NOTHING RETURNING id"
)
# The same for several. Sorted, so that two processes with the same deliveries do not wait for each
# other.
KEEP_ALL: LiteralString = (
    "INSERT INTO inbox (merchant_id, shop_id, dedup_key, order_key, goods, topic, body, thin,"
    "   received_at, created_at, state, attempts)"
    " SELECT s.merchant_id, s.id, n.dedup_key, n.order_key, n.goods, n.topic, n.body, n.thin,"
    "   n.now, n.now, 'waiting', 0"
    " FROM unnest(%(merchant_id)s::bigint[], %(shop_id)s::bigint[], %(dedup_key)s::text[],"
    "   %(order_key)s::text[], %(goods)s::boolean[], %(topic)s::text[], %(body)s::bytea[],"
    "   %(thin)s::boolean[], %(credentials)s::bytea[], %(now)s::timestamptz[])"
    "   AS n (merchant_id, shop_id, dedup_key, order_key, goods, topic, body, thin, credentials,"
    "     now)"
    " JOIN shops s ON s.merchant_id = n.merchant_id AND s.id = n.shop_id"
    "   AND s.disconnected_at IS NULL AND s.credentials = n.credentials"
    " ORDER BY s.merchant_id, s.id, n.dedup_key"
    " ON CONFLICT (merchant_id, shop_id, dedup_key) DO NOTHING"
    " RETURNING merchant_id, shop_id, dedup_key"
)
BELL = jobs.Job.DRAIN_INBOX
# By whether it is about a product, and whether it must be fetched first.
BELLS = {
    (False, False): BELL,
    (False, True): jobs.Job.FETCH_ORDERS,
    (True, False): jobs.Job.DRAIN_PRODUCTS,
    (True, True): jobs.Job.FETCH_PRODUCTS,
}


def keep(shop: Door, knock: Knock, keys: Keys | None = None) -> bool:
    """Store a webhook for good and ring for a worker. False when we had it already, or when the
    shop is not what the caller took it for.

    The signature has been checked. A body that cannot be read is kept all the same: a worker puts
    it into quarantine, where somebody sees it.
    """
    return TOGETHER.keep(_kept(shop, knock, keys or catalog.keys(shop)))


@dataclass(eq=False, slots=True)
class _Wanted:
    """A webhook that a thread wants kept, and what became of it."""

    row: dict[str, Any]
    told: threading.Event = field(default_factory=threading.Event)
    leads: bool = False  # told to store those that wait, this one among them
    kept: bool = False
    # Until it is known to be stored, or to be there already.
    error: Exception | None = field(default_factory=lambda: RuntimeError("not stored"))


class Together:
    """Webhooks that arrive while others are being stored go into the next statement together: one
    round trip, one commit and one bell for all of them.

    Whoever finds nobody at it stores what waits, once, and hands over to the next who waits.
    """

    MOST = 16

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Wanted] = []
        self._is_led = False

    def keep(self, row: dict[str, Any]) -> bool:
        mine = _Wanted(row)
        with self._lock:
            self._waiting.append(mine)
            mine.leads, self._is_led = not self._is_led, True
        if not mine.leads:
            mine.told.wait()
        if mine.leads:
            self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.kept

    def _lead(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[: self.MOST], self._waiting[self.MOST :]
        try:
            _keep_all(batch)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_led = following is not None
            if following is not None:
                following.leads = True
                following.told.set()
            for each in batch:
                each.told.set()


TOGETHER = Together()


def _keep_all(batch: Sequence[_Wanted]) -> None:
    """Store them, and ring once for each shop. What spoils a statement for the others is stored,
    or fails, by itself.
    """
    try:
        rows = [each.row for each in batch]
        if len(rows) == 1:
            stored = {_key(rows[0])} if alone(KEEP, rows[0]) else set()
        else:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            stored = {(row[0], row[1], row[2]) for row in alone(KEEP_ALL, columns)}
    except Exception as error:
        if len(batch) > 1 and not isinstance(error, AWAY):
            for each in batch:
                _keep_all([each])
            return
        for each in batch:
            each.error = error
        return
    bells = {(_bell(each.row), *_key(each.row)[:2]) for each in batch if _key(each.row) in stored}
    for each in batch:
        each.kept, each.error = _key(each.row) in stored, None
        stored.discard(_key(each.row))  # the same once more was not kept again
    for bell in sorted(bells):
        jobs.enqueue(*bell, once_per_ms=BELL_MS)


def _bell(row: dict[str, Any]) -> jobs.Job:
    return BELLS[row["goods"], row["thin"]]


def _key(row: dict[str, Any]) -> tuple[int, int, str]:
    return row["merchant_id"], row["shop_id"], row["dedup_key"]


def keep_with_others(shop: Shop, knock: Knock) -> bool:
    """The same in the current unit of work, for many at once."""
    row = _kept(shop, knock, catalog.keys(shop))
    kept = within(KEEP, row) is not None
    if kept:
        jobs.ring(_bell(row), shop.merchant_id, shop.id, once_per_ms=BELL_MS)
    return kept


KEEP_READ: LiteralString = (
    "INSERT INTO inbox (merchant_id, shop_id, dedup_key, order_key, goods, topic, body,"
    "   received_at, created_at, state, attempts)"
    " VALUES (%(merchant_id)s, %(shop_id)s, %(dedup_key)s, %(order_key)s, %(goods)s, %(topic)s,"
    "   %(body)s, %(now)s, %(now)s, 'waiting', 0)"
    " ON CONFLICT (merchant_id, shop_id, dedup_key) DO NOTHING RETURNING id"
)


def keep_read(shop: Shop | Door, bodies: Iterable[bytes], topic: str) -> int:
    """Store what we read at the shop ourselves, or in a file; returns how many were new."""
    platform = PLATFORMS[shop.platform]
    kept = 0
    bells = set()
    for body in bodies:
        row = _row(shop, body, f"{topic}:{hashlib.sha256(body).hexdigest()}", topic)
        row |= _about(platform, body, topic) | {"thin": False}
        row["order_key"] = row["order_key"] or f"-{row['dedup_key']}"
        if within(KEEP_READ, row) is not None:
            kept += 1
            bells.add(_bell(row))
    for bell in sorted(bells):
        jobs.ring(bell, shop.merchant_id, shop.id, once_per_ms=BELL_MS)
    return kept


def hand_over(shop: Door, checkout: str, tokens: Sequence[str]) -> None:
    """What a browser says of a checkout. If its order is here already, that is told of it."""
    order_key = checkouts.hand_over(shop, checkout, tokens)
    if order_key is None:
        return
    body = checkouts.notice(order_key, tokens)
    _keep_notice(shop, order_key, body, checkouts.TOPIC, hashlib.sha256(body).hexdigest())


def look(merchant_id: int, orders: Sequence[Stored], credited: Mapping[int, Credit]) -> None:
    """What is seen of orders while they are booked: risks, and who joined a group that one of them
    opens. Those get a turn of their own, with their own locks.
    """
    risk.look(merchant_id, orders, credited)
    found = attribution.behind(merchant_id, [each for each in orders if credited[each.id].opens])
    settled = earned.settled(merchant_id, [each.order_id for each in found]) if found else set()
    for each in found:
        if each.order_id not in settled:
            shop = db.session.get_one(Shop, (merchant_id, each.shop_id))
            body = checkouts.notice(each.external_id, ())
            _keep_notice(shop, each.external_id, body, OF_GROUP, uuid4().hex)


def _keep_notice(shop: Shop | Door, order_key: str, body: bytes, topic: str, delivery: str) -> None:
    row = _row(shop, body, f"{topic}:{delivery}", topic) | {"order_key": order_key}
    if within(KEEP_READ, row) is not None:
        jobs.ring(BELL, shop.merchant_id, shop.id, once_per_ms=BELL_MS)


def _kept(shop: Shop | Door, knock: Knock, keys: Keys) -> dict[str, Any]:
    platform = PLATFORMS[shop.platform]
    body = platform.plain(keys, knock)
    delivery = platform.delivery(knock._replace(body=body))
    if len(delivery) > LONGEST_DELIVERY:
        delivery = hashlib.sha256(delivery.encode()).hexdigest()
    row = _row(shop, body, delivery, platform.topic(knock._replace(body=body)))
    row |= _about(platform, body, row["topic"], keys)
    row["order_key"] = row["order_key"] or f"-{delivery}"
    return row


def _row(shop: Shop | Door, body: bytes, delivery: str, topic: str) -> dict[str, Any]:
    return {
        "merchant_id": shop.merchant_id,
        "shop_id": shop.id,
        "credentials": shop.credentials,
        "dedup_key": delivery,
        "topic": topic,
        "body": security.seal(body, place=PLACE),
        "thin": False,
        "goods": False,
        "now": clock.now(),
    }


def _about(platform: Platform, body: bytes, topic: str, keys: Keys | None = None) -> dict[str, Any]:
    """The order or the product that a body is about, if it can be told, and whether it must be
    fetched.
    """
    found = {"order_key": "", "thin": False, "goods": False}
    try:
        node = reading.load(body)
        goods = named(platform.catalogue, node, topic) if platform.catalogue else None
        if goods is not None:
            found["goods"] = True
            found["order_key"] = f"{OF_PRODUCT}{goods.key()}"
            thin = platform.catalogue and platform.catalogue.thin
        else:
            found["order_key"] = platform.order_key(node)
            thin = platform.thin
        found["thin"] = bool(keys and thin and found["order_key"] and thin(keys, node))
    except Unreadable:
        pass
    return found


def note_refusal(shop: Door, why: str) -> None:
    """Count what came with a bad signature, and remember the last one: health and the set-up page
    show them. Two keys that end by themselves, however often somebody knocks.
    """
    redis: Redis = current_app.extensions["redis"]
    name = refusals_of(shop.merchant_id, shop.id)
    last = f"{int(clock.now().timestamp())} {why}"
    try:
        with redis.pipeline(transaction=False) as pipe:
            pipe.incr(name)
            pipe.expire(name, DAY)
            pipe.set(last_refusal_of(shop.merchant_id, shop.id), last, ex=DAY)
            pipe.set(f"{name}:told", b"", nx=True, ex=TELL_SECONDS)
            *_rest, is_first = pipe.execute()
    except RedisError:
        log.warning("a refusal is not counted", exc_info=True)
        return
    if is_first:
        channels.publish([channels.merchant(shop.merchant_id)])


def refusals_of(merchant_id: int, shop_id: int) -> str:
    return f"hooks:refused:{merchant_id}:{shop_id}"


def last_refusal_of(merchant_id: int, shop_id: int) -> str:
    return f"{refusals_of(merchant_id, shop_id)}:last"


# --- working it off --------------------------------------------------------------------------


class Waiting(NamedTuple):
    """An event that waits, as a plain row."""

    id: int
    order_key: str
    body: bytes | None


@dataclass(slots=True)
class Claim:
    """Waiting events of orders that this transaction holds, and what becomes of them."""

    merchant_id: int
    shop_id: int
    platform: str
    events: Sequence[Waiting]
    done: list[int] = field(default_factory=list)
    ours: set[int] = field(default_factory=set)  # which say nothing of what the shop told
    moved: dict[int, str] = field(default_factory=dict)  # to the order they turned out to be of
    put_aside: dict[int, dict[str, str]] = field(default_factory=dict)  # with the error

    @property
    def keys(self) -> list[str]:
        """The orders that are held."""
        return list(dict.fromkeys(event.order_key for event in self.events))


def drain(merchant_id: int, shop_id: int, batch: int = BATCH_ORDERS) -> int:
    """Book all waiting events of a shop; returns how many orders were booked.

    Each batch is one transaction. Of a batch that fails each half is tried by itself, and so on:
    the order that fails alone is quarantined with its error, at the price of two transactions for
    each halving.
    """
    booked = 0
    suspects: list[list[str]] = []  # parts of a batch that failed, the next one last
    while True:
        only = suspects.pop() if suspects else None
        claim: Claim | None = None
        try:
            with unit_of_work():
                claim = _claim(merchant_id, shop_id, batch, only)
                _book(claim)
        except Exception as error:
            keys = claim.keys if claim else []
            if len(keys) > 1:
                log.warning(
                    "batch failed, its halves now",
                    merchant=merchant_id,
                    shop=shop_id,
                    orders=len(keys),
                    exc_info=True,
                )
                half = len(keys) // 2
                suspects += [keys[half:], keys[:half]]
                continue
            if claim is None or is_away(error):
                raise
            log.exception("order quarantined", merchant=merchant_id, shop=shop_id)
            _put_aside(claim, error)
            continue
        if not claim.events and only is None:
            return booked
        booked += len(claim.keys)


def is_away(error: Exception) -> bool:
    """Whether it is the database that fails: nothing is wrong with the order then."""
    return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)


_OLDEST = """
    SELECT order_key FROM (
      SELECT order_key, min(id) AS first FROM (
        SELECT order_key, id FROM inbox
         WHERE merchant_id = :merchant AND shop_id = :shop AND state = 'waiting' AND NOT thin
           AND NOT goods {}
         ORDER BY id LIMIT :scan) waiting
      GROUP BY order_key ORDER BY first OFFSET 0) oldest
    WHERE pg_try_advisory_xact_lock(
      hashtextextended(concat(:merchant, '/', :shop, '/', order_key), 0))
    LIMIT :batch
"""
OLDEST = sa.text(_OLDEST.format(""))
OLDEST_OF_THESE = sa.text(_OLDEST.format("AND order_key = ANY (:only)"))


def _claim(merchant_id: int, shop_id: int, batch: int, only: list[str] | None = None) -> Claim:
    """The oldest waiting orders (of `only` these) that nobody else holds, with all their waiting
    events.

    Locking and reading are two statements: whoever held a lock before us may have committed in
    between, and only a statement begun after the lock sees that.
    """
    shop = db.session.get_one(Shop, (merchant_id, shop_id))
    given = {"merchant": merchant_id, "shop": shop_id, "scan": batch * 16, "batch": batch}
    if only is None:
        keys = db.session.scalars(OLDEST, given).all()
    else:
        keys = db.session.scalars(OLDEST_OF_THESE, given | {"only": only}).all()
    columns = (Event.id, Event.order_key, Event.body)
    waiting = db.session.execute(
        sa.select(*columns)
        .where(
            Event.merchant_id == merchant_id,
            Event.shop_id == shop_id,
            Event.state == "waiting",
            ~Event.thin,
            ~Event.goods,
            among(Event.order_key, keys),
        )
        .order_by(Event.id)
    )
    return Claim(merchant_id, shop_id, shop.platform, [Waiting(*row) for row in waiting])


def _book(claim: Claim) -> None:
    """Read, merge, credit and book the orders of a claim."""
    platform = PLATFORMS[claim.platform]
    reports: checkouts.Reports = []
    for event in claim.events:
        try:
            body = reading.load(security.unseal(event.body or b"", place=PLACE))
            told = checkouts.read(body) or platform.read(body)
        except Unreadable as error:
            claim.put_aside[event.id] = fault(error.code, error.pointer, error.message)
            continue
        except security.Sealed as error:
            claim.put_aside[event.id] = fault("sealed", "", str(error))
            continue
        key = next((orders.external_id(each) for each in told), event.order_key)
        if key == event.order_key:
            reports += told
            if any(isinstance(each, TokenNotice) for each in told):
                claim.ours.add(event.id)
            claim.done.append(event.id)
        else:
            # It could not be read when it arrived and can be now: it gets its order's key and
            # waits for a turn with the right lock.
            claim.moved[event.id] = key
    _note(claim)
    if platform.has_checkouts:
        reports = checkouts.join(claim.merchant_id, claim.shop_id, reports)
    if reports:
        stored = orders.absorb(claim.merchant_id, claim.shop_id, reports)
        read = {orders.external_id(each) for each in reports if not isinstance(each, TokenNotice)}
        lifted = [order.id for order in stored if order.facts.external_id in read]
        commissions.lift_read(claim.merchant_id, lifted)
        commissions.book(claim.merchant_id, stored, look=look)
        seeing.note(claim.merchant_id, claim.shop_id, stored)
        _tell_open_pages(claim.merchant_id, stored)
    elif claim.events:  # a shop that is being connected was heard
        _tell_open_pages(claim.merchant_id, [])
    _hold_unread(claim)


def _hold_unread(claim: Claim) -> None:
    """Orders of which the last that was told could not be read wait until it is, or until something
    newer is: what was told may be that nothing of them is left.
    """
    last = {each.order_key: each.id for each in claim.events if each.id not in claim.ours}
    unread = [key for key, event_id in last.items() if event_id in claim.put_aside]
    known = order_queries.ids_of(claim.merchant_id, claim.shop_id, unread) if unread else []
    if known:
        commissions.hold_unread(claim.merchant_id, known)


def _tell_open_pages(merchant_id: int, stored: Sequence[Stored]) -> None:
    payees = earned.promoters_of(merchant_id, [order.id for order in stored]) if stored else []
    channels.announce([channels.merchant(merchant_id), *map(channels.promoter, payees)])


def _note(claim: Claim) -> None:
    note(claim.merchant_id, claim.done, claim.put_aside)
    for event_id, key in claim.moved.items():
        db.session.execute(
            _waiting(claim.merchant_id).where(Event.id == event_id).values(order_key=key)
        )


def note(merchant_id: int, done: Sequence[int], put_aside: Mapping[int, Mapping[str, str]]) -> None:
    """Write down what became of events. A statement for all that went well, which is all but a
    few.
    """
    mine, now = _waiting(merchant_id), clock.now()
    if done:
        well = {"state": "done", "done_at": now}
        db.session.execute(mine.where(among(Event.id, done)).values(well))
    for event_id, error in put_aside.items():
        aside = {"state": "quarantined", "done_at": now, "error": error}
        counted = {"attempts": Event.attempts + 1, **aside}
        db.session.execute(mine.where(Event.id == event_id).values(counted))


def _waiting(merchant_id: int) -> sa.Update:
    return (
        sa.update(Event)
        .where(Event.merchant_id == merchant_id, Event.state == "waiting")
        .execution_options(synchronize_session=False)
    )


def fault(code: str, pointer: str, message: str) -> dict[str, str]:
    return {"code": code, "pointer": pointer, "message": message[:500]}


def _put_aside(claim: Claim, error: Exception) -> None:
    """Quarantine a failed order's events; of the error only its kind, as it may quote a buyer."""
    code = error.code if isinstance(error, AffiliateError) else "internal_error"
    found = fault(code, "", f"{type(error).__name__}: see the log at this time")
    failed = {event.id for event in claim.events}
    with unit_of_work():
        # Its lock went with the transaction that failed, and somebody else may have it now.
        again = _claim(claim.merchant_id, claim.shop_id, 1, claim.keys)
        again.put_aside = {event.id: found for event in again.events if event.id in failed}
        _note(again)
        _hold_unread(again)


def retry(merchant_id: int | None = None, event_ids: Sequence[int] = ()) -> int:
    """Put quarantined events back into the queue; returns how many. Their bodies are unchanged."""
    chosen: list[Any] = [Event.state == "quarantined", Event.body.is_not(None)]
    if merchant_id is not None:
        chosen.append(Event.merchant_id == merchant_id)
    if event_ids:
        chosen.append(Event.id.in_(event_ids))
    moved = db.session.execute(
        sa.update(Event)
        .where(*chosen)
        .values(state="waiting", done_at=None, error=None, due_at=None)
        .returning(Event.merchant_id, Event.shop_id, Event.goods, Event.thin)
    ).all()
    for merchant, shop, goods, thin in sorted({(row[0], row[1], row[2], row[3]) for row in moved}):
        jobs.ring(BELLS[goods, thin], merchant, shop)
    return len(moved)


def ring_for_waiting() -> int:
    """Ring again for shops with waiting events: a bell may have been lost, or a pause be over."""
    due = sa.or_(Event.due_at.is_(None), Event.due_at <= clock.now())
    shops = db.session.execute(
        sa.select(Event.merchant_id, Event.shop_id, Event.goods, Event.thin)
        .where(Event.state == "waiting", due)
        .distinct()
    ).all()
    for merchant_id, shop_id, goods, thin in shops:
        jobs.ring(BELLS[goods, thin], merchant_id, shop_id, once_per_ms=BELL_MS)
    return len(shops)


def forget_bodies() -> int:
    """Drop bodies 30 days after they were booked, 90 after quarantine (DOMAIN 9)."""
    now = clock.now()
    old = sa.or_(
        sa.and_(Event.state == "done", Event.done_at < now - KEEP_DONE),
        sa.and_(Event.state == "quarantined", Event.done_at < now - KEEP_QUARANTINED),
    )
    dropped = db.session.execute(
        sa.update(Event).where(old, Event.body.is_not(None)).values(body=None)
    )
    return int(dropped.rowcount)  # type: ignore[attr-defined]
