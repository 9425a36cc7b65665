"""Sessions that ended and codes that nobody typed are forgotten. Runs every hour."""

from affiliate.people import codes, sessions
from workers.context import task


@task
def forget_sessions() -> None:
    sessions.forget_old()
    codes.forget_old()
