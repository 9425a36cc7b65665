"""`affiliate orders explain`: why an order paid what it paid, or nothing."""

import click

from affiliate import ids
from affiliate.attribution import queries as attribution
from affiliate.attribution import trace
from affiliate.commissions import queries
from affiliate.errors import NotFound
from affiliate.money import Money
from affiliate.orders import queries as order_queries
from affiliate.shell import in_app


@click.group()
def orders() -> None:
    """What shops reported, and what came of it."""


@orders.command("explain")
@click.argument("order", metavar="ID")
@in_app
def explain(order: str) -> None:
    """Tell the whole story of an order: touches, choice, base, rates, commissions."""
    key = ids.decode_pair("ord", order)
    found = order_queries.find(*key)
    if found is None:
        raise NotFound(f"There is no order {order}: look it up by GET /api/v1/orders.")
    click.echo(f"{order}: {found.number or found.external_id}, {found.status}, {found.currency}")
    credit = attribution.of_orders([key]).get(key)
    for step in trace.steps(credit.trace) if credit else []:
        click.echo(f"  {trace.sentence(step, found.currency)}")
    for each in queries.of_orders([key]):
        prefix = {"promoter": "prm", "agency": "agn"}.get(each.payee_kind)
        payee = ids.encode(prefix, each.payee_id) if prefix else each.payee_kind
        net = Money(each.amount - each.reversed, each.currency)
        click.echo(f"  {each.role} {payee}: {net}, {each.state}")
