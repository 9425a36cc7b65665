"""Reads about people: who holds a key, who sponsored whom when, who was stopped when."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from affiliate import clock, ids, security
from affiliate.db import Model, among, db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.people.models import (
    Agency,
    AgencyMember,
    ApiKey,
    Device,
    Grant,
    Merchant,
    OneTimeLink,
    Promoter,
    Role,
    Suspension,
    User,
    UserSession,
)
from affiliate.people.rules import Caller, Held, Scope, normal_email

Row = TypeVar("Row", bound=Model)
At = tuple[int, datetime]  # a promoter, and the instant that is asked about


def within(merchant_id: Any, scope: Scope) -> sa.ColumnElement[bool]:
    """The clause that keeps a query to the caller's merchants: `within(Order.merchant_id, …)`."""
    return sa.true() if scope is None else merchant_id.in_(scope)


def key_of(bearer: str) -> ApiKey | None:
    """The live key behind `aff_live_<id>_<secret>`, of a user who is not disabled."""
    head, _, rest = bearer.partition("aff_live_")
    hashid, _, secret = rest.partition("_")
    if head or not secret:
        return None
    try:
        key = db.session.get(ApiKey, ids.decode_one("key", f"key_{hashid}"))
    except NotFound:
        return None
    if key is None or not security.same(key.secret_hash, security.fingerprint(secret)):
        return None
    user = db.session.get_one(User, key.user_id)
    return key if key.revoked_at is None and user.disabled_at is None else None


def caller_of(key: ApiKey) -> Caller:
    """A key brings exactly one of its user's roles along."""
    user = db.session.get_one(User, key.user_id)
    grant = db.session.get_one(Grant, key.grant_id)
    roles = (held(grant),) if is_in_force(grant) else ()
    return Caller(user.id, roles, is_service=user.is_service, key_id=key.id)


def is_in_force(grant: Grant) -> bool:
    """Delegated ones are for a time."""
    if grant.since is None or grant.until is None:
        return True
    return grant.since <= clock.now() < grant.until


def held(grant: Grant) -> Held:
    return Held(Role(grant.role), grant.merchant_id, grant.promoter_id, grant.agency_id)


def user_by_email(email: str) -> User | None:
    return db.session.scalar(sa.select(User).filter_by(email=normal_email(email) or email))


def users_at(domain: str) -> list[tuple[User, str]]:
    """Who has an address there, with their first role; for the few people of a demo."""
    roles = sa.select(Grant.user_id, sa.func.min(Grant.role).label("role")).group_by(Grant.user_id)
    held = roles.subquery()
    found = db.session.execute(
        sa.select(User, held.c.role)
        .join(held, held.c.user_id == User.id)
        .where(User.email.endswith(f"@{domain}"), User.disabled_at.is_(None))
        .order_by(User.id)
        .limit(20)
    )
    return [(user, role) for user, role in found]


def users_of_promoters(promoter_ids: Collection[int]) -> list[User]:
    """The people who sign in as these promoters."""
    return list(
        db.session.scalars(
            sa.select(User)
            .join(Grant, Grant.user_id == User.id)
            .where(Grant.promoter_id.in_(promoter_ids), User.disabled_at.is_(None))
            .order_by(User.id)
        ).unique()
    )


def operators() -> list[User]:
    """The people who look after the instance."""
    return list(
        db.session.scalars(
            sa.select(User)
            .join(Grant, Grant.user_id == User.id)
            .where(Grant.role == Role.OPERATOR, User.disabled_at.is_(None))
            .order_by(User.id)
        ).unique()
    )


def users_of_agency(agency_id: int) -> list[User]:
    """The people who act for it."""
    return list(
        db.session.scalars(
            sa.select(User)
            .join(Grant, Grant.user_id == User.id)
            .where(Grant.agency_id == agency_id, User.disabled_at.is_(None))
            .order_by(User.id)
        ).unique()
    )


def promoter_by_email(email: str) -> Promoter | None:
    return db.session.scalar(sa.select(Promoter).filter_by(email=email))


