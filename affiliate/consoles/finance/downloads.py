"""The books as files: what is owed, accounts, transfers, payouts and pay-ins."""

from datetime import UTC, datetime, time

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from affiliate import audit, clock, exports
from affiliate.consoles import statements
from affiliate.consoles.finance import access, bp, words
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
    table, scope = TABLES[kind], access.asked_scope()
    mine = None if scope is None else sorted(scope)
    first = statements.asked_month() or clock.now().date().replace(day=1)
    since, until = (datetime.combine(day, time.min, UTC) for day in (first, shifted(first, 1)))
    stamp = f"{first:%Y-%m}" if table.in_period else str(clock.now().date())
    audit.record(
        "books.exported", subject="books", kind=kind, of=stamp,
        merchant_id=mine[0] if mine is not None and len(mine) == 1 else None,
    )  # fmt: skip
    return exports.table(f"{kind}-{stamp}", None, lambda: table.cells(mine, since, until))
