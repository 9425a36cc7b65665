"""Group buys: whoever joins a group is credited as the order that opened it.

The opener is the earliest paid order of its group, in one shop, that a touch of its own is credited
for. What only joined opens nothing, and neither does a bound customer, so nothing can be its own
ground.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from affiliate.db import db
from affiliate.orders.queries import Stored

OPENS = ("click", "coupon", "sharer", "claim")  # sources of a credit that others may follow
OWN = "own"  # seen of the group by an order that has a touch of its own: nothing
Key = tuple[int, str]  # shop and group


@dataclass(frozen=True, slots=True)
class Opener:
    order_id: int
    number: str  # as people know it
    external_id: str
    placed_at: datetime
    program_id: int
    credited: Sequence[Mapping[str, Any]]  # as in models.Attribution

    @property
    def mark(self) -> str:
        """A short text that changes when those who joined must be looked at again."""
        whom = [
            (
                each["products"],
                [(part["promoter"], part["link"], part["content"]) for part in each["by"]],
            )
            for each in self.credited
        ]
        basis = (self.order_id, self.placed_at.timestamp(), self.program_id, whom)
        return hashlib.sha256(repr(basis).encode()).hexdigest()[:16]

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """Program and promoter of everybody credited."""
        return {
            (self.program_id, part["promoter"]) for each in self.credited for part in each["by"]
        }


class Behind(NamedTuple):
    """An order that was credited when its group looked different."""

    order_id: int
    shop_id: int
    external_id: str


# Of two processes with orders of one group the second sees what the first wrote. Taken after the
# orders' own locks, and sorted like them.
_LOCK = sa.text("""
    SELECT pg_advisory_xact_lock(hashtextextended(k, 0))
      FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS t(k, n) ORDER BY n
""")
_OPENERS = sa.text("""
    SELECT DISTINCT ON (o.shop_id, o.group_id)
           o.shop_id, o.group_id, o.id, coalesce(o.number, o.external_id), o.external_id,
           o.placed_at, a.program_id, a.credited
      FROM unnest(CAST(:shops AS bigint[]), CAST(:groups AS text[])) AS g(shop_id, group_id)
      JOIN orders o ON o.merchant_id = :merchant AND o.shop_id = g.shop_id
       AND o.group_id = g.group_id AND o.group_id IS NOT NULL
      JOIN attributions a ON a.merchant_id = o.merchant_id AND a.order_id = o.id
     WHERE a.source = ANY (:opens) AND o.paid_at IS NOT NULL AND NOT o.test
       AND o.id <> ALL (CAST(:but AS bigint[]))
     ORDER BY o.shop_id, o.group_id, o.placed_at, o.external_id COLLATE "C"
""")
_BEHIND = sa.text("""
    SELECT o.id, o.shop_id, o.external_id
      FROM unnest(CAST(:shops AS bigint[]), CAST(:groups AS text[]), CAST(:marks AS text[]),
                  CAST(:times AS timestamptz[])) AS g(shop_id, group_id, mark, at)
      JOIN orders o ON o.merchant_id = :merchant AND o.shop_id = g.shop_id
       AND o.group_id = g.group_id AND o.group_id IS NOT NULL
      JOIN attributions a ON a.merchant_id = o.merchant_id AND a.order_id = o.id
     WHERE split_part(a.trace->>'of', ':', 2)
           NOT IN (:own, CASE WHEN o.placed_at >= g.at THEN g.mark ELSE '' END)
     ORDER BY o.id
""")


@dataclass(slots=True)
class Groups:
    """The openers of a batch's groups: as stored, and as the batch is walked."""

    openers: dict[Key, Opener] = field(default_factory=dict)

    @classmethod
    def of(cls, merchant_id: int, orders: Sequence[Stored]) -> "Groups":
        """Locked until the transaction ends. Asks nothing where no order has a group."""
        keys = _keys(orders)
        if not keys:
            return cls()
        db.session.execute(
            _LOCK, {"keys": [f"group:{merchant_id}/{shop_id}/{key}" for shop_id, key in keys]}
        )
        return cls(_stored(merchant_id, keys, but=[order.id for order in orders]))

    def opener_of(self, order: Stored) -> Opener | None:
        """Nobody joins what was not open yet."""
        placed_at = order.facts.placed_at
        opener = self.openers.get((order.shop_id, order.facts.group_id or ""))
        return opener if opener and placed_at and opener.placed_at <= placed_at else None

    def note(
        self,
        order: Stored,
        source: str | None,
        program_id: int | None,
        credited: Sequence[Mapping[str, Any]],
    ) -> None:
        """Whom an order of the batch is credited to: it may be the opener of others."""
        told = order.facts
        if told.group_id is None or told.placed_at is None or told.paid_at is None or told.test:
            return
        if source not in OPENS or program_id is None:
            return
        number = told.number or told.external_id
        mine = Opener(order.id, number, told.external_id, told.placed_at, program_id, credited)
        known = self.openers.setdefault((order.shop_id, told.group_id), mine)
        if _rank(mine) < _rank(known):
            self.openers[order.shop_id, told.group_id] = mine


def _rank(opener: Opener) -> tuple[datetime, str]:
    return opener.placed_at, opener.external_id


def behind(merchant_id: int, orders: Sequence[Stored]) -> list[Behind]:
    """Orders of the same groups that were credited without, or by another, opener than the one that
    stands now. The caller wrote down whom `orders` are credited to.
    """
    keys = _keys(orders)
    if not keys:
        return []
    openers = _stored(merchant_id, keys)
    found = db.session.execute(
        _BEHIND,
        {
            "merchant": merchant_id,
            "own": OWN,
            "shops": [shop_id for shop_id, _ in keys],
            "groups": [group_id for _, group_id in keys],
            "marks": [openers[key].mark if key in openers else "" for key in keys],
            "times": [openers[key].placed_at if key in openers else None for key in keys],
        },
    )
    return [Behind(*row) for row in found]


def _keys(orders: Iterable[Stored]) -> list[Key]:
    return sorted({(each.shop_id, each.facts.group_id) for each in orders if each.facts.group_id})


def _stored(
    merchant_id: int, keys: Collection[Key], *, but: Collection[int] = ()
) -> dict[Key, Opener]:
    rows = db.session.execute(
        _OPENERS,
        {
            "merchant": merchant_id,
            "opens": list(OPENS),
            "shops": [shop_id for shop_id, _ in keys],
            "groups": [group_id for _, group_id in keys],
            "but": list(but),
        },
    )
    return {(row[0], row[1]): Opener(*row[2:]) for row in rows}
