"""Closed months: books that take no more transfers. Promoters' volumes close by themselves."""

from datetime import date
from typing import Annotated

import sqlalchemy as sa
from pydantic import StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    Body,
    BookCloseId,
    Instant,
    ListQuery,
    MerchantId,
    Money,
    Page,
    Resource,
    UserId,
)
from affiliate.errors import NotFound
from affiliate.ledger import closes, rules
from affiliate.ledger.models import BookClose
from affiliate.people import queries as people
from affiliate.people.rules import Caller, Right
from affiliate.settlement import closing

Month = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class NewClose(Body):
    month: Month


class Stood(Resource):
    kind: str
    balance: Money


class BookCloseShown(Resource):
    id: BookCloseId
    merchant: MerchantId
    month: Month
    timezone: str
    until: Instant
    closed_by: UserId
    closed_at: Instant
    balances: list[Stood]
    hash: str


@endpoint("POST", "/merchants/{merchant_id}/book-closes", needs=Right.HANDLE_MONEY, status=201)
def create(caller: Caller, merchant_id: MerchantId, body: NewClose) -> BookCloseShown:
    """Close a month: it takes no more transfers. Asking again changes nothing."""
    caller.require(Right.HANDLE_MONEY, merchant_id)
    people.merchant(merchant_id)
    month = date.fromisoformat(f"{body.month}-01")
    return show(closing.close(merchant_id, month, by=caller.user_id))


@endpoint("GET", "/merchants/{merchant_id}/book-closes", needs=Right.READ_MONEY)
def all_closes(caller: Caller, merchant_id: MerchantId, query: ListQuery) -> Page[BookCloseShown]:
    """Closed months, newest first."""
    caller.require(Right.READ_MONEY, merchant_id)
    found = sa.select(BookClose).filter_by(merchant_id=merchant_id)
    return paging.page(found, query, by=[BookClose.id], show=show)


@endpoint("GET", "/merchants/{merchant_id}/book-closes/{close_id}", needs=Right.READ_MONEY)
def one(caller: Caller, merchant_id: MerchantId, close_id: BookCloseId) -> BookCloseShown:
    """One closed month."""
    caller.require(Right.READ_MONEY, merchant_id)
    if close_id[0] != merchant_id:
        raise NotFound("There is no such closed month.")
    return show(closes.find(*close_id))


def show(row: BookClose) -> BookCloseShown:
    return BookCloseShown(
        id=(row.merchant_id, row.id),
        merchant=row.merchant_id,
        month=f"{row.month:%Y-%m}",
        timezone=row.timezone,
        until=row.until,
        closed_by=row.closed_by,
        closed_at=row.created_at,
        balances=[
            Stood(
                kind=each["kind"],
                balance=Money.of(
                    rules.balance(each["kind"], each["debits"], each["credits"]), each["currency"]
                ),
            )
            for each in row.balances
        ],
        hash=row.hash.hex(),
    )
