"""Withdrawals that payees asked for; a settlement takes them, or somebody refuses them."""

from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_person, current_scope
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.payouts import service
from affiliate.payouts.models import Asked, Withdrawal
from affiliate.payouts.service import withdrawals
from affiliate.people.queries import within
from affiliate.people.rules import Right

LONGEST = 300


@bp.get("/withdrawals/")
def all_withdrawals() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [Withdrawal.id])
    return render_template(
        "finance/withdrawals.html",
        rows=[(ids.encode("wdr", each.merchant_id, each.id), each) for each in found],
        names=words.payees((each.payee_kind, each.payee_id) for each in found),
        merchants=words.merchant_names({each.merchant_id for each in found}),
        choices=access.merchants(),
        next=cursor,
        may_handle=access.may(*access.HANDLERS),
        reasons=words.REFUSED,
    )


@bp.get("/withdrawals/<withdrawal_id>/refuse")
def ask_to_refuse(withdrawal_id: str) -> ResponseReturnValue:
    return _form(_find(withdrawal_id), withdrawal_id, None)


@bp.post("/withdrawals/<withdrawal_id>/refuse")
def refuse_withdrawal(withdrawal_id: str) -> ResponseReturnValue:
    asked = _find(withdrawal_id)
    reason = request.form.get("reason", "").strip()[:LONGEST]
    if not reason:
        return _form(asked, withdrawal_id, _("Say why; the payee reads it.")), 422
    by = current_person().user.id
    refusal = access.refused(
        lambda: service.refuse(asked.merchant_id, asked.id, by=by, reason=reason)
    )
    told: Any = refusal.message if refusal else _("Refused. The money is available again.")
    flash(told, "wait" if refusal else "done")
    return redirect(url_for("finance.all_withdrawals"), 303)


def _find(withdrawal_id: str) -> Withdrawal:
    key = access.key_of("wdr", withdrawal_id)
    access.require(access.HANDLERS, key[0])
    return withdrawals.find(*key)


def _form(asked: Withdrawal, key: str, fault: Any) -> str:
    payee = (asked.payee_kind, asked.payee_id)
    return render_template(
        "finance/refuse_withdrawal.html",
        key=key,
        money=Money(asked.amount, asked.currency),
        payee=words.payees([payee])[payee],
        typed=request.form.get("reason", ""),
        fault=fault,
    )


def _chosen() -> sa.Select[Any]:
    found = sa.select(Withdrawal).where(
        within(Withdrawal.merchant_id, current_scope(Right.READ_MONEY))
    )
    if merchant_id := access.asked_merchant():
        found = found.where(Withdrawal.merchant_id == merchant_id)
    if (state := request.args.get("state")) in list(Asked):
        found = found.where(Withdrawal.state == state)
    return found
