"""Answers under Idempotency-Keys are kept for two days. Runs every hour."""

from affiliate.api import idempotency
from workers.context import task


@task
def forget_answers() -> None:
    idempotency.forget_old()
