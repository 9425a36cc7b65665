"""API keys, and who one is."""

import sqlalchemy as sa

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    AgencyId,
    Body,
    Instant,
    KeyId,
    ListQuery,
    MerchantId,
    Page,
    PromoterId,
    Resource,
    Text,
    UserId,
)
from affiliate.db import db
from affiliate.errors import Forbidden, NotFound, invalid
from affiliate.people import queries, service
from affiliate.people.models import ApiKey, Grant, Role, User
from affiliate.people.rules import Caller, Held, Right


class NewKey(Body):
    """Without `user` the key gets a service user of its own, which can neither make nor approve
    settlements. With it, it acts as you: no other user is accepted.
    """

    name: Text
    role: Role
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None
    agency: AgencyId | None = None
    user: UserId | None = None


class KeyChange(Body):
    name: Text = ""


class KeyShown(Resource):
    id: KeyId
    name: str
    user: UserId
    is_service: bool
    role: Role
    merchant: MerchantId | None
    promoter: PromoterId | None
    agency: AgencyId | None
    hint: str
    created_at: Instant
    last_used_at: Instant | None
    revoked_at: Instant | None
    version: int


class KeyCreated(KeyShown):
    """The only answer that ever shows the key."""

    secret: str


class RoleShown(Resource):
    role: Role
    merchant: MerchantId | None
    promoter: PromoterId | None
    agency: AgencyId | None


class Me(Resource):
    user: UserId
    key: KeyId | None
    name: str
    email: str | None
    is_service: bool
    locale: str
    timezone: str
    roles: list[RoleShown]


@endpoint("GET", "/me")
def me(caller: Caller) -> Me:
    """Who this key acts as, and by which role."""
    user = db.session.get_one(User, caller.user_id)
    return Me(
        user=user.id,
        key=caller.key_id,
        name=user.name,
        email=user.email,
        is_service=user.is_service,
        locale=user.locale,
        timezone=user.timezone,
        roles=[
            RoleShown(
                role=held.role,
                merchant=held.merchant_id,
                promoter=held.promoter_id,
                agency=held.agency_id,
            )
            for held in caller.held
        ],
    )


@endpoint("POST", "/keys", status=201)
def create(caller: Caller, body: NewKey) -> KeyCreated:
    """Create a key; its text is shown this once."""
    user = _user(caller, body.user)
    _check_may_give(caller, body)
    _check_exists(body)
    key, secret = service.create_key(
        body.name,
        body.role,
        merchant_id=body.merchant,
        promoter_id=body.promoter,
        agency_id=body.agency,
        user=user,
    )
    return KeyCreated(**dict(show(key)), secret=secret)


@endpoint("GET", "/keys")
def all_keys(caller: Caller, query: ListQuery) -> Page[KeyShown]:
    """One's own keys, those of one's merchants, or for the operator all; newest first."""
    return paging.page(sa.select(ApiKey).where(_visible(caller)), query, by=[ApiKey.id], show=show)


@endpoint("GET", "/keys/{key_id}")
def one(caller: Caller, key_id: KeyId) -> KeyShown:
    """One key, without its text."""
    return show(_found(caller, key_id))


@endpoint("PATCH", "/keys/{key_id}")
def change(caller: Caller, key_id: KeyId, body: KeyChange, if_match: IfMatch) -> KeyShown:
    """Rename a key."""
    key = _found(caller, key_id, lock=True)
    if_match.check(key.version)
    if body.given():
        service.rename_key(key, body.name)
    return show(key)


@endpoint("DELETE", "/keys/{key_id}")
def revoke(caller: Caller, key_id: KeyId) -> KeyShown:
    """Revoke a key: from the next request on it opens nothing."""
    key = _found(caller, key_id, lock=True)
    service.revoke_key(key)
    return show(key)


def _user(caller: Caller, user_id: int | None) -> User | None:
    if user_id is None:
        return None
    if user_id != caller.user_id:
        raise invalid("/user", "not_yourself", "A key can act as you or as a service, no other.")
    return db.session.get_one(User, user_id)


def _check_may_give(caller: Caller, body: NewKey) -> None:
    """Nobody gives what is not theirs to give; a key for oneself brings no more than this one.

    A service user stays when its maker leaves, so only operators and owners make them.
    """
    wanted = Held(body.role, body.merchant, body.promoter, body.agency)
    if body.user is not None and wanted in caller.held:
        return
    if body.user is None and caller.may(Right.ADMINISTER):
        return
    if body.user is None and body.merchant is not None and body.role.startswith("merchant_"):
        caller.require(Right.OWN_MERCHANT, body.merchant)
        return
    raise Forbidden("Your role does not allow you to give this one.")


def _check_exists(body: NewKey) -> None:
    if body.merchant is not None and not queries.merchants([body.merchant]):
        raise invalid("/merchant", "not_found", "There is no such merchant.")
    if body.promoter is not None and not queries.promoters([body.promoter]):
        raise invalid("/promoter", "not_found", "There is no such promoter.")
    if body.agency is not None and not queries.agencies([body.agency]):
        raise invalid("/agency", "not_found", "There is no such agency.")


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    if caller.may(Right.ADMINISTER):
        return sa.true()
    owned = sa.select(Grant.id).where(
        queries.within(Grant.merchant_id, caller.scope(Right.OWN_MERCHANT))
    )
    return (ApiKey.user_id == caller.user_id) | ApiKey.grant_id.in_(owned)


def _found(caller: Caller, key_id: int, *, lock: bool = False) -> ApiKey:
    mine = sa.select(ApiKey.id).where(ApiKey.id == key_id, _visible(caller))
    if db.session.scalar(mine) is None:
        raise NotFound("There is no such key here.")
    return queries.api_key(key_id, lock=lock)


def show(key: ApiKey) -> KeyShown:
    grant = db.session.get_one(Grant, key.grant_id)
    user = db.session.get_one(User, key.user_id)
    return KeyShown(
        id=key.id,
        name=key.name,
        user=user.id,
        is_service=user.is_service,
        role=Role(grant.role),
        merchant=grant.merchant_id,
        promoter=grant.promoter_id,
        agency=grant.agency_id,
        hint=key.hint,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
        version=key.version,
    )
