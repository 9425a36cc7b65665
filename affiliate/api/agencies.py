"""Agencies: organisations that manage promoters and take a share, and who is with them."""

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    AgencyId,
    Body,
    Country,
    Instant,
    ListQuery,
    Page,
    PromoterId,
    Resource,
    Text,
)
from affiliate.errors import FieldError, Forbidden, NotFound
from affiliate.people import agencies, queries
from affiliate.people.models import Agency, AgencyMember
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs.models import AgencyRate

OWNERS = (Right.RUN_AGENCY, Right.ADMINISTER)
READERS = (Right.RUN_AGENCY, Right.READ_MERCHANT)
PROMOTERS = (Right.PROMOTE, Right.ADMINISTER)


class NewAgency(Body):
    name: Text
    email: Text | None = None
    country: Country | None = None


class AgencyChange(Body):
    name: Text = ""
    email: Text | None = None
    country: Country | None = None
    closed: bool = Field(False, description="For good; the operator's")


class AgencyShown(Resource):
    """Mail is shown to the agency and the operator."""

    id: AgencyId
    name: str
    email: str | None
    country: str | None
    closed_at: Instant | None
    created_at: Instant
    version: int


class Invitation(Body):
    promoter: PromoterId


class MemberShown(Resource):
    agency: AgencyId
    promoter: PromoterId
    invited_at: Instant
    since: Instant | None = Field(description="Null while the promoter has not said yes")
    until: Instant | None


@endpoint("POST", "/agencies", needs=Right.ADMINISTER, status=201)
def create(caller: Caller, body: NewAgency) -> AgencyShown:
    """Create an agency. Who works for it gets the role `agency`."""
    return show(caller, agencies.create(body.name, email=body.email, country=body.country))


@endpoint("GET", "/agencies", needs=READERS)
def all_agencies(caller: Caller, query: ListQuery) -> Page[AgencyShown]:
    """Agencies, newest first: one's own, or those with a share in a program of the merchant."""
    found = sa.select(Agency).where(_visible(caller))
    rows, cursor = paging.rows(found, query, by=[Agency.id])
    return Page(data=[show(caller, row) for row in rows], next=cursor)


@endpoint("GET", "/agencies/{agency_id}", needs=READERS)
def one(caller: Caller, agency_id: AgencyId) -> AgencyShown:
    """One agency."""
    found = sa.select(Agency).where(Agency.id == agency_id, _visible(caller))
    rows, _ = paging.rows(found, ListQuery(), by=[Agency.id])
    if not rows:
        raise NotFound("There is no such agency here.")
    return show(caller, rows[0])


@endpoint("PATCH", "/agencies/{agency_id}", needs=OWNERS)
def change(
    caller: Caller, agency_id: AgencyId, body: AgencyChange, if_match: IfMatch
) -> AgencyShown:
    """Change an agency. Closing it is the operator's."""
    caller.require_agency(agency_id)
    agency = queries.agency(agency_id, lock=True)
    if_match.check(agency.version)
    changes = body.given()
    closed = changes.pop("closed", False)
    if closed and not caller.may(Right.ADMINISTER):
        message = "Only the operator closes an agency."
        raise Forbidden(message, errors=(FieldError("/closed", "forbidden", message),))
    if changes:
        agencies.change(agency, changes)
    return show(caller, agencies.close(agency) if closed else agency)


@endpoint("GET", "/agencies/{agency_id}/members", needs=OWNERS)
def members(caller: Caller, agency_id: AgencyId, query: ListQuery) -> Page[MemberShown]:
    """Who was invited and who is with it, also who left; newest first."""
    caller.require_agency(agency_id)
    found = sa.select(AgencyMember).where(AgencyMember.agency_id == agency_id)
    return paging.page(found, query, by=[AgencyMember.id], show=show_member)


@endpoint("POST", "/agencies/{agency_id}/members", needs=OWNERS)
def invite(caller: Caller, agency_id: AgencyId, body: Invitation) -> MemberShown:
    """Ask a promoter to come along; only their yes makes a member."""
    caller.require_agency(agency_id)
    agency = queries.agency(agency_id, lock=True)
    return show_member(agencies.invite(agency, queries.promoter(body.promoter)))


@endpoint("POST", "/agencies/{agency_id}/members/{promoter_id}/unbind", needs=OWNERS)
def unbind(caller: Caller, agency_id: AgencyId, promoter_id: PromoterId) -> MemberShown:
    """Let a promoter go, or take an invitation back: from now on, what was earned stays."""
    caller.require_agency(agency_id)
    member = queries.agency_member(agency_id, promoter_id, lock=True)
    by = "agency" if agency_id in caller.agency_ids else "operator"
    return show_member(agencies.unbind(member, by=by))


@endpoint("GET", "/promoters/{promoter_id}/agencies", needs=PROMOTERS)
def of_promoter(caller: Caller, promoter_id: PromoterId, query: ListQuery) -> Page[MemberShown]:
    """The agencies a promoter was or is with, and those that invite, newest first."""
    caller.require_promoter(promoter_id)
    found = sa.select(AgencyMember).where(AgencyMember.promoter_id == promoter_id)
    return paging.page(found, query, by=[AgencyMember.id], show=show_member)


@endpoint("POST", "/promoters/{promoter_id}/agencies/{agency_id}/accept", needs=Right.PROMOTE)
def accept(caller: Caller, promoter_id: PromoterId, agency_id: AgencyId) -> MemberShown:
    """Say yes to an agency that invites. A promoter is with one at a time."""
    _require_self(caller, promoter_id)
    return show_member(agencies.accept(queries.agency_member(agency_id, promoter_id, lock=True)))


@endpoint("POST", "/promoters/{promoter_id}/agencies/{agency_id}/leave", needs=Right.PROMOTE)
def leave(caller: Caller, promoter_id: PromoterId, agency_id: AgencyId) -> MemberShown:
    """Leave an agency, or say no to it."""
    _require_self(caller, promoter_id)
    member = queries.agency_member(agency_id, promoter_id, lock=True)
    return show_member(agencies.unbind(member, by="promoter"))


def _require_self(caller: Caller, promoter_id: int) -> None:
    if promoter_id not in caller.promoter_ids:
        raise NotFound("There is no such promoter here.")


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    scope = caller.scope(Right.READ_MERCHANT)
    mine = Agency.id.in_(caller.agency_ids)
    if scope is None:
        return sa.true()
    sharing = sa.select(AgencyRate.agency_id).where(within(AgencyRate.merchant_id, scope))
    return mine | Agency.id.in_(sharing)


def show(caller: Caller, agency: Agency) -> AgencyShown:
    knows = agency.id in caller.agency_ids or caller.may(Right.ADMINISTER)
    return AgencyShown(
        id=agency.id,
        name=agency.name,
        email=agency.email if knows else None,
        country=agency.country,
        closed_at=agency.closed_at,
        created_at=agency.created_at,
        version=agency.version,
    )


def show_member(member: AgencyMember) -> MemberShown:
    return MemberShown(
        agency=member.agency_id,
        promoter=member.promoter_id,
        invited_at=member.created_at,
        since=member.since,
        until=member.until,
    )
