"""`affiliate inbox`: what waits, what is in quarantine and why, and trying it again."""

import json
from pathlib import Path

import click

from affiliate import ids
from affiliate.catalog import queries as catalog
from affiliate.intake import files, pulling, queries, service
from affiliate.shell import application, in_app


@click.group()
def inbox() -> None:
    """Webhooks of the shops."""


@inbox.command("list")
@click.option("--json", "as_json", is_flag=True, help="Counts and quarantine as one JSON object.")
@in_app
def show(as_json: bool) -> None:
    """How many events wait, are done, or are in quarantine, and why those are."""
    counts = queries.counts()
    aside = [
        {
            "id": ids.encode("inb", event.merchant_id, event.id),
            "shop": ids.encode("shp", event.merchant_id, event.shop_id),
            "order": event.order_key,
            "topic": event.topic,
            "received_at": event.received_at.isoformat(),
            **(event.error or {}),
        }
        for event in queries.quarantined()
    ]
    if as_json:
        click.echo(json.dumps({**counts, "quarantine": aside}))
        return
    click.echo("  ".join(f"{state}: {count}" for state, count in counts.items()))
    for event in aside:
        place = event["pointer"] or "the whole body"
        click.echo(f"{event['id']}  {event['code']} at {place}: {event['message']}")
    if aside:
        click.echo("After mending what was wrong: `affiliate inbox retry`.")


@inbox.command("retry")
@click.argument("events", nargs=-1, metavar="[ID]…")
@in_app
def retry(events: tuple[str, ...]) -> None:
    """Put quarantined events back into the queue: these, or all."""
    if not events:
        click.echo(f"{service.retry()} events wait again.")
        return
    moved = 0
    for text in events:
        merchant_id, event_id = ids.decode_pair("inb", text)
        moved += service.retry(merchant_id, [event_id])
    click.echo(f"{moved} events wait again.")


@inbox.command("load")
@click.argument("shop")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", default="UTC", help="Of times without one, for example America/Sao_Paulo.")
@in_app
def load(shop: str, file: Path, zone: str) -> None:
    """Take the orders of a CSV or XLSX file for a shop of the platform `file`."""
    found = catalog.shop(*ids.decode_pair("shp", shop))
    taken = files.take(found, file.read_bytes(), zone)
    click.echo(f"{taken.orders} orders, of which {taken.changed} are new or changed.")


@inbox.command("pull")
@click.argument("shop")
def pull(shop: str) -> None:
    """Ask a shop now what it changed, and show what was asked and found."""
    with application():
        missed = pulling.pull(*ids.decode_pair("shp", shop), at_once=True)
        click.echo(f"{missed} changes that no webhook had told.")
