"""Release of commissions whose hold is over, closed months, and replays of past periods."""

import time

import sqlalchemy as sa

from affiliate import clock, jobs
from affiliate.commissions import service
from affiliate.commissions.service import simulating
from affiliate.db import db, unit_of_work
from affiliate.jobs import Job
from affiliate.people.models import Merchant
from workers import context
from workers.context import task

TURN_SECONDS = 60  # then others of the queue have theirs


def release() -> None:
    """For every merchant, each batch a unit of work of its own: a kill costs one batch."""
    with context.application().app_context():
        with unit_of_work():
            merchants = db.session.scalars(sa.select(Merchant.id).order_by(Merchant.id)).all()
        for merchant_id in merchants:
            ahead = service.Ahead()
            while _release_some(merchant_id, ahead):
                pass


def _release_some(merchant_id: int, ahead: service.Ahead) -> int:
    with unit_of_work():
        return service.release(merchant_id, clock.now(), ahead=ahead)


def close_months() -> None:
    """For every merchant that asks for grades or volumes, each a unit of work of its own."""
    with context.application().app_context():
        with unit_of_work():
            merchants = db.session.scalars(sa.select(Merchant.id).order_by(Merchant.id)).all()
        for merchant_id in merchants:
            with unit_of_work():
                service.close_due(db.session.get_one(Merchant, merchant_id))


def simulate(merchant_id: int, simulation_id: int) -> None:
    """A unit of work for each chunk, so that progress shows and a kill loses one chunk at most."""
    ends = time.monotonic() + TURN_SECONDS
    with context.application().app_context():
        while True:
            try:
                with unit_of_work():
                    more = simulating.work_on(merchant_id, simulation_id)
            except Exception as error:
                with unit_of_work():
                    simulating.note_failure(merchant_id, simulation_id, error)
                raise
            db.session.remove()  # flat memory, however long the period is
            if not more:
                return
            if time.monotonic() > ends:
                jobs.enqueue(Job.SIMULATE, merchant_id, simulation_id)
                return


@task
def sweep() -> None:
    """Ring again for simulations that nobody works on though they are not done."""
    for key in simulating.quiet():
        jobs.ring(Job.SIMULATE, *key)