def user_of_link(secret: str, *purposes: str) -> User | None:
    """Whom this one-time link is for, while it is good; of any purpose, or of these."""
    live = OneTimeLink.used_at.is_(None) & (OneTimeLink.expires_at > clock.now())
    if purposes:
        live &= OneTimeLink.purpose.in_(purposes)
    return db.session.scalar(
        sa.select(User)
        .join(OneTimeLink, OneTimeLink.user_id == User.id)
        .where(OneTimeLink.secret_hash == security.fingerprint(secret), live)
    )


def grant_of(
    user_id: int,
    role: Role,
    *,
    merchant_id: int | None = None,
    promoter_id: int | None = None,
    agency_id: int | None = None,
) -> Grant | None:
    return db.session.scalar(
        sa.select(Grant).where(
            Grant.user_id == user_id,
            Grant.role == role,
            Grant.merchant_id.is_not_distinct_from(merchant_id),
            Grant.promoter_id.is_not_distinct_from(promoter_id),
            Grant.agency_id.is_not_distinct_from(agency_id),
            Grant.delegated_by.is_(None),
        )
    )


def device_of(user_id: int, secret: str) -> Device | None:
    """The device of this user that has this secret in its cookie."""
    return db.session.scalar(
        sa.select(Device).filter_by(user_id=user_id, secret_hash=security.fingerprint(secret))
    )


def has_devices(user_id: int) -> bool:
    found = db.session.scalar(sa.select(Device.id).filter_by(user_id=user_id).limit(1))
    return found is not None


def session_of(secret: str) -> UserSession | None:
    """The session with this secret, also when it is over."""
    return db.session.scalar(
        sa.select(UserSession).filter_by(secret_hash=security.fingerprint(secret))
    )


def grants_of(user_id: int) -> list[Grant]:
    """Those in force now."""
    found = db.session.scalars(sa.select(Grant).filter_by(user_id=user_id).order_by(Grant.id))
    return [grant for grant in found if is_in_force(grant)]


def merchant(merchant_id: int, *, lock: bool = False) -> Merchant:
    """NotFound if there is none; locked against others' changes when it is to be changed."""
    return _one(Merchant, merchant_id, lock=lock)


def user(user_id: int) -> User:
    return _one(User, user_id, lock=False)


def promoter(promoter_id: int, *, lock: bool = False) -> Promoter:
    return _one(Promoter, promoter_id, lock=lock)


def api_key(key_id: int, *, lock: bool = False) -> ApiKey:
    return _one(ApiKey, key_id, lock=lock)


def _one(model: type[Row], row_id: int, *, lock: bool) -> Row:
    # Who only refers to the row need not wait for who changes it.
    how = {"key_share": True} if lock else None
    row = db.session.get(model, row_id, with_for_update=how, populate_existing=lock)
    if row is None:
        raise NotFound(_("There is no such thing here."))
    return row


def agency(agency_id: int, *, lock: bool = False) -> Agency:
    return _one(Agency, agency_id, lock=lock)


def agencies(agency_ids: Iterable[int]) -> dict[int, Agency]:
    found = db.session.scalars(sa.select(Agency).where(among(Agency.id, set(agency_ids))))
    return {agency.id: agency for agency in found}


def agency_member(agency_id: int, promoter_id: int, *, lock: bool = False) -> AgencyMember:
    """The open membership or invitation; NotFound if there is none."""
    wanted = sa.select(AgencyMember).where(
        AgencyMember.agency_id == agency_id,
        AgencyMember.promoter_id == promoter_id,
        AgencyMember.until.is_(None),
    )
    found = db.session.scalar(wanted.with_for_update() if lock else wanted)
    if found is None:
        raise NotFound(_("There is no such promoter here."))
    return found


def agencies_of(promoter_id: int) -> list[tuple[AgencyMember, Agency]]:
    """The agency a promoter is with, and those that invite; open ones, the oldest first."""
    rows = db.session.execute(
        sa.select(AgencyMember, Agency)
        .join(Agency, Agency.id == AgencyMember.agency_id)
        .where(AgencyMember.promoter_id == promoter_id, AgencyMember.until.is_(None))
        .order_by(AgencyMember.id)
    )
    return [(member, agency) for member, agency in rows]


