"""The settlement's row is its lock: whoever changes anything of it holds it."""

from affiliate import clock
from affiliate.db import db
from affiliate.errors import Conflict, Forbidden
from affiliate.i18n import _
from affiliate.people.models import User
from affiliate.settlement import rules
from affiliate.settlement.models import Settlement, State
from affiliate.settlement.queries import SettlementNotThere


class WrongState(Conflict):
    code = "wrong_settlement_state"


class PeopleOnly(Forbidden):
    code = "people_only"


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


def person(user_id: int) -> User:
    """Four eyes are people's eyes: a service user is nobody's."""
    user = db.session.get_one(User, user_id)
    if user.is_service or user.disabled_at is not None:
        raise PeopleOnly(_("Only a person can make or approve settlements, not a service key."))
    return user
