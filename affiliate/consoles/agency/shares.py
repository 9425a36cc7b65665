"""What the agency gets in which program, of whom and of which product, and what the seller gets."""

from dataclasses import dataclass

import sqlalchemy as sa
from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import clock
from affiliate.catalog.models import Product
from affiliate.consoles.agency import bp
from affiliate.consoles.session import current_agency_id
from affiliate.db import db
from affiliate.people import queries as people
from affiliate.programs import book
from affiliate.programs import queries as programs
from affiliate.programs.book import Earning
from affiliate.programs.models import AgencyRate, AgencyRateVersion

ROWS = 500


@dataclass(frozen=True, slots=True)
class Share:
    """One line of the table. `seller` is what the promoter gets of the same sale."""

    rate: AgencyRate
    stated: AgencyRateVersion
    merchant: str
    program: str
    promoter: str | None
    product: str | None
    seller: Earning
    currency: str | None


@bp.get("/shares")
def shares() -> ResponseReturnValue:
    return render_template("agency/shares.html", rows=_shares(current_agency_id()))


def _shares(agency_id: int) -> list[Share]:
    rates = db.session.scalars(
        sa.select(AgencyRate)
        .where(AgencyRate.agency_id == agency_id)
        .order_by(AgencyRate.merchant_id, AgencyRate.program_id, AgencyRate.id)
        .limit(ROWS)
    ).all()
    stated = programs.latest_agency_rates([(each.merchant_id, each.id) for each in rates])
    standing = [each for each in rates if not stated[each.merchant_id, each.id].ended]
    keys = {(each.merchant_id, each.program_id) for each in standing}
    known, pages = programs.by_keys(keys), programs.books(keys)
    merchants = people.merchants(each.merchant_id for each in standing)
    names = people.promoters(each.promoter_id for each in standing if each.promoter_id)
    products = _products(standing)
    now = clock.now()
    found = []
    for each in standing:
        key = (each.merchant_id, each.program_id)
        product = products.get((each.merchant_id, each.product_id or 0))
        seller = book.offered(
            pages[key].as_of(now),
            at=now,
            promoter_id=each.promoter_id or 0,
            groups=programs.groups_of(each.promoter_id, now) if each.promoter_id else frozenset(),
            product=(product.shop_id, product.external_id) if product else (0, ""),
            category=product.category if product else None,
            currency=product.currency if product else merchants[each.merchant_id].currency,
            price=product.price if product else None,
        )
        found.append(
            Share(
                each,
                stated[each.merchant_id, each.id],
                merchants[each.merchant_id].name,
                known[key].name,
                names[each.promoter_id].name if each.promoter_id else None,
                product.title if product else None,
                seller,
                product.currency if product else merchants[each.merchant_id].currency,
            )
        )
    return found


def _products(rates: list[AgencyRate]) -> dict[tuple[int, int], Product]:
    wanted = [(each.merchant_id, each.product_id) for each in rates if each.product_id]
    rows = db.session.scalars(
        sa.select(Product).where(sa.tuple_(Product.merchant_id, Product.id).in_(wanted))
    )
    return {(row.merchant_id, row.id): row for row in rows}
