"""`affiliate fx import`: rates of exchange from a file."""

from typing import BinaryIO

import click

from affiliate.fx import service
from affiliate.shell import in_app


@click.group()
def fx() -> None:
    """Rates of exchange: for display and brackets of tax, never to pay by."""


@fx.command("import")
@click.argument("file", type=click.File("rb"))
@in_app
def take(file: BinaryIO) -> None:
    """Take a CSV with the columns date, base, quote, rate, source; all rows or none."""
    report = service.import_csv(file.read(), by=None)
    click.echo(f"{report.added} rates added, {report.known} known already")
