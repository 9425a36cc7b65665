"""Settlement jobs. They name the row, run it, and know nothing else."""

from affiliate import jobs
from affiliate.jobs import Job
from affiliate.settlement import queries, runs
from affiliate.settlement.models import State
from workers import context
from workers.context import task


def build(merchant_id: int, settlement_id: int) -> None:
    """Many units of work, each stored before the next begins."""
    with context.application().app_context():
        for _ in runs.build(merchant_id, settlement_id):
            pass


def execute(merchant_id: int, settlement_id: int) -> None:
    with context.application().app_context():
        runs.execute(merchant_id, settlement_id)


@task
def sweep() -> None:
    """Ring again for settlements that nobody works on though there is work left."""
    for settlement in queries.quiet():
        building = settlement.state == State.BUILDING
        job = Job.BUILD_SETTLEMENT if building else Job.EXECUTE_SETTLEMENT
        jobs.ring(job, settlement.merchant_id, settlement.id)
