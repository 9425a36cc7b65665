"""The merchant's reports: who and what brings clicks and orders, and what came of them."""

from zoneinfo import ZoneInfo

from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate.consoles import reporting
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_merchant_id
from affiliate.insight import store
from affiliate.insight.store import Question
from affiliate.people import queries as people


@bp.get("/reports/")
def reports() -> ResponseReturnValue:
    zone, asked = _asked()
    return render_template(
        "merchant/reports.html",
        report=reporting.report(asked),
        periods=reporting.periods(),
        today=reporting.today(zone, asked),
        promoters=reporting.leaders("promoter", asked),
        products=reporting.leaders("product", asked),
        links=reporting.leaders("link", asked),
        contents=reporting.leaders("content_item", asked),
        assists=store.assists(asked),
        money=reporting.money,
    )


@bp.get("/reports/today")
def clicks_today() -> ResponseReturnValue:
    """The one number that an open page asks for again and again."""
    zone, asked = _asked()
    return render_template("_parts/clicks_today.html", today=reporting.today(zone, asked))


def _asked() -> tuple[ZoneInfo, Question]:
    merchant = people.merchant(current_merchant_id())
    zone = ZoneInfo(merchant.timezone)
    return zone, reporting.question(zone, merchant_ids=frozenset({merchant.id}))
