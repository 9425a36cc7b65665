"""Taking promoters into a program, and letting them go."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import clock, events
from affiliate.db import db
from affiliate.errors import Conflict, Forbidden, invalid
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.programs import queries
from affiliate.programs.models import Enrolment, Membership, MembershipState, Program


class ProgramEnded(Conflict):
    code = "program_ended"


class InviteOnly(Forbidden):
    code = "invite_only"


class AlreadyEnrolled(Conflict):
    code = "already_enrolled"


class NotWaiting(Conflict):
    """Nobody waits for a decision here."""

    code = "enrolment_not_waiting"


class NotEnrolled(Conflict):
    code = "not_enrolled"


def enrol(program: Program, promoter_id: int, *, by_merchant: bool) -> Membership:
    """Take a promoter in, as the program's enrolment says: at once, on approval, or by invitation.

    Who left or was refused may come again.
    """
    if program.ended_at is not None:
        raise ProgramEnded(_("This program has ended."))
    if program.enrolment == Enrolment.INVITE and not by_merchant:
        raise InviteOnly(_("Promoters come into this program by invitation only."))
    if not by_merchant and not queries.is_named(program, promoter_id):
        raise InviteOnly(_("This program is for the promoters it names."))
    promoter = people.promoters([promoter_id]).get(promoter_id)
    if promoter is None or promoter.suspended_at is not None:
        raise invalid("/promoter", "unknown_promoter", _("There is no such active promoter."))
    member = _member(program, promoter_id)
    if member.state in {MembershipState.APPLIED, MembershipState.ACTIVE}:
        raise AlreadyEnrolled(_("This promoter is enrolled or waits for approval already."))
    if program.enrolment == Enrolment.APPROVAL:
        _move(member, MembershipState.APPLIED)
    else:
        _activate(member)
    return member


def approve(member: Membership) -> Membership:
    _require_waiting(member)
    _activate(member)
    _tell("enrolment.approved", member)
    return member


def refuse(member: Membership) -> Membership:
    _require_waiting(member)
    _move(member, MembershipState.REFUSED)
    _tell("enrolment.refused", member)
    return member


def _tell(about: str, member: Membership) -> None:
    program = queries.program(member.merchant_id, member.program_id)
    events.record(
        about,
        merchant_id=member.merchant_id,
        promoter_id=member.promoter_id,
        payload={"program": program.id, "name": program.name},
    )


def end(member: Membership) -> Membership:
    """From now on the promoter earns nothing new here; what was earned stays."""
    if member.state != MembershipState.ACTIVE:
        raise NotEnrolled(_("This promoter does not take part in the program."))
    member.active_until = clock.now()
    _move(member, MembershipState.ENDED)
    return member


def _member(program: Program, promoter_id: int) -> Membership:
    """The one row of this promoter in this program, locked; a refused one when there was none."""
    key = {
        "merchant_id": program.merchant_id,
        "program_id": program.id,
        "promoter_id": promoter_id,
    }
    new = {"state": MembershipState.REFUSED, "earlier": [], "created_at": clock.now(), "version": 0}
    db.session.execute(insert(Membership).values(key | new).on_conflict_do_nothing())
    find = sa.select(Membership).filter_by(**key).with_for_update()
    return db.session.scalars(find.execution_options(populate_existing=True)).one()


def _activate(member: Membership) -> None:
    _close_earlier_time(member)
    member.active_from = clock.now()
    _move(member, MembershipState.ACTIVE)


def _move(member: Membership, state: MembershipState) -> None:
    if state not in {MembershipState.ACTIVE, MembershipState.ENDED}:
        _close_earlier_time(member)
    member.state = state
    member.version += 1
    db.session.flush()


def _close_earlier_time(member: Membership) -> None:
    if member.active_from and member.active_until:
        span = [member.active_from.isoformat(), member.active_until.isoformat()]
        member.earlier = [*member.earlier, span]
    member.active_from = member.active_until = None


def _require_waiting(member: Membership) -> None:
    if member.state != MembershipState.APPLIED:
        raise NotWaiting(_("This promoter does not wait for approval."))
