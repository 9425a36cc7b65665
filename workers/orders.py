"""What was sold of each product, what together, and what each program brings its promoters is
counted anew. Runs every day.
"""

import sqlalchemy as sa

from affiliate.commissions import together
from affiliate.db import db, unit_of_work
from affiliate.insight import offers
from affiliate.orders import sales
from affiliate.people.models import Merchant
from workers import context


def count_sales() -> None:
    """One transaction for each merchant: a big one holds nobody else up."""
    with context.application().app_context():
        with unit_of_work():
            merchants = db.session.scalars(sa.select(Merchant.id)).all()
        for merchant_id in merchants:
            with unit_of_work():
                sales.count(merchant_id)
            with unit_of_work():
                together.count(merchant_id)
            with unit_of_work():
                offers.count(merchant_id)
