"""Tax of a promoter."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import taxing
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.consoles.taxing import Payee
from affiliate.i18n import _
from affiliate.people import queries as people


@bp.get("/wallet/tax")
def tax() -> ResponseReturnValue:
    return taxing.show(_payee())


@bp.post("/wallet/tax")
def save_tax() -> ResponseReturnValue:
    return taxing.save(_payee())


@bp.get("/wallet/tax.csv")
def tax_file() -> ResponseReturnValue:
    return taxing.download(_payee())


@bp.post("/wallet/invoices")
def send_invoice() -> ResponseReturnValue:
    return taxing.bill(_payee())


def _payee() -> Payee:
    row = people.promoter(current_promoter_id())
    return Payee(
        "promoter",
        row.id,
        row.country,
        "promoter/_layout.html",
        "promoter.tax",
        "promoter.send_invoice",
        "promoter.tax_file",
        "promoter.wallet",
        _("Wallet"),
    )
