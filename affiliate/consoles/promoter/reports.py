"""A promoter's reports: which links and products bring clicks and orders."""

from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import i18n
from affiliate.consoles import reporting
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.insight import store
from affiliate.insight.store import Question


@bp.get("/reports/")
def reports() -> ResponseReturnValue:
    asked = _asked()
    return render_template(
        "promoter/reports.html",
        report=reporting.report(asked),
        periods=reporting.periods(),
        today=reporting.today(i18n.zone(), asked),
        products=reporting.leaders("product", asked),
        links=reporting.leaders("link", asked),
        assists=sum(store.assists(asked).values()),
        money=reporting.money,
    )


@bp.get("/reports/today")
def clicks_today() -> ResponseReturnValue:
    return render_template("_parts/clicks_today.html", today=reporting.today(i18n.zone(), _asked()))


def _asked() -> Question:
    return reporting.question(i18n.zone(), promoter_ids=frozenset({current_promoter_id()}))
