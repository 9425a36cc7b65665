"""The settlement's row is its lock: whoever changes anything of it holds it."""

from affiliate import clock
from affiliate.db import db
from affiliate.errors import Conflict
from affiliate.i18n import _
from affiliate.people.service import PeopleOnly, person
from affiliate.settlement import rules
from affiliate.settlement.models import Settlement, State
from affiliate.settlement.queries import SettlementNotThere

__all__ = ["PeopleOnly", "WrongState", "locked", "move", "person"]


class WrongState(Conflict):
    code = "wrong_settlement_state"


def locked(merchant_id: int, settlement_id: int) -> Settlement:
    found = db.session.get(
        Settlement,
        (merchant_id, settlement_id),
        with_for_update={"key_share": True},
        populate_existing=True,
    )
    if found is None:
        raise SettlementNotThere(_("There is no such settlement."))
    return found


def move(settlement: Settlement, to: State) -> None:
    if not rules.may_become(State(settlement.state), to):
        raise WrongState(_("This settlement has moved on, so that is no longer possible."))
    settlement.state = to
    settlement.worked_at = clock.now()
    settlement.version += 1
    db.session.flush()
