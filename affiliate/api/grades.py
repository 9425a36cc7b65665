"""The ladder of a merchant's grades, who stands where, and what closed months they sold."""

from datetime import date
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Currency,
    GradeId,
    Instant,
    ListQuery,
    MerchantId,
    Page,
    PromoterId,
    Resource,
    Text,
)
from affiliate.commissions import service as commissions
from affiliate.money import LARGEST
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries, service
from affiliate.programs.models import Grade, GradeStanding

Measure = Literal["orders", "sales", "team_orders", "team_sales"]


class NeedShape(Body):
    measure: Measure = Field(description="Of the closed period; teams count the promoter too")
    at_least: int = Field(ge=1, le=LARGEST, description="Orders, or minor units")
    currency: Currency | None = Field(None, description="Of sales")


Needs = list[list[NeedShape]]
NEEDS = "Who meets all needs of one of these lists has earned it; without any it is given by hand"


class NewGrade(Body):
    merchant: MerchantId
    name: Text
    rank: int = Field(ge=1, le=1000, description="The higher the better")
    needs: Needs = Field([], max_length=10, description=NEEDS)


class GradeChange(Body):
    name: Text = ""
    rank: int = Field(1, ge=1, le=1000)
    needs: Needs = Field([], max_length=10)
    ended: bool = Field(False, description="Nobody has it any more from now on")


class GradeQuery(ListQuery):
    merchant: MerchantId | None = None


class GradeShown(Resource):
    id: GradeId
    merchant: MerchantId
    name: str
    rank: int
    needs: list[list[dict[str, Any]]]
    ended_at: Instant | None
    created_at: Instant
    version: int


class GivenGrade(Body):
    promoter: PromoterId


class Grading(Body):
    merchant: MerchantId


class Graded(Resource):
    changed: int = Field(description="How many promoters have another grade now")


class StandingQuery(ListQuery):
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None


class StandingShown(Resource):
    promoter: PromoterId
    grade: GradeId
    since: Instant
    until: Instant | None
    period: date | None = Field(description="First day of the period that made it; null: by hand")
    figures: dict[str, Any] | None


@endpoint("POST", "/grades", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewGrade) -> GradeShown:
    """Make a grade."""
    caller.require(Right.RUN_MERCHANT, body.merchant)
    grade = service.create_grade(
        body.merchant, name=body.name, rank=body.rank, needs=_needs(body.needs)
    )
    return show(grade)


@endpoint("GET", "/grades", needs=Right.READ_MERCHANT)
def all_grades(caller: Caller, query: GradeQuery) -> Page[GradeShown]:
    """Grades, newest first."""
    found = sa.select(Grade).where(within(Grade.merchant_id, caller.scope(Right.READ_MERCHANT)))
    if query.merchant is not None:
        found = found.where(Grade.merchant_id == query.merchant)
    return paging.page(found, query, by=[Grade.id], show=show)


@endpoint("GET", "/grades/{grade_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, grade_id: GradeId) -> GradeShown:
    """One grade."""
    caller.require(Right.READ_MERCHANT, grade_id[0])
    return show(queries.grade(*grade_id))


@endpoint("PATCH", "/grades/{grade_id}", needs=Right.RUN_MERCHANT)
def change(caller: Caller, grade_id: GradeId, body: GradeChange, if_match: IfMatch) -> GradeShown:
    """Change a grade, from the next closed period on; or end it, from now on."""
    caller.require(Right.RUN_MERCHANT, grade_id[0])
    grade = queries.grade(*grade_id, lock=True)
    if_match.check(grade.version)
    given = body.given()
    ended = given.pop("ended", False)
    if "needs" in given:
        given["needs"] = _needs(body.needs)
    if given:
        service.change_grade(grade, given)
    return show(service.end_grade(grade) if ended else grade)


@endpoint("POST", "/grades/{grade_id}/promoters", needs=Right.RUN_MERCHANT)
def give(caller: Caller, grade_id: GradeId, body: GivenGrade) -> GradeShown:
    """Give a promoter a grade by hand, from now on, until a closed period makes another."""
    caller.require(Right.RUN_MERCHANT, grade_id[0])
    grade = queries.grade(*grade_id, lock=True)
    service.give_grade(grade, body.promoter, by=caller.user_id)
    return show(grade)


@endpoint("POST", "/grades/evaluate", needs=Right.RUN_MERCHANT)
def evaluate(caller: Caller, body: Grading) -> Graded:
    """Grade everybody by the last closed period now, without waiting for the next to close."""
    caller.require(Right.RUN_MERCHANT, body.merchant)
    changes = commissions.grade_now(people.merchant(body.merchant, lock=True))
    return Graded(changed=len(changes))


@endpoint("GET", "/grade-standings", needs=Right.READ_MERCHANT)
def standings(caller: Caller, query: StandingQuery) -> Page[StandingShown]:
    """Who had which grade from when to when, and what made it, newest first."""
    mine = within(GradeStanding.merchant_id, caller.scope(Right.READ_MERCHANT))
    found = sa.select(GradeStanding).where(mine)
    if query.merchant is not None:
        found = found.where(GradeStanding.merchant_id == query.merchant)
    if query.promoter is not None:
        found = found.where(GradeStanding.promoter_id == query.promoter)
    return paging.page(found, query, by=[GradeStanding.id], show=_standing)


def _needs(needs: Needs) -> list[list[dict[str, Any]]]:
    return [[need.model_dump(exclude_none=True) for need in each] for each in needs]


def show(grade: Grade) -> GradeShown:
    return GradeShown(
        id=(grade.merchant_id, grade.id),
        merchant=grade.merchant_id,
        name=grade.name,
        rank=grade.rank,
        needs=grade.needs,
        ended_at=grade.ended_at,
        created_at=grade.created_at,
        version=grade.version,
    )


def _standing(row: GradeStanding) -> StandingShown:
    return StandingShown(
        promoter=row.promoter_id,
        grade=(row.merchant_id, row.grade_id),
        since=row.since,
        until=row.until,
        period=row.period,
        figures=row.figures,
    )
