"""Who approves while an approver is away."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_person, current_place
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound, invalid
from affiliate.i18n import _
from affiliate.people import delegations
from affiliate.people import queries as people
from affiliate.people.models import Grant
from affiliate.people.rules import Right

SHOWN = 50


@bp.get("/standing-in/")
def standing_in() -> ResponseReturnValue:
    access.only(Right.APPROVE_SETTLEMENTS)
    return _page(None)


@bp.post("/standing-in/")
def let_stand_in() -> ResponseReturnValue:
    access.only(Right.APPROVE_SETTLEMENTS)
    if refusal := access.refused(_delegate):
        return _page(refusal), refusal.status
    flash(_("They may approve in your place then, within your limits."), "done")
    return redirect(url_for("finance.standing_in"), 303)


@bp.post("/standing-in/<delegation_id>/end")
def end_standing_in(delegation_id: str) -> ResponseReturnValue:
    access.only(Right.APPROVE_SETTLEMENTS)
    try:
        given = delegations.find(ids.decode_one("dlg", delegation_id))
    except NotFound:
        abort(404)
    if given.delegated_by != current_person().user.id:
        abort(404)
    delegations.end(given)
    flash(_("Ended. What was approved stays approved."), "done")
    return redirect(url_for("finance.standing_in"), 303)


def _delegate() -> None:
    person = current_person()
    taker = people.user_by_email(request.form.get("email", "").strip())
    if taker is None:
        raise invalid("/email", "unknown", _("Nobody signs in with this address."))
    zone = ZoneInfo(person.user.timezone)
    since = _day(request.form.get("since", ""), zone, "/since") or clock.now()
    until = _day(request.form.get("until", ""), zone, "/until")
    if until is None:
        raise invalid("/until", "missing", _("Say until when."))
    delegations.delegate(
        person.user.id,
        taker.id,
        since=since,
        until=until + timedelta(days=1),  # the whole last day
        merchant_id=current_place().merchant_id,
    )


def _day(text: str, zone: ZoneInfo, pointer: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=zone).astimezone(UTC)
    except ValueError as error:
        raise invalid(pointer, "bad_instant", _("Choose a day.")) from error


def _page(refusal: AffiliateError | None) -> str:
    me = current_person().user.id
    found = delegations.of_user(me).order_by(Grant.id.desc()).limit(SHOWN)
    rows = db.session.scalars(found).all()
    now = clock.now()
    return render_template(
        "finance/standing_in.html",
        rows=[(ids.encode("dlg", each.id), each) for each in rows],
        people=words.users([user for each in rows for user in (each.user_id, each.delegated_by)]),
        merchants=words.merchant_names({each.merchant_id for each in rows if each.merchant_id}),
        me=me,
        now=now,
        typed=request.form,
        refusal=refusal if refusal and not refusal.errors else None,
        faults=_faults(refusal),
    )


def _faults(refusal: AffiliateError | None) -> dict[str, Any]:
    if refusal is None:
        return {}
    names = {"to": "email"}
    found = {each.pointer.strip("/"): each.message for each in refusal.errors}
    return {names.get(name, name): message for name, message in found.items()}
