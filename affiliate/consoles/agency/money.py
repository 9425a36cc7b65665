"""The agency's money: what each merchant owes, where it goes, and what was paid."""

import sqlalchemy as sa
from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import clock
from affiliate.consoles import lists, payout_accounts, purses, withdrawing
from affiliate.consoles.agency import bp
from affiliate.consoles.payout_accounts import Owner
from affiliate.consoles.session import current_agency_id
from affiliate.i18n import _
from affiliate.payouts import queries as payouts_queries
from affiliate.payouts.models import Payout
from affiliate.people import queries

PAYOUTS = 20


@bp.get("/")
def money() -> ResponseReturnValue:
    agency_id = current_agency_id()
    mine = sa.select(Payout).where(Payout.payee_id == agency_id, Payout.payee_kind == "agency")
    payouts, cursor = lists.page(mine, [Payout.id], limit=PAYOUTS)
    return render_template(
        "agency/money.html",
        purses=purses.of_payee("agency", agency_id),
        asked=withdrawing.by_purse("agency", agency_id),
        accounts=payout_accounts.live("agency", agency_id),
        now=clock.now(),
        payouts=payouts,
        went_to=payouts_queries.accounts([each.account_id for each in payouts]),
        merchants=queries.merchants({each.merchant_id for each in payouts}),
        next=cursor,
    )


@bp.get("/account")
def payout_account() -> ResponseReturnValue:
    return payout_accounts.form(_owner())


@bp.post("/account")
def save_payout_account() -> ResponseReturnValue:
    return payout_accounts.save(_owner())


def _owner() -> Owner:
    agency = queries.agency(current_agency_id())
    return Owner(
        "agency",
        agency.id,
        agency.country,
        "agency/_layout.html",
        "agency.payout_account",
        "agency.money",
        _("Money"),
    )
