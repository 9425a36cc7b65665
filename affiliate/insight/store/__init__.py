"""The one seam to where clicks and reports are kept: PostgreSQL, in monthly partitions with
rollups that are exact in the transaction that stores the clicks.

Another store for analytics would be a second package with these verbs, under the same tests.
"""

from affiliate.insight.store.ordering import claim_orders, count_orders
from affiliate.insight.store.partitions import drop_old, drop_strays, make_partitions
from affiliate.insight.store.reading import (
    DIMENSIONS,
    GROUPS,
    PROMOTERS_OWN,
    Counted,
    Question,
    Summed,
    assists,
    clicks_by,
    clicks_since,
    dimensions,
    leading,
    orders_by,
)
from affiliate.insight.store.retention import coarsen_addresses, forget_quarters
from affiliate.insight.store.segments import claim, forget, forget_old_offsets, offset_of, offsets
from affiliate.insight.store.writing import Kept, keep

__all__ = [
    "DIMENSIONS",
    "GROUPS",
    "PROMOTERS_OWN",
    "Counted",
    "Kept",
    "Question",
    "Summed",
    "assists",
    "claim",
    "claim_orders",
    "clicks_by",
    "clicks_since",
    "coarsen_addresses",
    "count_orders",
    "dimensions",
    "drop_old",
    "drop_strays",
    "forget",
    "forget_old_offsets",
    "forget_quarters",
    "keep",
    "leading",
    "make_partitions",
    "offset_of",
    "offsets",
    "orders_by",
]
