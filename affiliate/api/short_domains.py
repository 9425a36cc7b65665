"""The short domains under which links of this instance are passed on."""

from typing import Annotated, Literal

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import Body, Country, Instant, ListQuery, Page, Resource, ShortDomainId
from affiliate.links import domains
from affiliate.links.models import ShortDomain
from affiliate.people.rules import Caller, Right

MARKETS: list[Country] = Field(
    [], max_length=250, description="Countries of shops whose new links take this domain"
)


class NewDomain(Body):
    address: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        description="go.example.com, or with its scheme; its DNS must lead here"
    )
    countries: list[Country] = MARKETS
    is_default: bool = Field(False, description="For new links that no market's domain takes")


class DomainChange(Body):
    countries: list[Country] = MARKETS
    is_default: bool = False
    blocked: bool = Field(False, description="Taken out of new links; old ones go on answering")


class DomainShown(Resource):
    id: ShortDomainId
    address: str
    countries: list[str]
    is_default: bool
    state: Literal["new", "good", "shaky", "failing", "blocked"] = Field(
        description="New ones are used as soon as they were found to lead here"
    )
    fault: str | None = Field(description="unreachable, certificate or foreign")
    probed_at: Instant | None
    answered_at: Instant | None
    failing_since: Instant | None
    blocked_at: Instant | None
    created_at: Instant
    version: int


@endpoint("POST", "/short-domains", needs=Right.ADMINISTER, status=201)
def create(caller: Caller, body: NewDomain) -> DomainShown:  # noqa: ARG001
    """Add a domain. It is probed at once, and every few minutes from then on."""
    return show(domains.add(body.address, countries=body.countries, is_default=body.is_default))


@endpoint("GET", "/short-domains", needs=Right.ADMINISTER)
def all_domains(caller: Caller, query: ListQuery) -> Page[DomainShown]:  # noqa: ARG001
    """All domains, newest first."""
    return paging.page(sa.select(ShortDomain), query, by=[ShortDomain.id], show=show)


@endpoint("GET", "/short-domains/{domain_id}", needs=Right.ADMINISTER)
def one(caller: Caller, domain_id: ShortDomainId) -> DomainShown:  # noqa: ARG001
    """One domain."""
    return show(domains.domain(domain_id))


@endpoint("PATCH", "/short-domains/{domain_id}", needs=Right.ADMINISTER)
def change(
    caller: Caller,  # noqa: ARG001
    domain_id: ShortDomainId,
    body: DomainChange,
    if_match: IfMatch,
) -> DomainShown:
    """Block a domain or take it in again; say whose new links it is for."""
    found = domains.domain(domain_id, lock=True)
    if_match.check(found.version)
    return show(domains.change(found, body.given()))


def show(found: ShortDomain) -> DomainShown:
    return DomainShown(
        id=found.id,
        address=found.address,
        countries=found.countries,
        is_default=found.is_default,
        state=found.state,  # type: ignore[arg-type]
        fault=found.fault,
        probed_at=found.probed_at,
        answered_at=found.answered_at,
        failing_since=found.failing_since,
        blocked_at=found.blocked_at,
        created_at=found.created_at,
        version=found.version,
    )
