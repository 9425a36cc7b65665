"""Tax of an agency."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import taxing
from affiliate.consoles.agency import bp
from affiliate.consoles.session import current_agency_id
from affiliate.consoles.taxing import Payee
from affiliate.i18n import _
from affiliate.people import queries as people


@bp.get("/tax")
def tax() -> ResponseReturnValue:
    return taxing.show(_payee())


@bp.post("/tax")
def save_tax() -> ResponseReturnValue:
    return taxing.save(_payee())


@bp.get("/tax.csv")
def tax_file() -> ResponseReturnValue:
    return taxing.download(_payee())


@bp.post("/invoices")
def send_invoice() -> ResponseReturnValue:
    return taxing.bill(_payee())


def _payee() -> Payee:
    row = people.agency(current_agency_id())
    return Payee(
        "agency",
        row.id,
        row.country,
        "agency/_layout.html",
        "agency.tax",
        "agency.send_invoice",
        "agency.tax_file",
        "agency.money",
        _("Money"),
    )
