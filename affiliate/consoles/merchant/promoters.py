"""The merchant's promoters: who takes part, who wants to, and how to bring more in."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.consoles import lists
from affiliate.consoles.channels import CHANNELS
from affiliate.consoles.merchant import bp
from affiliate.consoles.merchant.overview import waiting_applications
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.people.models import Promoter
from affiliate.people.rules import Right
from affiliate.programs import queries, service
from affiliate.programs.models import Membership, Program


@dataclass(frozen=True, slots=True)
class Row:
    member: Membership
    promoter: Promoter
    program: Program


@bp.get("/promoters/")
def promoters() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    found, cursor = lists.page(_chosen(merchant_id), [Membership.id])
    everybody = people.promoters({each.promoter_id for each in found})
    running = queries.by_keys({(merchant_id, each.program_id) for each in found}) if found else {}
    return render_template(
        "merchant/promoters.html",
        rows=[
            Row(each, everybody[each.promoter_id], running[merchant_id, each.program_id])
            for each in found
        ],
        next=cursor,
        applied=waiting_applications(merchant_id),
        kinds=CHANNELS,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )


@bp.post("/promoters/<int:program_id>/<int:member_id>/<any(approve, refuse):decision>")
def decide(program_id: int, member_id: int, decision: str) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    member = queries.enrolment(merchant_id, program_id, member_id, lock=True)
    if decision == "approve":
        service.approve(member)
        flash(_("The promoter takes part from now on."), "done")
    else:
        service.refuse(member)
        flash(_("The application is refused."), "done")
    return redirect(url_for("merchant.promoters", state=request.args.get("state")), 303)


def _chosen(merchant_id: int) -> sa.Select[Any]:
    found = sa.select(Membership).where(Membership.merchant_id == merchant_id)
    state = request.args.get("state")
    if state in ("applied", "active", "refused", "ended"):
        found = found.where(Membership.state == state)
    return found
