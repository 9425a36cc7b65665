"""Statements of payees and merchants, down to the order: as JSON, and whole as CSV."""

from datetime import date
from typing import Annotated

from flask import Response
from pydantic import Field, StringConstraints

from affiliate import audit, exports
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    AgencyId,
    Currency,
    Instant,
    MerchantId,
    Money,
    OrderId,
    PromoterId,
    Query,
    Resource,
)
from affiliate.errors import NotFound, invalid
from affiliate.people import queries as people
from affiliate.people.rules import Caller, Right
from affiliate.settlement import statements
from affiliate.settlement.statements import Line, Owner, Statement

PROMOTERS = (Right.PROMOTE, Right.READ_MONEY)
AGENCIES = (Right.RUN_AGENCY, Right.READ_MONEY)
Month = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class StatementQuery(Query):
    currency: Currency | None = Field(default=None, description="The merchant's own if not said")
    month: Month | None = Field(default=None, description="The present one if not said")
    first: date | None = Field(default=None, description="First day, together with `last`")
    last: date | None = Field(default=None, description="Last day, for any other period")


class LineShown(Resource):
    at: Instant
    what: str
    money: Money
    balance: Money
    order: OrderId | None
    order_number: str | None
    product: str | None
    reference: str | None = Field(description="Of a payout or a pay-in")
    gross: Money | None
    withheld: Money | None
    net: Money | None


class StatementShown(Resource):
    merchant: MerchantId
    currency: str
    first: date
    last: date
    timezone: str
    opening: Money
    closing: Money
    opened: dict[str, Money] = Field(description="The opening balance by kind of account")
    closed: dict[str, Money]
    sums: dict[str, Money] = Field(description="What moved, by its kind")
    count: int
    lines: list[LineShown] = Field(description=f"The first {statements.PAGE}; all are in the CSV")


@endpoint("GET", "/statements/{merchant_id}", needs=Right.READ_MONEY)
def of_merchant(caller: Caller, merchant_id: MerchantId, query: StatementQuery) -> StatementShown:
    """What a merchant owes: earned, taken back, fees, paid in."""
    return show(_merchants(caller, merchant_id, query))


@endpoint("GET", "/statements/{merchant_id}/csv", needs=Right.READ_MONEY, produces="text/csv")
def of_merchant_csv(caller: Caller, merchant_id: MerchantId, query: StatementQuery) -> Response:
    """The same with every line."""
    return download(_merchants(caller, merchant_id, query))


@endpoint("GET", "/statements/{merchant_id}/promoters/{promoter_id}", needs=PROMOTERS)
def of_promoter(
    caller: Caller, merchant_id: MerchantId, promoter_id: PromoterId, query: StatementQuery
) -> StatementShown:
    """What moved between a merchant and a promoter."""
    return show(_payees(caller, Owner(merchant_id, "promoter", promoter_id), query))


@endpoint(
    "GET",
    "/statements/{merchant_id}/promoters/{promoter_id}/csv",
    needs=PROMOTERS,
    produces="text/csv",
)
def of_promoter_csv(
    caller: Caller, merchant_id: MerchantId, promoter_id: PromoterId, query: StatementQuery
) -> Response:
    """The same with every line."""
    return download(_payees(caller, Owner(merchant_id, "promoter", promoter_id), query))


@endpoint("GET", "/statements/{merchant_id}/agencies/{agency_id}", needs=AGENCIES)
def of_agency(
    caller: Caller, merchant_id: MerchantId, agency_id: AgencyId, query: StatementQuery
) -> StatementShown:
    """What moved between a merchant and an agency."""
    return show(_payees(caller, Owner(merchant_id, "agency", agency_id), query))


@endpoint(
    "GET",
    "/statements/{merchant_id}/agencies/{agency_id}/csv",
    needs=AGENCIES,
    produces="text/csv",
)
def of_agency_csv(
    caller: Caller, merchant_id: MerchantId, agency_id: AgencyId, query: StatementQuery
) -> Response:
    """The same with every line."""
    return download(_payees(caller, Owner(merchant_id, "agency", agency_id), query))


def _merchants(caller: Caller, merchant_id: int, query: StatementQuery) -> Statement:
    caller.require(Right.READ_MONEY, merchant_id)
    return _draw(Owner(merchant_id, "merchant", merchant_id), query)


def _payees(caller: Caller, owner: Owner, query: StatementQuery) -> Statement:
    """The payee's own, or that of somebody who is owed by a merchant of the caller's."""
    people.merchant(owner.merchant_id)
    is_theirs = caller.has(Right.READ_MONEY, owner.merchant_id)
    if not statements.currencies(owner) or not (caller.is_payee(owner.kind, owner.id) or is_theirs):
        raise NotFound("There is no such statement here.")
    return _draw(owner, query)


def _draw(owner: Owner, query: StatementQuery) -> Statement:
    merchant = people.merchant(owner.merchant_id)
    if (query.first is None) != (query.last is None):
        raise invalid("/last", "missing", "A period needs its first and its last day.")
    if query.first is not None and query.last is not None:
        if query.last < query.first:
            raise invalid("/last", "before_first", "The last day is before the first.")
        period = statements.between(owner.merchant_id, query.first, query.last)
    else:
        month = date.fromisoformat(f"{query.month}-01") if query.month else None
        period = statements.month_of(owner.merchant_id, month)
    return statements.draw(owner, query.currency or merchant.currency, period)


def download(statement: Statement) -> Response:
    owner, period = statement.owner, statement.period
    audit.record(
        "statement.exported", subject=owner.subject, merchant_id=owner.merchant_id,
        currency=statement.currency, first=str(period.first), last=str(period.last),
    )  # fmt: skip
    return exports.table(
        f"statement-{period.first}-{period.last}-{statement.currency}",
        statements.HEAD,
        lambda: statements.cells(statements.draw(owner, statement.currency, period)),
    )


def show(statement: Statement) -> StatementShown:
    def money(amount: int) -> Money:
        return Money.of(amount, statement.currency)

    return StatementShown(
        merchant=statement.owner.merchant_id,
        currency=statement.currency,
        first=statement.period.first,
        last=statement.period.last,
        timezone=statement.period.zone,
        opening=money(statement.opening),
        closing=money(statement.closing),
        opened={kind: money(each) for kind, each in statement.opened.items()},
        closed={kind: money(each) for kind, each in statement.closed.items()},
        sums={code: money(each) for code, each in statement.sums.items()},
        count=statement.count,
        lines=[_line(statement, each) for each in statements.lines(statement, statements.PAGE)],
    )


def _line(statement: Statement, line: Line) -> LineShown:
    def money(amount: int | None) -> Money | None:
        return None if amount is None else Money.of(amount, statement.currency)

    return LineShown(
        at=line.at,
        what=line.code,
        money=Money.of(line.amount, statement.currency),
        balance=Money.of(line.balance, statement.currency),
        order=None if line.order_id is None else (statement.owner.merchant_id, line.order_id),
        order_number=line.order,
        product=line.product,
        reference=line.reference,
        gross=money(line.gross),
        withheld=money(line.withheld),
        net=money(line.net),
    )
