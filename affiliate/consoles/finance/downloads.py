"""The books as files: what is owed, accounts, transfers, payouts and pay-ins."""

from datetime import UTC, date, datetime, timedelta

from flask import Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from affiliate import audit, clock, exports
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_scope
from affiliate.people.rules import Right
from affiliate.programs.grades import shifted
from affiliate.settlement.exported import TABLES

MONTHS = 60  # to choose from


@bp.get("/exports/")
def downloads() -> ResponseReturnValue:
    this = clock.now().date().replace(day=1)
    return render_template(
        "finance/downloads.html",
        choices=access.merchants(),
        tables=[(kind, words.TABLES[kind], each.in_period) for kind, each in TABLES.items()],
        months=[shifted(this, -ago) for ago in range(MONTHS)],
    )


@bp.get("/exports/<any(entries, accounts, transfers, payouts, pay_ins):kind>.csv")
def download(kind: str) -> Response:
    """Of the chosen merchant or all that may be read; of one month in UTC, or as it stands now."""
    table = TABLES[kind]
    merchant_id = access.asked_merchant()
    scope = current_scope(Right.READ_MONEY) if merchant_id is None else frozenset({merchant_id})
    mine = None if scope is None else sorted(scope)
    first = _month() if table.in_period else clock.now().date()
    since = datetime(first.year, first.month, 1, tzinfo=UTC)
    last = shifted(first.replace(day=1), 1) - timedelta(days=1)
    until = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    audit.record(
        "books.exported", subject="books", merchant_id=merchant_id or _only(mine), kind=kind,
        first=str(first),
    )  # fmt: skip
    name = f"{kind}-{first:%Y-%m}" if table.in_period else f"{kind}-{first}"
    return exports.table(name, None, lambda: table.cells(mine, since, until))


def _only(mine: list[int] | None) -> int | None:
    return mine[0] if mine is not None and len(mine) == 1 else None


def _month() -> date:
    text = request.args.get("month", "")
    try:
        found = date.fromisoformat(f"{text}-01") if text else clock.now().date().replace(day=1)
    except ValueError:
        abort(404)
    return found if 1970 <= found.year <= 2200 else abort(404)
