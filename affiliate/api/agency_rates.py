"""What agencies get in a program: of all their promoters' sales, or per promoter and product."""

from collections.abc import Sequence

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.rules import own
from affiliate.api.shapes import (
    AgencyId,
    AgencyRateId,
    Body,
    Instant,
    ListQuery,
    Page,
    Pair,
    Ppm,
    ProductId,
    ProgramId,
    PromoterId,
    Resource,
)
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries, service
from affiliate.programs.agencies import Mode
from affiliate.programs.models import AgencyRate, AgencyRateVersion

MODES = "`own`: a rate of the base; `difference`: what this rate leaves after the seller's"


class NewRate(Body):
    agency: AgencyId
    mode: Mode = Field(description=MODES)
    ppm: Ppm
    promoter: PromoterId | None = Field(None, description="Of this promoter's sales only")
    product: ProductId | None = Field(None, description="Of this product's sales only")


class RateChange(Body):
    mode: Mode = Mode.OWN
    ppm: Ppm = 0
    ended: bool = Field(False, description="From now on it does not count")


class RateShown(Resource):
    id: AgencyRateId
    program: ProgramId
    agency: AgencyId
    promoter: PromoterId | None
    product: ProductId | None
    mode: Mode
    ppm: int
    effective_from: Instant = Field(description="Of what was stated last")
    ended: bool
    created_at: Instant
    version: int


@endpoint("POST", "/programs/{program_id}/agency-rates", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, program_id: ProgramId, body: NewRate) -> RateShown:
    """Give an agency a share, from now on."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id, lock=True)
    rate = service.add_agency_rate(
        program,
        body.agency,
        mode=body.mode,
        ppm=body.ppm,
        promoter_id=body.promoter,
        product_id=own(program.merchant_id, body.product, "/product"),
        by=caller.user_id,
    )
    return _shown([rate])[0]


@endpoint("GET", "/programs/{program_id}/agency-rates", needs=Right.READ_MERCHANT)
def all_rates(caller: Caller, program_id: ProgramId, query: ListQuery) -> Page[RateShown]:
    """What agencies get, newest first."""
    caller.require(Right.READ_MERCHANT, program_id[0])
    found = sa.select(AgencyRate).where(
        AgencyRate.merchant_id == program_id[0], AgencyRate.program_id == program_id[1]
    )
    rows, cursor = paging.rows(found, query, by=[AgencyRate.id])
    return Page(data=_shown(rows), next=cursor)


@endpoint("GET", "/programs/{program_id}/agency-rates/{rate_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, program_id: ProgramId, rate_id: AgencyRateId) -> RateShown:
    """One rate of an agency."""
    caller.require(Right.READ_MERCHANT, program_id[0])
    return _shown([_rate(program_id, rate_id)])[0]


@endpoint("PATCH", "/programs/{program_id}/agency-rates/{rate_id}", needs=Right.RUN_MERCHANT)
def change(
    caller: Caller,
    program_id: ProgramId,
    rate_id: AgencyRateId,
    body: RateChange,
    if_match: IfMatch,
) -> RateShown:
    """State it anew from now on, or end it. What was paid before stays."""
    caller.require(Right.RUN_MERCHANT, program_id[0])
    program = queries.program(*program_id, lock=True)
    rate = _rate(program_id, rate_id, lock=True)
    if_match.check(rate.version)
    given = body.given()
    if given.pop("ended", False):
        service.end_agency_rate(rate, by=caller.user_id)
    elif given:
        before = service.latest_agency_rate(rate)
        mode, ppm = given.get("mode", before.mode), given.get("ppm", before.ppm)
        service.change_agency_rate(program, rate, mode=mode, ppm=ppm, by=caller.user_id)
    return _shown([rate])[0]


def _rate(program_id: Pair, rate_id: Pair, *, lock: bool = False) -> AgencyRate:
    # Another merchant's rate is none of this program's.
    number = rate_id[1] if rate_id[0] == program_id[0] else 0
    return queries.agency_rate(*program_id, number, lock=lock)


def _shown(rates: Sequence[AgencyRate]) -> list[RateShown]:
    latest = queries.latest_agency_rates([(rate.merchant_id, rate.id) for rate in rates])
    return [_show(rate, latest[rate.merchant_id, rate.id]) for rate in rates]


def _show(rate: AgencyRate, version: AgencyRateVersion) -> RateShown:
    merchant_id = rate.merchant_id
    return RateShown(
        id=(merchant_id, rate.id),
        program=(merchant_id, rate.program_id),
        agency=rate.agency_id,
        promoter=rate.promoter_id,
        product=None if rate.product_id is None else (merchant_id, rate.product_id),
        mode=Mode(version.mode),
        ppm=version.ppm,
        effective_from=version.effective_from,
        ended=version.ended,
        created_at=rate.created_at,
        version=rate.version,
    )
