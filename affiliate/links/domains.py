"""The short domains of this instance: which one a link is shown under, and who decides.

Every code answers on every domain that leads here, so a blocked one only loses its new links.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.dialects.postgresql import insert

from affiliate import clock, jobs
from affiliate.catalog import rules as addresses
from affiliate.catalog.models import Shop
from affiliate.db import among_keys, db
from affiliate.errors import Conflict, FieldError, NotFound, invalid
from affiliate.i18n import _
from affiliate.jobs import Job
from affiliate.links.models import Link, ShortDomain
from affiliate.people.rules import COUNTRIES

_CHOOSING = 7_425_331
FAILURES = 2  # one after the other, before a domain is believed to be down


class KnownDomain(Conflict):
    code = "known_domain"


# One that may be passed on: it was found to be ours, and is neither blocked nor down.
_IS_GOOD = sa.and_(
    ShortDomain.blocked_at.is_(None),
    ShortDomain.answered_at.is_not(None),
    ShortDomain.failures < FAILURES,
)
_OF_MARKET = Shop.country == sa.any_(ShortDomain.countries)

# Of a link and its shop in the same statement: its own domain until that is blocked, then the one
# that a new link would get. None: the public address of the instance.
BASE = (
    sa.select(ShortDomain.address)
    .where(
        sa.or_(
            sa.and_(ShortDomain.id == Link.domain_id, ShortDomain.blocked_at.is_(None)),
            sa.and_(
                Link.domain_id.is_not(None),
                _IS_GOOD,
                sa.or_(_OF_MARKET, ShortDomain.is_default),
            ),
        )
    )
    .order_by((ShortDomain.id == Link.domain_id).desc(), _OF_MARKET.desc(), ShortDomain.id)
    .limit(1)
    .correlate(Link, Shop)
    .scalar_subquery()
)


def for_new_link(country: str) -> ShortDomain | None:
    """The market's, else the default one."""
    in_market = sa.literal(country) == sa.any_(ShortDomain.countries)
    return db.session.scalar(
        sa.select(ShortDomain)
        .where(_IS_GOOD, sa.or_(in_market, ShortDomain.is_default))
        .order_by(in_market.desc(), ShortDomain.id)
        .limit(1)
    )


def bases_of(links: Collection[Link]) -> dict[int, str]:
    """What stands before `/s/<word>`, by link."""
    usual = {link.id: public_address() for link in links}
    placed = [(link.merchant_id, link.id) for link in links if link.domain_id is not None]
    if not placed:
        return usual
    rows = db.session.execute(
        sa.select(Link.id, BASE.label("base"))
        .join(Shop, sa.and_(Shop.merchant_id == Link.merchant_id, Shop.id == Link.shop_id))
        .where(among_keys(Link.merchant_id, Link.id, placed))
    )
    return usual | {row.id: row.base for row in rows if row.base}


def base_of(link: Link) -> str:
    return bases_of([link])[link.id]


def public_address() -> str:
    return str(current_app.config["SETTINGS"].address)


def ours() -> set[str]:
    """Hosts under which a short link of ours may be written, also on blocked domains."""
    found = db.session.scalars(sa.select(ShortDomain.address))
    return {urlsplit(each).netloc for each in (*found, public_address())}


def domain(domain_id: int, *, lock: bool = False) -> ShortDomain:
    found = db.session.get(ShortDomain, domain_id, with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such domain."))
    return found


def every() -> Sequence[ShortDomain]:
    return db.session.scalars(sa.select(ShortDomain).order_by(ShortDomain.id)).all()


# --- what operators decide -------------------------------------------------------------------


def add(text: str, *, countries: Collection[str] = (), is_default: bool = False) -> ShortDomain:
    """New links take it as soon as a probe has found us there."""
    address = _address(text)
    new = insert(ShortDomain).values(
        address=address, countries=_markets(countries), is_default=False, failures=0, version=1,
        created_at=clock.now(),
    )  # fmt: skip
    domain_id = db.session.scalar(new.on_conflict_do_nothing().returning(ShortDomain.id))
    if domain_id is None:
        message = _("This domain is known already.")
        raise KnownDomain(message, errors=(FieldError("/address", "known_domain", message),))
    found = domain(domain_id)
    if is_default:
        _make_default(found)
    jobs.ring(Job.PROBE_DOMAINS)
    return found


def change(found: ShortDomain, changes: Mapping[str, Any]) -> ShortDomain:
    """`countries`, `is_default`, `blocked`."""
    if "countries" in changes:
        found.countries = _markets(changes["countries"])
    if changes.get("is_default") is True:
        _make_default(found)
    if changes.get("is_default") is False:
        found.is_default = False
    if "blocked" in changes:
        found.blocked_at = (found.blocked_at or clock.now()) if changes["blocked"] else None
        if not changes["blocked"]:
            ask_again(found)
    found.version += 1
    db.session.flush()
    return found


def ask_again(found: ShortDomain) -> None:
    """Probe it at once, whenever that was done before."""
    found.probed_at = None
    db.session.flush()
    jobs.ring(Job.PROBE_DOMAINS)


def _make_default(found: ShortDomain) -> None:
    # Two operators at once: the second waits, and takes it from the first.
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHOOSING)))
    others = sa.update(ShortDomain).where(ShortDomain.is_default, ShortDomain.id != found.id)
    db.session.execute(others.values(is_default=False, version=ShortDomain.version + 1))
    found.is_default = True
    db.session.flush()


def _address(text: str) -> str:
    """`Go.Example.com` → `https://go.example.com`; http only where it is said."""
    given = text.strip()
    try:
        address = addresses.web_address(given if "://" in given else f"https://{given}")
    except addresses.BadAddress as error:
        raise invalid("/address", "bad_address", str(error)) from None
    parts = urlsplit(address)
    if parts.path != "/" or parts.query or parts.fragment:
        message = _("A domain stands for itself, without a path: go.example.com.")
        raise invalid("/address", "bad_address", message)
    return f"{parts.scheme}://{parts.netloc}"


def _markets(countries: Collection[str]) -> list[str]:
    found = sorted({each.strip().upper() for each in countries if each.strip()})
    for each in found:
        if each not in COUNTRIES:
            raise invalid(
                "/countries", "unknown_country", _("There is no country %(code)s.", code=each)
            )
    return found
