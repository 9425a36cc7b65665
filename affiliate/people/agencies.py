"""Writes about agencies: who runs one, whom it invites, who is with it from when to when."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import clock, events
from affiliate.db import db
from affiliate.errors import Conflict, FieldError
from affiliate.i18n import _
from affiliate.people import queries
from affiliate.people.models import Agency, AgencyMember, Promoter
from affiliate.people.service import normal_address, unique_email


class AgencyClosed(Conflict):
    code = "agency_closed"


class WithAnother(Conflict):
    """A promoter is with one agency at a time."""

    code = "with_another_agency"


def create(name: str, *, email: str | None = None, country: str | None = None) -> Agency:
    agency = Agency(name=name, email=email and normal_address(email), country=country)
    with unique_email(email):
        db.session.add(agency)
        db.session.flush()
    return agency


def change(agency: Agency, changes: dict[str, Any]) -> Agency:
    if changes.get("email"):
        changes = changes | {"email": normal_address(changes["email"])}
    with unique_email(changes.get("email")):
        for name, value in changes.items():
            setattr(agency, name, value)
        agency.version += 1
        db.session.flush()
    return agency


def close(agency: Agency) -> Agency:
    """Nobody is with it any more from now on, and nobody is invited. What it earned stays its own.
    Safe to repeat.
    """
    if agency.closed_at is not None:
        return agency
    agency.closed_at = clock.now()
    agency.version += 1
    open_ones = sa.update(AgencyMember).where(
        AgencyMember.agency_id == agency.id, AgencyMember.until.is_(None)
    )
    db.session.execute(
        open_ones.values(
            until=sa.func.greatest(AgencyMember.since, agency.closed_at),
            ended_by="operator",
            version=AgencyMember.version + 1,
        )
    )
    db.session.flush()
    return agency


def invite(agency: Agency, promoter: Promoter) -> AgencyMember:
    """Ask a promoter to come along. Asking again changes nothing; only their yes makes a member."""
    member, is_new = _ask(agency, promoter)
    if is_new:
        events.record(
            "agency.invited",
            promoter_id=promoter.id,
            payload={"agency": agency.id, "name": agency.name},
        )
    return member


def _ask(agency: Agency, promoter: Promoter) -> tuple[AgencyMember, bool]:
    if agency.closed_at is not None:
        raise AgencyClosed(_("This agency is closed."))
    # Asked of the unique index, so that of two at once one makes the row.
    made = db.session.scalar(
        insert(AgencyMember)
        .values(agency_id=agency.id, promoter_id=promoter.id, version=1, created_at=clock.now())
        .on_conflict_do_nothing(
            index_elements=["agency_id", "promoter_id"], index_where=sa.text("until IS NULL")
        )
        .returning(AgencyMember.id)
    )
    return queries.agency_member(agency.id, promoter.id), made is not None


def accept(member: AgencyMember) -> AgencyMember:
    """From now on the promoter is with the agency. Safe to repeat."""
    if member.since is not None:
        return member
    try:
        with db.session.begin_nested():
            member.since = clock.now()
            member.version += 1
            db.session.flush()
    except sa.exc.IntegrityError as error:
        if getattr(getattr(error.orig, "diag", None), "constraint_name", "") != (
            "agency_members_one_idx"
        ):
            raise
        message = _("You are with another agency already; leave it first.")
        wrong = FieldError("/agency", "with_another_agency", message)
        raise WithAnother(message, errors=(wrong,)) from error
    return member


def join(agency: Agency, promoter: Promoter) -> AgencyMember:
    """Come along by the agency's own link, which is its invitation."""
    return accept(_ask(agency, promoter)[0])


def unbind(member: AgencyMember, *, by: str) -> AgencyMember:
    """From now on the promoter is not with the agency, or not invited: orders that were paid
    before keep their share.
    """
    if member.until is None:
        now = clock.now()
        member.until = max(member.since, now) if member.since else now
        member.ended_by = by
        member.version += 1
        db.session.flush()
        if member.since is not None and by != "promoter":
            name = queries.agency(member.agency_id).name
            events.record(
                "agency.left",
                promoter_id=member.promoter_id,
                payload={"agency": member.agency_id, "name": name},
            )
    return member
