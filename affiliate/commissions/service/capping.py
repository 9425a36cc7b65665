"""Caps per month: counters that are locked, asked for room, and given back what is not needed.

What a cap leaves of a commission is frozen: later it may earn less, never more. Room that refunds
give back serves the orders that are booked after them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import sqlalchemy as sa

from affiliate import clock
from affiliate.attribution.service import Credit
from affiliate.commissions.service import standing
from affiliate.commissions.service.standing import Known
from affiliate.commissions.targets import Frozen, Target, cut_note
from affiliate.db import db
from affiliate.orders.facts import Note
from affiliate.orders.queries import Stored

Key = tuple[int, date, str, int]  # program, month, currency, payee (0: everybody)
EVERYBODY = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """Under which counters a commission stands."""

    program_id: int
    month: date
    currency: str
    payee_id: int | None  # None: of an agency, which has no cap of its own

    @property
    def keys(self) -> list[Key]:
        """That of everybody first."""
        head = (self.program_id, self.month, self.currency)
        return [(*head, each) for each in (EVERYBODY, self.payee_id) if each is not None]


@dataclass(slots=True)
class Counters:
    """The counters of a batch. Nothing in it is locked where no program has caps."""

    merchant_id: int
    used: dict[Key, int] = field(default_factory=dict)
    before: dict[Key, int] = field(default_factory=dict)

    @classmethod
    def locked(cls, merchant_id: int, counted: Iterable[Counted]) -> "Counters":
        keys = sorted({key for each in counted for key in each.keys})
        found = cls(merchant_id)
        if keys:
            given = _columns(merchant_id, keys) | {"now": clock.now()}
            db.session.execute(OPEN, given)
            for program_id, month, currency, payee_id, used in db.session.execute(LOCK, given):
                found.used[program_id, month, currency, payee_id] = used
            found.before = dict(found.used)
        return found

    @classmethod
    def looked_at(cls, merchant_id: int, counted: Iterable[Counted]) -> "Counters":
        """As they stand or would begin: nothing is locked, and nothing may be written."""
        keys = sorted({key for each in counted for key in each.keys})
        found = cls(merchant_id)
        if keys:
            for program_id, month, currency, payee_id, used in db.session.execute(
                LOOK, _columns(merchant_id, keys)
            ):
                found.used[program_id, month, currency, payee_id] = used
            found.before = dict(found.used)
        return found

    def give_back(self, counted: Counted, amount: int) -> None:
        for key in counted.keys:
            self.used[key] -= amount

    def take(self, counted: Counted, wanted: int, caps: Mapping[str, int]) -> tuple[int, str]:
        """As much of it as the caps leave room for, and which of them is the narrowest."""
        rooms = [(wanted, "")]
        for key in counted.keys:
            per = _per(key)
            if per in caps:
                rooms.append((max(0, caps[per] - self.used[key]), per))
        granted, narrowest = min(rooms, key=lambda each: each[0])
        for key in counted.keys:
            self.used[key] += granted
        return granted, narrowest

    def write(self) -> None:
        changed = [key for key, used in self.used.items() if used != self.before[key]]
        if changed:
            given = _columns(self.merchant_id, changed)
            given["used"] = [self.used[key] for key in changed]
            db.session.execute(WRITE, given)


def _per(key: Key) -> str:
    return "program_month" if key[-1] == EVERYBODY else "promoter_month"


def _columns(merchant_id: int, keys: Sequence[Key]) -> dict[str, object]:
    programs, months, currencies, payees = map(list, zip(*keys, strict=True))
    return {
        "merchant": merchant_id,
        "programs": programs,
        "months": months,
        "currencies": currencies,
        "payees": payees,
    }


@dataclass(slots=True)
class Granted:
    """Of one order: what each commission may have, by its key; those that no cap concerns are
    left out. `allowed` is what is frozen of those that were cut.
    """

    amounts: dict[standing.Key, int] = field(default_factory=dict)
    allowed: dict[standing.Key, int | None] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Room:
    """A cap of the month: how much of it is earned already, and how much an order adds."""

    payee_id: int  # 0: of everybody together
    cap: int
    used: int
    added: int

    @property
    def left(self) -> int:
        return max(0, self.cap - self.used - self.added)


@dataclass(slots=True)
class Caps:
    """The counters of a batch of orders, and what they leave of each."""

    merchant_id: int
    programs: Collection[int]  # that have caps, or had
    counters: Counters | None = None

    def lock(
        self,
        orders: Sequence[Stored],
        frozen: Mapping[int, Frozen],
        planned: Mapping[int, Sequence[Target]],
        known: Mapping[int, Mapping[standing.Key, Known]],
        credited: Mapping[int, Credit],
    ) -> None:
        """Take every counter that these orders may change, sorted."""
        if not self.programs:
            return
        counted = [self._stored(each) for rows in known.values() for each in rows.values()]
        counted += [
            self._wanted(order, credited[order.id], frozen[order.id], target)
            for order in orders
            if order.id in frozen
            for target in planned[order.id]
        ]
        self.counters = Counters.locked(self.merchant_id, [each for each in counted if each])

    def look(
        self, order: Stored, credit: Credit, frozen: Frozen, planned: Sequence[Target]
    ) -> None:
        """Instead of `lock`, for an order that is not booked."""
        if set(frozen.caps) - {"order"}:
            counted = [self._wanted(order, credit, frozen, target) for target in planned]
            self.counters = Counters.looked_at(self.merchant_id, [each for each in counted if each])

    def rooms(self, frozen: Frozen) -> list[Room]:
        """What the month's caps have left, everybody's first."""
        found = []
        for key, used in sorted(self.counters.used.items() if self.counters else ()):
            before = self.counters.before[key] if self.counters else 0
            cap = frozen.caps.get(_per(key))
            if cap is not None:
                found.append(Room(key[-1], cap, before, used - before))
        return found

    def grant(
        self,
        order: Stored,
        credit: Credit,
        frozen: Frozen | None,
        planned: Sequence[Target],
        known: Mapping[standing.Key, Known],
    ) -> Granted:
        """First what is given back, then what is asked for: sellers before tiers."""
        granted = Granted()
        if self.counters is None:
            return granted
        paid = order.facts.paid_at is not None
        wanted = {standing.key_of(order, target): target for target in planned} if paid else {}
        raises: list[tuple[int, int, standing.Key, Counted, int, int]] = []
        for key in dict.fromkeys([*known, *wanted]):
            target, kept = wanted.get(key), known.get(key)
            was = self._stored(kept) if kept else None
            now = self._wanted(order, credit, frozen, target) if target and frozen else None
            has, allowed = (kept.earned, kept.allowed) if kept else (0, None)
            if was is not None and was != now:
                self.counters.give_back(was, has)
                has, allowed = 0, None
            if now is None or target is None:
                continue
            wish = target.amount if allowed is None else min(allowed, target.amount)
            granted.amounts[key], granted.allowed[key] = wish, allowed
            if wish <= has:
                self.counters.give_back(now, has - wish)
            else:
                raises.append((target.rank, len(raises), key, now, has, wish))
            if wish < target.amount:
                granted.notes.append(cut_note(target, wish, "month"))
        for *_rank, key, now, has, wish in sorted(raises):
            assert frozen is not None, "only what is frozen asks for more"
            more, per = self.counters.take(now, wish - has, frozen.caps)
            granted.amounts[key] = has + more
            if has + more < wish:
                granted.allowed[key] = has + more
                granted.notes.append(cut_note(wanted[key], has + more, per))
        return granted

    def write(self) -> None:
        if self.counters is not None:
            self.counters.write()

    def _stored(self, kept: Known) -> Counted | None:
        if kept.month is None or kept.program_id not in self.programs:
            return None
        return _counted(kept.program_id, kept.month, kept.currency, kept.payee_kind, kept.payee_id)

    def _wanted(
        self, order: Stored, credit: Credit, frozen: Frozen, target: Target
    ) -> Counted | None:
        if credit.program_id not in self.programs or order.facts.paid_at is None:
            return None
        share = target.share
        return _counted(
            credit.program_id or 0,
            frozen.month,
            order.facts.currency,
            share.payee_kind,
            share.payee_id,
        )


def _counted(
    program_id: int, month: date, currency: str, payee_kind: str, payee_id: int
) -> Counted | None:
    if payee_kind == "platform":
        return None
    own = payee_id if payee_kind == "promoter" else None
    return Counted(program_id, month, currency, own)


_KEYS = """unnest(CAST(:programs AS bigint[]), CAST(:months AS date[]),
                CAST(:currencies AS char(3)[]), CAST(:payees AS bigint[]))
           AS k (program_id, month, currency, payee_id)"""

# What was earned before anybody counted.
_EARNED = """(SELECT coalesce(sum(e.amount), 0)::bigint
                FROM commissions c
                JOIN entries e ON e.merchant_id = c.merchant_id AND e.commission_id = c.id
               WHERE c.merchant_id = :merchant AND c.program_id = k.program_id
                 AND c.month = k.month AND c.currency = k.currency
                 AND c.payee_kind <> 'platform' AND e.state <> 'estimated'
                 AND (k.payee_id = 0 OR c.payee_kind = 'promoter' AND c.payee_id = k.payee_id))"""

# A new counter begins with it. Who books meanwhile by terms without caps holds the program's row
# (`programs.books`), so nobody is missed.
OPEN = sa.text(f"""
    INSERT INTO cap_counters (merchant_id, program_id, month, currency, payee_id, used, created_at)
    SELECT :merchant, k.*, {_EARNED}, :now
      FROM {_KEYS}
     WHERE NOT EXISTS (SELECT FROM cap_counters o
                        WHERE o.merchant_id = :merchant
                          AND (o.program_id, o.month, o.currency, o.payee_id)
                            = (k.program_id, k.month, k.currency, k.payee_id))
     ORDER BY 2, 3, 4, 5
        ON CONFLICT DO NOTHING
