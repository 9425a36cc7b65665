"""Every table there is, so that migrations see them all."""

from affiliate import audit, events
from affiliate.api import models as api
from affiliate.attribution import models as attribution
from affiliate.catalog import models as catalog
from affiliate.commissions import models as commissions
from affiliate.fx import models as fx
from affiliate.insight import models as insight
from affiliate.intake import models as intake
from affiliate.ledger import models as ledger
from affiliate.links import models as links
from affiliate.material import models as material
from affiliate.notices import models as notices
from affiliate.orders import models as orders
from affiliate.payouts import models as payouts
from affiliate.people import models as people
from affiliate.programs import models as programs
from affiliate.risk import models as risk
from affiliate.settlement import models as settlement
from affiliate.tax import models as tax

__all__ = [
    "api", "attribution", "audit", "catalog", "commissions", "events", "fx", "insight", "intake",
    "ledger", "links", "material", "notices", "orders", "payouts", "people", "programs", "risk",
    "settlement", "tax",
]  # fmt: skip
