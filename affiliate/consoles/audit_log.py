"""What was decided, on pages and as a file: all of it, or what is about finance's merchants."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import Response, render_template, request
from flask.typing import ResponseReturnValue

from affiliate import audit, exports
from affiliate.audit import Decision
from affiliate.consoles import lists
from affiliate.consoles.session import current_caller
from affiliate.db import db
from affiliate.i18n import _, _p
from affiliate.money import decimal_text
from affiliate.people import queries as people
from affiliate.people.models import User
from affiliate.people.rules import Right

HEAD = ("number", "happened_at", "action", "subject", "merchant", "user", "key", "detail", "hash")
FILTERS = ("about", "q", "from", "to")
CHUNK = 2000
MOST_NAMES = 200
ABOUT: Mapping[str, Any] = MappingProxyType(
    {
        "settlement": _("Settlements"),
        "payout": _("Payouts"),
        "pay_in": _("Pay-ins"),
        "withdrawal": _("Withdrawals"),
        "write_off": _("Write-offs"),
        "approval": _("Standing in"),
        "delegation": _("Standing in, ended"),
        "limit": _("Limits of approvers"),
        "exception": _("One person by exception"),
        "books": _("Closed months"),
        "file": _("Files for the bank"),
        "merchant": _("Merchants"),
        "payout_account": _("Payout accounts"),
        "tax": _("Remittances"),
        "tax_profile": _("Tax data"),
        "rates": _("Rates of exchange"),
        "invoice": _("Invoices"),
        "claim": _("Claims"),
        "coupon": _("Coupons"),
        "case": _("Cases"),
        "promoter": _("Promoters"),
        "shop": _("Shops"),
        "user": _("Users"),
        "role": _("Roles"),
        "second_factor": _("Second factors"),
        "key": _("Keys of the API"),
        "statement": _("Statements"),
        "audit": _("This list"),
    }
)
WORDS: Mapping[str, Any] = MappingProxyType(
    {
        "settlement.made": _p("decision", "Settlement made"),
        "settlement.approved": _p("decision", "Settlement approved"),
        "settlement.discarded": _p("decision", "Settlement discarded"),
        "settlement.executed": _p("decision", "Settlement executed"),
        "payout.paid": _p("decision", "Payout marked as paid"),
        "payout.failed": _p("decision", "Payout marked as failed"),
        "payout.returned": _p("decision", "Payout marked as returned"),
        "payout.cancelled": _p("decision", "Payout cancelled"),
        "payout.stated": _p("decision", "Outcome of a payout stated"),
        "payout.confirmed": _p("decision", "Outcome of a payout confirmed"),
        "payout.dropped": _p("decision", "Stated outcome of a payout dropped"),
        "pay_in.recorded": _p("decision", "Pay-in booked"),
        "pay_in.returned": _p("decision", "Pay-in taken back by the bank"),
        "tax.remitted": _p("decision", "Tax remitted"),
        "tax_profile.said": _p("decision", "Tax data given"),
        "tax_profile.judged": _p("decision", "Tax number judged"),
        "invoice.given": _p("decision", "Invoice given"),
        "invoice.confirmed": _p("decision", "Invoice confirmed"),
        "invoice.refused": _p("decision", "Invoice refused"),
        "shop.copied": _p("decision", "Shop copied into another market"),
        "shop.disconnected": _p("decision", "Shop disconnected"),
        "rates.imported": _p("decision", "Rates of exchange imported"),
        "withdrawal.asked": _p("decision", "Withdrawal asked for"),
        "withdrawal.refused": _p("decision", "Withdrawal refused"),
        "write_off.requested": _p("decision", "Write-off asked for"),
        "write_off.approved": _p("decision", "Write-off approved"),
        "write_off.refused": _p("decision", "Write-off refused"),
        "limit.set": _p("decision", "Limit of an approver set"),
        "limit.dropped": _p("decision", "Limit of an approver removed"),
        "approval.delegated": _p("decision", "Somebody stands in for an approver"),
        "delegation.ended": _p("decision", "Standing in ended"),
        "exception.recorded": _p("decision", "One person by exception: recorded"),
        "exception.ended": _p("decision", "One person by exception: ended"),
        "books.closed": _p("decision", "Month closed"),
        "file.downloaded": _p("decision", "File for the bank downloaded"),
        "merchant.made": _p("decision", "Merchant added"),
        "merchant.changed": _p("decision", "Merchant's terms changed"),
        "payout_account.added": _p("decision", "Payout account given"),
        "claim.accepted": _p("decision", "Claim accepted"),
        "claim.refused": _p("decision", "Claim refused"),
        "coupon.offered": _p("decision", "Coupon put into a shop"),
        "coupon.taken_over": _p("decision", "Coupon of the shop taken over"),
        "coupon.removed": _p("decision", "Coupon taken out of a shop"),
        "case.cleared": _p("decision", "Case cleared"),
        "case.confirmed": _p("decision", "Case confirmed"),
        "promoter.suspended": _p("decision", "Promoter suspended"),
        "promoter.resumed": _p("decision", "Promoter may earn again"),
        "promoter.moved": _p("decision", "Sponsor changed"),
        "user.disabled": _p("decision", "User shut out"),
        "user.enabled": _p("decision", "User let in again"),
        "user.erased": _p("decision", "User erased at their own wish"),
        "role.granted": _p("decision", "Role given"),
        "second_factor.set_up": _p("decision", "Second factor set up"),
        "second_factor.removed": _p("decision", "Second factor removed"),
        "key.made": _p("decision", "Key of the API made"),
        "key.revoked": _p("decision", "Key of the API revoked"),
        "books.exported": _p("decision", "Books saved as a file"),
        "statement.exported": _p("decision", "Statement saved as a file"),
        "audit.exported": _p("decision", "This list saved as a file"),
    }
)


def show(layout: str, file: str) -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [Decision.id])
    scope = current_caller().scope(Right.READ_AUDIT)
    return render_template(
        "audit_log.html",
        layout=layout,
        file=file,
        asked=_asked(),
        rows=[
            (each, audit.public(each.subject, each.merchant_id), _detail(each)) for each in found
        ],
        words=WORDS,
        about=ABOUT,
        merchants=people.merchants({each.merchant_id for each in found if each.merchant_id}),
        several=scope is None or len(scope) > 1,
        people=_names({each.user_id for each in found if each.user_id}),
        next=cursor,
    )


def download() -> Response:
    chosen = _chosen().order_by(Decision.id)
    scope = current_caller().scope(Right.READ_AUDIT)
    one = next(iter(scope)) if scope is not None and len(scope) == 1 else None
    audit.record("audit.exported", subject="audit", merchant_id=one, asked=_asked())
    return exports.table("decisions", HEAD, lambda: _rows(chosen))


def _asked() -> dict[str, str]:
    return {name: request.args[name] for name in FILTERS if request.args.get(name)}


def _rows(chosen: sa.Select[Any]) -> Any:
    names: dict[int, str] = {}
    found = db.session.scalars(chosen, execution_options={"yield_per": CHUNK})
    for some in found.partitions():
        names |= _names({each.user_id for each in some if each.user_id} - names.keys())
        merchants = people.merchants({each.merchant_id for each in some if each.merchant_id})
        for each in some:
            merchant = merchants.get(each.merchant_id or 0)
            yield (
                each.id, each.happened_at.isoformat(), each.action, _subject(each),
                merchant and merchant.name, names.get(each.user_id or 0), each.key_id,
                _detail(each), each.hash.hex(),
            )  # fmt: skip
        db.session.expunge_all()


def _chosen() -> sa.Select[Any]:
    caller = current_caller()
    about, wanted = request.args.get("about"), request.args.get("q", "").strip()
    subject = audit.subject_of(wanted)
    return audit.chosen(
        caller.scope(Right.READ_AUDIT),
        of_instance=caller.may(Right.ADMINISTER),
        action=about if about in ABOUT else None,
        subject=subject,
        user_ids=_named(wanted) if wanted and subject is None else None,
        since=_day("from"),
        until=_day("to", end=True),
    )


def _day(name: str, *, end: bool = False) -> datetime | None:
    """A day in UTC; nothing that is none."""
    try:
        day = date.fromisoformat(request.args.get(name, ""))
        return datetime.combine(day, time.min, UTC) + timedelta(days=int(end))
    except (ValueError, OverflowError):
        return None


def _named(wanted: str) -> list[int]:
    like = f"%{wanted.replace('%', '').replace('_', '')}%"
    return list(
        db.session.scalars(
            sa.select(User.id)
            .where(sa.or_(User.name.ilike(like), sa.cast(User.email, sa.Text).ilike(like)))
            .limit(MOST_NAMES)
        )
    )


def _names(user_ids: set[int]) -> dict[int, str]:
    rows = db.session.execute(sa.select(User.id, User.name).where(User.id.in_(user_ids)))
    return {id_: name for id_, name in rows}  # noqa: C416


def _subject(row: Decision) -> str:
    return audit.public(row.subject, row.merchant_id)


def _detail(row: Decision) -> str:
    """`net: 50.00 BRL · reference: TED 7`: as it was written down, amounts with their point."""
    said = dict(row.detail)
    currency = said.get("currency")
    for name in ("net", "amount"):
        if currency and name in said:
            said[name] = f"{decimal_text(said[name], currency)} {currency}"
    if {"net", "amount"} & said.keys():
        del said["currency"]
    if "totals" in said:
        said["totals"] = ", ".join(
            f"{decimal_text(each['net'], currency)} {currency} ({each['payouts']})"
            for currency, each in sorted(said["totals"].items())
        )
    return " · ".join(f"{name}: {_text(value)}" for name, value in said.items() if value)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " → ".join(map(_text, value))
    return "–" if value is None else audit.public(str(value), None)
