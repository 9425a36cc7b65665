"""What the agency's promoters sold: each line with what they and the agency earned by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate.commissions import queries as commissions
from affiliate.commissions.models import Commission
from affiliate.consoles import lists
from affiliate.consoles.agency import bp
from affiliate.consoles.session import current_agency_id
from affiliate.db import db
from affiliate.orders.models import Line, Order
from affiliate.people import queries as people

Key = tuple[int, int]


@bp.get("/orders")
def orders() -> ResponseReturnValue:
    mine = commissions.all_commissions().where(
        Commission.payee_kind == "agency", Commission.payee_id == current_agency_id()
    )
    found, cursor = lists.page(mine, [Commission.id])
    return render_template(
        "agency/orders.html",
        rows=found,
        lines=_lines(found),
        placed=_placed(found),
        sellers=_sellers(found),
        names=people.promoters(each.via_id for each in found),
        merchants=people.merchants(each.merchant_id for each in found),
        next=cursor,
    )


def _lines(rows: Sequence[Commission]) -> dict[Key, Line]:
    key = sa.tuple_(Line.merchant_id, Line.id)
    wanted = [(each.merchant_id, each.line_id) for each in rows]
    found = db.session.scalars(sa.select(Line).where(key.in_(wanted)))
    return {(line.merchant_id, line.id): line for line in found}


def _placed(rows: Sequence[Commission]) -> dict[Key, Order]:
    key = sa.tuple_(Order.merchant_id, Order.id)
    wanted = {(each.merchant_id, each.order_id) for each in rows}
    found = db.session.scalars(sa.select(Order).where(key.in_(list(wanted))))
    return {(order.merchant_id, order.id): order for order in found}


def _sellers(rows: Sequence[Commission]) -> dict[tuple[int, int, int], int]:
    """What the credited promoters earned of the same lines: by merchant, line and promoter."""
    key = sa.tuple_(Commission.merchant_id, Commission.line_id, Commission.via_id)
    wanted = [(each.merchant_id, each.line_id, each.via_id) for each in rows]
    found = db.session.scalars(
        commissions.all_commissions().where(
            key.in_(wanted), Commission.role.in_(("direct", "rebate"))
        )
    )
    return {
        (each.merchant_id, each.line_id, each.via_id): each.amount - each.reversed for each in found
    }
