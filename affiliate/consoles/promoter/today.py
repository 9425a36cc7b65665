"""The promoter's first page: what came in today, and what can be taken."""

from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import clock, i18n
from affiliate.consoles.currencies import currency_of
from affiliate.consoles.promoter import bp, figures, tasks
from affiliate.consoles.promoter.figures import Today
from affiliate.consoles.promoter.orders import recent
from affiliate.consoles.session import current_person, current_promoter_id
from affiliate.fx import service as fx
from affiliate.fx.service import Shown
from affiliate.people import queries as people


@bp.get("/")
def today() -> ResponseReturnValue:
    return render_template("promoter/today.html", **_news())


@bp.get("/live")
def live() -> ResponseReturnValue:
    """What changes while the page is open, for a page that is open."""
    return render_template("promoter/_live.html", **_news())


def _news() -> dict[str, Any]:
    promoter = people.promoter(current_promoter_id())
    found = figures.today(promoter.id, i18n.zone(), usual=currency_of(promoter.country or ""))
    return {
        "figures": found,
        "total": _total(found),
        "tasks": tasks.waiting(promoter.id),
        "orders": recent(promoter.id),
    }


def _total(found: Today) -> Shown | None:
    """What was earned this month as one sum, for who reads sums in a currency of their own."""
    wanted = current_person().user.currency
    if wanted is None or {each.currency for each in found.earned} <= {wanted}:
        return None
    months = [(each.month, each.currency) for each in found.earned]
    return fx.total(months, wanted, clock.now().astimezone(i18n.zone()).date())
