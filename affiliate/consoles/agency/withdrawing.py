"""Withdrawals of an agency."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import withdrawing
from affiliate.consoles.agency import bp
from affiliate.consoles.session import current_agency_id
from affiliate.consoles.withdrawing import Asker
from affiliate.i18n import _


@bp.get("/withdraw/<merchant_id>/<currency>")
def withdraw(merchant_id: str, currency: str) -> ResponseReturnValue:
    return withdrawing.form(_asker(), merchant_id, currency)


@bp.post("/withdraw/<merchant_id>/<currency>")
def ask_to_withdraw(merchant_id: str, currency: str) -> ResponseReturnValue:
    return withdrawing.ask(_asker(), merchant_id, currency)


@bp.post("/withdrawals/<withdrawal_id>/take-back")
def take_withdrawal_back(withdrawal_id: str) -> ResponseReturnValue:
    return withdrawing.take_back(_asker(), withdrawal_id)


def _asker() -> Asker:
    return Asker(
        "agency",
        current_agency_id(),
        "agency/_layout.html",
        "agency.withdraw",
        "agency.money",
        _("Money"),
        "agency.tax",
    )
