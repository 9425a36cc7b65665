"""Cases, for pages and the API."""

from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.risk.models import Case


def case(merchant_id: int, case_id: int, *, lock: bool = False) -> Case:
    found = db.session.get(
        Case, (merchant_id, case_id), with_for_update=lock or None, populate_existing=lock
    )
    if found is None:
        raise NotFound(_("There is no such case."))
    return found
