"""Payout accounts of payees: what was typed goes in, only a masked text comes out."""

from typing import Any

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    AccountId,
    AgencyId,
    Body,
    Country,
    Currency,
    Instant,
    ListQuery,
    Page,
    PromoterId,
    Resource,
    Text,
)
from affiliate.payouts import queries, service
from affiliate.payouts.models import PayoutAccount
from affiliate.people import queries as people
from affiliate.people.rules import Caller, Right

OWNERS = (Right.PROMOTE, Right.ADMINISTER)
AGENCYS = (Right.RUN_AGENCY, Right.ADMINISTER)


class NewAccount(Body):
    rail: Text = Field(examples=["file"])
    country: Country
    currency: Currency
    fields: dict[str, Any] = Field(
        max_length=20,
        description="`file`: account_holder with iban and bic?, or with bank_code, account_number, "
        "branch?, bank_name?, account_type? (checking, savings, payment), tax_id?; `sepa`: "
        "account_holder, iban, bic?; `pix_qr`: account_holder, key_type (cpf, cnpj, email, phone, "
        "random), key; `paypal`: account_holder, email; `wechat`: account_holder, openid; "
        "`mercadopago`: as `pix_qr` with tax_id, or account_holder and clabe; `manual`: "
        "account_holder, instructions",
    )
    label: Text | None = None


class AccountChange(Body):
    label: Text | None = None


class AccountQuery(ListQuery):
    currency: Currency | None = None
    live: bool | None = None


class AccountShown(Resource):
    id: AccountId
    promoter: PromoterId | None
    agency: AgencyId | None
    rail: str
    country: str
    currency: str
    masked: str
    label: str | None
    name_differs: bool = Field(description="The holder is called otherwise than the payee")
    created_at: Instant
    used_from: Instant = Field(
        description="Payouts made from then on go here; two days later than the account was given, "
        "if it takes the place of another"
    )
    replaced_at: Instant | None = Field(
        description="Null while no other account was given. One that was replaced before "
        "`used_from` is never used"
    )
    version: int


@endpoint("POST", "/promoters/{promoter_id}/payout-accounts", needs=OWNERS, status=201)
def create(caller: Caller, promoter_id: PromoterId, body: NewAccount) -> AccountShown:
    """Say where a currency is to be paid to. It replaces the account before it, after two days.

    Payouts that were made before still go where they were made for.
    """
    caller.require_promoter(promoter_id)
    people.promoter(promoter_id)
    return _create("promoter", promoter_id, body)


@endpoint("GET", "/promoters/{promoter_id}/payout-accounts", needs=OWNERS)
def all_accounts(
    caller: Caller, promoter_id: PromoterId, query: AccountQuery
) -> Page[AccountShown]:
    """Payout accounts, newest first, with those that were replaced."""
    caller.require_promoter(promoter_id)
    return _all("promoter", promoter_id, query)


@endpoint("GET", "/promoters/{promoter_id}/payout-accounts/{account_id}", needs=OWNERS)
def one(caller: Caller, promoter_id: PromoterId, account_id: AccountId) -> AccountShown:
    """One payout account."""
    caller.require_promoter(promoter_id)
    return show(queries.account_of("promoter", promoter_id, account_id))


@endpoint("PATCH", "/promoters/{promoter_id}/payout-accounts/{account_id}", needs=OWNERS)
def change(
    caller: Caller,
    promoter_id: PromoterId,
    account_id: AccountId,
    body: AccountChange,
    if_match: IfMatch,
) -> AccountShown:
    """Change the label. Another account is added, never edited."""
    caller.require_promoter(promoter_id)
    account = queries.account_of("promoter", promoter_id, account_id, lock=True)
    return _change(account, body, if_match)


@endpoint("POST", "/agencies/{agency_id}/payout-accounts", needs=AGENCYS, status=201)
def create_of_agency(caller: Caller, agency_id: AgencyId, body: NewAccount) -> AccountShown:
    """Say where a currency is to be paid to. It replaces the account before it, after two days.

    Payouts that were made before still go where they were made for.
    """
    caller.require_agency(agency_id)
    people.agency(agency_id)
    return _create("agency", agency_id, body)


@endpoint("GET", "/agencies/{agency_id}/payout-accounts", needs=AGENCYS)
def all_of_agency(caller: Caller, agency_id: AgencyId, query: AccountQuery) -> Page[AccountShown]:
    """Payout accounts, newest first, with those that were replaced."""
    caller.require_agency(agency_id)
    return _all("agency", agency_id, query)


@endpoint("GET", "/agencies/{agency_id}/payout-accounts/{account_id}", needs=AGENCYS)
def one_of_agency(caller: Caller, agency_id: AgencyId, account_id: AccountId) -> AccountShown:
    """One payout account."""
    caller.require_agency(agency_id)
    return show(queries.account_of("agency", agency_id, account_id))


@endpoint("PATCH", "/agencies/{agency_id}/payout-accounts/{account_id}", needs=AGENCYS)
def change_of_agency(
    caller: Caller,
    agency_id: AgencyId,
    account_id: AccountId,
    body: AccountChange,
    if_match: IfMatch,
) -> AccountShown:
    """Change the label. Another account is added, never edited."""
    caller.require_agency(agency_id)
    account = queries.account_of("agency", agency_id, account_id, lock=True)
    return _change(account, body, if_match)


def _create(kind: str, payee_id: int, body: NewAccount) -> AccountShown:
    fields = body.model_dump(include={"rail", "country", "currency", "fields", "label"})
    return show(service.add_account(kind, payee_id, **fields))


def _all(kind: str, payee_id: int, query: AccountQuery) -> Page[AccountShown]:
    found = sa.select(PayoutAccount).filter_by(payee_kind=kind, payee_id=payee_id)
    if query.currency is not None:
        found = found.where(PayoutAccount.currency == query.currency)
    if query.live is not None:
        found = found.where(PayoutAccount.replaced_at.is_(None) == query.live)
    return paging.page(found, query, by=[PayoutAccount.id], show=show)


def _change(account: PayoutAccount, body: AccountChange, if_match: IfMatch) -> AccountShown:
    if_match.check(account.version)
    if "label" in body.given():
        service.label_account(account, body.label)
    return show(account)


def show(account: PayoutAccount) -> AccountShown:
    return AccountShown(
        id=account.id,
        promoter=account.payee_id if account.payee_kind == "promoter" else None,
        agency=account.payee_id if account.payee_kind == "agency" else None,
        rail=account.rail,
        country=account.country,
        currency=account.currency,
        masked=account.masked,
        label=account.label,
        name_differs=account.name_differs,
        created_at=account.created_at,
        used_from=account.used_from,
        replaced_at=account.replaced_at,
        version=account.version,
    )
