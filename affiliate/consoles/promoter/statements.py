"""The promoter's statements, by merchant and month."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import statements
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_person, current_promoter_id
from affiliate.consoles.statements import Choice, Place
from affiliate.i18n import _

PLACE = Place(
    "promoter/_layout.html", "promoter.statement", "promoter.statement_file",
    "promoter.wallet", _("Wallet"),
)  # fmt: skip


@bp.get("/wallet/statement")
def statement() -> ResponseReturnValue:
    return statements.show(PLACE, _mine(), current_person().name)


@bp.get("/wallet/statement.csv")
def statement_file() -> ResponseReturnValue:
    return statements.download(_mine())


def _mine() -> list[Choice]:
    return statements.of_payee("promoter", current_promoter_id())
