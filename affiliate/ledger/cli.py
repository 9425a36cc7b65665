"""`affiliate ledger`: the books prove themselves, and are sealed."""

import json

import click

from affiliate import shell
from affiliate.db import stand_still
from affiliate.ledger import service
from affiliate.ledger import verify as proof
from affiliate.ledger.verify import Breach


@click.group()
def ledger() -> None:
    """Look after the books."""


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
@shell.in_app
def verify(as_json: bool) -> None:
    """Prove every balance, entry, payout and seal against the transfers.

    Reads only, beside running work, all of it as of one instant. Exits with 1 when a single cent
    is off.
    """
    stand_still()
    if as_json:
        report = proof.verify()
        click.echo(json.dumps(report.as_json()))
        ok = report.ok
    else:
        ok = _prove_aloud()
    if not ok:
        raise SystemExit(1)


def _prove_aloud() -> bool:
    """A line for each check when it is done: with many rows this takes a minute."""
    click.echo("  ".join(f"{number} {what}" for what, number in proof.count().items()))
    breaches: list[Breach] = []
    for name, each in proof.CHECKS.items():
        found = proof.check(name)
        click.echo(f"{'BREACH' if found else 'ok':6}  {each.proves}")
        for breach in found:
            click.echo(f"        {breach.row}: {breach.wrong}")
        breaches += found
    click.echo(f"{len(breaches)} breaches" if breaches else "The books prove themselves.")
    return not breaches


@ledger.command()
@shell.in_app
def seal() -> None:
    """Seal what was booked since the last seal. The clock asks for it every minute."""
    click.echo(f"{service.seal()} transfers sealed")