def agencies_as_of(wanted: Collection[At]) -> dict[At, int]:
    """The agency that each promoter was with at that instant; who was with none is left out."""
    rows = db.session.execute(
        sa.select(
            AgencyMember.promoter_id,
            AgencyMember.agency_id,
            AgencyMember.since,
            AgencyMember.until,
        ).where(
            among(AgencyMember.promoter_id, {who for who, _ in wanted}),
        )
    )
    times: dict[int, list[tuple[int, datetime, datetime | None]]] = defaultdict(list)
    for who, agency_id, since, until in rows:
        if since is not None:  # who never said yes was never with it
            times[who].append((agency_id, since, until))
    return {
        (who, at): agency_id
        for who, at in wanted
        for agency_id, since, until in times[who]
        if since <= at and (until is None or at < until)
    }


def merchants(merchant_ids: Iterable[int]) -> dict[int, Merchant]:
    found = db.session.scalars(sa.select(Merchant).where(Merchant.id.in_(set(merchant_ids))))
    return {merchant.id: merchant for merchant in found}


def promoters(promoter_ids: Iterable[int]) -> dict[int, Promoter]:
    found = db.session.scalars(sa.select(Promoter).where(among(Promoter.id, set(promoter_ids))))
    return {promoter.id: promoter for promoter in found}


def team_of(promoter_id: int, levels: int) -> sa.Select[tuple[int]]:
    """Who stands below this promoter now, so many levels deep: to be used in a clause."""
    below = (
        sa.select(Promoter.id, sa.literal(1).label("level"))
        .where(Promoter.sponsor_id == promoter_id)
        .cte("below", recursive=True)
    )
    next_level = sa.select(Promoter.id, below.c.level + 1).where(
        Promoter.sponsor_id == below.c.id, below.c.level < levels
    )
    return sa.select(below.union_all(next_level).c.id)


_UPLINES = sa.text("""
    WITH RECURSIVE up (start, at, level, promoter_id) AS (
        SELECT w.start, w.at, 0, w.start
          FROM unnest(CAST(:starts AS bigint[]), CAST(:ats AS timestamptz[])) AS w (start, at)
        UNION ALL
        SELECT up.start, up.at, up.level + 1, s.sponsor_id
          FROM up JOIN sponsorships s ON s.promoter_id = up.promoter_id
                                     AND s.since <= up.at AND (s.until IS NULL OR up.at < s.until)
         WHERE up.level < :levels
    )
    SELECT start, at, promoter_id FROM up WHERE level > 0 ORDER BY start, at, level
""")


def uplines(wanted: Collection[At], levels: int) -> dict[At, list[int]]:
    """The sponsors above each promoter as of an instant, nearest first, in one statement.

    Every wanted pair has an entry; nobody stands twice in a path, nor above themselves.
    """
    pairs = list(dict.fromkeys(wanted))
    paths: dict[At, list[int]] = {pair: [] for pair in pairs}
    if not pairs or levels < 1:
        return paths
    rows = db.session.execute(
        _UPLINES,
        {"starts": [p for p, _ in pairs], "ats": [at for _, at in pairs], "levels": levels},
    )
    for start, at, sponsor_id in rows:
        path = paths[start, at]
        # Clocks of several machines may disagree about which of two moves came first.
        if sponsor_id != start and sponsor_id not in path:
            path.append(sponsor_id)
    return paths


def suspensions(promoter_ids: Collection[int]) -> Mapping[int, list[Suspension]]:
    """Every stop of these promoters, oldest first."""
    found: dict[int, list[Suspension]] = defaultdict(list)
    rows = db.session.scalars(
        sa.select(Suspension)
        .where(among(Suspension.promoter_id, set(promoter_ids)))
        .order_by(Suspension.promoter_id, Suspension.since)
    )
    for row in rows:
        found[row.promoter_id].append(row)
    return found


def suspended(wanted: Collection[At]) -> set[At]:
    """Those who were stopped at that instant, whatever they are now."""
    stops = suspensions([promoter_id for promoter_id, _ in wanted])
    return {
        (promoter_id, at)
        for promoter_id, at in wanted
        if any(s.since <= at and (s.until is None or at < s.until) for s in stops[promoter_id])
    }
