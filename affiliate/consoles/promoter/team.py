"""The promoter's own team: how to invite, and who is below whom. Of people only their names."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, formats, ids
from affiliate.commissions.models import Commission, Entry
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.links import share
from affiliate.people import joining
from affiliate.people import queries as people
from affiliate.people.models import Promoter

SHOWN = 100  # of one level below one person
DEPTH = 64


@bp.get("/team/")
def team() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    return render_template(
        "promoter/team.html",
        people=_below(promoter_id, promoter_id),
        agencies=people.agencies_of(promoter_id),
        invitation=_invitation(promoter_id),
    )


@bp.get("/team/<member_id>")
def branch(member_id: str) -> ResponseReturnValue:
    """One level further down; for htmx the branch alone."""
    promoter_id = current_promoter_id()
    member = _member(promoter_id, member_id)
    below = _below(promoter_id, member.id)
    if request.headers.get("HX-Request"):
        return render_template("promoter/_branch.html", people=below)
    return render_template("promoter/member.html", member=member, people=below)


@bp.get("/team/invitation.svg")
def invitation_code() -> ResponseReturnValue:
    drawn = share.svg(_invitation(current_promoter_id()))
    return Response(drawn, content_type="image/svg+xml")


def _invitation(promoter_id: int) -> str:
    path = url_for("account.join", code=joining.invite_code(promoter_id))
    return f"{current_app.config['SETTINGS'].address}{path}"


def _member(promoter_id: int, member_id: str) -> Promoter:
    """Who is not below this promoter is nobody here."""
    try:
        row_id = ids.decode_one("prm", member_id)
    except NotFound:
        abort(404)
    asked = (row_id, clock.now())
    if promoter_id not in people.uplines([asked], DEPTH)[asked]:
        abort(404)
    return people.promoter(row_id)


def _below(promoter_id: int, sponsor_id: int) -> list[dict[str, Any]]:
    found = db.session.scalars(
        sa.select(Promoter)
        .where(Promoter.sponsor_id == sponsor_id)
        .order_by(Promoter.sponsor_since.desc(), Promoter.id.desc())
        .limit(SHOWN)
    ).all()
    below = _counts([each.id for each in found])
    brought = _brought(promoter_id, [each.id for each in found])
    return [
        {
            "name": each.name,
            "detail": " · ".join(brought.get(each.id, [])),
            "below": below.get(each.id, 0),
            "url": url_for("promoter.branch", member_id=ids.encode("prm", each.id)),
        }
        for each in found
    ]


def _counts(sponsor_ids: Collection[int]) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Promoter.sponsor_id, sa.func.count())
        .where(Promoter.sponsor_id.in_(sponsor_ids))
        .group_by(Promoter.sponsor_id)
    )
    return {sponsor_id: count for sponsor_id, count in rows if sponsor_id is not None}


def _brought(promoter_id: int, member_ids: Sequence[int]) -> dict[int, list[str]]:
    """What this promoter earned by the orders of each of these, one text for each currency."""
    rows = db.session.execute(
        sa.select(Commission.via_id, Entry.currency, sa.func.sum(Entry.amount))
        .join(
            Entry,
            sa.and_(
                Entry.merchant_id == Commission.merchant_id, Entry.commission_id == Commission.id
            ),
        )
        .where(
            Commission.payee_id == promoter_id,
            Commission.payee_kind == "promoter",
            Commission.via_id.in_(member_ids),
        )
        .group_by(Commission.via_id, Entry.currency)
        .order_by(Commission.via_id, Entry.currency)
    )
    found: dict[int, list[str]] = {}
    for via_id, currency, amount in rows:
        found.setdefault(via_id, []).append(formats.money(int(amount), currency))
    return found