""")  # noqa: S608

LOCK = sa.text(f"""
    SELECT c.program_id, c.month, c.currency, c.payee_id, c.used
      FROM cap_counters c JOIN {_KEYS} USING (program_id, month, currency, payee_id)
     WHERE c.merchant_id = :merchant
     ORDER BY c.program_id, c.month, c.currency, c.payee_id
       FOR NO KEY UPDATE OF c
""")  # noqa: S608

LOOK = sa.text(f"""
    SELECT k.program_id, k.month, k.currency, k.payee_id, coalesce(o.used, {_EARNED})
      FROM {_KEYS}
      LEFT JOIN cap_counters o
             ON o.merchant_id = :merchant
            AND (o.program_id, o.month, o.currency, o.payee_id)
              = (k.program_id, k.month, k.currency, k.payee_id)
""")  # noqa: S608

WRITE = sa.text("""
    UPDATE cap_counters c SET used = n.used
      FROM unnest(CAST(:programs AS bigint[]), CAST(:months AS date[]),
                  CAST(:currencies AS char(3)[]), CAST(:payees AS bigint[]),
                  CAST(:used AS bigint[])) AS n (program_id, month, currency, payee_id, used)
     WHERE c.merchant_id = :merchant
       AND (c.program_id, c.month, c.currency, c.payee_id)
         = (n.program_id, n.month, n.currency, n.payee_id)
""")
