"""Whom targeted and exclusive programs name."""

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    Body,
    GroupId,
    Instant,
    ListQuery,
    Page,
    Pair,
    ProgramId,
    PromoterId,
    Resource,
)
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries, service
from affiliate.programs.models import Invitee, Program


class InviteesChange(Body):
    add_promoters: list[PromoterId] = Field([], max_length=1000)
    add_groups: list[GroupId] = Field([], max_length=100)
    remove_promoters: list[PromoterId] = Field([], max_length=1000)
    remove_groups: list[GroupId] = Field([], max_length=100)


class InviteeShown(Resource):
    promoter: PromoterId | None
    group: GroupId | None
    since: Instant


@endpoint("GET", "/programs/{program_id}/invitees", needs=Right.READ_MERCHANT)
def all_invitees(caller: Caller, program_id: ProgramId, query: ListQuery) -> Page[InviteeShown]:
    """Whom the program names now."""
    caller.require(Right.READ_MERCHANT, program_id[0])
    return _page(queries.program(*program_id), query)


@endpoint("POST", "/programs/{program_id}/invitees", needs=Right.RUN_MERCHANT)
def change(caller: Caller, program_id: ProgramId, body: InviteesChange) -> Page[InviteeShown]:
    """Name promoters and groups in a targeted or exclusive program, or take them off its list."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id, lock=True)
    service.uninvite(
        program, promoter_ids=body.remove_promoters, group_ids=_own(program, body.remove_groups)
    )
    if body.add_promoters or body.add_groups:
        service.invite(
            program, promoter_ids=body.add_promoters, group_ids=_own(program, body.add_groups)
        )
    return _page(program, ListQuery())


def _own(program: Program, groups: list[Pair]) -> list[int]:
    return [queries.group(*key).id for key in groups if key[0] == program.merchant_id]


def _page(program: Program, query: ListQuery) -> Page[InviteeShown]:
    found = sa.select(Invitee).where(
        Invitee.merchant_id == program.merchant_id,
        Invitee.program_id == program.id,
        Invitee.until.is_(None),
    )
    return paging.page(found, query, by=[Invitee.id], show=_show)


def _show(each: Invitee) -> InviteeShown:
    return InviteeShown(
        promoter=each.promoter_id,
        group=None if each.group_id is None else (each.merchant_id, each.group_id),
        since=each.since,
    )
