"""Who a customer is tied to, as of an instant, and what an order adds to it.

A batch of orders is walked in the order they were placed, so an order sees what those before it
bound, also in the same batch. Nothing of an order's own counts for its own choice, so that it can
be chosen again with the same result.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import security
from affiliate.attribution.models import Binding
from affiliate.db import among, db, inserting
from affiliate.orders.queries import Stored
from affiliate.programs.models import Terms


@dataclass(frozen=True, slots=True)
class Bond:
    customer: bytes
    program_id: int
    promoter_id: int
    order_id: int
    since: datetime
    until: datetime
    protected_until: datetime


def _customers(order: Stored) -> list[bytes]:
    """By what this order's buyer can be recognised; an id of the shop only inside that shop."""
    buyer = order.facts.customer
    found = [each for each in (buyer.email_hash, buyer.phone_hash) if each]
    if buyer.external_id:
        inside = f"{order.shop_id}/{buyer.external_id}"
        found.append(security.keyed_hash(inside, purpose="shop_customer"))
    return found


@dataclass(slots=True)
class Bindings:
    """What is known of the customers of a batch; `bind` adds to it, `write` stores what changed."""

    merchant_id: int
    customers: dict[int, list[bytes]]  # by order
    bonds: dict[bytes, list[Bond]] = field(default_factory=dict)
    _of_order: dict[int, set[Bond]] = field(default_factory=dict)
    _added: dict[int, list[Bond]] = field(default_factory=dict)  # by order
    _dropped: set[int] = field(default_factory=set)  # orders whose credit or customer moved

    @classmethod
    def of(cls, merchant_id: int, orders: Sequence[Stored]) -> "Bindings":
        found = cls(merchant_id, {order.id: _customers(order) for order in orders})
        customers = {each for of_order in found.customers.values() for each in of_order}
        rows = db.session.scalars(
            sa.select(Binding).where(
                Binding.merchant_id == merchant_id,
                sa.or_(
                    among(Binding.customer, customers),
                    # Also what an order bound when it still named somebody else.
                    among(Binding.order_id, [order.id for order in orders]),
                ),
            )
        )
        for row in rows:
            found._keep(_bond(row))
        return found

    def of_customers(self, order: Stored, at: datetime) -> list[Bond]:
        """For each program the bond of this order's buyer as of `at`: the latest that covers it."""
        best: dict[int, Bond] = {}
        for bond in self._of(self.customers[order.id], order.id):
            if bond.since <= at < bond.until:
                known = best.get(bond.program_id)
                if known is None or (known.since, known.order_id) < (bond.since, bond.order_id):
                    best[bond.program_id] = bond
        return [best[program_id] for program_id in sorted(best)]

    def bind(self, order: Stored, program_id: int, promoter_id: int, terms: Terms) -> None:
        """Tie the buyer of a paid order to its winner, unless somebody else's protection runs."""
        since = order.facts.paid_at
        assert since is not None, "only a paid order binds"
        wanted = {
            Bond(
                customer,
                program_id,
                promoter_id,
                order.id,
                since,
                since + timedelta(days=terms.binding_days),
                since + timedelta(days=terms.protection_days),
            )
            for customer in self.customers[order.id]
            if terms.binding_days
            and not self._is_protected(order, customer, program_id, since, promoter_id)
        }
        if wanted != self._of_order.get(order.id, set()):
            self.release(order)
            for bond in wanted:
                self._keep(bond)
            self._added[order.id] = sorted(wanted, key=lambda bond: bond.customer)

    def release(self, order: Stored) -> None:
        """The order's credit moved or went: what it bound is no longer bound by it."""
        mine = self._of_order.pop(order.id, set())
        for bond in mine:
            self.bonds[bond.customer].remove(bond)
        if mine:
            self._dropped.add(order.id)
        self._added.pop(order.id, None)

    def write(self) -> None:
        if self._dropped:
            db.session.execute(
                sa.delete(Binding).where(
                    Binding.merchant_id == self.merchant_id, Binding.order_id.in_(self._dropped)
                )
            )
        if any(self._added.values()):
            rows = [
                {
                    "merchant_id": self.merchant_id,
                    "program_id": bond.program_id,
                    "customer": bond.customer,
                    "promoter_id": bond.promoter_id,
                    "order_id": bond.order_id,
                    "since": bond.since,
                    "until": bond.until,
                    "protected_until": bond.protected_until,
                }
                for added in self._added.values()
                for bond in added
            ]
            db.session.execute(inserting(Binding, rows).on_conflict_do_nothing())

    def _is_protected(
        self, order: Stored, customer: bytes, program_id: int, at: datetime, promoter_id: int
    ) -> bool:
        """Whether the customer is another's at that instant, inside the protection days."""
        covering = [
            bond
            for bond in self._of([customer], order.id)
            if bond.program_id == program_id and bond.since <= at < bond.until
        ]
        latest = max(covering, key=lambda bond: (bond.since, bond.order_id), default=None)
        return (
            latest is not None and latest.promoter_id != promoter_id and at < latest.protected_until
        )

    def _of(self, customers: Collection[bytes], but: int) -> list[Bond]:
        return [
            bond
            for customer in customers
            for bond in self.bonds.get(customer, ())
            if bond.order_id != but
        ]

    def _keep(self, bond: Bond) -> None:
        self.bonds.setdefault(bond.customer, []).append(bond)
        self._of_order.setdefault(bond.order_id, set()).add(bond)


def _bond(row: Any) -> Bond:
    return Bond(
        row.customer,
        row.program_id,
        row.promoter_id,
        row.order_id,
        row.since,
        row.until,
        row.protected_until,
    )
