"""`affiliate settle`, a settlement built while one watches; and `affiliate ledger close`."""

import sys
from datetime import date, datetime

import click

from affiliate import clock, ids
from affiliate.db import db, unit_of_work
from affiliate.errors import Forbidden, NotFound
from affiliate.ledger.cli import ledger
from affiliate.money import decimal_text
from affiliate.people import queries as people
from affiliate.people.rules import Caller, Right
from affiliate.settlement import closing, queries, runs, service
from affiliate.settlement.models import Settlement
from affiliate.shell import application, in_app


class Through(click.ParamType[datetime]):
    name = "date"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return value if isinstance(value, datetime) else clock.instant(value)
        except (ValueError, OverflowError) as wrong:
            self.fail(f"{value!r} is neither a date nor a time with its zone: {wrong}", param, ctx)


class Month(click.ParamType[date]):
    name = "month"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(f"{value}-01")
        except ValueError:
            self.fail(f"{value!r} is no month, for example 2026-10", param, ctx)


@ledger.command()
@click.option("--merchant", required=True, metavar="ID", help="mer_…, whose books.")
@click.option("--month", required=True, type=Month(), help="For example 2026-10; it must be over.")
@click.option("--as", "email", required=True, metavar="E-MAIL", help="Who closes it.")
@in_app
def close(merchant: str, month: date, email: str) -> None:
    """Close a month: its books take no more transfers.

    What comes later is booked in the month that is open. Months close in their order, and only
    when the books prove themselves.
    """
    caller = _caller(email)
    merchant_id = people.merchant(ids.decode_one("mer", merchant)).id
    caller.require(Right.HANDLE_MONEY, merchant_id)
    row = closing.close(merchant_id, month, by=caller.user_id)
    click.echo(f"{ids.encode('bkc', merchant_id, row.id)} closed until {row.until.isoformat()}")
    click.echo(f"  hash {row.hash.hex()}")


@click.command()
@click.option(
    "--through", required=True, type=Through(), help="A date (its end in UTC) or an instant."
)
@click.option("--as", "email", required=True, metavar="E-MAIL", help="Who makes it.")
@click.option("--merchant", metavar="ID", help="mer_…; without it each merchant, apart.")
@click.option("--currency", "currencies", multiple=True, help="Only this one; may be repeated.")
def settle(
    through: datetime, email: str, merchant: str | None, currencies: tuple[str, ...]
) -> None:
    """Make a settlement and build it. Another person has to approve it."""
    with application():
        with unit_of_work():
            caller = _caller(email)
            merchants = _merchants(caller, merchant, through)
        if not merchants:
            click.echo("Nobody has anything to settle.", err=True)
        for merchant_id in merchants:
            _settle(merchant_id, through, caller.user_id, currencies)


def _caller(email: str) -> Caller:
    user = people.user_by_email(email)
    if user is None:
        raise NotFound(f"There is no user {email}; `affiliate users create` makes one.")
    held = tuple(people.held(grant) for grant in people.grants_of(user.id))
    caller = Caller(user.id, held, is_service=user.is_service)
    if not caller.may(Right.MAKE_SETTLEMENTS):
        raise Forbidden(f"{email} cannot make settlements; the role finance_maker can.")
    return caller


def _merchants(caller: Caller, merchant: str | None, through: datetime) -> list[int]:
    if merchant is None:
        return queries.merchants_with_money(through, caller.scope(Right.MAKE_SETTLEMENTS))
    merchant_id = people.merchant(ids.decode_one("mer", merchant)).id
    caller.require(Right.MAKE_SETTLEMENTS, merchant_id)
    return [merchant_id]


def _settle(merchant_id: int, through: datetime, by: int, currencies: tuple[str, ...]) -> None:
    with unit_of_work():
        settlement = service.create(
            merchant_id, through=through, by=by, currencies=currencies, in_background=False
        )
    for progress in runs.build(merchant_id, settlement.id):
        _show_progress(progress)
    with unit_of_work():
        db.session.refresh(settlement)
        _report(settlement)


def _show_progress(progress: runs.Progress) -> None:
    of = "" if progress.total is None else f" of {progress.total} payees"
    click.echo(f"{progress.step}: {progress.done}{of}", file=sys.stderr)


def _report(settlement: Settlement) -> None:
    """For people and for scripts: one fact a line, the id first."""
    click.echo(
        f"{ids.encode('stl', settlement.merchant_id, settlement.id)} {settlement.state}"
        f" through {settlement.through.isoformat()}"
    )
    for currency, sums in sorted(queries.to_pay([settlement])[settlement.id].items()):
        net = decimal_text(sums["net"], currency)
        click.echo(f"  {currency} {net} net in {sums['payouts']} payouts")
    for each in queries.carried_over([settlement])[settlement.id]:
        amount = decimal_text(each.amount, each.currency)
        click.echo(f"  {each.currency} {amount} of {each.payees} carried over: {each.reason}")
    click.echo(f"  hash {settlement.hash}")
