"""What waits for a promoter: transfers to confirm, data that is missing before money can go out."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import url_for

from affiliate import formats, ids
from affiliate.consoles import taxing
from affiliate.db import db
from affiliate.i18n import _
from affiliate.people import queries as people

MOST = 5

# Transfers, merchants that withhold and owe something, currencies without an account, invitations.
_WAITING = sa.text("""
    (SELECT 'confirm' AS what, merchant_id, id, currency, net AS amount FROM payouts
      WHERE payee_id = :promoter AND payee_kind = 'promoter' AND state = 'action_required'
      ORDER BY id LIMIT :most)
    UNION ALL
    (SELECT DISTINCT 'tax', m.id, m.id, '', 0
       FROM ledger_accounts a JOIN merchants m ON m.id = a.merchant_id
      WHERE a.owner_kind = 'promoter' AND a.owner_id = :promoter AND a.kind = 'available'
        AND a.credits > a.debits AND m.withholding IS NOT NULL LIMIT :most)
    UNION ALL
    (SELECT 'account', 0, 0, a.currency, 0
       FROM ledger_accounts a
      WHERE a.owner_kind = 'promoter' AND a.owner_id = :promoter AND a.kind = 'available'
        AND a.credits > a.debits
        AND NOT EXISTS (SELECT FROM payout_accounts p
                         WHERE p.payee_kind = 'promoter' AND p.payee_id = :promoter
                           AND p.currency = a.currency AND p.replaced_at IS NULL)
      GROUP BY a.currency ORDER BY a.currency LIMIT :most)
    UNION ALL
    (SELECT 'agency', 0, agency_id, '', 0 FROM agency_members
      WHERE promoter_id = :promoter AND since IS NULL AND until IS NULL
      ORDER BY id LIMIT :most)
""")


@dataclass(frozen=True, slots=True)
class Task:
    drawing: str
    words: Any
    url: str


def waiting(promoter_id: int) -> list[Task]:
    """The most urgent first."""
    rows = db.session.execute(_WAITING, {"promoter": promoter_id, "most": MOST}).all()
    found = [task for row in rows if (task := _task(promoter_id, row))]
    # One page takes the tax data for all merchants.
    return list({task.url: task for task in found}.values())[:MOST]


def _task(promoter_id: int, row: Any) -> Task | None:
    if row.what == "confirm":
        amount = formats.money(row.amount, row.currency)
        key = ids.encode("pay", row.merchant_id, row.id)
        words = _("Confirm the transfer of %(amount)s", amount=amount)
        return Task("badge-check", words, url_for("promoter.payout", payout_id=key))
    if row.what == "tax":
        if not taxing.needs_profile(people.merchant(row.merchant_id), "promoter", promoter_id):
            return None
        return Task("landmark", _("Complete your tax data to be paid"), url_for("promoter.tax"))
    if row.what == "account":
        words = _("Say where your %(currency)s should go", currency=row.currency)
        return Task("wallet", words, url_for("promoter.payout_account"))
    key = ids.encode("agn", row.id)
    words = _("An agency asks you to come along")
    return Task("handshake", words, url_for("promoter.agency", agency_id=key))
