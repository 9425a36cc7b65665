"""Programs, their dated terms, and who takes part."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    EnrolmentId,
    Instant,
    ListQuery,
    MerchantId,
    MoneyIn,
    Page,
    Pair,
    Ppm,
    ProgramId,
    PromoterId,
    Resource,
    ShopId,
    Text,
)
from affiliate.db import db
from affiliate.errors import FieldError, Forbidden, NotFound, invalid
from affiliate.money import PPM
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries, rules, service, utm
from affiliate.programs.models import (
    Enrolment,
    Membership,
    MembershipState,
    PlanType,
    Program,
    SoldOut,
    Terms,
)
from affiliate.programs.rules import OFFER_FIELDS, Offer
from affiliate.programs.service import Waiver

Tiers = list[Ppm]
Source = Literal["coupon", "click", "sharer", "binding"]
Model = Literal["last", "first", "linear"]
Credit = Literal["order", "product"]
SelfPurchase = Literal["none", "rebate"]
InactiveUpline = Literal["skip", "compress"]
Base = Literal["net", "gross"]
SOURCES: Any = Field(list(rules.SOURCES), max_length=4, description="Tried in this order")
TIERS: Any = Field([], max_length=20, description="tier_2 first; levels count the direct one as 1")
REASON: Any = Field(
    None, description="An operator's, for more paid levels than policy allows by itself"
)


BINDING: Any = Field(30, ge=0, le=3650, description="How long an order ties its customer")
PROTECTION: Any = Field(
    0, ge=0, le=3650, description="How long a bound customer stands before others' clicks"
)
NOTICE: Any = Field(
    30, ge=0, le=365, description="How long after a cut the better rate is paid to who shared"
)
PLAN: Any = Field(
    "public", description="targeted and exclusive programs are for those they name (invitees)"
)
SOLD_OUT: Any = Field(
    "redirect",
    description="What links do whose product is sold out: redirect leads to the fallback and"
    " counts, pause leads there and counts for nobody, ignore leads to the product",
)
UTM: Any = Field(
    None,
    max_length=len(utm.NAMES),
    description="Template of the UTM parameters of its links; placeholders are"
    f" {', '.join(utm.PLACES)}. Null: utm_source=tuike and utm_medium=affiliate",
)
Utm = dict[str, Annotated[str, StringConstraints(max_length=200)]]
RISK: Any = Field(100, ge=1, le=10_000, description="From this score on money is held")


class Cap(Body):
    per: Literal["order", "promoter_month", "program_month"]
    money: MoneyIn


CAPS: Any = Field(
    [], max_length=30, description="At most that much is earned, in the merchant's months"
)


class NewProgram(Body):
    merchant: MerchantId
    name: Text
    enrolment: Enrolment = Enrolment.OPEN
    default_rate_ppm: Ppm
    tiers_ppm: Tiers = TIERS
    max_total_ppm: Ppm = Field(PPM, description="Of all payees of a line together")
    window_days: int = Field(30, ge=0, le=3650)
    model: Model = "last"
    sources: list[Source] = SOURCES
    credit: Credit = "order"
    hold_days: int = Field(15, ge=0, le=365)
    hold_fallback_days: int = Field(15, ge=0, le=365)
    self_purchase: SelfPurchase = "none"
    inactive_upline: InactiveUpline = "skip"
    base: Base = "net"
    binding_days: int = BINDING
    protection_days: int = PROTECTION
    notice_days: int = NOTICE
    caps: list[Cap] = CAPS
    plan_type: PlanType = PLAN
    risk_threshold: int = RISK
    priority: int = Field(0, ge=-1000, le=1000)
    shops: list[ShopId] = Field([], max_length=1000, description="None: all of the merchant's")
    fallback_url: str | None = Field(None, description="Where dead links lead")
    utm: Utm | None = UTM
    sold_out: SoldOut = SOLD_OUT
    policy_reason: Text | None = REASON


class TermsChange(Body):
    default_rate_ppm: Ppm = 0
    tiers_ppm: Tiers = TIERS
    max_total_ppm: Ppm = 0
    window_days: int = Field(30, ge=0, le=3650)
    model: Model = "last"
    sources: list[Source] = SOURCES
    credit: Credit = "order"
    hold_days: int = Field(15, ge=0, le=365)
    hold_fallback_days: int = Field(15, ge=0, le=365)
    self_purchase: SelfPurchase = "none"
    inactive_upline: InactiveUpline = "skip"
    base: Base = "net"
    binding_days: int = BINDING
    protection_days: int = PROTECTION
    notice_days: int = NOTICE
    caps: list[Cap] = CAPS

    def changes(self) -> dict[str, Any]:
        """What was sent, as the service takes it."""
        given = self.given()
        return given | {"caps": _caps(self.caps)} if "caps" in given else given


class ProgramChange(TermsChange):
    name: Text = ""
    enrolment: Enrolment = Enrolment.OPEN
    plan_type: PlanType = PLAN
    risk_threshold: int = RISK
    priority: int = Field(0, ge=-1000, le=1000)
    shops: list[ShopId] = Field([], max_length=1000)
    fallback_url: str | None = None
    utm: Utm | None = UTM
    sold_out: SoldOut = SOLD_OUT
    ended: bool = False
    policy_reason: Text | None = REASON


class ProgramQuery(ListQuery):
    merchant: MerchantId | None = None


class ProgramShown(Resource):
    id: ProgramId
    merchant: MerchantId
    name: str
    enrolment: Enrolment
    default_rate_ppm: int
    tiers_ppm: list[int]
    max_total_ppm: int
    window_days: int
    model: Model
    sources: list[str]
    credit: Credit
    hold_days: int
    hold_fallback_days: int
    self_purchase: SelfPurchase
    inactive_upline: InactiveUpline
    base: Base
    binding_days: int
    protection_days: int
    notice_days: int
    caps: list[Cap]
    plan_type: PlanType
    risk_threshold: int
    terms_since: Instant = Field(description="Since when these terms hold")
    priority: int
    shops: list[ShopId]
    fallback_url: str | None
    utm: Utm | None
    sold_out: SoldOut
    ended_at: Instant | None
    created_at: Instant
    version: int


class NewEnrolment(Body):
    promoter: PromoterId


class EnrolmentQuery(ListQuery):
    promoter: PromoterId | None = None
    state: MembershipState | None = None


class EnrolmentShown(Resource):
    id: EnrolmentId
    program: ProgramId
    promoter: PromoterId
    state: MembershipState
    active_from: Instant | None
    active_until: Instant | None
    created_at: Instant
    version: int


@endpoint("POST", "/programs", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewProgram) -> ProgramShown:
    """Make a program."""
    caller.require(Right.RUN_MERCHANT, body.merchant)
    merchant = people.merchant(body.merchant)
    program = service.create_program(
        merchant.id,
        name=body.name,
        offer=Offer(
            **{name: getattr(body, name) for name in OFFER_FIELDS} | {"caps": _caps(body.caps)}
        ),
        enrolment=body.enrolment,
        plan_type=body.plan_type,
        priority=body.priority,
        risk_threshold=body.risk_threshold,
        shop_ids=_own(merchant.id, body.shops),
        fallback_url=body.fallback_url,
        utm=body.utm,
        sold_out=body.sold_out,
        waiver=_waiver(caller, body.policy_reason),
    )
    return _shown([program])[0]


@endpoint("GET", "/programs", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_programs(caller: Caller, query: ProgramQuery) -> Page[ProgramShown]:
    """Programs, newest first. A promoter sees those that can be joined, and their own."""
    found = sa.select(Program).where(_visible(caller))
    if query.merchant is not None:
        found = found.where(Program.merchant_id == query.merchant)
    rows, cursor = paging.rows(found, query, by=[Program.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/programs/{program_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, program_id: ProgramId) -> ProgramShown:
    """One program."""
    return _shown([_seen(caller, program_id)])[0]


@endpoint("PATCH", "/programs/{program_id}", needs=Right.RUN_MERCHANT)
def change(
    caller: Caller, program_id: ProgramId, body: ProgramChange, if_match: IfMatch
) -> ProgramShown:
    """Change a program. Other terms hold from now on; orders paid before keep theirs."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id, lock=True)
    if_match.check(program.version)
    changes = body.changes()
    if "shops" in changes:
        changes["shop_ids"] = _own(program.merchant_id, changes.pop("shops"))
    waiver = _waiver(caller, changes.pop("policy_reason", None))
    service.change_program(program, changes, waiver=waiver)
    return _shown([program])[0]


