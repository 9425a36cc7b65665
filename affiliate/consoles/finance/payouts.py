"""Payouts: what was sent to whom, what the bank says of it, and what it is the sum of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n, ids
from affiliate.commissions import queries as commissions
from affiliate.commissions.models import Commission, Entry
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.finance.settlements import payout_rows
from affiliate.consoles.session import current_person, current_scope
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _
from affiliate.orders.models import Order
from affiliate.payouts import queries, rails, rules, service
from affiliate.payouts.models import Payout, PayoutEvent, PayoutLine, State
from affiliate.people.models import Agency, Promoter
from affiliate.people.queries import within
from affiliate.people.rules import Right
from affiliate.settlement import service as settlement_service

MOST_NAMES = 200  # payees that a search by name looks for
OVER = (State.FAILED, State.RETURNED, State.CANCELLED)  # others may own its entries
LONGEST = 300  # characters of a reason or a reference


@dataclass(frozen=True, slots=True)
class Verb:
    """Something people may tell of a payout: what it leads to, and how it is asked for."""

    to: State
    question: Any
    explained: Any
    button: Any
    done: Any


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "paid": Verb(
            State.PAID,
            _("Did the bank pay it?"),
            _("The payee's money is then gone from the books as well."),
            _("Mark as paid"),
            _("The payout is marked as paid."),
        ),
        "failed": Verb(
            State.FAILED,
            _("Did the bank refuse it?"),
            _("The money is then available again, and the next settlement pays it."),
            _("Mark as failed"),
            _("The payout is marked as failed. Its money is available again."),
        ),
        "returned": Verb(
            State.RETURNED,
            _("Did the money come back?"),
            _("The money is then available again, and the next settlement pays it."),
            _("Mark as returned"),
            _("The payout is marked as returned. Its money is available again."),
        ),
        "cancel": Verb(
            State.CANCELLED,
            _("Take this payout out of its settlement?"),
            _("The others stay as they are. Its money is available for the next settlement."),
            _("Cancel the payout"),
            _("The payout is cancelled. Its money is available again."),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class LineRow:
    """An entry a payout pays, with the order it was earned by."""

    line: PayoutLine
    entry: Entry
    order: Order
    order_key: str
    commission: Commission


@bp.get("/payouts/")
def payouts() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [Payout.id])
    return render_template(
        "finance/payouts.html",
        rows=payout_rows(found),
        merchants=words.merchant_names({each.merchant_id for each in found}),
        choices=access.merchants(),
        next=cursor,
        may_handle=access.may(*access.HANDLERS),
    )


@bp.get("/payouts/<payout_id>")
def payout(payout_id: str) -> ResponseReturnValue:
    row = find(payout_id)
    events = queries.timeline(row)
    lines, cursor = _lines(row)
    again = queries.paid_again(row) if row.state in OVER else None
    return render_template(
        "finance/payout.html",
        payout=row,
        key=payout_id,
        settlement_key=ids.encode("stl", row.merchant_id, row.settlement_id),
        merchant=words.merchant_names([row.merchant_id])[row.merchant_id],
        payee=words.payees([(row.payee_kind, row.payee_id)])[row.payee_kind, row.payee_id],
        account=queries.accounts([row.account_id])[row.account_id],
        events=_told(events),
        lines=lines,
        taxes=queries.withholdings(row),
        next=cursor,
        again=again and (ids.encode("pay", again.merchant_id, again.id), again),
        verbs=_open_verbs(row),
        next_step=_next_step(row),
        call=queries.call(row),
        attempts=queries.attempts(row),
        proof=queries.proof(row),
        may_tell=access.may(*access.HANDLERS),
    )


@bp.get("/payouts/<payout_id>/<any(paid, failed, returned, cancel):verb>")
def ask(payout_id: str, verb: str) -> ResponseReturnValue:
    row = find(payout_id)
    access.require(access.HANDLERS, row.merchant_id)
    return _form(row, verb, {}, None)


@bp.post("/payouts/<payout_id>/<any(paid, failed, returned, cancel):verb>")
def tell(payout_id: str, verb: str) -> ResponseReturnValue:
    row = find(payout_id)
    access.require(access.HANDLERS, row.merchant_id)
    refusal = access.refused(lambda: _do(row, verb, request.form))
    if refusal and refusal.status == 422:
        return _form(row, verb, request.form, refusal)
    if refusal:
        flash(_("It moved on meanwhile. This is how it stands now."), "wait")
    else:
        flash(VERBS[verb].done, "done")
    return redirect(url_for("finance.payout", payout_id=payout_id), 303)


def find(payout_id: str) -> Payout:
    found = db.session.get(Payout, access.key_of("pay", payout_id), populate_existing=True)
    return found or abort(404)


def _chosen() -> sa.Select[Any]:
    found = sa.select(Payout).where(within(Payout.merchant_id, current_scope(Right.READ_MONEY)))
    if merchant_id := access.asked_merchant():
        found = found.where(Payout.merchant_id == merchant_id)
    if (state := request.args.get("state")) in list(State):
        found = found.where(Payout.state == state)
    if wanted := request.args.get("q", "").strip():
        found = found.where(_fits(wanted))
    return found


def _fits(wanted: str) -> sa.ColumnElement[bool]:
    """Our reference, the bank's, or a payee's name."""
    like = f"%{wanted.replace('%', '').replace('_', '')}%"
    named = sa.select(Promoter.id).where(Promoter.name.ilike(like)).limit(MOST_NAMES)
    agencies = sa.select(Agency.id).where(Agency.name.ilike(like)).limit(MOST_NAMES)
    return sa.or_(
        Payout.reference == wanted.upper(),
        Payout.provider_reference == wanted,
        sa.and_(Payout.payee_kind == "promoter", Payout.payee_id.in_(named)),
        sa.and_(Payout.payee_kind == "agency", Payout.payee_id.in_(agencies)),
    )


def _open_verbs(row: Payout) -> dict[str, Verb]:
    if not access.may(*access.HANDLERS):
        return {}
    now = State(row.state)
    found = {name: verb for name, verb in VERBS.items() if rules.may_become(now, verb.to)}
    if now == State.UNKNOWN or rails.is_called(row.rail):
        # Nobody's word alone: its provider is asked, or two people tell.
        found = {name: verb for name, verb in found.items() if name not in {"paid", "failed"}}
    return found


def _next_step(row: Payout) -> Any:
    """What happens next by itself, or what somebody has to do."""
    is_called, is_by_hand = rails.is_called(row.rail), rails.is_by_hand(row.rail)
    steps = {
        State.SUBMITTING: _("It is being sent, again and again if its provider is away."),
        State.ACTION_REQUIRED: _("The payee has to confirm it, or the money comes back."),
        State.UNKNOWN: _("The provider is asked. If it cannot tell, two people with a proof can."),
    }
    if row.state == State.ACCEPTED and is_called:
        return _("The provider has it and is asked until it is paid.")
    if row.state == State.ACCEPTED and is_by_hand:
        return _("Somebody has to pay it by hand and mark it as paid, with a reference.")
    return steps.get(State(row.state))


def _form(
    row: Payout, verb: str, typed: Mapping[str, str], refusal: AffiliateError | None
) -> ResponseReturnValue:
    shown = render_template(
        "finance/payout_verb.html",
        payout=row,
        key=ids.encode("pay", row.merchant_id, row.id),
        payee=words.payees([(row.payee_kind, row.payee_id)])[row.payee_kind, row.payee_id],
        name=verb,
        verb=VERBS[verb],
        typed=typed,
        faults={each.pointer.strip("/"): each.message for each in refusal.errors}
        if refusal
        else {},
    )
    return shown, refusal.status if refusal else 200


def _do(row: Payout, verb: str, typed: Mapping[str, str]) -> None:
    key, by = (row.merchant_id, row.id), current_person().user.id
    if verb == "paid":
        reference = typed.get("reference", "").strip()[:LONGEST] or None
        service.mark_paid(*key, by=by, paid_at=_day(typed), reference=reference)
        return
    reason = typed.get("reason", "").strip()[:LONGEST]
    if not reason:
        raise invalid("/reason", "missing", _("Say why; the payee's timeline keeps it."))
    if verb == "cancel":
        settlement_service.cancel_payout(*key, by=by, reason=reason)
    elif verb == "failed":
        service.mark_failed(*key, by=by, reason=reason)
    else:
        service.mark_returned(*key, by=by, reason=reason)


def _day(typed: Mapping[str, str]) -> datetime | None:
    """The start of the day in the reader's zone; none: now."""
    text = typed.get("paid_on", "").strip()
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=i18n.zone())
    except ValueError:
        raise invalid("/paid_on", "bad_day", _("Choose a day.")) from None


