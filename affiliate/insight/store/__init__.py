"""The one seam to where clicks and reports are kept: PostgreSQL, in monthly partitions with
rollups that are exact in the transaction that stores the clicks.

Another store for analytics would be a second package with these verbs, under the same tests.
"""

from affiliate.insight.store.partitions import drop_old, drop_strays, make_partitions
from affiliate.insight.store.retention import coarsen_addresses, forget_quarters
from affiliate.insight.store.segments import claim, forget, forget_old_offsets, offset_of, offsets
from affiliate.insight.store.writing import Kept, keep

__all__ = [
    "Kept",
    "claim",
    "coarsen_addresses",
    "drop_old",
    "drop_strays",
    "forget",
    "forget_old_offsets",
    "forget_quarters",
    "keep",
    "make_partitions",
    "offset_of",
    "offsets",
]