@endpoint(
    "POST",
    "/programs/{program_id}/enrolments",
    needs=(Right.RUN_MERCHANT, Right.PROMOTE),
    status=201,
)
def enrol(caller: Caller, program_id: ProgramId, body: NewEnrolment) -> EnrolmentShown:
    """Enrol a promoter, or apply for it, as the program's enrolment says."""
    program = _seen(caller, program_id)
    by_merchant = _runs(caller, program.merchant_id)
    if not by_merchant:
        caller.require_promoter(body.promoter)
    return show_enrolment(service.enrol(program, body.promoter, by_merchant=by_merchant))


@endpoint("GET", "/programs/{program_id}/enrolments", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_enrolments(
    caller: Caller, program_id: ProgramId, query: EnrolmentQuery
) -> Page[EnrolmentShown]:
    """Who takes part, newest first. A promoter sees their own enrolment."""
    program = _seen(caller, program_id)
    found = sa.select(Membership).where(
        Membership.merchant_id == program.merchant_id,
        Membership.program_id == program.id,
        _own_or_merchants(caller),
    )
    if query.promoter is not None:
        found = found.where(Membership.promoter_id == query.promoter)
    if query.state is not None:
        found = found.where(Membership.state == query.state)
    return paging.page(found, query, by=[Membership.id], show=show_enrolment)


@endpoint(
    "GET",
    "/programs/{program_id}/enrolments/{enrolment_id}",
    needs=(Right.READ_MERCHANT, Right.PROMOTE),
)
def one_enrolment(
    caller: Caller, program_id: ProgramId, enrolment_id: EnrolmentId
) -> EnrolmentShown:
    """One enrolment."""
    member = _member(program_id, enrolment_id)
    if member.promoter_id not in caller.promoter_ids:
        caller.require(Right.READ_MERCHANT, member.merchant_id)
    return show_enrolment(member)


@endpoint(
    "POST", "/programs/{program_id}/enrolments/{enrolment_id}/approve", needs=Right.RUN_MERCHANT
)
def approve(caller: Caller, program_id: ProgramId, enrolment_id: EnrolmentId) -> EnrolmentShown:
    """Let a promoter in who applied."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    return show_enrolment(service.approve(_member(program_id, enrolment_id, lock=True)))


@endpoint(
    "POST", "/programs/{program_id}/enrolments/{enrolment_id}/refuse", needs=Right.RUN_MERCHANT
)
def refuse(caller: Caller, program_id: ProgramId, enrolment_id: EnrolmentId) -> EnrolmentShown:
    """Turn down a promoter who applied."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    return show_enrolment(service.refuse(_member(program_id, enrolment_id, lock=True)))


@endpoint(
    "POST",
    "/programs/{program_id}/enrolments/{enrolment_id}/end",
    needs=(Right.RUN_MERCHANT, Right.PROMOTE),
)
def end(caller: Caller, program_id: ProgramId, enrolment_id: EnrolmentId) -> EnrolmentShown:
    """End an enrolment from now on: the merchant's word, or the promoter's own."""
    member = _member(program_id, enrolment_id, lock=True)
    if member.promoter_id not in caller.promoter_ids:
        caller.require(Right.RUN_MERCHANT, member.merchant_id)
    return show_enrolment(service.end(member))


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    merchants = within(Program.merchant_id, caller.scope(Right.READ_MERCHANT))
    if not caller.promoter_ids:
        return merchants
    joinable = sa.and_(
        Program.enrolment != Enrolment.INVITE,
        Program.ended_at.is_(None),
        sa.or_(*(queries.named(each) for each in caller.promoter_ids)),
    )
    joined = sa.exists().where(
        Membership.merchant_id == Program.merchant_id,
        Membership.program_id == Program.id,
        Membership.promoter_id.in_(caller.promoter_ids),
    )
    return sa.or_(merchants, joinable, joined)


def _seen(caller: Caller, key: Pair) -> Program:
    found = db.session.scalar(
        sa.select(Program).where(
            Program.merchant_id == key[0], Program.id == key[1], _visible(caller)
        )
    )
    if found is None:
        raise NotFound("There is no such program here.")
    return found


def _runs(caller: Caller, merchant_id: int) -> bool:
    scope = caller.scope(Right.RUN_MERCHANT)
    return scope is None or merchant_id in scope


def _own_or_merchants(caller: Caller) -> sa.ColumnElement[bool]:
    merchants = within(Membership.merchant_id, caller.scope(Right.READ_MERCHANT))
    return sa.or_(merchants, Membership.promoter_id.in_(caller.promoter_ids))


def _member(program: Pair, enrolment: Pair, *, lock: bool = False) -> Membership:
    if program[0] != enrolment[0]:
        raise NotFound("There is no such enrolment here.")
    return queries.enrolment(*program, enrolment[1], lock=lock)


def _own(merchant_id: int, shops: Sequence[Pair]) -> list[int]:
    for number, (owner_id, _) in enumerate(shops):
        if owner_id != merchant_id:
            raise invalid(f"/shops/{number}", "unknown_shop", "This merchant has no such shop.")
    return [shop_id for _, shop_id in shops]


def _caps(caps: Sequence[Cap]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"per": cap.per, "amount": cap.money.amount, "currency": cap.money.currency} for cap in caps
    )


