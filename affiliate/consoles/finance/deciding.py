"""Decisions about a settlement: approved by a second person with a code, discarded, executed.

Each has a page of its own, which a dialog shows where there are scripts. What is refused comes
back on that page, with words; what somebody else did meanwhile leads to the settlement as it is.
"""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.consoles.finance import access, bp, settlements, words
from affiliate.consoles.session import current_caller, current_person
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.people.rules import Right
from affiliate.settlement import service
from affiliate.settlement.models import Settlement
from affiliate.settlement.service.deciding import AlreadyApproved, OtherHash
from affiliate.settlement.service.states import WrongState

MOVED_ON = _("It moved on meanwhile. This is how it stands now.")


@bp.get("/settlements/<settlement_id>/approve")
def ask_to_approve(settlement_id: str) -> ResponseReturnValue:
    row = settlements.find(settlement_id)
    current_caller().require(Right.APPROVE_SETTLEMENTS, row.merchant_id)
    return _approval(row, None)


@bp.post("/settlements/<settlement_id>/approve")
def approve(settlement_id: str) -> ResponseReturnValue:
    row = settlements.find(settlement_id)
    current_caller().require(Right.APPROVE_SETTLEMENTS, row.merchant_id)
    by = current_person().user.id
    refusal = access.refused(
        lambda: service.approve(
            row.merchant_id,
            row.id,
            by=by,
            seen=request.form.get("hash", ""),
            otp=request.form.get("otp", "").strip(),
        )
    )
    if isinstance(refusal, AlreadyApproved) and row.approved_by == by:
        refusal = None  # the same form, sent twice
    if isinstance(refusal, AlreadyApproved | OtherHash | WrongState):
        return _back(row, refusal.message, "wait")
    if refusal:
        return _approval(row, refusal)
    return _back(row, _("The settlement is approved. It can be executed now."))


@bp.get("/settlements/<settlement_id>/discard")
def ask_to_discard(settlement_id: str) -> ResponseReturnValue:
    row = settlements.find(settlement_id)
    access.require(access.DECIDERS, row.merchant_id)
    return render_template("finance/discard.html", settlement=row, key=settlement_id)


@bp.post("/settlements/<settlement_id>/discard")
def discard(settlement_id: str) -> ResponseReturnValue:
    row = settlements.find(settlement_id)
    access.require(access.DECIDERS, row.merchant_id)
    by = current_person().user.id
    refusal = access.refused(lambda: service.discard(row.merchant_id, row.id, by=by))
    if refusal:
        return _back(row, MOVED_ON, "wait")
    return _back(row, _("The settlement is discarded. All its money is available again."))


@bp.post("/settlements/<settlement_id>/execute")
def execute(settlement_id: str) -> ResponseReturnValue:
    row = settlements.find(settlement_id)
    access.require(access.HANDLERS, row.merchant_id)
    by = current_person().user.id
    if access.refused(lambda: service.execute(row.merchant_id, row.id, by=by)):
        return _back(row, MOVED_ON, "wait")
    return _back(row, _("The payouts are handed over."))


def _approval(row: Settlement, refusal: AffiliateError | None) -> ResponseReturnValue:
    wrong = {each.pointer for each in refusal.errors} if refusal else set()
    shown = render_template(
        "finance/approve.html",
        settlement=row,
        key=settlements.key(row),
        sums=settlements.sums(row.totals),
        merchant=words.merchant_names([row.merchant_id])[row.merchant_id],
        me=current_person(),
        is_own=row.created_by == current_person().user.id
        and service.open_exception(row.merchant_id) is None,
        refusal=None if "/otp" in wrong else refusal,
        wrong_code=refusal.message if refusal and "/otp" in wrong else None,
    )
    return shown, refusal.status if refusal else 200


def _back(row: Settlement, words_: object, tone: str = "done") -> ResponseReturnValue:
    flash(words_, tone)  # type: ignore[arg-type]
    return redirect(url_for("finance.settlement", settlement_id=settlements.key(row)), 303)
