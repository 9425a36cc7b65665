"""Where a payee wants to be paid: one live account per currency; replaced ones stay.

A first account is used at once. One that takes the place of another cools off: for two days payouts
still go to the one before, and its owner is told, so that nobody who got into an account can turn
its money away unseen.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa

from affiliate import audit, clock, events, money, security
from affiliate.db import db
from affiliate.errors import invalid
from affiliate.i18n import _
from affiliate.payouts import names, queries, rails
from affiliate.payouts.models import PayoutAccount
from affiliate.people import queries as people
from affiliate.risk import service as risk

COOLS_OFF = timedelta(hours=48)
SEALED = "payout_accounts.fields"
PREFIX = {"promoter": "prm", "agency": "agn"}


def add_account(
    payee_kind: str,
    payee_id: int,
    *,
    rail: str,
    country: str,
    currency: str,
    fields: Mapping[str, object],
    label: str | None = None,
) -> PayoutAccount:
    """Check what was typed and take it, at once or after the cooling-off; the account before it is
    kept as replaced.

    Payouts that exist already still go to the account they were made for.
    """
    _check_currency(rail, currency)
    found = rails.find(rail).read(country, fields)
    fingerprint = security.keyed_hash(found.identity, purpose="payout account")
    _lock(payee_kind, payee_id, currency)
    before = queries.account_in_use(payee_kind, payee_id, currency)
    is_other = before is not None and (before.rail, before.fingerprint) != (rail, fingerprint)
    _replace(payee_kind, payee_id, currency)
    account = PayoutAccount(
        payee_kind=payee_kind,
        payee_id=payee_id,
        rail=rail,
        country=country,
        currency=currency,
        fields=security.seal(json.dumps(found.fields).encode(), place=SEALED),
        masked=found.masked,
        fingerprint=fingerprint,
        used_from=clock.now() + (COOLS_OFF if is_other else timedelta(0)),
        name_differs=names.differ(found.fields["account_holder"], _name(payee_kind, payee_id)),
        label=label,
    )
    db.session.add(account)
    db.session.flush()
    _look_for_others(account)
    if is_other:
        _tell_owner(account)
    audit.record(
        "payout_account.added", subject=f"acc:{account.id}", rail=rail, currency=currency,
        payee=f"{PREFIX[payee_kind]}:{payee_id}", account=account.masked,
    )  # fmt: skip
    return account


def _look_for_others(account: PayoutAccount) -> None:
    """One account for several promoters is worth a look before money goes there."""
    sharing = db.session.scalars(
        sa.select(PayoutAccount.payee_id)
        .distinct()
        .where(
            PayoutAccount.payee_kind == "promoter",
            PayoutAccount.fingerprint == account.fingerprint,
            PayoutAccount.replaced_at.is_(None),
        )
    ).all()
    if account.payee_kind == "promoter" and len(sharing) > 1:
        risk.flag_shared_account(sharing)


def _check_currency(rail: str, currency: str) -> None:
    try:
        money.exponent(currency)
    except money.BadAmount as wrong:
        raise invalid("/currency", wrong.code, str(wrong)) from None
    if not rails.find(rail).takes(currency):
        raise invalid(
            "/currency",
            "no_rail",
            _("The rail %(rail)s does not send %(currency)s.", rail=rail, currency=currency),
        )


def _name(payee_kind: str, payee_id: int) -> str:
    return (people.agency if payee_kind == "agency" else people.promoter)(payee_id).name


def _tell_owner(account: PayoutAccount) -> None:
    payload = {
        "account": account.masked,
        "currency": account.currency,
        "used_from": account.used_from.isoformat(),
        "agency": account.payee_kind == "agency",
    }
    for whose in _owners(account):
        events.record("payout_account.changed", payload=payload, **whose)


def _owners(account: PayoutAccount) -> list[dict[str, int]]:
    if account.payee_kind == "promoter":
        return [{"promoter_id": account.payee_id}]
    return [{"user_id": user.id} for user in people.users_of_agency(account.payee_id)]


def _lock(payee_kind: str, payee_id: int, currency: str) -> None:
    # Two at once: the second waits here and replaces the first.
    name = f"payout account:{payee_kind}:{payee_id}:{currency}"
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def _replace(payee_kind: str, payee_id: int, currency: str) -> None:
    db.session.execute(
        sa.update(PayoutAccount)
        .where(
            PayoutAccount.payee_kind == payee_kind,
            PayoutAccount.payee_id == payee_id,
            PayoutAccount.currency == currency,
            PayoutAccount.replaced_at.is_(None),
        )
        .values(replaced_at=clock.now(), version=PayoutAccount.version + 1)
    )


def label_account(account: PayoutAccount, label: str | None) -> PayoutAccount:
    """The only thing about an account that can be changed."""
    account.label = label
    account.version += 1
    db.session.flush()
    return account


def open_fields(sealed: bytes) -> dict[str, str]:
    fields: dict[str, str] = json.loads(security.unseal(sealed, place=SEALED))
    return fields
