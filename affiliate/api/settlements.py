"""Settlements: one payer's run through an instant, approved once by a second person."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from flask import Response
from pydantic import BeforeValidator, Field, RootModel, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from affiliate import audit, clock
from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Currency,
    ExceptionId,
    Instant,
    ListQuery,
    LongText,
    MerchantId,
    Money,
    Page,
    Pair,
    PayoutId,
    PublicId,
    Resource,
    SettlementId,
    UserId,
)
from affiliate.ids import encode
from affiliate.payouts import service as payouts
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.settlement import queries, service
from affiliate.settlement.models import CarryOver, PayoutFile, Settlement, State

FileId = Annotated[Pair, PublicId("fil")]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Otp = Annotated[str, StringConstraints(pattern="^[0-9 ]{6,9}$")]
# Who hands over what was approved, and who stops it before.
HANDLERS = (Right.HANDLE_MONEY, Right.APPROVE_SETTLEMENTS)
DECIDERS = (Right.MAKE_SETTLEMENTS, Right.APPROVE_SETTLEMENTS)
PAYEE_PREFIX = {"promoter": "prm", "agency": "agn"}


def _through(value: object) -> datetime:
    try:
        found = clock.instant(str(value))
    except (ValueError, OverflowError):
        found = None
    if found is None or not 1970 <= found.year <= 2200:
        raise PydanticCustomError(
            "bad_instant", "A date, or a time with its zone: 2026-11-22 or 2026-11-22T10:00:00Z."
        )
    return found


Through = Annotated[
    Any,
    BeforeValidator(_through),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date"},
                {"type": "string", "format": "date-time"},
            ],
            "description": "An instant; a date means its end in UTC",
        }
    ),
]


class NewSettlement(Body):
    through: Through
    merchant: MerchantId | None = Field(None, description="None: each merchant, apart")
    currencies: list[Currency] = Field([], max_length=200, description="None: all")
    note: LongText | None = None


class SettlementChange(Body):
    note: LongText | None = None


class Approval(Body):
    hash: Hash = Field(description="Of what was seen: GET shows it")
    otp: Otp = Field(description="A code of the second factor, good once")


class Results(Body):
    content: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="CSV. Columns: reference, result (paid, failed, returned); if there, amount "
        "and currency are compared with ours, bank_reference, date and reason are kept"
    )
    dry_run: bool = Field(False, description="Only say what it would change")


class SettlementQuery(ListQuery):
    merchant: MerchantId | None = None
    state: State | None = None


class Progress(Resource):
    done: int
    total: int | None = Field(description="Payees; null until they were counted")


class Total(Resource):
    currency: str
    payouts: int
    gross: Money
    withheld: Money
    net: Money


class CarriedOver(Resource):
    reason: str
    payees: int
    money: Money


class Flag(Resource):
    """`reversed_since_built`: the payee lost this much after the settlement was built. The payout
    goes out as approved; the loss waits for the next one. `far_above_usual`: ten times what the
    payee gets otherwise, or more. `new_account`: the payee was never paid to this account, but to
    another. `shared_account`: it is the account of others too. `other_name`: its holder
    is called otherwise than the payee.
    """

    code: str
    payout: PayoutId
    money: Money
    detail: dict[str, Any] = Field(description="usual (minor units), others (payees)")


class Compared(Resource):
    """Beside the settlement before this one."""

    settlement: SettlementId
    currency: str
    payouts: int = Field(description="How many more than then")
    net: Money = Field(description="How much more than then; may be less")


class FileShown(Resource):
    id: FileId
    name: str
    rail: str
    currency: str
    payouts: int
    total: Money
    sha256: str
    created_at: Instant


class SettlementShown(Resource):
    id: SettlementId
    merchant: MerchantId
    through: Instant
    currencies: list[str]
    state: State
    progress: Progress
    totals: list[Total] = Field(description="Of what is to be paid, without what was cancelled")
    payouts: dict[str, int] = Field(description="How many stand in each state")
    carried_over: list[CarriedOver] = Field(description="By reason; …/carry-overs names payees")
    hash: str | None = Field(description="Of what an approval is about; null while building")
    created_by: UserId
    approved_by: UserId | None
    approved_at: Instant | None
    approved_for: UserId | None = Field(description="In whose place it was approved")
    exception: ExceptionId | None = Field(description="What let its maker approve it")
    executed_by: UserId | None
    executed_at: Instant | None
    ended_at: Instant | None
    note: str | None
    created_at: Instant
    version: int


class SettlementDetail(SettlementShown):
    flags: list[Flag] = Field(description="What to look at twice before approving; at most 400")
    compared: list[Compared]
    files: list[FileShown]


class ResultsTaken(Resource):
    dry_run: bool
    rows: int
    unchanged: int = Field(description="Told before")
    paid: int
    failed: int
    returned: int


class SettlementsMade(RootModel[SettlementDetail | Page[SettlementDetail]]):
    """One settlement if there is one merchant to settle for: the named one, or the only one this
    caller works for. Otherwise a list, one for each merchant that has anything to settle.
    """


class CarryOverShown(Resource):
    payee: str
    reason: str
    money: Money


@endpoint("POST", "/settlements", needs=Right.MAKE_SETTLEMENTS, status=202)
def create(caller: Caller, body: NewSettlement) -> SettlementsMade:
    """Begin a settlement; a job builds it, and `progress` tells how far it is.

    It takes all released money that was due by `through`, and everything taken back so far.
    """
    scope = caller.scope(Right.MAKE_SETTLEMENTS)
    merchant_id = body.merchant
    if merchant_id is None and scope is not None and len(scope) == 1:
        (merchant_id,) = scope
    if merchant_id is not None:
        caller.require(Right.MAKE_SETTLEMENTS, merchant_id)
        people.merchant(merchant_id)
        return SettlementsMade(_create(caller, body, merchant_id))
    made = [
        _create(caller, body, each) for each in queries.merchants_with_money(body.through, scope)
    ]
    return SettlementsMade(Page(data=made, next=None))


def _create(caller: Caller, body: NewSettlement, merchant_id: int) -> SettlementDetail:
    settlement = service.create(
        merchant_id,
        through=body.through,
        by=caller.user_id,
        currencies=body.currencies,
        note=body.note,
    )
    return detail(settlement)


@endpoint("GET", "/settlements", needs=Right.READ_MONEY)
def all_settlements(caller: Caller, query: SettlementQuery) -> Page[SettlementShown]:
    """Settlements, newest first."""
    found = sa.select(Settlement).where(
        within(Settlement.merchant_id, caller.scope(Right.READ_MONEY))
    )
    if query.merchant is not None:
        found = found.where(Settlement.merchant_id == query.merchant)
    if query.state is not None:
        found = found.where(Settlement.state == query.state)
    rows, following = paging.rows(found, query, by=[Settlement.id])
    return Page(data=[SettlementShown(**each) for each in _fields(rows)], next=following)


@endpoint("GET", "/settlements/{settlement_id}", needs=Right.READ_MONEY)
def one(caller: Caller, settlement_id: SettlementId) -> SettlementDetail:
    """One settlement."""
    return detail(_seen(caller, settlement_id))


@endpoint("PATCH", "/settlements/{settlement_id}", needs=Right.MAKE_SETTLEMENTS)
def change(
    caller: Caller, settlement_id: SettlementId, body: SettlementChange, if_match: IfMatch
) -> SettlementDetail:
    """Change the note. What it is about cannot be changed: discard it and make another."""
    caller.require(Right.MAKE_SETTLEMENTS, settlement_id[0])
    settlement = service.locked(*settlement_id)
    if_match.check(settlement.version)
    if "note" in body.given():
        service.change_note(settlement, body.note)
    return detail(settlement)


@endpoint("POST", "/settlements/{settlement_id}/approve", needs=Right.APPROVE_SETTLEMENTS)
def approve(caller: Caller, settlement_id: SettlementId, body: Approval) -> SettlementDetail:
    """Let the money go, as another person than who made the settlement."""
    caller.require(Right.APPROVE_SETTLEMENTS, settlement_id[0])
    return detail(service.approve(*settlement_id, by=caller.user_id, seen=body.hash, otp=body.otp))


@endpoint("POST", "/settlements/{settlement_id}/execute", needs=HANDLERS, status=202)
def execute(caller: Caller, settlement_id: SettlementId) -> SettlementDetail:
    """Hand the approved payouts over; a job does it. Asking again changes nothing."""
    require_any(caller, HANDLERS, settlement_id[0])
    return detail(service.execute(*settlement_id, by=caller.user_id))


@endpoint("POST", "/settlements/{settlement_id}/discard", needs=DECIDERS)
def discard(caller: Caller, settlement_id: SettlementId) -> SettlementDetail:
    """Before its approval: all its money is available again."""
    require_any(caller, DECIDERS, settlement_id[0])
    return detail(service.discard(*settlement_id, by=caller.user_id))


@endpoint("GET", "/settlements/{settlement_id}/carry-overs", needs=Right.READ_MONEY)
def carry_overs(
    caller: Caller, settlement_id: SettlementId, query: ListQuery
) -> Page[CarryOverShown]:
    """Whose money was left for a later settlement, and why."""
    _seen(caller, settlement_id)
    merchant_id, row_id = settlement_id
    found = sa.select(CarryOver).filter_by(merchant_id=merchant_id, settlement_id=row_id)
    return paging.page(found, query, by=[CarryOver.id], show=_carry_over)


@endpoint("GET", "/settlements/{settlement_id}/files", needs=HANDLERS)
def files(caller: Caller, settlement_id: SettlementId) -> Page[FileShown]:
    """Files for the bank, one for each currency."""
    require_any(caller, HANDLERS, settlement_id[0])
    queries.find(*settlement_id)
    return Page(data=[_file(each) for each in queries.files(*settlement_id)], next=None)


@endpoint(
    "GET",
    "/settlements/{settlement_id}/files/{file_id}",
    needs=HANDLERS,
    produces="text/csv",
)
def download(caller: Caller, settlement_id: SettlementId, file_id: FileId) -> Response:
    """The file itself: UTF-8, comma-separated, one payout a line."""
    require_any(caller, HANDLERS, settlement_id[0])
    found = queries.file(settlement_id, file_id)
    audit.record("file.downloaded", subject=f"fil:{found.id}", merchant_id=found.merchant_id)
    response = Response(service.open_file(found), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


@endpoint("POST", "/settlements/{settlement_id}/results", needs=HANDLERS)
def results(caller: Caller, settlement_id: SettlementId, body: Results) -> ResultsTaken:
    """What the bank says of a file, as a CSV of its own: all of it is taken or nothing, and the
    same again changes nothing. Errors name lines.
    """
    require_any(caller, HANDLERS, settlement_id[0])
    queries.find(*settlement_id)
    report = payouts.take_results(
        *settlement_id, body.content, by=caller.user_id, dry_run=body.dry_run
    )
    return ResultsTaken(
        dry_run=body.dry_run, rows=report.rows, unchanged=report.unchanged, **report.counts
    )


def require_any(caller: Caller, rights: Sequence[Right], merchant_id: int) -> None:
    """Any of these rights for this merchant; refused as `Caller.require` does."""
    right = next((each for each in rights if _covers(caller, each, merchant_id)), rights[0])
    caller.require(right, merchant_id)


def _covers(caller: Caller, right: Right, merchant_id: int) -> bool:
    scope = caller.scope(right)
    return caller.may(right) and (scope is None or merchant_id in scope)


def _seen(caller: Caller, settlement_id: Pair) -> Settlement:
    caller.require(Right.READ_MONEY, settlement_id[0])
    return queries.find(*settlement_id)


def payee(kind: str, payee_id: int) -> str:
    return encode(PAYEE_PREFIX[kind], payee_id)


def detail(settlement: Settlement) -> SettlementDetail:
    flags = [
        Flag(
            code="reversed_since_built",
            payout=(settlement.merchant_id, each.id),
            money=Money.of(each.amount, each.currency),
            detail={},
        )
        for each in queries.reversed_since(settlement)
    ]
    flags += [
        Flag(
            code=each.code,
            payout=(settlement.merchant_id, each.payout_id),
            money=Money.of(each.net, each.currency),
            detail=each.detail,
        )
        for each in queries.flags(settlement)
    ]
    found = queries.files(settlement.merchant_id, settlement.id)
    (fields,) = _fields([settlement])
    return SettlementDetail(
        **fields,
        flags=flags,
        compared=_compared(settlement),
        files=[_file(each) for each in found],
    )


def _compared(settlement: Settlement) -> list[Compared]:
    before = queries.before(settlement)
    if before is None:
        return []
    return [
        Compared(
            settlement=(before.merchant_id, before.id),
            currency=currency,
            payouts=payouts,
            net=Money.of(net, currency),
        )
        for currency, (payouts, net) in queries.compared(settlement, before).items()
    ]


def _fields(rows: Sequence[Settlement]) -> list[dict[str, Any]]:
    counts, carried = queries.payouts_by_state(rows), queries.carried_over(rows)
    sums = queries.to_pay(rows)
    return [_of(row, sums[row.id], counts[row.id], carried[row.id]) for row in rows]


def _of(
    row: Settlement, sums: queries.Totals, counts: dict[str, int], carried: list[Any]
) -> dict[str, Any]:
    return {
        "id": (row.merchant_id, row.id),
        "merchant": row.merchant_id,
        "through": row.through,
        "currencies": row.currencies,
        "state": State(row.state),
        "progress": Progress(done=row.payees_done, total=row.payees_total),
        "totals": [_total(currency, each) for currency, each in sorted(sums.items())],
        "payouts": counts,
        "carried_over": [
            CarriedOver(
                reason=each.reason,
                payees=each.payees,
                money=Money.of(each.amount, each.currency),
            )
            for each in carried
        ],
        "hash": row.hash,
        "created_by": row.created_by,
        "approved_by": row.approved_by,
        "approved_at": row.approved_at,
        "approved_for": row.approved_for,
        "exception": None if row.exception_id is None else (row.merchant_id, row.exception_id),
        "executed_by": row.executed_by,
        "executed_at": row.executed_at,
        "ended_at": row.ended_at,
        "note": row.note,
        "created_at": row.created_at,
        "version": row.version,
    }


def _total(currency: str, sums: Mapping[str, int]) -> Total:
    parts = {name: Money.of(sums[name], currency) for name in ("gross", "withheld", "net")}
    return Total(currency=currency, payouts=sums["payouts"], **parts)


def _carry_over(row: CarryOver) -> CarryOverShown:
    return CarryOverShown(
        payee=payee(row.payee_kind, row.payee_id),
        reason=row.reason,
        money=Money.of(row.amount, row.currency),
    )


def _file(row: PayoutFile) -> FileShown:
    return FileShown(
        id=(row.merchant_id, row.id),
        name=row.name,
        rail=row.rail,
        currency=row.currency,
        payouts=row.payouts,
        total=Money.of(row.total, row.currency),
        sha256=row.sha256,
        created_at=row.created_at,
    )
