"""Withdrawals of a promoter."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import withdrawing
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.consoles.withdrawing import Asker
from affiliate.i18n import _


@bp.get("/wallet/withdraw/<merchant_id>/<currency>")
def withdraw(merchant_id: str, currency: str) -> ResponseReturnValue:
    return withdrawing.form(_asker(), merchant_id, currency)


@bp.post("/wallet/withdraw/<merchant_id>/<currency>")
def ask_to_withdraw(merchant_id: str, currency: str) -> ResponseReturnValue:
    return withdrawing.ask(_asker(), merchant_id, currency)


@bp.post("/wallet/withdrawals/<withdrawal_id>/take-back")
def take_withdrawal_back(withdrawal_id: str) -> ResponseReturnValue:
    return withdrawing.take_back(_asker(), withdrawal_id)


def _asker() -> Asker:
    return Asker(
        "promoter",
        current_promoter_id(),
        "promoter/_layout.html",
        "promoter.withdraw",
        "promoter.wallet",
        _("Wallet"),
        "promoter.tax",
    )