def _waiver(caller: Caller, reason: str | None) -> Waiver | None:
    if reason is None:
        return None
    if not caller.may(Right.ADMINISTER):
        message = "Only an operator can allow more paid levels."
        raise Forbidden(message, errors=(FieldError("/policy_reason", "forbidden", message),))
    return Waiver(reason, caller.user_id)


def _shown(programs: Sequence[Program]) -> list[ProgramShown]:
    terms = queries.terms_of([(each.merchant_id, each.id) for each in programs])
    return [show(each, terms[each.merchant_id, each.id][-1]) for each in programs]


def show(program: Program, terms: Terms) -> ProgramShown:
    offer: dict[str, Any] = {name: getattr(terms, name) for name in OFFER_FIELDS}
    offer["caps"] = [
        Cap(per=cap["per"], money=MoneyIn(amount=cap["amount"], currency=cap["currency"]))
        for cap in terms.caps
    ]
    return ProgramShown(
        id=(program.merchant_id, program.id),
        merchant=program.merchant_id,
        name=program.name,
        enrolment=Enrolment(program.enrolment),
        terms_since=max(terms.effective_from, program.created_at),
        plan_type=PlanType(program.plan_type),
        risk_threshold=program.risk_threshold,
        priority=program.priority,
        shops=[(program.merchant_id, shop_id) for shop_id in program.shop_ids],
        fallback_url=program.fallback_url,
        utm=program.utm,
        sold_out=SoldOut(program.sold_out),
        ended_at=program.ended_at,
        created_at=program.created_at,
        version=program.version,
        **offer,
    )


def show_enrolment(member: Membership) -> EnrolmentShown:
    return EnrolmentShown(
        id=(member.merchant_id, member.id),
        program=(member.merchant_id, member.program_id),
        promoter=member.promoter_id,
        state=MembershipState(member.state),
        active_from=member.active_from,
        active_until=member.active_until,
        created_at=member.created_at,
        version=member.version,
    )
