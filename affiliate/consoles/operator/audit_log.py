"""Everything that was decided."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import audit_log
from affiliate.consoles.operator import bp


@bp.get("/decided/")
def decided() -> ResponseReturnValue:
    return audit_log.show("operator/_layout.html", "operator.decided_file")


@bp.get("/decided.csv")
def decided_file() -> ResponseReturnValue:
    return audit_log.download()
