"""Groups of promoters that rules and programs may name together."""

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    GroupId,
    Instant,
    ListQuery,
    MerchantId,
    Page,
    PromoterId,
    Resource,
    Text,
)
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries, service
from affiliate.programs.models import Group, GroupMember


class NewGroup(Body):
    merchant: MerchantId
    name: Text


class GroupChange(Body):
    name: Text = ""


class MembersChange(Body):
    add: list[PromoterId] = Field([], max_length=1000)
    remove: list[PromoterId] = Field([], max_length=1000)


class GroupQuery(ListQuery):
    merchant: MerchantId | None = None


class GroupShown(Resource):
    id: GroupId
    merchant: MerchantId
    name: str
    created_at: Instant
    version: int


class GroupMemberShown(Resource):
    promoter: PromoterId
    since: Instant


@endpoint("POST", "/groups", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewGroup) -> GroupShown:
    """Make a group."""
    caller.require(Right.RUN_MERCHANT, body.merchant)
    return show(service.create_group(body.merchant, body.name))


@endpoint("GET", "/groups", needs=Right.READ_MERCHANT)
def all_groups(caller: Caller, query: GroupQuery) -> Page[GroupShown]:
    """Groups, newest first."""
    found = sa.select(Group).where(within(Group.merchant_id, caller.scope(Right.READ_MERCHANT)))
    if query.merchant is not None:
        found = found.where(Group.merchant_id == query.merchant)
    return paging.page(found, query, by=[Group.id], show=show)


@endpoint("GET", "/groups/{group_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, group_id: GroupId) -> GroupShown:
    """One group."""
    caller.require(Right.READ_MERCHANT, group_id[0])
    return show(queries.group(*group_id))


@endpoint("PATCH", "/groups/{group_id}", needs=Right.RUN_MERCHANT)
def change(caller: Caller, group_id: GroupId, body: GroupChange, if_match: IfMatch) -> GroupShown:
    """Rename a group."""
    caller.require(Right.RUN_MERCHANT, group_id[0])
    group = queries.group(*group_id, lock=True)
    if_match.check(group.version)
    return show(service.rename_group(group, body.name) if body.name else group)


@endpoint("GET", "/groups/{group_id}/members", needs=Right.READ_MERCHANT)
def members(caller: Caller, group_id: GroupId, query: ListQuery) -> Page[GroupMemberShown]:
    """Who belongs to a group now."""
    caller.require(Right.READ_MERCHANT, group_id[0])
    found = sa.select(GroupMember).where(
        GroupMember.merchant_id == group_id[0],
        GroupMember.group_id == group_id[1],
        GroupMember.until.is_(None),
    )
    return paging.page(found, query, by=[GroupMember.id], show=_member)


@endpoint("POST", "/groups/{group_id}/members", needs=Right.RUN_MERCHANT)
def change_members(caller: Caller, group_id: GroupId, body: MembersChange) -> GroupShown:
    """Take promoters in and let others go, from now on."""
    caller.require(Right.RUN_MERCHANT, group_id[0])
    group = queries.group(*group_id, lock=True)
    service.take_from_group(group, body.remove)
    service.add_to_group(group, body.add)
    return show(group)


def show(group: Group) -> GroupShown:
    return GroupShown(
        id=(group.merchant_id, group.id),
        merchant=group.merchant_id,
        name=group.name,
        created_at=group.created_at,
        version=group.version,
    )


def _member(row: GroupMember) -> GroupMemberShown:
    return GroupMemberShown(promoter=row.promoter_id, since=row.since)
