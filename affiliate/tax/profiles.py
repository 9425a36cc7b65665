"""What payees say of themselves: taken as a new version, shown masked."""

import sqlalchemy as sa

from affiliate import audit, clock, security
from affiliate.db import db
from affiliate.errors import Conflict, NotFound, invalid
from affiliate.i18n import _
from affiliate.people.rules import COUNTRIES
from affiliate.tax import numbers, tables
from affiliate.tax.models import TaxProfile, TinStatus

SEALED = "tax_profiles.tax_id"
PREFIX = {"promoter": "prm", "agency": "agn"}


class ProfileChanged(Conflict):
    code = "profile_changed"


def live(payee_kind: str, payee_id: int) -> TaxProfile | None:
    return db.session.scalar(
        sa.select(TaxProfile).where(*_of(payee_kind, payee_id), TaxProfile.replaced_at.is_(None))
    )


def find(profile_id: int) -> TaxProfile:
    found = db.session.get(TaxProfile, profile_id)
    if found is None:
        raise NotFound(_("There is no such tax profile."))
    return found


def find_of(payee_kind: str, payee_id: int, profile_id: int) -> TaxProfile:
    """This payee's; anybody else's does not exist."""
    found = find(profile_id)
    if (found.payee_kind, found.payee_id) != (payee_kind, payee_id):
        raise NotFound(_("There is no such tax profile."))
    return found


def versions(payee_kind: str, payee_id: int) -> sa.Select[TaxProfile]:
    return sa.select(TaxProfile).where(*_of(payee_kind, payee_id))


def say(
    payee_kind: str,
    payee_id: int,
    *,
    country: str,
    person: str,
    regime: str = "general",
    tax_id: str | None = None,
    keep_id: bool = False,
    by: int | None = None,
) -> TaxProfile:
    """The payee's own words. The number is kept (`keep_id`) only where nothing changed its kind."""
    before = _lock(payee_kind, payee_id)
    _check(country, person, regime)
    number = numbers.read(country, person, tax_id) if tax_id else None
    profile = TaxProfile(
        payee_kind=payee_kind, payee_id=payee_id, country=country, person=person, regime=regime,
        tin_status=TinStatus.MISSING, said_by=by,
    )  # fmt: skip
    if number:
        profile.tax_id = security.seal(number.encode(), place=SEALED)
        profile.masked = numbers.masked(number)
        profile.fingerprint = security.keyed_hash(f"{country}:{number}", purpose="tax number")
        profile.tin_status = TinStatus.GIVEN
    elif keep_id and before and (before.country, before.person) == (country, person):
        _take_id(profile, before)
    if before and _same(before, profile):
        return before
    return _put(profile, before, "tax_profile.said", by)


def set_status(profile_id: int, status: TinStatus, *, by: int) -> TaxProfile:
    """What the authority says of the number, told by finance: a version like any other."""
    there = find(profile_id)
    before = _lock(there.payee_kind, there.payee_id)
    if before is None or before.id != profile_id:
        raise ProfileChanged(_("The payee has changed the tax profile since."))
    if before.tax_id is None or status == TinStatus.MISSING:
        raise invalid("/status", "no_tax_id", _("There is no tax number to say that of."))
    if before.tin_status == status:
        return before
    profile = TaxProfile(
        payee_kind=before.payee_kind, payee_id=before.payee_id, country=before.country,
        person=before.person, regime=before.regime, said_by=by,
    )  # fmt: skip
    _take_id(profile, before)
    profile.tin_status = status
    return _put(profile, before, "tax_profile.judged", by)


def open_id(profile: TaxProfile) -> str | None:
    """In clear, for what goes to the authority."""
    sealed = profile.tax_id
    return None if sealed is None else security.unseal(sealed, place=SEALED).decode()


def _check(country: str, person: str, regime: str) -> None:
    if country not in COUNTRIES:
        raise invalid("/country", "unknown_country", _("There is no such country."))
    if person not in tables.PERSONS:
        raise invalid("/person", "unknown_value", _("Choose one of the list."))
    if regime not in tables.regimes(country):
        raise invalid("/regime", "unknown_value", _("There is no such regime in this country."))


def _lock(payee_kind: str, payee_id: int) -> TaxProfile | None:
    """Two at once: the second waits here and replaces the first."""
    name = f"tax profile:{payee_kind}:{payee_id}"
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
    return live(payee_kind, payee_id)


def _take_id(profile: TaxProfile, before: TaxProfile) -> None:
    profile.tax_id, profile.masked = before.tax_id, before.masked
    profile.fingerprint, profile.tin_status = before.fingerprint, before.tin_status


def _same(before: TaxProfile, after: TaxProfile) -> bool:
    names = ("country", "person", "regime", "fingerprint")
    return all(getattr(before, name) == getattr(after, name) for name in names)


def _put(profile: TaxProfile, before: TaxProfile | None, action: str, by: int | None) -> TaxProfile:
    if before:
        before.replaced_at = clock.now()
        before.version += 1
        db.session.flush()
    db.session.add(profile)
    db.session.flush()
    audit.record(
        action, subject=f"txp:{profile.id}", by=by, payee=_payee(profile),
        country=profile.country, person=profile.person, regime=profile.regime,
        tax_id=profile.masked, status=profile.tin_status,
    )  # fmt: skip
    return profile


def _payee(profile: TaxProfile) -> str:
    return f"{PREFIX[profile.payee_kind]}:{profile.payee_id}"


def _of(payee_kind: str, payee_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return TaxProfile.payee_kind == payee_kind, TaxProfile.payee_id == payee_id
