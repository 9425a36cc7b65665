"""Inbox jobs: book what waits, ring again for lost bells, forget old bodies."""

from affiliate import jobs
from affiliate.intake import service
from workers import context
from workers.context import task


def drain(merchant_id: int, shop_id: int) -> None:
    """Book a shop's waiting events. Its batches are its own units of work."""
    with context.application().app_context():
        jobs.answer(jobs.Job.DRAIN_INBOX, merchant_id, shop_id)
        service.drain(merchant_id, shop_id)


@task
def sweep() -> None:
    service.ring_for_waiting()


@task
def forget_bodies() -> None:
    service.forget_bodies()
