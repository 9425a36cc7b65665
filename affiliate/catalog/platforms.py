"""What each kind of shop needs to be connected, and what of a click it can carry into an order."""

from dataclasses import dataclass

from affiliate.catalog.models import Platform


@dataclass(frozen=True, slots=True)
class Connection:
    required: frozenset[str]  # credentials that the shop's owner must give
    optional: frozenset[str]
    makes_secret: bool  # without a webhook secret we make one and show it once
    carries: tuple[str, ...]


CONNECTIONS = {
    Platform.SHOPIFY: Connection(
        required=frozenset({"webhook_secret"}),
        optional=frozenset({"api_token"}),
        makes_secret=False,
        carries=("token", "coupon"),
    ),
    Platform.STANDARD: Connection(
        required=frozenset(),
        optional=frozenset({"webhook_secret"}),
        makes_secret=True,
        carries=("token", "coupon", "sharer"),
    ),
}


def connection(platform: str) -> Connection:
    return CONNECTIONS[Platform(platform)]
