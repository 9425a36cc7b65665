"""Tax: who a payee is, what is withheld by which table, what went to the authority, invoices."""

from datetime import date
from typing import Annotated, Literal

import sqlalchemy as sa
from flask import Response
from pydantic import Field, StringConstraints

from affiliate import clock, exports, money
from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    AgencyId,
    Body,
    Country,
    Currency,
    FxRateId,
    Instant,
    InvoiceId,
    ListQuery,
    LongText,
    MerchantId,
    Money,
    Page,
    PayoutId,
    PositiveMoney,
    PromoterId,
    Query,
    RemittanceId,
    Resource,
    TaxProfileId,
    Text,
    UserId,
)
from affiliate.db import db
from affiliate.errors import NotFound, invalid
from affiliate.fx import service as fx
from affiliate.fx.models import FxRate
from affiliate.ledger import queries as books
from affiliate.payouts import queries, service, tax_year
from affiliate.payouts.models import Invoice, Payout, PayoutWithholding, Remittance
from affiliate.payouts.service import invoices, remitting
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.tax import profiles, tables
from affiliate.tax.models import TaxProfile, TinStatus

OWNERS = (Right.PROMOTE, Right.ADMINISTER)
AGENCYS = (Right.RUN_AGENCY, Right.ADMINISTER)
PAYEES = (Right.PROMOTE, Right.RUN_AGENCY)
READERS = (Right.READ_MONEY, *PAYEES)
Month = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class NewProfile(Body):
    country: Country
    person: Literal["individual", "company"]
    regime: Text = Field(default="general", description="BR: simples; MX: resico")
    tax_id: Text | None = Field(default=None, description="Validated, and shown masked only")


class ProfileShown(Resource):
    id: TaxProfileId
    promoter: PromoterId | None
    agency: AgencyId | None
    country: str
    person: str
    regime: str
    tax_id: str | None = Field(description="Masked")
    tin_status: TinStatus
    created_at: Instant
    replaced_at: Instant | None


class Judged(Body):
    status: Literal["given", "verified", "refused"]
    merchant: MerchantId = Field(description="One that owes the payee, or owed")


class TableShown(Resource):
    code: str
    scheme: str
    country: str
    tax: str
    source: str
    since: date
    until: date | None
    confirmed: bool = Field(description="Always false: an accountant must confirm it")


class Tables(Resource):
    data: list[TableShown]


class WithholdingShown(Resource):
    tax: str
    table: str
    month: date
    income: Money
    cumulative: Money = Field(description="Income of the table's period with this payout")
    base: Money
    ppm: int
    due: Money
    amount: Money = Field(description="In the payout's currency")


class Withholdings(Resource):
    data: list[WithholdingShown]


class NewRemittance(Body):
    merchant: MerchantId
    month: Month
    money: PositiveMoney = Field(description="What was withheld and not remitted until its end")
    reference: Text
    note: LongText | None = None


class RemittanceShown(Resource):
    id: RemittanceId
    merchant: MerchantId
    month: date
    money: Money
    reference: str
    note: str | None
    created_by: UserId
    created_at: Instant


class MerchantQuery(ListQuery):
    merchant: MerchantId | None = None


class NewInvoice(Body):
    merchant: MerchantId
    promoter: PromoterId | None = None
    agency: AgencyId | None = None
    number: Text
    money: PositiveMoney


class InvoiceShown(Resource):
    id: InvoiceId
    merchant: MerchantId
    promoter: PromoterId | None
    agency: AgencyId | None
    number: str
    money: Money
    state: Literal["given", "confirmed", "refused"]
    reason: str | None
    created_at: Instant


class Why(Body):
    reason: Text


class Rates(Body):
    content: str = Field(max_length=4_000_000, description="CSV: date,base,quote,rate,source")


class Imported(Resource):
    added: int
    known: int


class RateShown(Resource):
    id: FxRateId
    base: str
    quote: str
    day: date
    rate: str
    source: str


class RateQuery(ListQuery):
    base: Currency | None = None
    quote: Currency | None = None


class YearQuery(Query):
    year: int | None = Field(default=None, ge=2000, le=2200, description="This one if not said")


