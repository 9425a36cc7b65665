"""`affiliate sandbox-psp`: the provider as a process of its own."""

import signal
import sys
import threading
from pathlib import Path

import click

from affiliate.payouts.sandbox.behaviour import Chance


@click.command("sandbox-psp")
@click.option("--port", type=click.IntRange(1, 65535), default=8790, show_default=True)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("var/sandbox-psp.jsonl"),
    show_default=True,
    help="What it remembers; only added to.",
)
@click.option("--seed", type=int, default=0, help="Of what it draws.")
@click.option(
    "--faults",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Share of transfers and calls that go wrong at random.",
)
@click.option("--hook", metavar="URL", help="Where it knocks: <your address>/rails/sandbox/hook.")
def sandbox_psp(port: int, log: Path, seed: int, faults: float, hook: str | None) -> None:
    """A payment provider for trials that pays nobody and misbehaves (docs/payouts.md)."""
    from affiliate.payouts.sandbox import server

    log.parent.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        with server.running(port, log, Chance(seed, faults), hook):
            click.echo(f"the sandbox provider listens at http://127.0.0.1:{port}, log {log}")
            ended.wait()
    except OSError as error:
        click.echo(f"affiliate: port {port} cannot be used: {error}", err=True)
        sys.exit(1)
