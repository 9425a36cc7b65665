"""What accounts and transfers are called by people."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from affiliate.i18n import _p
from affiliate.ledger.models import Code, Kind

KINDS: Mapping[str, Any] = MappingProxyType(
    {
        Kind.RECEIVABLE: _p("account", "Owed by the merchant"),
        Kind.PENDING: _p("account", "Pending"),
        Kind.AVAILABLE: _p("account", "Available"),
        Kind.RESERVED: _p("account", "In payout"),
        Kind.FEES: _p("account", "Platform fees"),
        Kind.TAX: _p("account", "Tax withheld"),
        Kind.CLEARING: _p("account", "Paid out, not covered"),
        Kind.RAIL_COSTS: _p("account", "Transfer costs"),
        Kind.BAD_DEBT: _p("account", "Written off"),
    }
)
CODES: Mapping[str, Any] = MappingProxyType(
    {
        Code.ACCRUE: _p("transfer", "Earned"),
        Code.REVERSE: _p("transfer", "Taken back"),
        Code.RELEASE: _p("transfer", "Released"),
        Code.UNRELEASE: _p("transfer", "Release taken back"),
        Code.REVERSE_AVAILABLE: _p("transfer", "Taken back after release"),
        Code.PLATFORM_FEE: _p("transfer", "Platform fee"),
        Code.REVERSE_FEE: _p("transfer", "Platform fee taken back"),
        Code.RESERVE: _p("transfer", "Put into a payout"),
        Code.UNRESERVE: _p("transfer", "Taken out of a payout"),
        Code.PAY: _p("transfer", "Paid out"),
        Code.WITHHOLD: _p("transfer", "Tax withheld"),
        Code.RAIL_COST: _p("transfer", "Transfer cost"),
        Code.RETURN: _p("transfer", "Payout came back"),
        Code.RETURN_TAX: _p("transfer", "Withheld tax came back"),
        Code.PAY_IN: _p("transfer", "Paid in"),
        Code.RETURN_PAY_IN: _p("transfer", "Pay-in sent back"),
        Code.REMIT: _p("transfer", "Tax remitted"),
        Code.WRITE_OFF: _p("transfer", "Written off"),
        Code.RECOVER: _p("transfer", "Recovered"),
    }
)