@endpoint("POST", "/promoters/{promoter_id}/tax-profiles", needs=OWNERS, status=201)
def create(caller: Caller, promoter_id: PromoterId, body: NewProfile) -> ProfileShown:
    """Say who a promoter is to the tax authority. What was said before is kept as replaced."""
    caller.require_promoter(promoter_id)
    people.promoter(promoter_id)
    return show(profiles.say("promoter", promoter_id, **body.model_dump(), by=caller.user_id))


@endpoint("GET", "/promoters/{promoter_id}/tax-profiles", needs=OWNERS)
def all_profiles(caller: Caller, promoter_id: PromoterId, query: ListQuery) -> Page[ProfileShown]:
    """What was said, newest first."""
    caller.require_promoter(promoter_id)
    found = profiles.versions("promoter", promoter_id)
    return paging.page(found, query, by=[TaxProfile.id], show=show)


@endpoint("GET", "/promoters/{promoter_id}/tax-profiles/{profile_id}", needs=OWNERS)
def one(caller: Caller, promoter_id: PromoterId, profile_id: TaxProfileId) -> ProfileShown:
    """What was said at one time."""
    caller.require_promoter(promoter_id)
    return show(profiles.find_of("promoter", promoter_id, profile_id))


@endpoint("POST", "/agencies/{agency_id}/tax-profiles", needs=AGENCYS, status=201)
def create_of_agency(caller: Caller, agency_id: AgencyId, body: NewProfile) -> ProfileShown:
    """Say who an agency is to the tax authority. What was said before is kept as replaced."""
    caller.require_agency(agency_id)
    people.agency(agency_id)
    return show(profiles.say("agency", agency_id, **body.model_dump(), by=caller.user_id))


@endpoint("GET", "/agencies/{agency_id}/tax-profiles", needs=AGENCYS)
def all_of_agency(caller: Caller, agency_id: AgencyId, query: ListQuery) -> Page[ProfileShown]:
    """What was said, newest first."""
    caller.require_agency(agency_id)
    found = profiles.versions("agency", agency_id)
    return paging.page(found, query, by=[TaxProfile.id], show=show)


@endpoint("GET", "/agencies/{agency_id}/tax-profiles/{profile_id}", needs=AGENCYS)
def one_of_agency(caller: Caller, agency_id: AgencyId, profile_id: TaxProfileId) -> ProfileShown:
    """What was said at one time."""
    caller.require_agency(agency_id)
    return show(profiles.find_of("agency", agency_id, profile_id))


@endpoint("POST", "/tax-profiles/{profile_id}/status", needs=Right.HANDLE_MONEY)
def judge(caller: Caller, profile_id: TaxProfileId, body: Judged) -> ProfileShown:
    """What the authority says of the tax number. A number that is refused counts as none."""
    caller.require(Right.HANDLE_MONEY, body.merchant)
    profile = profiles.find(profile_id)
    if not books.has_account(body.merchant, profile.payee_kind, profile.payee_id):
        raise NotFound("There is no such tax profile.")
    return show(profiles.set_status(profile_id, TinStatus(body.status), by=caller.user_id))


@endpoint("GET", "/tax-tables")
def all_tables() -> Tables:
    """What is withheld by which scheme, with the sources. An accountant must confirm it."""
    return Tables(
        data=[
            TableShown(
                code=each.code,
                scheme=each.scheme,
                country=tables.SCHEMES[each.scheme].country,
                tax=each.tax,
                source=each.source,
                since=each.since,
                until=each.until,
                confirmed=False,
            )
            for each in tables.TABLES
        ]
    )


@endpoint("GET", "/payouts/{payout_id}/withholdings", needs=READERS)
def of_payout(caller: Caller, payout_id: PayoutId) -> Withholdings:
    """What is kept back of a payout, tax by tax, and how it was reckoned."""
    payout = _payout(caller, payout_id)
    rows = queries.withholdings(payout)
    return Withholdings(data=[_withholding(each, payout.currency) for each in rows])


