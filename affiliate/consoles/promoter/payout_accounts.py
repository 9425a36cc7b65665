"""Where the promoter wants to be paid."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import payout_accounts
from affiliate.consoles.payout_accounts import Owner
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.i18n import _
from affiliate.people import queries as people


@bp.get("/wallet/account")
def payout_account() -> ResponseReturnValue:
    return payout_accounts.form(_owner())


@bp.post("/wallet/account")
def save_payout_account() -> ResponseReturnValue:
    return payout_accounts.save(_owner())


def _owner() -> Owner:
    promoter = people.promoter(current_promoter_id())
    return Owner(
        "promoter",
        promoter.id,
        promoter.country,
        "promoter/_layout.html",
        "promoter.payout_account",
        "promoter.wallet",
        _("Wallet"),
    )
