"""`affiliate demo`."""

import click

from affiliate.demo import history, people
from affiliate.shell import application


@click.command()
@click.option("--case", is_flag=True)
@click.option("--code", is_flag=True)
def demo(*, case: bool, code: bool) -> None:
    """Fill an empty database with demo data."""
    if code:
        click.echo(people.code())
        return
    with application():
        history.load()
        for line in people.log_ins():
            click.echo(line)
