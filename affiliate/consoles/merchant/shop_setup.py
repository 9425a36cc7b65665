"""How far a shop's set-up is: what was given, what came, and what the page says of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Shop
from affiliate.catalog.platforms import connection
from affiliate.i18n import _
from affiliate.intake import health, trying
from affiliate.intake import queries as intake
from affiliate.intake.health import Refused
from affiliate.intake.models import Event
from affiliate.orders import queries as orders
from affiliate.orders.queries import Told
from affiliate.programs import queries as programs

# What a shop's owner is asked for, where its name alone does not tell.
LABELS: Mapping[str, Any] = MappingProxyType(
    {
        "webhook_secret": _("Webhook secret"),
        "api_token": _("Access token"),
        "store_id": _("Number of the shop"),
        "app_id": _("App id"),
        "app_secret": _("App secret"),
        "refresh_token": _("Refresh token"),
        "consumer_key": _("Consumer key"),
        "consumer_secret": _("Consumer secret"),
        "shop_cipher": _("Shop cipher"),
        "aes_key": _("EncodingAESKey"),
    }
)
CARRIES: Mapping[str, Any] = MappingProxyType(
    {
        "token": _("Links"),
        "coupon": _("Coupon codes"),
        "sharer": _("Its own sharers"),
        "none": _("Claims only"),
    }
)
# Why a knock was refused, and what to do about it.
WHY: Mapping[str, Any] = MappingProxyType(
    {
        "headers": _(
            "a header of the signature is missing: webhook-id, webhook-timestamp and "
            "webhook-signature belong to each post."
        ),
        "time": _("its time is more than five minutes off: is the clock of that computer right?"),
        "no_secret": _("the shop's secret is still missing here: paste it below."),
        "signature": _("the signature is wrong: was the secret copied whole?"),
    }
)


@dataclass(frozen=True, slots=True)
class Progress:
    """The steps of a set-up, and what is known of each."""

    shop: Shop
    missing: tuple[str, ...]  # credentials that are still to come from the shop
    heard: Event | None
    refused: Refused
    told: Told
    has_products: bool
    has_program: bool

    @property
    def is_heard(self) -> bool:
        return self.heard is not None or self.told.test_at is not None or self.is_live

    @property
    def heard_at(self) -> datetime | None:
        return self.heard.received_at if self.heard else self.told.test_at or self.told.real_at

    @property
    def is_live(self) -> bool:
        return self.told.real_at is not None

    @property
    def knows_us(self) -> bool:
        """Whether the shop itself knocked; a test that was sent from here says nothing of that."""
        knocked = self.heard is not None and not self.heard.dedup_key.startswith(trying.PREFIX)
        return knocked or self.refused.at is not None or self.is_live

    @property
    def refusal(self) -> Any:
        """Words for the last knock with a bad signature, unless a good one came after it."""
        at, heard = self.refused.at, self.heard_at
        mended = self.refused.why == "no_secret" and not self.missing
        if at is None or mended or self.is_live or (heard and heard > at):
            return None
        return WHY.get(self.refused.why or "", WHY["signature"])

    @property
    def next_step(self) -> int:
        """The first that is open: 1 what to paste, 2 the test, 3 the first order; 4 is none."""
        if self.is_live:
            return 4
        if not self.knows_us or self.missing:
            return 1
        return 3 if self.is_heard else 2


def progress(shop: Shop) -> Progress:
    wanted = connection(shop.platform).required
    keys = service.keys(shop)
    return Progress(
        shop,
        tuple(name for name in wanted if not keys.has([name])),
        intake.heard(shop.merchant_id, shop.id),
        health.refusals(shop),
        orders.told_by(shop.merchant_id, shop.id),
        catalog.has_products(shop.merchant_id, shop.id),
        any(
            not program.shop_ids or shop.id in program.shop_ids
            for program, _terms in programs.running(shop.merchant_id)
        ),
    )
