"""Posters are drawn before they are asked for; what nobody looks at is thrown away."""

from affiliate import jobs
from affiliate.material import service
from workers import context
from workers.context import task


def draw_posters(merchant_id: int, link_id: int) -> None:
    """The shop is asked for its picture, and the posters are drawn, outside of transactions."""
    with context.application().app_context():
        jobs.answer(jobs.Job.DRAW_POSTERS, merchant_id, link_id)
        service.draw_posters(merchant_id, link_id)


@task
def sweep() -> None:
    service.sweep()


@task
def forget() -> None:
    service.forget()
