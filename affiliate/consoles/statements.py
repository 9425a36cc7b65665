"""Statements on pages: of a payee with each merchant, or of merchants. Read, printed or saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from affiliate import audit, clock, exports, ids
from affiliate.consoles.book_words import CODES, KINDS
from affiliate.db import among, db
from affiliate.ledger.models import Account, Kind
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Scope
from affiliate.programs import grades
from affiliate.settlement import statements
from affiliate.settlement.statements import Owner, Period, Statement

MONTHS = 60  # to choose from; every other period by API


@dataclass(frozen=True, slots=True)
class Place:
    """A console's page of statements, and the same as a file."""

    layout: str
    page: str
    file: str
    back: str | None = None  # where it is reached from
    back_words: Any = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One statement that may be asked for: `?of=`."""

    owner: Owner
    currency: str
    opened: date  # the month in which the first transfer was booked

    @property
    def key(self) -> str:
        return f"{ids.encode('mer', self.owner.merchant_id)}.{self.currency}"


def of_payee(kind: str, payee_id: int, scope: Scope = None) -> list[Choice]:
    """With each merchant, or with those of the scope, in each currency."""
    found = _accounts().where(
        Account.owner_kind == kind,
        Account.owner_id == payee_id,
        within(Account.merchant_id, scope),
    )
    return _choices(found, lambda merchant_id: Owner(merchant_id, kind, payee_id))


def of_merchants(merchant_ids: Sequence[int]) -> list[Choice]:
    found = _accounts().where(
        Account.owner_kind == "merchant",
        among(Account.owner_id, merchant_ids),
        Account.kind == Kind.RECEIVABLE,
    )
    return _choices(found, lambda merchant_id: Owner(merchant_id, "merchant", merchant_id))


def show(place: Place, choices: Sequence[Choice], name: str | None = None) -> ResponseReturnValue:
    """The statement asked for, or the first there is; `name` is the payee's."""
    chosen = chosen_of(choices)
    names = people.merchants({each.owner.merchant_id for each in choices})
    common: dict[str, Any] = {
        "place": place,
        "choices": [(each, names[each.owner.merchant_id].name) for each in choices],
        "name": name,
        "kept": {key: request.args[key] for key in ("payee",) if key in request.args},
    }
    if chosen is None:
        return render_template("statement.html", statement=None, **common)
    statement = _drawn(chosen)
    return render_template(
        "statement.html",
        statement=statement,
        lines=list(statements.lines(statement, statements.PAGE)),
        chosen=chosen,
        merchant=names[chosen.owner.merchant_id],
        months=months(chosen, statement.period),
        codes=CODES,
        kinds=KINDS,
        drawn_at=clock.now(),
        **common,
    )


def download(choices: Sequence[Choice]) -> Response:
    chosen = chosen_of(choices) or abort(404)
    statement = _drawn(chosen)
    owner, currency, period = statement.owner, statement.currency, statement.period
    audit.record(
        "statement.exported", subject=owner.subject, merchant_id=owner.merchant_id,
        currency=currency, first=str(period.first), last=str(period.last),
    )  # fmt: skip
    return exports.table(
        f"statement-{period.first:%Y-%m}-{currency}",
        statements.HEAD,
        lambda: statements.cells(statements.draw(owner, currency, period)),
    )


def _accounts() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(Account.merchant_id, Account.currency, sa.func.min(Account.created_at))
        .group_by(Account.merchant_id, Account.currency)
        .order_by(Account.merchant_id, Account.currency)
    )


def _choices(found: sa.Select[*tuple[Any, ...]], owner: Any) -> list[Choice]:
    rows = db.session.execute(found).all()
    zones = {id_: row.timezone for id_, row in people.merchants({row[0] for row in rows}).items()}
    return [
        Choice(owner(merchant_id), currency, grades.month_of(opened, zones[merchant_id]))
        for merchant_id, currency, opened in rows
    ]


def chosen_of(choices: Sequence[Choice]) -> Choice | None:
    """`?of=`, or the first there is."""
    asked = request.args.get("of")
    if asked:
        return next((each for each in choices if each.key == asked), None) or abort(404)
    return choices[0] if choices else None


def asked_month() -> date | None:
    """`?month=`; none where none is asked for."""
    text = request.args.get("month", "")
    try:
        month = date.fromisoformat(f"{text}-01") if text else None
    except ValueError:
        abort(404)
    if month is not None and not 1970 <= month.year <= 2200:
        abort(404)
    return month


def asked_period(chosen: Choice) -> Period:
    """That month where the merchant is, or the one that it is there now."""
    return statements.month_of(chosen.owner.merchant_id, asked_month())


def months(chosen: Choice, period: Period) -> list[date]:
    """From now back to the first that anything was booked in, and the one that is shown."""
    month = grades.month_of(clock.now(), period.zone)
    found = {period.first}
    while month >= chosen.opened and len(found) < MONTHS:
        found.add(month)
        month = grades.shifted(month, -1)
    return sorted(found, reverse=True)


def _drawn(chosen: Choice) -> Statement:
    return statements.draw(chosen.owner, chosen.currency, asked_period(chosen))
