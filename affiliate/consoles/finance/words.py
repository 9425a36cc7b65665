"""What the books, reasons and causes are called by people, and names in the place of keys."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from affiliate.consoles import book_words
from affiliate.db import db
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.people.models import Agency, Promoter, User

KINDS, CODES = book_words.KINDS, book_words.CODES
OWNERS: Mapping[str, Any] = MappingProxyType(
    {
        "merchant": _("Merchants"),
        "promoter": _("Promoters"),
        "agency": _("Agencies"),
        "platform": _("Platform"),
        "authority": _("Tax authority"),
        "rail": _("Bank"),
    }
)
# Why a settlement left money where it was, and what would change that.
LEFT: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "negative": (
            _("More was taken back than earned"),
            _("Later earnings are set against it first."),
        ),
        "not_requested": (
            _("Not asked for"),
            _("This merchant pays when its promoters ask for it."),
        ),
        "below_minimum": (
            _("Below the least amount of a payout"),
            _("It is paid once there is enough."),
        ),
        "no_account": (
            _("No payout account in this currency"),
            _("It is paid once the payee has given one."),
        ),
        "no_rail": (
            _("The payee's way of payment is not available"),
            _("It is paid once the payee has given another account."),
        ),
        "on_hold": (_("On hold"), _("It is paid once somebody lifts the hold.")),
        "tax_profile_missing": (
            _("Tax data missing"),
            _("It is paid once the payee has given them."),
        ),
        "invoice_missing": (
            _("No confirmed invoice that covers it"),
            _("It is paid once the payee has given one and you have confirmed it."),
        ),
        "no_exchange_rate": (
            _("No rate of exchange for the tax table"),
            _("It is paid once an operator has imported a rate of these days."),
        ),
    }
)
# Why a withdrawal was refused by itself; people give reasons of their own.
REFUSED: Mapping[str, Any] = MappingProxyType(
    {
        "on_hold": _("Some of the money is on hold"),
        "refunded": _("Too much was refunded since"),
        "taken_back": _("Taken back by who asked"),
    }
)
# What to look at twice before a payout is approved.
FLAGS: Mapping[str, Any] = MappingProxyType(
    {
        "far_above_usual": _("Ten times the usual or more"),
        "new_account": _("First payout to this account"),
        "shared_account": _("Others use this account too"),
        "other_name": _("The account's holder has another name"),
    }
)
AGES: Mapping[str, Any] = MappingProxyType(
    {
        "week": _("Up to 7 days"),
        "month": _("8 to 30 days"),
        "quarter": _("31 to 90 days"),
        "older": _("Over 90 days"),
    }
)
HOLDS: Mapping[str, Any] = MappingProxyType(
    {
        "dispute": _("The buyer disputes the payment"),
        "unread": _("The shop's last word could not be read"),
        "merchant_unfunded": _("The merchant is past its credit limit"),
        "risk": _("Held by a risk case"),
    }
)
TABLES: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "entries": (_("What is owed"), _("Every entry that is not paid, as it stands now.")),
        "accounts": (_("Accounts"), _("Every account of the ledger with its two totals.")),
        "transfers": (_("Transfers"), _("All that was booked in a month, from where to where.")),
        "payouts": (_("Payouts"), _("All that were made in a month, with what became of them.")),
        "pay_ins": (_("Pay-ins"), _("All that were booked in a month.")),
    }
)
# How a line of a bank's statement stands to the books, and the tone to say it in.
FOUND: Mapping[str, tuple[Any, str]] = MappingProxyType(
    {
        "agrees": (_("Agrees"), "done"),
        "to_mark": (_("Paid at the bank, not yet in the books"), "wait"),
        "to_return": (_("Came back; the books have it as paid"), "wait"),
        "other_amount": (_("Another amount than in the books"), "bad"),
        "other_state": (_("Paid at the bank, but should not have left"), "bad"),
        "twice": (_("A second time on this statement"), "bad"),
        "unknown_in": (_("Money in that the books do not know"), "wait"),
        "unknown_out": (_("Money out that the books do not know"), "bad"),
    }
)
PROVES: Mapping[str, Any] = MappingProxyType(
    {
        "totals": _("Every balance is the sum of its transfers"),
        "balanced": _("Debits equal credits, for each merchant and currency"),
        "overdrawn": _("No account is below zero that may not be"),
        "entries": _("Every commission is booked as it was earned"),
        "payouts": _("Every payout is booked as it was paid"),
        "payout_sums": _("Every payout is the sum of what it pays"),
        "payout_lines": _("Nothing is in two payouts"),
        "reserved": _("What is set aside equals the open payouts and withdrawals"),
        "balances": _("Every payee's balance equals what they earned"),
        "withdrawals": _("Every withdrawal is booked as it was asked for"),
        "splits": _("What was split sums up as before"),
        "write_offs": _("Every write-off is booked"),
        "pay_ins": _("Every pay-in is booked"),
        "withholdings": _("What is withheld of a payout is the sum of its lines"),
        "remittances": _("Remitted tax is booked, and is that of its payouts"),
        "seals": _("No sealed transfer was changed"),
        "closes": _("Closed months stand as they were closed"),
        "audit": _("What was decided stands as it was written"),
    }
)
COUNTED: Mapping[str, Any] = MappingProxyType(
    {
        "accounts": _("Accounts"),
        "transfers": _("Transfers"),
        "entries": _("Entries"),
        "payouts": _("Payouts"),
        "payout_lines": _("Lines of payouts"),
        "withdrawals": _("Withdrawals"),
        "write_offs": _("Write-offs"),
        "pay_ins": _("Pay-ins"),
        "withholdings": _("Lines of tax"),
        "remittances": _("Remittances"),
        "seals": _("Seals"),
        "book_closes": _("Closed months"),
        "decisions": _("Decisions"),
    }
)
Payee = tuple[str, int]


def last_day(through: datetime) -> date | None:
    """The day that a settlement runs through the end of; None when it ends within a day."""
    at = through.astimezone(UTC)
    return (at - timedelta(days=1)).date() if at.time() == time() else None


def payees(wanted: Iterable[Payee]) -> dict[Payee, str]:
    """Names of promoters and agencies; of other owners what they are."""
    keys = set(wanted)
    of = {kind: {id_ for each, id_ in keys if each == kind} for kind in ("promoter", "agency")}
    found: dict[str, Mapping[int, Promoter | Agency]] = {
        "promoter": people.promoters(of["promoter"]) if of["promoter"] else {},
        "agency": people.agencies(of["agency"]) if of["agency"] else {},
    }
    return {
        (kind, id_): found[kind][id_].name
        if id_ in found.get(kind, {})
        else str(OWNERS.get(kind, kind))
        for kind, id_ in keys
    }


def users(user_ids: Collection[int | None]) -> dict[int, str]:
    wanted = {each for each in user_ids if each is not None}
    rows = db.session.execute(sa.select(User.id, User.name).where(User.id.in_(wanted)))
    return {id_: name for id_, name in rows}  # noqa: C416


def merchant_names(merchant_ids: Iterable[int]) -> dict[int, str]:
    return {id_: row.name for id_, row in people.merchants(merchant_ids).items()}
