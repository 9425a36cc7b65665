"""What agencies get in a program: each change is a version that holds from now on."""

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import queries as catalog
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, invalid
from affiliate.i18n import _
from affiliate.money import PPM
from affiliate.people import queries as people
from affiliate.programs import queries
from affiliate.programs.agencies import Mode
from affiliate.programs.models import AgencyRate, AgencyRateVersion, Program


class AgencyRateExists(Conflict):
    """There is a rate for this agency, promoter and product already: state that one anew."""

    code = "agency_rate_exists"


def add_agency_rate(
    program: Program,
    agency_id: int,
    *,
    mode: str,
    ppm: int,
    promoter_id: int | None = None,
    product_id: int | None = None,
    by: int | None = None,
) -> AgencyRate:
    """From now on the agency gets this of what its promoters sell; the caller has the program
    locked.
    """
    _check(program, mode, ppm)
    if agency_id not in people.agencies([agency_id]):
        raise invalid("/agency", "unknown_agency", _("There is no such agency here."))
    if promoter_id is not None and not queries.is_known(program.merchant_id, promoter_id):
        raise invalid("/promoter", "unknown_promoter", _("There is no such promoter here."))
    if product_id is not None:
        catalog.product(program.merchant_id, product_id)
    subject = {"promoter_id": promoter_id, "product_id": product_id}
    key = {"merchant_id": program.merchant_id, "program_id": program.id, "agency_id": agency_id}
    if db.session.scalar(sa.select(AgencyRate.id).filter_by(**key, **subject)) is not None:
        message = _("There is such a rate already; state that one anew.")
        wrong = FieldError("/agency", "agency_rate_exists", message)
        raise AgencyRateExists(message, errors=(wrong,))
    rate = AgencyRate(**key, **subject)
    db.session.add(rate)
    db.session.flush()
    _write(rate, mode=mode, ppm=ppm, by=by)
    return rate


def change_agency_rate(
    program: Program, rate: AgencyRate, *, mode: str, ppm: int, by: int | None = None
) -> AgencyRate:
    """State it anew from now on, also one that was ended. What was paid before stays."""
    _check(program, mode, ppm)
    _write(rate, mode=mode, ppm=ppm, by=by)
    return rate


def end_agency_rate(rate: AgencyRate, *, by: int | None = None) -> AgencyRate:
    """From now on it does not count. Safe to repeat."""
    before = latest_agency_rate(rate)
    if not before.ended:
        _write(rate, mode=before.mode, ppm=before.ppm, by=by, ended=True)
    return rate


def latest_agency_rate(rate: AgencyRate) -> AgencyRateVersion:
    return queries.latest_agency_rates([(rate.merchant_id, rate.id)])[rate.merchant_id, rate.id]


def _check(program: Program, mode: str, ppm: int) -> None:
    if mode not in set(Mode):
        raise invalid("/mode", "unknown_value", _("One of %(allowed)s.", allowed=", ".join(Mode)))
    ceiling = min(PPM, queries.latest_terms(program.merchant_id, program.id).max_total_ppm)
    if not 0 <= ppm <= ceiling:
        raise invalid("/ppm", "above_cap", _("The rate is above the program's ceiling."))


def _write(rate: AgencyRate, *, mode: str, ppm: int, by: int | None, ended: bool = False) -> None:
    before = db.session.scalar(
        sa.select(sa.func.max(AgencyRateVersion.effective_from)).filter_by(
            merchant_id=rate.merchant_id, rate_id=rate.id
        )
    )
    now = clock.now()
    db.session.add(
        AgencyRateVersion(
            merchant_id=rate.merchant_id,
            rate_id=rate.id,
            effective_from=max(now, before + clock.TICK) if before else now,
            ended=ended,
            mode=mode,
            ppm=ppm,
            user_id=by,
        )
    )
    rate.version += 1
    db.session.flush()
