"""What was decided about the money of one's merchants."""

from flask.typing import ResponseReturnValue

from affiliate.consoles import audit_log
from affiliate.consoles.finance import bp


@bp.get("/decided/")
def decided() -> ResponseReturnValue:
    return audit_log.show("finance/_layout.html", "finance.decided_file")


@bp.get("/decided.csv")
def decided_file() -> ResponseReturnValue:
    return audit_log.download()
