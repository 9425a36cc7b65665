"""Release of commissions whose hold is over. Runs every minute for every merchant."""

import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions import service
from affiliate.db import db, unit_of_work
from affiliate.people.models import Merchant
from workers import context


def release() -> None:
    """Each batch is a unit of work of its own, so a kill in the middle costs one batch."""
    with context.application().app_context():
        with unit_of_work():
            merchants = db.session.scalars(sa.select(Merchant.id).order_by(Merchant.id)).all()
        for merchant_id in merchants:
            while _release_some(merchant_id):
                pass


def _release_some(merchant_id: int) -> int:
    with unit_of_work():
        return service.release(merchant_id, clock.now())
