"""Rules of a program: one rate with its scope and conditions, in dated versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate import ids
from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Currency,
    GradeId,
    GroupId,
    Instant,
    ListQuery,
    Money,
    MoneyIn,
    Page,
    Pair,
    PositiveMoney,
    Ppm,
    ProductId,
    ProgramId,
    PromoterId,
    Resource,
    RuleId,
    Text,
)
from affiliate.errors import invalid
from affiliate.money import LARGEST
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries, service
from affiliate.programs.book import Kind, Scope
from affiliate.programs.models import Rule, RuleVersion
from affiliate.programs.service import Stated, Target

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class BandShape(Body):
    measure: Literal["orders", "sales", "team_orders", "team_sales"]
    period: Literal["month", "quarter"] = "month"
    at_least: int = Field(0, ge=0, le=LARGEST, description="Orders, or minor units")
    below: int | None = Field(None, ge=1, le=LARGEST)
    currency: Currency | None = Field(None, description="Of sales")


class ConditionsShape(Body):
    new_customer: bool | None = Field(None, description="Unknown is neither new nor known")
    min_order_amount: MoneyIn | None = Field(None, description="Of what was paid for the lines")
    since: Instant | None = Field(None, description="Of the order's payment")
    until: Instant | None = None
    contents: list[Word] = Field([], max_length=20, description="What carried the link")
    coupon: Word | None = Field(None, description="A code that was used; * is any")
    grades: list[GradeId] = Field([], max_length=50, description="The promoter has one of them")
    volume: BandShape | None = Field(None, description="The promoter's last closed period")


class RuleIn(Body):
    scope: Scope
    promoter: PromoterId | None = None
    group: GroupId | None = None
    product: ProductId | None = None
    category: Word | None = None
    kind: Kind = Kind.PERCENT
    rate_ppm: Ppm | None = Field(None, description="Of a percentage")
    amount: PositiveMoney | None = Field(None, description="Per unit or per order")
    conditions: ConditionsShape | None = None
    priority: int = Field(0, ge=-1000, le=1000)

    def target(self, merchant_id: int) -> Target:
        return Target(
            self.scope,
            promoter_id=self.promoter,
            group_id=own(merchant_id, self.group, "/group"),
            product_id=own(merchant_id, self.product, "/product"),
            category=self.category,
        )

    def stated(self, merchant_id: int) -> Stated:
        return Stated(**_values(merchant_id, self.given()))


class NewRule(RuleIn):
    effective_from: Instant | None = Field(None, description="Now, unless it is to begin later")


class RuleChange(Body):
    kind: Kind = Kind.PERCENT
    rate_ppm: Ppm | None = None
    amount: PositiveMoney | None = None
    conditions: ConditionsShape | None = None
    priority: int = Field(0, ge=-1000, le=1000)
    effective_from: Instant | None = None
    ended: bool = Field(False, description="From now on it does not count")


class RuleShown(Resource):
    id: RuleId
    program: ProgramId
    scope: Scope
    promoter: PromoterId | None
    group: GroupId | None
    product: ProductId | None
    category: Text | None
    kind: Kind
    rate_ppm: int | None
    amount: Money | None
    conditions: dict[str, Any]
    priority: int
    effective_from: Instant = Field(description="Of the version stated last")
    ended: bool
    created_at: Instant
    version: int


@endpoint("POST", "/programs/{program_id}/rules", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, program_id: ProgramId, body: NewRule) -> RuleShown:
    """State a rule, from now or a later instant on."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id, lock=True)
    rule = service.add_rule(
        program,
        body.target(program.merchant_id),
        body.stated(program.merchant_id),
        effective_from=body.effective_from,
        by=caller.user_id,
    )
    return _shown([rule])[0]


