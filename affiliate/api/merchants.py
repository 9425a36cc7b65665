"""Merchants: who sells and pays."""

from collections.abc import Iterable
from typing import Literal

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Country,
    Currency,
    Instant,
    ListQuery,
    MerchantId,
    Money,
    MoneyIn,
    Page,
    Ppm,
    Resource,
    Text,
    Timezone,
)
from affiliate.errors import FieldError, Forbidden, invalid
from affiliate.money import LARGEST
from affiliate.people import queries, service
from affiliate.people.models import Merchant, PayoutMode
from affiliate.people.rules import Caller, Right
from affiliate.tax import tables

# A merchant cannot raise its own credit or lower what it pays for the platform.
OPERATORS_ONLY = ("credit_limit", "platform_fee_ppm", "withholding")


Period = Literal["month", "quarter"]
Demotion = Literal["none", "one", "full"]
Scheme = Literal["cn_platform", "cn_labour", "br_irrf", "mx_fees", "mx_platform", "us_backup"]


class NewMerchant(Body):
    name: Text
    country: Country
    currency: Currency
    timezone: Timezone
    payout_mode: PayoutMode = PayoutMode.AUTOMATIC
    credit_limit: MoneyIn | None = Field(default=None, description="In the merchant's currency")
    minimum_payout: int = Field(
        default=0, ge=0, le=LARGEST, description="Minor units of any currency"
    )
    platform_fee_ppm: Ppm = 0
    withholding: Scheme | None = Field(default=None, description="See /tax-tables; null: none")
    invoice_required: bool = False
    grade_period: Period = Field("month", description="After which grades are looked at again")
    grade_demotion: Demotion = Field("one", description="How many steps a period may take one down")


class MerchantChange(Body):
    name: Text = ""
    timezone: Timezone = ""
    payout_mode: PayoutMode = PayoutMode.AUTOMATIC
    credit_limit: MoneyIn | None = None
    minimum_payout: int = Field(default=0, ge=0, le=LARGEST)
    platform_fee_ppm: Ppm = 0
    withholding: Scheme | None = None
    invoice_required: bool = False
    grade_period: Period = "month"
    grade_demotion: Demotion = "one"


class MerchantShown(Resource):
    id: MerchantId
    name: str
    country: str
    currency: str
    timezone: str
    payout_mode: PayoutMode
    credit_limit: Money | None
    minimum_payout: int
    platform_fee_ppm: int
    withholding: str | None
    invoice_required: bool
    grade_period: str
    grade_demotion: str
    created_at: Instant
    version: int


@endpoint("POST", "/merchants", needs=Right.ADMINISTER, status=201)
def create(body: NewMerchant) -> MerchantShown:
    """Create a merchant."""
    fields = body.model_dump(exclude={"name", "credit_limit"})
    limit = _limit(body.credit_limit, body.currency)
    _check_scheme(body.withholding, body.country)
    return show(service.create_merchant(body.name, credit_limit=limit, **fields))


@endpoint("GET", "/merchants", needs=Right.READ_MERCHANT)
def all_merchants(caller: Caller, query: ListQuery) -> Page[MerchantShown]:
    """Merchants, newest first."""
    mine = queries.within(Merchant.id, caller.scope(Right.READ_MERCHANT))
    return paging.page(sa.select(Merchant).where(mine), query, by=[Merchant.id], show=show)


@endpoint("GET", "/merchants/{merchant_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, merchant_id: MerchantId) -> MerchantShown:
    """One merchant."""
    caller.require(Right.READ_MERCHANT, merchant_id)
    return show(queries.merchant(merchant_id))


@endpoint("PATCH", "/merchants/{merchant_id}", needs=Right.OWN_MERCHANT)
def change(
    caller: Caller, merchant_id: MerchantId, body: MerchantChange, if_match: IfMatch
) -> MerchantShown:
    """Change a merchant. Credit limit and platform fee are the operator's."""
    caller.require(Right.OWN_MERCHANT, merchant_id)
    merchant = queries.merchant(merchant_id, lock=True)
    if_match.check(merchant.version)
    changes = body.given()
    if not caller.may(Right.ADMINISTER):
        _refuse_operators_own(changes.keys())
    if "credit_limit" in changes:
        changes["credit_limit"] = _limit(body.credit_limit, merchant.currency)
    _check_scheme(changes.get("withholding"), merchant.country)
    service.change_merchant(merchant, changes)
    return show(merchant)


def _check_scheme(scheme: str | None, country: str) -> None:
    if scheme is not None and tables.SCHEMES[scheme].country != country:
        raise invalid("/withholding", "other_country", "This scheme is of another country.")


def _refuse_operators_own(names: Iterable[str]) -> None:
    message = "Only the operator changes this."
    wrong = [FieldError(f"/{name}", "forbidden", message) for name in names]
    wrong = [each for each in wrong if each.pointer[1:] in OPERATORS_ONLY]
    if wrong:
        raise Forbidden(message, errors=tuple(wrong))


def _limit(limit: Money | None, currency: str) -> int | None:
    if limit is None:
        return None
    if limit.currency != currency:
        raise invalid("/credit_limit/currency", "currency_mismatch", f"Give it in {currency}.")
    return limit.amount


def show(merchant: Merchant) -> MerchantShown:
    limit = merchant.credit_limit
    return MerchantShown(
        id=merchant.id,
        name=merchant.name,
        country=merchant.country,
        currency=merchant.currency,
        timezone=merchant.timezone,
        payout_mode=PayoutMode(merchant.payout_mode),
        credit_limit=None if limit is None else Money.of(limit, merchant.currency),
        minimum_payout=merchant.minimum_payout,
        platform_fee_ppm=merchant.platform_fee_ppm,
        withholding=merchant.withholding,
        invoice_required=merchant.invoice_required,
        grade_period=merchant.grade_period,
        grade_demotion=merchant.grade_demotion,
        created_at=merchant.created_at,
        version=merchant.version,
    )
