"""Promoters: people who share, and who stands above them."""

from collections.abc import Collection

import sqlalchemy as sa

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Country,
    Instant,
    ListQuery,
    Locale,
    Page,
    PromoterId,
    Resource,
    Text,
)
from affiliate.db import db
from affiliate.errors import FieldError, Forbidden, NotFound
from affiliate.people import queries, service
from affiliate.people.models import Promoter, Role
from affiliate.people.rules import Caller, Right, normal_email
from affiliate.programs.models import Membership


class NewPromoter(Body):
    name: Text
    email: Text | None = None
    phone: Text | None = None  # with + and country code, or as dialled in `country`
    country: Country | None = None
    locale: Locale = "en"
    sponsor: PromoterId | None = None


class PromoterChange(Body):
    name: Text = ""
    email: Text | None = None
    phone: Text | None = None
    country: Country | None = None
    locale: Locale = "en"
    suspended: bool = False


class NewSponsor(Body):
    sponsor: PromoterId | None


class PromoterQuery(ListQuery):
    email: str | None = None


class PromoterShown(Resource):
    """Mail and phone are shown to the promoter and the operator, the sponsor to who sees both."""

    id: PromoterId
    name: str
    email: str | None
    phone: str | None
    country: str | None
    locale: str
    sponsor: PromoterId | None
    suspended_at: Instant | None
    created_at: Instant
    version: int


@endpoint("POST", "/promoters", needs=Right.ADMINISTER, status=201)
def create(caller: Caller, body: NewPromoter) -> PromoterShown:
    """Create a promoter, under a sponsor if one is named."""
    fields = body.model_dump(include={"email", "phone", "country", "locale"})
    promoter = service.create_promoter(body.name, sponsor_id=body.sponsor, **fields)
    return _shown(caller, promoter)


@endpoint("GET", "/promoters", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_promoters(caller: Caller, query: PromoterQuery) -> Page[PromoterShown]:
    """Promoters, newest first: the merchant's enrolled people, or oneself."""
    found = sa.select(Promoter).where(_visible(caller))
    if query.email is not None:
        # By mail only where mail is shown: else it could be guessed.
        address = normal_email(query.email) or query.email
        found = found.where(Promoter.email == address, _contact_visible(caller))
    rows, cursor = paging.rows(found, query, by=[Promoter.id])
    seen = _seen(caller, [row.sponsor_id for row in rows if row.sponsor_id])
    return Page(data=[show(caller, row, seen) for row in rows], next=cursor)


@endpoint("GET", "/promoters/{promoter_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, promoter_id: PromoterId) -> PromoterShown:
    """One promoter."""
    if not _seen(caller, [promoter_id]):
        raise NotFound("There is no such promoter here.")
    return _shown(caller, queries.promoter(promoter_id))


@endpoint("PATCH", "/promoters/{promoter_id}", needs=(Right.ADMINISTER, Right.PROMOTE))
def change(
    caller: Caller, promoter_id: PromoterId, body: PromoterChange, if_match: IfMatch
) -> PromoterShown:
    """Change a promoter. Suspending is the operator's."""
    caller.require_promoter(promoter_id)
    promoter = queries.promoter(promoter_id, lock=True)
    if_match.check(promoter.version)
    changes = body.given()
    suspended = changes.pop("suspended", None)
    if suspended is not None:
        _suspend(caller, promoter, suspended)
    service.change_promoter(promoter, changes)
    return _shown(caller, promoter)


@endpoint("POST", "/promoters/{promoter_id}/sponsor", needs=Right.ADMINISTER)
def move(caller: Caller, promoter_id: PromoterId, body: NewSponsor) -> PromoterShown:
    """Hang a promoter, with everybody below, under another sponsor, or under nobody."""
    promoter = queries.promoter(promoter_id)
    service.move_sponsor(promoter, body.sponsor)
    return _shown(caller, promoter)


def _suspend(caller: Caller, promoter: Promoter, suspended: bool) -> None:
    if not caller.may(Right.ADMINISTER):
        message = "Only the operator suspends."
        raise Forbidden(message, errors=(FieldError("/suspended", "forbidden", message),))
    (service.suspend if suspended else service.resume)(promoter)


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    """Everybody for the instance's people, the enrolled for a merchant's, oneself for the rest.

    The scope of merchants is None for those who work for the whole instance.
    """
    scope = caller.scope(Right.READ_MERCHANT)
    if scope is None:
        return sa.true()
    enrolled = sa.select(Membership.promoter_id).where(
        Membership.merchant_id.in_(scope), Membership.state.in_(("applied", "active", "ended"))
    )
    return Promoter.id.in_(enrolled) | Promoter.id.in_(caller.promoter_ids)


def _contact_visible(caller: Caller) -> sa.ColumnElement[bool]:
    mine = Promoter.id.in_(caller.promoter_ids)
    return sa.true() if _sees_contacts(caller) else mine


def _sees_contacts(caller: Caller) -> bool:
    return any(held.role is Role.OPERATOR for held in caller.held)


def _seen(caller: Caller, promoter_ids: Collection[int]) -> set[int]:
    known = sa.select(Promoter.id).where(Promoter.id.in_(set(promoter_ids)), _visible(caller))
    return set(db.session.scalars(known)) if promoter_ids else set()


def _shown(caller: Caller, promoter: Promoter) -> PromoterShown:
    above = [promoter.sponsor_id] if promoter.sponsor_id else []
    return show(caller, promoter, _seen(caller, above))


def show(caller: Caller, promoter: Promoter, seen: set[int]) -> PromoterShown:
    contact = _sees_contacts(caller) or promoter.id in caller.promoter_ids
    return PromoterShown(
        id=promoter.id,
        name=promoter.name,
        email=promoter.email if contact else None,
        phone=promoter.phone if contact else None,
        country=promoter.country,
        locale=promoter.locale,
        sponsor=promoter.sponsor_id if promoter.sponsor_id in seen else None,
        suspended_at=promoter.suspended_at,
        created_at=promoter.created_at,
        version=promoter.version,
    )
