"""How much approvers may let go at once, and merchants for whom one person is enough."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles.operator import bp
from affiliate.consoles.session import current_person
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound, invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS
from affiliate.people import delegations, queries
from affiliate.people.models import ApprovalLimit, Grant, Merchant, Role, User
from affiliate.settlement import service
from affiliate.settlement.models import ApprovalException

SHOWN = 200
LONGEST = 300


@bp.get("/approvals/")
def approvals() -> ResponseReturnValue:
    return _page(None)


@bp.post("/approvals/limits")
def set_limit() -> ResponseReturnValue:
    if refusal := _refused(_set_limit):
        return _page(refusal), refusal.status
    flash(_("The limit holds from now on."), "done")
    return redirect(url_for("operator.approvals"), 303)


@bp.post("/approvals/limits/<limit_id>/drop")
def drop_limit(limit_id: str) -> ResponseReturnValue:
    try:
        found = delegations.limit(ids.decode_one("lim", limit_id), lock=True)
    except NotFound:
        abort(404)
    delegations.drop_limit(found)
    flash(_("The limit is gone."), "done")
    return redirect(url_for("operator.approvals"), 303)


@bp.post("/approvals/exceptions")
def record_exception() -> ResponseReturnValue:
    if refusal := _refused(_record):
        return _page(refusal), refusal.status
    flash(_("Recorded. It is named on every settlement that makes use of it."), "done")
    return redirect(url_for("operator.approvals"), 303)


@bp.post("/approvals/exceptions/<exception_id>/end")
def end_exception(exception_id: str) -> ResponseReturnValue:
    try:
        found = service.exception(*ids.decode_pair("exc", exception_id), lock=True)
    except NotFound:
        abort(404)
    service.end_exception(found)
    flash(_("Ended. Its settlements need two people again."), "done")
    return redirect(url_for("operator.approvals"), 303)


def _refused(act: Any) -> AffiliateError | None:
    try:
        with db.session.begin_nested():
            act()
    except AffiliateError as refusal:
        return refusal
    return None


def _set_limit() -> None:
    user = _chosen("user", "usr")
    currency = _currency("limit_currency")
    delegations.set_limit(user, currency, _amount("limit_amount", currency))


def _record() -> None:
    merchant = queries.merchant(_chosen("merchant", "mer"))
    reason = request.form.get("reason", "").strip()[:LONGEST]
    if not reason:
        raise invalid("/reason", "missing", _("Say why one person is enough."))
    currency = _currency("exception_currency")
    limits = {currency: _amount("exception_amount", currency)}
    until = _last_day()
    by = current_person().user.id
    service.record_exception(merchant.id, reason=reason, limits=limits, until=until, by=by)


def _last_day() -> datetime:
    """Its end, where the operator is."""
    zone = ZoneInfo(current_person().user.timezone)
    try:
        day = datetime.fromisoformat(request.form.get("until", "").strip())
    except ValueError as error:
        raise invalid("/until", "bad_instant", _("Choose a day.")) from error
    return (day + timedelta(days=1)).replace(tzinfo=zone).astimezone(UTC)


def _chosen(name: str, prefix: str) -> int:
    try:
        return ids.decode_one(prefix, request.form.get(name, ""))
    except NotFound as error:
        raise invalid(f"/{name}", "missing", _("Choose one of the list.")) from error


def _currency(name: str) -> str:
    currency = request.form.get(name, "").strip().upper()
    if currency not in EXPONENTS:
        raise invalid(f"/{name}", "unknown_currency", _("There is no such currency."))
    return currency


def _amount(name: str, currency: str) -> int:
    try:
        amount = formats.typed_minor(request.form.get(name, ""), currency)
    except formats.NotANumber as error:
        raise invalid(f"/{name}", "not_a_number", error.message) from error
    if amount < 0:
        raise invalid(f"/{name}", "not_positive", _("An amount above zero, please."))
    return amount


def _page(refusal: AffiliateError | None) -> str:
    limits = db.session.scalars(
        sa.select(ApprovalLimit).order_by(ApprovalLimit.user_id, ApprovalLimit.currency)
    ).all()
    exceptions = db.session.scalars(
        sa.select(ApprovalException).order_by(ApprovalException.id.desc()).limit(SHOWN)
    ).all()
    approvers = _approvers()
    merchants = db.session.scalars(sa.select(Merchant).order_by(Merchant.name).limit(SHOWN)).all()
    return render_template(
        "operator/approvals.html",
        limits=limits,
        exceptions=exceptions,
        approvers=[(ids.encode("usr", each.id), each.name) for each in approvers],
        choices=[(ids.encode("mer", each.id), each.name) for each in merchants],
        names={each.id: each.name for each in approvers},
        merchants=queries.merchants({each.merchant_id for each in exceptions}),
        typed=request.form,
        refusal=refusal if refusal and not refusal.errors else None,
        faults={each.pointer.strip("/"): each.message for each in refusal.errors}
        if refusal
        else {},
    )


def _approvers() -> list[User]:
    approve = sa.select(Grant.user_id).where(Grant.role == Role.FINANCE_CHECKER)
    limited = sa.select(ApprovalLimit.user_id)
    found = sa.select(User).where(sa.or_(User.id.in_(approve), User.id.in_(limited)))
    return list(db.session.scalars(found.order_by(User.name).limit(SHOWN)))
