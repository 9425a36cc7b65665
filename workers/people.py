"""Sessions that ended are forgotten after a while. Runs every hour."""

from affiliate.people import sessions
from workers.context import task


@task
def forget_sessions() -> None:
    sessions.forget_old()
