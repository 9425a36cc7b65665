"""What this merchant owes, and why."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import statements
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.consoles.statements import Choice, Place
from affiliate.people.rules import Right

PLACE = Place("merchant/_layout.html", "merchant.statement", "merchant.statement_file")


@bp.get("/statement/")
def statement() -> ResponseReturnValue:
    return statements.show(PLACE, _mine())


@bp.get("/statement.csv")
def statement_file() -> ResponseReturnValue:
    return statements.download(_mine())


def _mine() -> list[Choice]:
    merchant_id = current_merchant_id()
    current_caller().require(Right.READ_MONEY, merchant_id)
    return statements.of_merchants([merchant_id])
