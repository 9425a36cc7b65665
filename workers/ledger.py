"""Ledger jobs."""

from affiliate.ledger import service
from workers.context import task


@task
def seal() -> None:
    """Runs every minute. Two at once make one seal."""
    service.seal()
