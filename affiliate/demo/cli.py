"""`affiliate demo`: fill an empty database with a story, or with a busy month."""

import sys
import time

import click

from affiliate.db import unit_of_work
from affiliate.demo import case, history, people
from affiliate.ledger.verify import verify
from affiliate.money import Money
from affiliate.shell import application


@click.command()
@click.option(
    "--case",
    "big",
    is_flag=True,
    help="One month of 3 000 promoters: ¥5 million, 30%, about 33 000 orders. Takes minutes.",
)
@click.option("--code", is_flag=True, help="Tell the checker's second factor, alone on stdout.")
def demo(*, big: bool, code: bool) -> None:
    """Fill an empty database with demo data, and prove the books."""
    if code:
        click.echo(people.code())
        return
    with application():
        _case() if big else history.load()
        with unit_of_work():
            _prove()
            for line in people.log_ins():
                click.echo(line)


def _case() -> None:
    began = time.monotonic()
    sums = case.load(_show_progress)
    click.echo(
        f"{sums.orders} orders, {Money(sums.revenue, 'CNY')}, {sums.refunded} of them refunded;"
        f" commission {Money(sums.commission, 'CNY')}; {time.monotonic() - began:.0f} s"
    )


def _show_progress(what: str, done: int, of: int) -> None:
    click.echo(f"{what}: {done} of {of}", err=True)


def _prove() -> None:
    report = verify()
    for breach in report.breaches:
        click.echo(f"{breach.row}: {breach.wrong}", err=True)
    if not report.ok:
        sys.exit(1)
    counts = ", ".join(
        f"{count} {what.replace('_', ' ')}" for what, count in report.checked.items()
    )
    click.echo(f"The books prove themselves: {counts}.")
