"""Groups of promoters, and whom a targeted or exclusive program names. All of it is dated."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import clock
from affiliate.db import Model, db
from affiliate.errors import Conflict, invalid
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.programs import queries
from affiliate.programs.models import Group, GroupMember, Invitee, PlanType, Program


class GroupExists(Conflict):
    code = "group_exists"


class NotForNamed(Conflict):
    """Only targeted and exclusive programs name their people."""

    code = "program_is_public"


def create_group(merchant_id: int, name: str) -> Group:
    made: Group | None = db.session.scalar(
        insert(Group)
        .values(merchant_id=merchant_id, name=name, version=1, created_at=clock.now())
        .on_conflict_do_nothing(index_elements=["merchant_id", "name"])
        .returning(Group)
    )
    if made is None:
        raise GroupExists(_("There is a group of this name already."))
    return made


def rename_group(group: Group, name: str) -> Group:
    taken = sa.exists().where(
        Group.merchant_id == group.merchant_id, Group.name == name, Group.id != group.id
    )
    if db.session.scalar(sa.select(taken)):
        raise GroupExists(_("There is a group of this name already."))
    group.name = name
    group.version += 1
    db.session.flush()
    return group


def add_to_group(group: Group, promoter_ids: Collection[int]) -> None:
    """From now on they belong to it; who does already goes on doing so."""
    _require_promoters(promoter_ids)
    rows = [
        {
            "merchant_id": group.merchant_id,
            "group_id": group.id,
            "promoter_id": promoter_id,
            "since": clock.now(),
            "created_at": clock.now(),
        }
        for promoter_id in sorted(set(promoter_ids))
    ]
    if rows:
        db.session.execute(insert(GroupMember).on_conflict_do_nothing(), rows)


def take_from_group(group: Group, promoter_ids: Collection[int]) -> None:
    """From now on they do not belong to it; what was earned in it stays."""
    _close(
        GroupMember,
        GroupMember.merchant_id == group.merchant_id,
        GroupMember.group_id == group.id,
        GroupMember.promoter_id.in_(promoter_ids),
    )


def invite(
    program: Program, *, promoter_ids: Collection[int] = (), group_ids: Collection[int] = ()
) -> None:
    """Name promoters and groups in a targeted or exclusive program; the caller has it locked."""
    if program.plan_type == PlanType.PUBLIC:
        raise NotForNamed(_("A public program is for everybody; it names nobody."))
    _require_promoters(promoter_ids)
    for group_id in group_ids:
        queries.group(program.merchant_id, group_id)
    named = {(each.promoter_id, each.group_id) for each in queries.invitees_of(program)}
    wanted: list[tuple[int | None, int | None]] = [(id_, None) for id_ in promoter_ids]
    wanted += [(None, id_) for id_ in group_ids]
    for who in dict.fromkeys(wanted):
        if who not in named:
            db.session.add(
                Invitee(
                    merchant_id=program.merchant_id,
                    program_id=program.id,
                    promoter_id=who[0],
                    group_id=who[1],
                    since=clock.now(),
                )
            )
    db.session.flush()


def uninvite(
    program: Program, *, promoter_ids: Collection[int] = (), group_ids: Collection[int] = ()
) -> None:
    """They are not named any more, from now on."""
    _close(
        Invitee,
        Invitee.merchant_id == program.merchant_id,
        Invitee.program_id == program.id,
        sa.or_(Invitee.promoter_id.in_(promoter_ids), Invitee.group_id.in_(group_ids)),
    )


def _close(model: type[Model], *which: sa.ColumnElement[bool]) -> None:
    until = model.until  # type: ignore[attr-defined]
    db.session.execute(sa.update(model).where(*which, until.is_(None)).values(until=clock.now()))


def _require_promoters(promoter_ids: Collection[int]) -> None:
    if set(promoter_ids) - people.promoters(promoter_ids).keys():
        raise invalid("/promoters", "unknown_promoter", _("There is no such promoter here."))
