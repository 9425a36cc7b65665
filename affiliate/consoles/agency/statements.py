"""The agency's statements, by merchant and month."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import statements
from affiliate.consoles.agency import bp
from affiliate.consoles.session import current_agency_id
from affiliate.consoles.statements import Choice, Place
from affiliate.i18n import _
from affiliate.people import queries as people

PLACE = Place(
    "agency/_layout.html", "agency.statement", "agency.statement_file", "agency.money", _("Money")
)


@bp.get("/statement")
def statement() -> ResponseReturnValue:
    return statements.show(PLACE, _mine(), people.agency(current_agency_id()).name)


@bp.get("/statement.csv")
def statement_file() -> ResponseReturnValue:
    return statements.download(_mine())


def _mine() -> list[Choice]:
    return statements.of_payee("agency", current_agency_id())
