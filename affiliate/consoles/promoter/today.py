"""The promoter's first page: what came in today, and what can be taken."""

from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import i18n
from affiliate.consoles.currencies import currency_of
from affiliate.consoles.promoter import bp, figures
from affiliate.consoles.promoter.orders import recent
from affiliate.consoles.session import current_promoter_id
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
    return {
        "figures": figures.today(
            promoter.id, i18n.zone(), usual=currency_of(promoter.country or "")
        ),
        "orders": recent(promoter.id),
    }
