"""The agency's promoters: a link to come along by, who did, and letting somebody go."""

import sqlalchemy as sa
from flask import Response, abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.commissions.models import Commission, Entry
from affiliate.consoles import lists
from affiliate.consoles.agency import bp
from affiliate.consoles.session import current_agency_id
from affiliate.db import among, db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.links import share
from affiliate.people import agencies, queries
from affiliate.people.models import AgencyMember


@bp.get("/promoters/")
def promoters() -> ResponseReturnValue:
    agency_id = current_agency_id()
    open_ones = sa.select(AgencyMember).where(
        AgencyMember.agency_id == agency_id, AgencyMember.until.is_(None)
    )
    found, cursor = lists.page(open_ones, [AgencyMember.id])
    who = [each.promoter_id for each in found]
    return render_template(
        "agency/promoters.html",
        agency=queries.agency(agency_id),
        rows=found,
        names=queries.promoters(who),
        brought=_brought(agency_id, who),
        invitation=_invitation(),
        next=cursor,
    )


@bp.get("/promoters/invitation.svg")
def invitation_code() -> ResponseReturnValue:
    return Response(share.svg(_invitation()), content_type="image/svg+xml")


@bp.post("/promoters/<promoter_id>/unbind")
def unbind(promoter_id: str) -> ResponseReturnValue:
    """From now on; what orders before earned stays the agency's."""
    try:
        number = ids.decode_one("prm", promoter_id)
        member = queries.agency_member(current_agency_id(), number, lock=True)
    except NotFound:
        abort(404)
    agencies.unbind(member, by="agency")
    name = queries.promoter(number).name
    flash(_("%(name)s is not with you any more.", name=name), "done")
    return redirect(url_for("agency.promoters"), 303)


def _invitation() -> str:
    path = url_for("promoter.agency", agency_id=ids.encode("agn", current_agency_id()))
    return f"{current_app.config['SETTINGS'].address}{path}"


def _brought(agency_id: int, promoter_ids: list[int]) -> dict[int, list[tuple[int, str]]]:
    """What the agency earned by each promoter, by currency."""
    rows = db.session.execute(
        sa.select(Commission.via_id, Commission.currency, sa.func.sum(Entry.amount))
        .join(
            Entry,
            sa.and_(
                Entry.merchant_id == Commission.merchant_id, Entry.commission_id == Commission.id
            ),
        )
        .where(
            Commission.payee_kind == "agency",
            Commission.payee_id == agency_id,
            among(Commission.via_id, promoter_ids),
            Entry.state != "estimated",
        )
        .group_by(Commission.via_id, Commission.currency)
        .order_by(Commission.currency)
    )
    found: dict[int, list[tuple[int, str]]] = {}
    for via_id, currency, amount in rows:
        found.setdefault(via_id, []).append((int(amount), currency))
    return found
