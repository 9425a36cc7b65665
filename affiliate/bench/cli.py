"""`affiliate bench …`"""

import json
from collections.abc import Iterator
from datetime import timedelta

import click

from affiliate.bench import intake as of_intake
from affiliate.bench import posters as of_posters
from affiliate.bench import redirect as of_redirect
from affiliate.bench import scale as of_scale
from affiliate.bench import scene
from affiliate.bench import settlement as of_settlement
from affiliate.bench.intake import Measured


@click.group()
def bench() -> None:
    """Measure this machine, each figure beside a floor of the same run."""


@bench.command()
@click.option("--orders", type=click.IntRange(1000, 1_000_000), default=10_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def intake(*, orders: int, as_json: bool) -> None:
    """Webhooks accepted, orders booked, a period replayed; on servers of its own."""
    with scene.opened() as found:
        measured = of_intake.measure(found, orders, lambda what: click.echo(f"{what} …", err=True))
    if as_json:
        click.echo(json.dumps(measured.as_json()))
        return
    for line in _lines(measured):
        click.echo(line)


def _lines(found: Measured) -> list[str]:
    webhooks, bare = found.webhooks, found.bare
    rows = ", ".join(f"{count:g} {table}" for table, count in found.rows_per_order.items() if count)
    return [
        f"webhooks accepted   {webhooks.per_second:8.0f}/s   p50 {webhooks.p50_ms:.0f} ms,"
        f" p99 {webhooks.p99_ms:.0f} ms, 64 connections",
        f"  a bare INSERT     {bare.per_second:8.0f}/s   p50 {bare.p50_ms:.0f} ms,"
        f" p99 {bare.p99_ms:.0f} ms   ratio {webhooks.per_second / bare.per_second:.2f}",
        *(
            f"orders booked       {rate:8.0f}/s   {workers} worker{'s' * (workers > 1)}"
            f"   ratio {rate / found.floor:.2f}"
            for workers, rate in found.booked.items()
        ),
        f"  the same rows     {found.floor:8.0f}/s   one statement per 500 orders: {rows}",
        f"orders replayed     {found.replayed:8.0f}/s   grew by {found.replay_grew_mb:.0f} MB",
    ]


@bench.command()
@click.option("--seconds", type=click.IntRange(1, 60), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def redirect(*, seconds: int, as_json: bool) -> None:
    """Links answered on one core beside nginx and Flask, and kept; on servers of its own."""
    with scene.opened(sellers=1) as found:
        try:
            measured = of_redirect.measure(
                found, seconds, lambda what: click.echo(f"{what} …", err=True)
            )
        except of_redirect.NoTools as missing:
            raise click.ClickException(str(missing)) from None
    if as_json:
        click.echo(json.dumps(measured.as_json()))
        return
    for line in _redirect_lines(measured):
        click.echo(line)


def _redirect_lines(found: of_redirect.Measured) -> Iterator[str]:
    for name, rate, floor in (
        ("nginx, return 302", found.nginx, found.nginx),
        ("/s/, in the spool", found.road, found.nginx),
        ("the same by Flask", found.flask, found.nginx),
    ):
        yield (
            f"{name:<18}{rate.per_second:9.0f}/s   p50 {rate.p50_ms:.2f} ms,"
            f" p99 {rate.p99_ms:.2f} ms, {rate.cpu_us:.1f} µs of the core each"
            f"   ratio {rate.per_second / floor.per_second:.2f}"
        )
    kept = found.kept
    yield (
        f"into the database {kept.stored_per_second:9.0f}/s   on all cores, answered"
        f" {kept.answered_per_second:.0f}/s; {kept.answered} answers, {kept.stored} clicks"
    )


@bench.command()
@click.option(
    "--orders", type=click.IntRange(5000, 10_000_000), default=100_000, show_default=True,
    help="The most that are stored; measured at a hundredth and a tenth of it too.",
)  # fmt: skip
@click.option(
    "--promoters", type=click.IntRange(5000, 10_000_000), default=100_000, show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def scale(*, orders: int, promoters: int, as_json: bool) -> None:
    """The same work with ten times as much stored, and in a deep tree; on servers of its own."""
    sellers = min(scene.SELLERS, orders // 100)
    with scene.opened(timedelta(days=of_scale.DAYS + 1), sellers) as found:
        measured = of_scale.measure(
            found, orders, promoters, lambda what: click.echo(f"{what} …", err=True)
        )
    if as_json:
        click.echo(json.dumps(measured.as_json()))
        return
    for line in _scale_lines(measured):
        click.echo(line)


def _scale_lines(found: of_scale.Measured) -> Iterator[str]:
    yield "orders stored" + "".join(f"{level.stored:>20,}" for level in found.flat)
    for name, unit in of_scale.Flat.FIGURES.items():
        values = [getattr(level, name) for level in found.flat]
        cells = "".join(f"{value:>13.4g} {value / values[0]:5.2f}×" for value in values)
        yield f"{name.replace('_', ' '):<15}{cells}  {unit}"
    sizes = found.flat[-1].bytes_per_order
    yield "bytes per order: " + ", ".join(
        f"{name} {own} + {indexes}" for name, (own, indexes) in sizes.items()
    )
    clicks = found.clicks
    yield (
        f"clicks stored {clicks.per_second:.0f}/s, {clicks.cpu_us:.1f} µs of processors each,"
        f" {clicks.python_us:.1f} of them in Python; a bare COPY of the rows"
        f" {clicks.floor_per_second:.0f}/s, {clicks.floor_cpu_us:.1f} µs;"
        f" bytes: {clicks.spool_bytes:.0f} in the spool,"
        f" {clicks.table_bytes:.0f} + {clicks.index_bytes:.0f} in PostgreSQL,"
        f" {clicks.counted_bytes:.0f} of counts and visitors"
    )
    tree = found.tree
    yield f"{tree.promoters:,} promoters; below the star {tree.below:,}, directly {tree.direct:,}"
    for what, ms in tree.ms.items():
        pages = f", {tree.pages[what]:.0f} pages" if what in tree.pages else ""
        yield f"{what:<24} {ms:9.1f} ms{pages}"
    yield (
        f"orders booked from the end {tree.booked:.0f}/s, {tree.booked_cpu:.2f} ms of processors"
        f" and {tree.booked_pages:.0f} pages each"
    )


@bench.command()
@click.option(
    "--entries", type=click.IntRange(1000, 10_000_000), default=100_000, show_default=True,
    help="Of a tenth as many payees; measured with a tenth of it too.",
)  # fmt: skip
@click.option(
    "--books", type=click.IntRange(0, 100_000_000), default=0, show_default=True,
    help="Transfers that `verify` reads in the end, if the run makes fewer.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def settlement(*, entries: int, books: int, as_json: bool) -> None:
    """Entries released and paid out, beside the same rows in plain SQL; on servers of its own."""
    with scene.opened(sellers=1) as found:
        measured = of_settlement.measure(
            found, [entries // 10, entries], books, lambda what: click.echo(f"{what} …", err=True)
        )
    if as_json:
        click.echo(json.dumps(measured.as_json()))
        return
    for line in _settlement_lines(measured):
        click.echo(line)


def _settlement_lines(found: of_settlement.Measured) -> Iterator[str]:
    for name in ("release", "payouts"):
        for level in found.levels:
            step = getattr(level, name)
            each = 1e6 * step.ours.seconds / level.entries
            yield (
                f"{name:<8}{level.entries:>11,} entries"
                f" {step.ours.seconds:7.1f} s, {each:4.0f} µs each;"
                f" the same rows {step.floor.seconds:6.1f} s   ratio {step.ratio:.2f},"
                f" of processors {step.cpu_ratio:.2f}"
            )
    smaller, larger = found.levels[0], found.levels[-1]
    yield f"this process grew by {larger.peak_mb - smaller.peak_mb:.0f} MB to {larger.peak_mb:.0f}"
    yield (
        f"the books verified {found.verify:.1f} s, {found.checked['transfers']:,} transfers;"
        f" added up by pairs of accounts {found.read:.1f} s   ratio {found.verify / found.read:.1f}"
    )


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def posters(*, as_json: bool) -> None:
    """Milliseconds and bytes of a poster in each template, beside a bare JPEG of its size."""
    found = of_posters.measure()
    if as_json:
        click.echo(json.dumps({name: each._asdict() for name, each in found.items()}))
        return
    for name, each in found.items():
        click.echo(f"{name:<12}{each.ms:6.0f} ms   {each.kilobytes:5d} KB")
