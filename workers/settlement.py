"""Settlement jobs. They name the row, run it, and know nothing else."""

from affiliate import jobs
from affiliate.jobs import Job
from affiliate.settlement import queries, runs
from affiliate.settlement.models import State
from workers.context import application, job_logged, task


def build(merchant_id: int, settlement_id: int) -> None:
    with application().app_context(), job_logged():
        for _ in runs.build(merchant_id, settlement_id):
            pass


def execute(merchant_id: int, settlement_id: int) -> None:
    with application().app_context(), job_logged():
        runs.execute(merchant_id, settlement_id)


@task
def sweep() -> None:
    """Ring again for settlements that nobody works on though there is work left."""
    for settlement in queries.quiet():
        building = settlement.state == State.BUILDING
        job = Job.BUILD_SETTLEMENT if building else Job.EXECUTE_SETTLEMENT
        jobs.ring(job, settlement.merchant_id, settlement.id)