@endpoint("POST", "/remittances", needs=Right.HANDLE_MONEY, status=201)
def remit(caller: Caller, body: NewRemittance) -> RemittanceShown:
    """Tell that the tax of a month went to the authority; once for a month and currency."""
    caller.require(Right.HANDLE_MONEY, body.merchant)
    people.merchant(body.merchant)
    told = service.remit(
        body.merchant,
        body.money.currency,
        date.fromisoformat(f"{body.month}-01"),
        amount=body.money.amount,
        reference=body.reference,
        note=body.note,
        by=caller.user_id,
    )  # fmt: skip
    return show_remittance(told)


@endpoint("GET", "/remittances", needs=Right.READ_MONEY)
def all_remittances(caller: Caller, query: MerchantQuery) -> Page[RemittanceShown]:
    """Remittances, newest first."""
    mine = within(Remittance.merchant_id, caller.scope(Right.READ_MONEY))
    found = sa.select(Remittance).where(mine)
    if query.merchant is not None:
        found = found.where(Remittance.merchant_id == query.merchant)
    return paging.page(found, query, by=[Remittance.id], show=show_remittance)


@endpoint("GET", "/remittances/{remittance_id}", needs=Right.READ_MONEY)
def one_remittance(caller: Caller, remittance_id: RemittanceId) -> RemittanceShown:
    """One remittance."""
    caller.require(Right.READ_MONEY, remittance_id[0])
    return show_remittance(remitting.find(*remittance_id))


@endpoint("GET", "/tax-years/{merchant_id}/csv", needs=Right.READ_MONEY, produces="text/csv")
def year_csv(caller: Caller, merchant_id: MerchantId, query: YearQuery) -> Response:
    """What a merchant paid each payee in a year, and withheld of it."""
    caller.require(Right.READ_MONEY, merchant_id)
    people.merchant(merchant_id)
    year = query.year or clock.now().year
    return exports.table(
        f"tax-{year}",
        tax_year.HEAD,
        lambda: tax_year.cells(year, tax_year.rows(year, merchants=[merchant_id])),
    )


@endpoint("POST", "/invoices", needs=PAYEES, status=201)
def give_invoice(caller: Caller, body: NewInvoice) -> InvoiceShown:
    """Bill a merchant that pays against invoices."""
    kind, payee_id = _payee(body)
    if not caller.is_payee(kind, payee_id):
        raise NotFound("There is no such payee.")
    people.merchant(body.merchant)
    if not books.has_account(body.merchant, kind, payee_id):
        raise NotFound("There is no such merchant.")
    billed = money.Money(body.money.amount, body.money.currency)
    return show_invoice(
        invoices.give(
            body.merchant, (kind, payee_id), billed, number=body.number, by=caller.user_id
        )
    )


@endpoint("GET", "/invoices", needs=READERS)
def all_invoices(caller: Caller, query: MerchantQuery) -> Page[InvoiceShown]:
    """Invoices of payees, newest first: one's own, or those of the merchants whose money one
    may read.
    """
    found = sa.select(Invoice).where(_mine(caller))
    if query.merchant is not None:
        found = found.where(Invoice.merchant_id == query.merchant)
    return paging.page(found, query, by=[Invoice.id], show=show_invoice)


@endpoint("GET", "/invoices/{invoice_id}", needs=READERS)
def one_invoice(caller: Caller, invoice_id: InvoiceId) -> InvoiceShown:
    """One invoice."""
    found = db.session.scalar(
        sa.select(Invoice)
        .filter_by(merchant_id=invoice_id[0], id=invoice_id[1])
        .where(_mine(caller))
    )
    if found is None:
        raise NotFound("There is no such invoice.")
    return show_invoice(found)


@endpoint("POST", "/invoices/{invoice_id}/confirm", needs=Right.HANDLE_MONEY)
def confirm_invoice(caller: Caller, invoice_id: InvoiceId) -> InvoiceShown:
    """It is in order: it covers payouts from now on. Asking again changes nothing."""
    caller.require(Right.HANDLE_MONEY, invoice_id[0])
    return show_invoice(invoices.decide(*invoice_id, by=caller.user_id, confirmed=True))


