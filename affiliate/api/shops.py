"""Shops: the connected stores of a merchant."""

import base64
from dataclasses import asdict
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Country,
    Currency,
    Instant,
    ListQuery,
    MerchantId,
    Page,
    Resource,
    ShopId,
    Text,
    Timezone,
)
from affiliate.catalog import platforms, queries, service
from affiliate.catalog.models import Platform, Shop
from affiliate.errors import invalid
from affiliate.intake import files, health
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import service as programs


class Credentials(Body):
    """docs/shops.md says which of them a platform needs. `standard`, `woocommerce` and
    `bigcommerce` get a webhook secret made when none is given.
    """

    webhook_secret: Text = ""
    api_token: Text = ""
    store_id: Text = ""
    app_id: Text = ""
    app_secret: Text = ""
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=2000)] = ""
    consumer_key: Text = ""
    consumer_secret: Text = ""
    shop_cipher: Text = ""
    aes_key: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{43}$")] = ""


class NewShop(Body):
    merchant: MerchantId
    platform: Platform
    domain: Text = Field(description="A host, with its port if that is not the default one")
    currency: Currency
    country: Country
    credentials: Credentials = Credentials()
    name: Text | None = None


class MiniProgram(Body):
    appid: Annotated[str, StringConstraints(pattern="^wx[0-9a-f]{16}$")]
    path: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_/-]{1,200}$")] = Field(
        description="A page of it, without a query; it must allow plain URL schemes (明文 Scheme)"
    )


class ShopChange(Body):
    name: Text = ""
    miniprogram: MiniProgram | None = Field(
        None, description="The shop inside of WeChat: links may lead there"
    )
    credentials: Credentials = Field(
        Credentials(), description="The previous webhook secret stays valid for 24 hours"
    )


class ShopQuery(ListQuery):
    merchant: MerchantId | None = None
    platform: Platform | None = None


class OrderFile(Body):
    content: Annotated[str, StringConstraints(min_length=4, max_length=1_900_000)] = Field(
        description="A CSV or XLSX file in base64; docs/shops.md has its columns"
    )
    timezone: Timezone = Field("UTC", description="Of times that have none")


class OrdersTaken(Resource):
    orders: int
    changed: int = Field(description="Of those, what was new or different")


class ShopHealth(Resource):
    state: Literal["new", "good", "behind", "silent", "failing"]
    last_webhook_at: Instant | None
    waiting: int
    quarantined: int
    done: int
    refused: int = Field(description="Webhooks with a bad signature in the last 24 hours")
    refused_at: Instant | None = Field(description="When the last of them came")
    refused_why: str | None = Field(
        description="`headers` missing, `time` more than five minutes off, `no_secret` known yet,"
        " or another `signature`"
    )
    oldest_waiting_at: Instant | None
    fault: str | None = Field(description="Why the shop could not be asked")
    is_pulled: bool = Field(description="Whether the shop is asked what it changed")
    pulled_until: Instant | None
    missed: int = Field(description="In 24 hours, changes that no webhook had told")


class ShopShown(Resource):
    id: ShopId
    merchant: MerchantId
    platform: Platform
    domain: str
    name: str
    currency: str
    country: str
    hook_url: str = Field(description="Where the shop sends its webhooks")
    carries: list[str] = Field(description="What of a click comes back with an order")
    beta: bool = Field(description="Verified by the platform's own words only")
    miniprogram: MiniProgram | None
    last_event_at: Instant | None
    created_at: Instant
    version: int


class ShopConnected(ShopShown):
    made_credentials: dict[str, str] = Field(description="Made by us and shown only this time")


@endpoint("POST", "/shops", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewShop) -> ShopConnected:
    """Connect a shop."""
    caller.require(Right.RUN_MERCHANT, body.merchant)
    merchant = people.merchant(body.merchant)
    programs.check_new_shop(merchant.id, body.country)
    fields = body.model_dump(exclude={"merchant", "credentials"})
    shop, made = service.create_shop(merchant.id, credentials=body.credentials.given(), **fields)
    return ShopConnected(**_fields(shop), made_credentials=made)


@endpoint("GET", "/shops", needs=Right.READ_MERCHANT)
def all_shops(caller: Caller, query: ShopQuery) -> Page[ShopShown]:
    """Shops, newest first."""
    found = sa.select(Shop).where(within(Shop.merchant_id, caller.scope(Right.READ_MERCHANT)))
    if query.merchant is not None:
        found = found.where(Shop.merchant_id == query.merchant)
    if query.platform is not None:
        found = found.where(Shop.platform == query.platform)
    return paging.page(found, query, by=[Shop.id], show=show)


@endpoint("GET", "/shops/{shop_id}", needs=Right.READ_MERCHANT)
def one(caller: Caller, shop_id: ShopId) -> ShopShown:
    """One shop."""
    caller.require(Right.READ_MERCHANT, shop_id[0])
    return show(queries.shop(*shop_id))


@endpoint("PATCH", "/shops/{shop_id}", needs=Right.RUN_MERCHANT)
def change(caller: Caller, shop_id: ShopId, body: ShopChange, if_match: IfMatch) -> ShopConnected:
    """Rename a shop or rotate its secrets."""
    caller.require(Right.RUN_MERCHANT, shop_id[0])
    shop = queries.shop(*shop_id, lock=True)
    if_match.check(shop.version)
    changes = body.given()
    if "credentials" in changes:
        changes["credentials"] = body.credentials.given()
    if "miniprogram" in changes:
        mini = changes.pop("miniprogram")
        service.set_miniprogram(shop, mini and mini.model_dump())
    made = service.change_shop(shop, **changes)
    return ShopConnected(**_fields(shop), made_credentials=made)


@endpoint("GET", "/shops/{shop_id}/health", needs=Right.READ_MERCHANT)
def health_of(caller: Caller, shop_id: ShopId) -> ShopHealth:
    """How a shop's connection is doing."""
    caller.require(Right.READ_MERCHANT, shop_id[0])
    shop = queries.shop(*shop_id)
    return ShopHealth(**asdict(health.of_shops([shop])[shop.id]))


@endpoint("POST", "/shops/{shop_id}/orders", needs=Right.RUN_MERCHANT)
def take_file(caller: Caller, shop_id: ShopId, body: OrderFile) -> OrdersTaken:
    """Take the orders of a file, for a shop of the platform `file`. The same file again changes
    nothing.
    """
    caller.require(Right.RUN_MERCHANT, shop_id[0])
    try:
        content = base64.b64decode(body.content, validate=True)
    except ValueError:
        raise invalid("/content", "not_base64", "This is not base64.") from None
    taken = files.take(queries.shop(*shop_id), content, body.timezone)
    return OrdersTaken(orders=taken.orders, changed=taken.changed)


def show(shop: Shop) -> ShopShown:
    return ShopShown(**_fields(shop))


def _fields(shop: Shop) -> dict[str, Any]:
    return {
        "id": (shop.merchant_id, shop.id),
        "merchant": shop.merchant_id,
        "platform": Platform(shop.platform),
        "domain": shop.domain,
        "name": shop.name,
        "currency": shop.currency,
        "country": shop.country,
        "hook_url": queries.hook_url(shop),
        "miniprogram": shop.miniprogram,
        "carries": list(platforms.connection(shop.platform).carries),
        "beta": platforms.connection(shop.platform).beta,
        "last_event_at": shop.last_event_at,
        "created_at": shop.created_at,
        "version": shop.version,
    }
