"""The only code that writes commissions and entries."""

from affiliate.commissions.service.booking import book
from affiliate.commissions.service.releasing import move_entries, release

__all__ = ["book", "move_entries", "release"]
