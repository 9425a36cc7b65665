"""What intake asks of a platform. Headers are looked up without regard to case."""

from collections.abc import Sequence
from typing import Protocol

from werkzeug.datastructures import Headers

from affiliate.intake.reading import Node
from affiliate.orders.facts import Order, RefundNotice


class Platform(Protocol):
    """What intake asks of a platform. Bodies arrive as the raw bytes that were signed."""

    def signed(self, secrets: Sequence[str], headers: Headers, body: bytes) -> bool:
        """Whether one of the secrets signed this body; compared in constant time."""

    def delivery(self, headers: Headers, body: bytes) -> str:
        """What makes a repeated delivery recognisable."""

    def topic(self, headers: Headers) -> str:
        """For people to read; it decides nothing."""

    def order_key(self, body: Node) -> str:
        """The order this is about, or "" if it is about none."""

    def read(self, body: Node) -> Sequence[Order | RefundNotice]:
        """The facts; Unreadable with a pointer where they cannot be taken."""
