"""One's own data: to take along as a file, and to be erased.

Erasing waits for open money. Amounts, payouts and tax rows stay, as the law wants books kept; the
person behind them has no name any more.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Response, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.commissions.models import Commission, Entry
from affiliate.consoles import payout_accounts, purses
from affiliate.consoles import session as door
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import page, secret_typed, typed
from affiliate.consoles.session import SignedIn, current_person
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.links.models import Link
from affiliate.money import Money
from affiliate.notices import queries as notices
from affiliate.notices.models import Notice
from affiliate.notices.service import forget_person
from affiliate.orders.models import Order
from affiliate.payouts.models import Payout
from affiliate.people import leaving, openid, pictures, queries, sessions, tries
from affiliate.people.models import Consent, Merchant, Promoter, Role
from affiliate.programs.models import Membership, Program
from affiliate.security import password_fits

ROWS = 1000  # read at a time
STAGES = ("estimated", "pending", "available", "reserved")
EXPORTS = tries.Limit("exports", 5, timedelta(hours=1))


@bp.get("/account/data")
def data() -> ResponseReturnValue:
    person = current_person()
    return _page(person)


@bp.get("/account/data.zip")
def export() -> ResponseReturnValue:
    """Everything that is about this person, as JSON: for people to read, and for machines."""
    person = current_person()
    tries.count(EXPORTS, str(person.user.id))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in _parts(person):
            with archive.open(f"{name}.json", "w") as file:
                mark = "["
                for row in rows:
                    text = json.dumps(row, ensure_ascii=False, default=_plain)
                    file.write(f"{mark}\n{text}".encode())
                    mark = ","
                file.write(b"[]\n" if mark == "[" else b"\n]\n")
        for promoter in _promoters(person):
            if found := pictures.of(promoter.id):
                archive.writestr(f"picture-{ids.encode('prm', promoter.id)}.webp", found.picture)
    day = clock.now().date().isoformat()
    return Response(
        packed.getvalue(),
        mimetype="application/zip",
        headers={"Content-Disposition": f'attachment; filename="tuike-{day}.zip"'},
    )


@bp.post("/account/erase")
def erase() -> ResponseReturnValue:
    person = current_person()
    if refusal := _why_not(person):
        return _page(person, refusal, status=409)
    try:
        wrong = _not_proven(person)
    except AffiliateError as refused:
        wrong = refused.message
    if wrong:
        return _page(person, wrong=wrong, status=422)
    promoters = [queries.promoter(each.id, lock=True) for each in _promoters(person)]
    forget_person(person.user.id)
    leaving.erase(person.user, promoters)
    door.leave()
    flash(_("You are erased. Take care!"), "done")
    return redirect(url_for("account.sign_in"), 303)


def _not_proven(person: SignedIn) -> Any:
    """An open phone is not its owner."""
    if not typed("sure"):
        return _("Tick this, as it cannot be undone.")
    if person.user.password_hash is None:
        return None
    tries.count(sessions.PASSWORDS, f"again/{person.user.id}")
    if not password_fits(person.user.password_hash, secret_typed("password")):
        return _("This is not your present password.")
    return None


def _page(
    person: SignedIn, refusal: Any = None, *, wrong: Any = None, status: int = 200
) -> ResponseReturnValue:
    return page(
        "account/data.html",
        status=status,
        open_money=_open_money(person),
        why_not=refusal or _why_not(person),
        wrong=wrong,
        has_password=person.user.password_hash is not None,
    )


def _why_not(person: SignedIn) -> Any:
    if any(grant.role != Role.PROMOTER for grant in person.grants):
        return _("You act for a merchant, an agency or the operator. Ask them to let you go first.")
    if _open_money(person):
        return _("There is money that is not settled yet. Once nothing is open, you can go.")
    return None


def _open_money(person: SignedIn) -> list[tuple[str, Money]]:
    """By merchant, what is not paid out, also what is owed back."""
    found: dict[tuple[int, str], int] = {}
    for promoter in _promoters(person):
        for key, purse in purses.by_merchant("promoter", promoter.id).items():
            if any(getattr(purse, stage) for stage in STAGES):
                found[key] = found.get(key, 0) + sum(getattr(purse, stage) for stage in STAGES)
    merchants = queries.merchants({merchant_id for merchant_id, _currency in found})
    return [(merchants[key[0]].name, Money(amount, key[1])) for key, amount in found.items()]


def _promoters(person: SignedIn) -> list[Promoter]:
    wanted = {grant.promoter_id for grant in person.grants if grant.promoter_id is not None}
    return list(queries.promoters(wanted).values())


def _parts(person: SignedIn) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Name of each file and its rows. Buyers are in none of them, nor other people's names."""
    user = person.user
    mine = [each.id for each in _promoters(person)]
    yield "account", iter([_account(person)])
    yield "sessions", iter([
        {"signed_in": each.created_at, "seen": each.seen_at, "network": each.network,
         "browser": each.user_agent}
        for each in sessions.all_of(user.id)
    ])  # fmt: skip
    yield "promoter", (
        {"id": ids.encode("prm", each.id), "name": each.name, "email": each.email,
         "phone": each.phone, "country": each.country, "profile": each.profile,
         "since": each.created_at, "has_sponsor": each.sponsor_id is not None}
        for each in _promoters(person)
    )  # fmt: skip
    yield "payout_accounts", (
        {"rail": each.rail, "country": each.country, "currency": each.currency,
         "account": each.masked, "used_from": each.used_from}
        for promoter_id in mine
        for each in payout_accounts.live("promoter", promoter_id)
    )  # fmt: skip
    yield "programs", _rows(
        sa.select(Merchant.name, Program.name, Membership.state, Membership.created_at)
        .join(Program, sa.and_(Program.merchant_id == Membership.merchant_id,
                               Program.id == Membership.program_id))
        .join(Merchant, Merchant.id == Membership.merchant_id)
        .where(Membership.promoter_id.in_(mine)).order_by(Membership.id),
        "merchant program state since",
    )  # fmt: skip
    yield "links", _rows(
        sa.select(Link.code, Link.url, Link.content, Link.created_at)
        .where(Link.promoter_id.in_(mine)).order_by(Link.id),
        "code url content made",
    )  # fmt: skip
    yield "commissions", _rows(
        sa.select(Merchant.name, Order.number, Order.placed_at, Commission.role, Entry.amount,
                  Entry.currency, Entry.state, Entry.created_at)
        .join(Commission, sa.and_(Commission.merchant_id == Entry.merchant_id,
                                  Commission.id == Entry.commission_id))
        .join(Order, sa.and_(Order.merchant_id == Entry.merchant_id, Order.id == Entry.order_id))
        .join(Merchant, Merchant.id == Entry.merchant_id)
        .where(Entry.payee_kind == "promoter", Entry.payee_id.in_(mine)).order_by(Entry.id),
        "merchant order placed role amount currency state at",
    )  # fmt: skip
    yield "payouts", _rows(
        sa.select(Merchant.name, Payout.reference, Payout.gross, Payout.withheld, Payout.net,
                  Payout.currency, Payout.state, Payout.paid_at)
        .join(Merchant, Merchant.id == Payout.merchant_id)
        .where(Payout.payee_kind == "promoter", Payout.payee_id.in_(mine)).order_by(Payout.id),
        "merchant reference gross withheld net currency state paid",
    )  # fmt: skip
    yield "notices", _rows(
        sa.select(Notice.channel, Notice.kind, Notice.subject, Notice.created_at)
        .where(Notice.user_id == user.id).order_by(Notice.id),
        "channel kind subject at",
    )  # fmt: skip


def _account(person: SignedIn) -> dict[str, Any]:
    user = person.user
    consents = db.session.scalars(sa.select(Consent).filter_by(user_id=user.id))
    return {
        "name": user.name, "email": user.email, "phone": user.phone, "language": user.locale,
        "timezone": user.timezone, "currency": user.currency, "since": user.created_at,
        "consents": [
            {"kind": each.kind, "words": each.words, "terms": each.terms_url, "at": each.created_at}
            for each in consents
        ],
        "signs_in_by": [each.issuer for each in openid.identities_of(user.id)],
        "notices": {kind: sorted(ways) for kind, ways in notices.chosen(user.id).items()},
    }  # fmt: skip


def _rows(wanted: sa.Executable, names: str) -> Iterator[dict[str, Any]]:
    found = db.session.execute(wanted.execution_options(yield_per=ROWS))
    return (dict(zip(names.split(), row, strict=True)) for row in found)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