def _told(events: Any) -> list[dict[str, Any]]:
    """The timeline, newest first, with who did it and what they said."""
    names = words.users([each.user_id for each in events])
    return [
        {
            "state": each.state,
            "at": each.created_at,
            "by": names.get(each.user_id or 0),
            "said": _said(each),
        }
        for each in reversed(events)
    ]


def _said(event: PayoutEvent) -> str:
    return " · ".join(
        str(event.detail[name])
        for name in ("reason", "reference", "file")
        if event.detail.get(name)
    )


def _lines(row: Payout) -> tuple[list[LineRow], str | None]:
    found, cursor = lists.page(
        sa.select(PayoutLine).where(
            PayoutLine.merchant_id == row.merchant_id, PayoutLine.payout_id == row.id
        ),
        [PayoutLine.entry_id],
    )
    entries = _by_id(sa.select(Entry), Entry, row.merchant_id, {each.entry_id for each in found})
    of = entries.values()
    orders = _by_id(sa.select(Order), Order, row.merchant_id, {each.order_id for each in of})
    earned = _by_id(
        commissions.all_commissions(),
        Commission,
        row.merchant_id,
        {each.commission_id for each in of},
    )
    return [
        LineRow(
            line,
            entry := entries[line.entry_id],
            order := orders[entry.order_id],
            ids.encode("ord", order.merchant_id, order.id),
            earned[entry.commission_id],
        )
        for line in found
    ], cursor


def _by_id(
    statement: sa.Select[Any], table: Any, merchant_id: int, row_ids: set[int]
) -> dict[int, Any]:
    chosen = statement.where(table.merchant_id == merchant_id, table.id.in_(row_ids))
    return {each.id: each for each in db.session.scalars(chosen)}