@endpoint("GET", "/programs/{program_id}/rules", needs=Right.READ_MERCHANT)
def all_rules(caller: Caller, program_id: ProgramId, query: ListQuery) -> Page[RuleShown]:
    """Rules, newest first, with what each says last."""
    caller.require(Right.READ_MERCHANT, program_id[0])
    found = sa.select(Rule).where(
        Rule.merchant_id == program_id[0], Rule.program_id == program_id[1]
    )
    rows, cursor = paging.rows(found, query, by=[Rule.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/programs/{program_id}/rules/{rule_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, program_id: ProgramId, rule_id: RuleId) -> RuleShown:
    """One rule."""
    caller.require(Right.READ_MERCHANT, program_id[0])
    return _shown([_rule(program_id, rule_id)])[0]


@endpoint("PATCH", "/programs/{program_id}/rules/{rule_id}", needs=Right.RUN_MERCHANT)
def change(
    caller: Caller, program_id: ProgramId, rule_id: RuleId, body: RuleChange, if_match: IfMatch
) -> RuleShown:
    """State a rule anew, or end it. What was paid before keeps the version it was paid by."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id, lock=True)
    rule = _rule(program_id, rule_id, lock=True)
    if_match.check(rule.version)
    given = body.given()
    if given.pop("ended", False):
        service.end_rule(program, rule, by=caller.user_id)
        return _shown([rule])[0]
    since = given.pop("effective_from", None)
    service.change_rule(
        program, rule, _values(program.merchant_id, given), effective_from=since, by=caller.user_id
    )
    return _shown([rule])[0]


def _rule(program_id: Pair, rule_id: Pair, *, lock: bool = False) -> Rule:
    # Another merchant's rule is none of this program's.
    number = rule_id[1] if rule_id[0] == program_id[0] else 0
    return queries.rule(*program_id, number, lock=lock)


def own(merchant_id: int, key: Pair | None, pointer: str) -> int | None:
    """The row's number, if it is one of this merchant's."""
    if key is not None and key[0] != merchant_id:
        raise invalid(pointer, "not_found", "This merchant has no such thing.")
    return key and key[1]


def _values(merchant_id: int, given: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as the service takes it; a kind without its amount is refused there."""
    stated: dict[str, Any] = {n: given[n] for n in ("kind", "priority") if n in given}
    if "rate_ppm" in given:
        stated["rate_ppm"] = given["rate_ppm"] or 0
    if "amount" in given:
        money = given["amount"]
        stated |= {"amount": money.amount if money else 0}
        stated |= {"currency": money.currency if money else None}
    if given.get("kind") == Kind.PERCENT and "rate_ppm" not in given:
        raise invalid("/rate_ppm", "missing", "A percentage needs its rate.")
    if "conditions" in given:
        shape = given["conditions"]
        stated["conditions"] = _conditions(merchant_id, shape) if shape else {}
    return stated


def _conditions(merchant_id: int, shape: ConditionsShape) -> dict[str, Any]:
    least = shape.min_order_amount
    found: dict[str, Any] = {
        "new_customer": shape.new_customer,
        "min_order_amount": least and least.amount,
        "currency": least and least.currency,
        "since": _text(shape.since),
        "until": _text(shape.until),
        "contents": shape.contents,
        "coupon": shape.coupon,
        "grades": [own(merchant_id, each, "/conditions/grades") for each in shape.grades],
        "volume": shape.volume and shape.volume.model_dump(exclude_none=True),
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _shown(rules: Sequence[Rule]) -> list[RuleShown]:
    latest = queries.latest_versions([(rule.merchant_id, rule.id) for rule in rules])
    return [_show(rule, latest[rule.merchant_id, rule.id]) for rule in rules]


def _show(rule: Rule, version: RuleVersion) -> RuleShown:
    merchant_id = rule.merchant_id
    amount = Money.of(version.amount, version.currency) if version.currency else None
    conditions = dict(version.conditions)
    if "min_order_amount" in conditions:
        conditions["min_order_amount"] = {
            "amount": conditions["min_order_amount"],
            "currency": conditions.pop("currency"),
        }
    if "grades" in conditions:
        conditions["grades"] = [
            ids.encode("grd", merchant_id, each) for each in conditions["grades"]
        ]
    return RuleShown(
        id=(merchant_id, rule.id),
        program=(merchant_id, rule.program_id),
        scope=Scope(rule.scope),
        promoter=rule.promoter_id,
        group=None if rule.group_id is None else (merchant_id, rule.group_id),
        product=None if rule.product_id is None else (merchant_id, rule.product_id),
        category=rule.category,
        kind=Kind(version.kind),
        rate_ppm=version.rate_ppm if version.kind == Kind.PERCENT else None,
        amount=amount,
        conditions=conditions,
        priority=version.priority,
        effective_from=version.effective_from,
        ended=version.ended,
        created_at=rule.created_at,
        version=rule.version,
    )
