"""The agency a promoter is with: come along by its link, and leave again."""

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.people import agencies, queries
from affiliate.people.models import Agency


@bp.get("/agency/<agency_id>")
def agency(agency_id: str) -> ResponseReturnValue:
    """Where an agency's link leads: who it is, and what coming along means."""
    found = _find(agency_id)
    mine = queries.agencies_of(current_promoter_id())
    return render_template(
        "promoter/agency.html",
        agency=found,
        with_it=any(each.id == found.id for member, each in mine if member.since),
        other=next((each for member, each in mine if member.since and each.id != found.id), None),
    )


@bp.post("/agency/<agency_id>")
def join_agency(agency_id: str) -> ResponseReturnValue:
    found = _find(agency_id, lock=True)  # so that nobody closes it meanwhile
    agencies.join(found, queries.promoter(current_promoter_id(), lock=True))
    flash(_("You are with %(agency)s now.", agency=found.name), "done")
    return redirect(url_for("promoter.team"), 303)


@bp.post("/agency/<agency_id>/leave")
def leave_agency(agency_id: str) -> ResponseReturnValue:
    """Also a no to an invitation. Whoever is not with it any more sees the same."""
    found = _find(agency_id)
    try:
        member = queries.agency_member(found.id, current_promoter_id(), lock=True)
    except NotFound:
        return redirect(url_for("promoter.team"), 303)
    was_with = member.since is not None
    agencies.unbind(member, by="promoter")
    if was_with:
        flash(_("You are not with %(agency)s any more.", agency=found.name), "done")
    return redirect(url_for("promoter.team"), 303)


def _find(agency_id: str, *, lock: bool = False) -> Agency:
    try:
        return queries.agency(ids.decode_one("agn", agency_id), lock=lock)
    except NotFound:
        abort(404)
