"""What waits for a person of the merchant: claims of promoters, and money held for a risk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.attribution import queries as attribution
from affiliate.attribution import service as claims
from affiliate.attribution.models import Claim, ClaimState
from affiliate.catalog import queries as catalog
from affiliate.commissions import service as commissions
from affiliate.commissions.service import ConfirmationNeeded
from affiliate.consoles import lists
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.i18n import _, _n
from affiliate.intake import service as intake
from affiliate.orders.models import Order
from affiliate.people import queries as people
from affiliate.people.rules import Right
from affiliate.risk import queries as risks
from affiliate.risk import service as risk
from affiliate.risk.models import Case, CaseState


@dataclass(frozen=True, slots=True)
class ClaimRow:
    claim: Claim
    promoter: str
    shop: str
    order: Order | None
    order_key: str | None
    needs_confirmation: bool


@dataclass(frozen=True, slots=True)
class CaseRow:
    case: Case
    promoter: str | None
    order: Order | None
    order_key: str | None
    reasons: Sequence[Any]


@bp.get("/decisions/")
def decisions() -> ResponseReturnValue:
    return _page()


@bp.post("/decisions/claims/<int:claim_id>/<any(accept, refuse):decision>")
def decide_claim(claim_id: int, decision: str) -> ResponseReturnValue:
    """Accepting asks once more where money was sent to somebody else already."""
    merchant_id, by = _decider()
    claim = attribution.claim(merchant_id, claim_id, lock=True)
    reason = request.form.get("reason", "").strip()[:1000] or None
    try:
        if decision == "accept":
            confirmed = request.form.get("confirmed") == "1"
            with db.session.begin_nested():
                commissions.accept_claim(
                    claim, by=by, reason=reason, confirmed=confirmed, look=intake.look
                )
            flash(_("The order is credited to who claimed it."), "done")
        else:
            claims.refuse(claim, by=by, reason=reason)
            flash(_("The claim is refused; the order stays as it was."), "done")
    except ConfirmationNeeded as refusal:
        return _page(refusal, confirm=claim_id)
    except AffiliateError as refusal:
        return _page(refusal)
    return redirect(url_for("merchant.decisions"), 303)


@bp.post("/decisions/cases/<int:case_id>/<any(clear, confirm):decision>")
def decide_case(case_id: int, decision: str) -> ResponseReturnValue:
    merchant_id, by = _decider()
    case = risks.case(merchant_id, case_id, lock=True)
    note = request.form.get("note", "").strip()[:1000] or None
    try:
        if decision == "clear":
            risk.clear(case, by=by, note=note)
            flash(_("Cleared. The money goes its way."), "done")
        else:
            risk.confirm(case, by=by, note=note)
            flash(_("Confirmed. Nothing of it is paid."), "done")
    except AffiliateError as refusal:
        return _page(refusal)
    return redirect(url_for("merchant.decisions"), 303)


def waiting(merchant_id: int) -> int:
    """How many decisions wait, for the menu and the overview."""
    counts = [
        sa.select(sa.func.count())
        .select_from(model)
        .where(model.merchant_id == merchant_id, model.state == "open")
        .scalar_subquery()
        for model in (Claim, Case)
    ]
    return db.session.scalar(sa.select(counts[0] + counts[1])) or 0


def _decider() -> tuple[int, int]:
    merchant_id, caller = current_merchant_id(), current_caller()
    caller.require(Right.RUN_MERCHANT, merchant_id)
    return merchant_id, caller.user_id


def _page(refusal: AffiliateError | None = None, confirm: int | None = None) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    if not current_caller().may(Right.READ_MERCHANT):
        abort(404)
    mine = sa.select(Claim).where(Claim.merchant_id == merchant_id, Claim.state == ClaimState.OPEN)
    found, _next = lists.page(mine, [Claim.id], limit=100)
    odd = sa.select(Case).where(Case.merchant_id == merchant_id, Case.state == CaseState.OPEN)
    cases, _next = lists.page(odd, [Case.id], limit=100)
    page = render_template(
        "merchant/decisions.html",
        claims=_claims(merchant_id, found, confirm),
        cases=_cases(merchant_id, cases),
        refusal=refusal,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200


def _claims(merchant_id: int, found: Sequence[Claim], confirm: int | None) -> list[ClaimRow]:
    names = _names([each.promoter_id for each in found])
    shops = {shop.id: shop.name for shop in catalog.shops(merchant_id)}
    rows = []
    for each in found:
        order = next(iter(attribution.orders_of(each)), None)
        rows.append(
            ClaimRow(
                each,
                names.get(each.promoter_id, ""),
                shops.get(each.shop_id, ""),
                order,
                ids.encode("ord", merchant_id, order.id) if order else None,
                each.id == confirm,
            )
        )
    return rows


def _cases(merchant_id: int, found: Sequence[Case]) -> list[CaseRow]:
    names = _names([each.promoter_id for each in found if each.promoter_id])
    wanted = [each.order_id for each in found if each.order_id]
    orders = {
        row.id: row
        for row in db.session.scalars(
            sa.select(Order).where(Order.merchant_id == merchant_id, Order.id.in_(wanted))
        )
    }
    return [
        CaseRow(
            each,
            names.get(each.promoter_id or 0),
            orders.get(each.order_id or 0),
            ids.encode("ord", merchant_id, each.order_id) if each.order_id else None,
            [in_words(signal) for signal in each.signals],
        )
        for each in found
    ]


def in_words(signal: dict[str, Any]) -> Any:
    """A signal with its evidence, for people."""
    evidence = signal["evidence"]
    match signal["code"]:
        case "self_purchase":
            return _("The promoter is the buyer.")
        case "upline_purchase":
            return _("Somebody who earns above the seller is the buyer.")
        case "bulk_purchase":
            pieces = formats.number(evidence["pieces"])
            return _("%(pieces)s pieces in one order.", pieces=pieces)
        case "velocity":
            return _(
                "%(orders)s orders of one buyer through one promoter in %(hours)s hours.",
                orders=evidence["orders"],
                hours=evidence["hours"],
            )
        case _other:
            others = evidence["others"]
            return _n(
                "%(num)s other promoter is paid to the same account.",
                "%(num)s other promoters are paid to the same account.",
                others,
            )


def _names(promoter_ids: Sequence[int]) -> dict[int, str]:
    return {row_id: row.name for row_id, row in people.promoters(promoter_ids).items()}