@endpoint("POST", "/invoices/{invoice_id}/refuse", needs=Right.HANDLE_MONEY)
def refuse_invoice(caller: Caller, invoice_id: InvoiceId, body: Why) -> InvoiceShown:
    """It is not in order: its number may be given again."""
    caller.require(Right.HANDLE_MONEY, invoice_id[0])
    done = invoices.decide(*invoice_id, by=caller.user_id, confirmed=False, reason=body.reason)
    return show_invoice(done)


@endpoint("POST", "/fx-rates/import", needs=Right.ADMINISTER)
def import_rates(caller: Caller, body: Rates) -> Imported:
    """Take a table of rates; for display and brackets of tax, never to pay by."""
    report = fx.import_csv(body.content, by=caller.user_id)
    return Imported(added=report.added, known=report.known)


@endpoint("GET", "/fx-rates")
def all_rates(query: RateQuery) -> Page[RateShown]:
    """Rates of exchange, the latest import first."""
    found = sa.select(FxRate)
    for column, wanted in ((FxRate.base, query.base), (FxRate.quote, query.quote)):
        if wanted is not None:
            found = found.where(column == wanted)
    return paging.page(found, query, by=[FxRate.id], show=_rate)


def _payout(caller: Caller, payout_id: tuple[int, int]) -> Payout:
    payout = queries.find(*payout_id)
    if not caller.is_payee(payout.payee_kind, payout.payee_id):
        caller.require(Right.READ_MONEY, payout.merchant_id)
    return payout


def _payee(body: NewInvoice) -> tuple[str, int]:
    if (body.promoter is None) == (body.agency is None):
        raise invalid("/promoter", "missing", "Name the promoter or the agency.")
    if body.promoter is not None:
        return "promoter", body.promoter
    assert body.agency is not None
    return "agency", body.agency


def _mine(caller: Caller) -> sa.ColumnElement[bool]:
    own = [
        sa.and_(Invoice.payee_kind == kind, Invoice.payee_id == payee_id)
        for held in caller.held
        for kind, payee_id in (("promoter", held.promoter_id), ("agency", held.agency_id))
        if payee_id is not None
    ]
    read = caller.may(Right.READ_MONEY)
    money_of = within(Invoice.merchant_id, caller.scope(Right.READ_MONEY)) if read else sa.false()
    return sa.or_(money_of, *own)


def show(profile: TaxProfile) -> ProfileShown:
    return ProfileShown(
        id=profile.id,
        promoter=profile.payee_id if profile.payee_kind == "promoter" else None,
        agency=profile.payee_id if profile.payee_kind == "agency" else None,
        country=profile.country,
        person=profile.person,
        regime=profile.regime,
        tax_id=profile.masked,
        tin_status=TinStatus(profile.tin_status),
        created_at=profile.created_at,
        replaced_at=profile.replaced_at,
    )


def show_remittance(each: Remittance) -> RemittanceShown:
    return RemittanceShown(
        id=(each.merchant_id, each.id),
        merchant=each.merchant_id,
        month=each.month,
        money=Money.of(each.amount, each.currency),
        reference=each.reference,
        note=each.note,
        created_by=each.created_by,
        created_at=each.created_at,
    )


def show_invoice(each: Invoice) -> InvoiceShown:
    return InvoiceShown(
        id=(each.merchant_id, each.id),
        merchant=each.merchant_id,
        promoter=each.payee_id if each.payee_kind == "promoter" else None,
        agency=each.payee_id if each.payee_kind == "agency" else None,
        number=each.number,
        money=Money.of(each.amount, each.currency),
        state=each.state,  # type: ignore[arg-type]
        reason=each.reason,
        created_at=each.created_at,
    )


def _withholding(each: PayoutWithholding, currency: str) -> WithholdingShown:
    return WithholdingShown(
        tax=each.tax,
        table=each.table_code,
        month=each.month,
        income=Money.of(each.income, each.currency),
        cumulative=Money.of(each.cumulative, each.currency),
        base=Money.of(each.base, each.currency),
        ppm=each.ppm,
        due=Money.of(each.due, each.currency),
        amount=Money.of(each.amount, currency),
    )


def _rate(each: FxRate) -> RateShown:
    return RateShown(
        id=each.id,
        base=each.base,
        quote=each.quote,
        day=each.day,
        rate=f"{each.rate.normalize():f}",
        source=each.source,
    )
