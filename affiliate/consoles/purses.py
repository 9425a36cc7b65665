"""What a payee has, by merchant and currency: never added across either."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from affiliate import ids
from affiliate.commissions import queries as commissions
from affiliate.db import db
from affiliate.ledger import queries as ledger
from affiliate.money import Money
from affiliate.people import queries as people
from affiliate.people.models import PayoutMode

_NEXT_RELEASE = sa.text("""
    SELECT merchant_id, currency, min(hold_until) FROM entries
     WHERE payee_id = :payee AND payee_kind = :kind
       AND state = 'pending' AND on_hold IS NULL AND amount > 0
     GROUP BY 1, 2
""")


@dataclass(slots=True)
class Purse:
    """What one merchant owes in one currency, by stage."""

    currency: str
    merchant: str = ""
    merchant_key: str = ""
    on_request: bool = False  # the merchant pays when it is asked
    estimated: int = 0
    pending: int = 0
    available: int = 0
    reserved: int = 0
    paid: int = 0
    next_at: datetime | None = None

    def money(self, stage: str) -> Money:
        return Money(getattr(self, stage), self.currency)


def of_payee(kind: str, payee_id: int) -> list[Purse]:
    """Per merchant and currency, the one with the most to take first."""
    found = by_merchant(kind, payee_id)
    merchants = people.merchants({merchant_id for merchant_id, _ in found})
    for (merchant_id, _currency), purse in found.items():
        merchant = merchants[merchant_id]
        purse.merchant, purse.merchant_key = merchant.name, ids.encode("mer", merchant_id)
        purse.on_request = merchant.payout_mode == PayoutMode.ON_REQUEST
    asked = {"kind": kind, "payee": payee_id}
    for merchant_id, currency, at in db.session.execute(_NEXT_RELEASE, asked):
        found[merchant_id, currency].next_at = at
    return sorted(found.values(), key=lambda each: (-each.available, -each.pending, each.merchant))


def by_merchant(kind: str, payee_id: int) -> dict[tuple[int, str], Purse]:
    """By merchant and currency. What is held, free or on its way the ledger knows."""
    found: dict[tuple[int, str], Purse] = {}

    def purse(merchant_id: int, currency: str) -> Purse:
        return found.setdefault((merchant_id, currency), Purse(currency))

    for balance in ledger.balances_of(kind, payee_id):
        setattr(purse(balance.merchant_id, balance.currency), balance.kind, balance.amount)
    for each in commissions.sums_of(kind, payee_id):
        of = purse(each.merchant_id, each.currency)
        of.estimated, of.paid = each.estimated, each.paid
    return found
