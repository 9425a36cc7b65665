"""Agencies: who manages promoters here, and making a new one."""

from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles import lists
from affiliate.consoles.operator import bp
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound, invalid
from affiliate.i18n import _
from affiliate.people import agencies as service
from affiliate.people import queries
from affiliate.people.models import Agency, AgencyMember
from affiliate.people.rules import COUNTRIES


@bp.get("/agencies/")
def agencies() -> ResponseReturnValue:
    found, cursor = lists.page(sa.select(Agency), [Agency.id])
    return render_template(
        "operator/agencies.html",
        rows=found,
        members=_members([each.id for each in found]),
        public_id=ids.encode,
        next=cursor,
    )


@bp.get("/agencies/new")
def new_agency() -> ResponseReturnValue:
    return _form(request.args, None)


@bp.post("/agencies/new")
def create_agency() -> ResponseReturnValue:
    typed = request.form
    try:
        name, email, country = _facts(typed)
        agency = service.create(name, email=email, country=country)
    except AffiliateError as refusal:
        return _form(typed, refusal)
    flash(_("The agency is there. Now give somebody of it a way in."), "done")
    key = ids.encode("agn", agency.id)
    return redirect(url_for("operator.new_user", role="agency", agency=key), 303)


@bp.post("/agencies/<agency_id>/close")
def close_agency(agency_id: str) -> ResponseReturnValue:
    """For good: nobody is with it any more. What it earned stays its own."""
    try:
        agency = queries.agency(ids.decode_one("agn", agency_id), lock=True)
    except NotFound:
        abort(404)
    service.close(agency)
    flash(_("%(agency)s is closed.", agency=agency.name), "done")
    return redirect(url_for("operator.agencies"), 303)


def _facts(typed: Any) -> tuple[str, str | None, str | None]:
    name, country = typed.get("name", "").strip()[:200], typed.get("country", "").strip().upper()
    if not name:
        raise invalid("/name", "missing", _("A name, please."))
    if country and country not in COUNTRIES:
        raise invalid("/country", "unknown_country", _("There is no such country."))
    return name, typed.get("email", "").strip() or None, country or None


def _members(agency_ids: list[int]) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(AgencyMember.agency_id, sa.func.count().label("number"))
        .where(
            AgencyMember.agency_id.in_(agency_ids),
            AgencyMember.since.is_not(None),
            AgencyMember.until.is_(None),
        )
        .group_by(AgencyMember.agency_id)
    )
    return {row.agency_id: row.number for row in rows}


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    page = render_template(
        "operator/agency_form.html",
        typed=typed,
        refusal=refusal if refusal and not faults else None,
        faults=faults,
    )
    return page, refusal.status if refusal else 200
