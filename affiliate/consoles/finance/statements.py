"""Statements of merchants, and of the payees they owe."""

from flask import abort, request
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles import statements
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_scope
from affiliate.consoles.statements import Choice, Place
from affiliate.errors import NotFound
from affiliate.people.rules import Right

PLACE = Place("finance/_layout.html", "finance.statement", "finance.statement_file")
KINDS = {"prm": "promoter", "agn": "agency"}


@bp.get("/statements/")
def statement() -> ResponseReturnValue:
    choices, name = _asked()
    return statements.show(PLACE, choices, name)


@bp.get("/statements.csv")
def statement_file() -> ResponseReturnValue:
    return statements.download(_asked()[0])


def _asked() -> tuple[list[Choice], str | None]:
    """Of merchants; with `?payee=` of somebody whom at least one of them owes or owed."""
    text = request.args.get("payee")
    if not text:
        return statements.of_merchants([each.id for each in access.merchants()]), None
    prefix = text.partition("_")[0]
    try:
        kind, payee_id = KINDS[prefix], ids.decode_one(prefix, text)
    except (KeyError, NotFound):
        abort(404)
    choices = statements.of_payee(kind, payee_id, current_scope(Right.READ_MONEY)) or abort(404)
    return choices, words.payees([(kind, payee_id)])[kind, payee_id]
