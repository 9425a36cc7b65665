"""Connecting by consent (OAuth 2, RFC 6749 and 7636): a shop's owner says yes over there, and we
get the tokens that would have to be copied otherwise.

What was asked for is kept beside a state that is good once, for ten minutes, in the session it was
made in. Only what is kept counts when somebody comes back: never a shop that the address names.
"""

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import current_app
from redis import Redis

from affiliate import jobs, security
from affiliate.catalog import queries as catalog
from affiliate.catalog import rules as addresses
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import topics
from affiliate.catalog.service import Keys, keys
from affiliate.config import Settings
from affiliate.errors import Conflict, invalid
from affiliate.i18n import _
from affiliate.intake.api import Answer, Api, Ask, Client, NotNow, Refused, base_of
from affiliate.intake.catalogue.shopify import API as SHOPIFY_API
from affiliate.intake.fetching import client_of
from affiliate.intake.platforms.mercadolibre import token_of
from affiliate.intake.reading import Unreadable
from affiliate.intake.tokens import ShopTokens

log = structlog.get_logger(__name__)

LIVES_SECONDS = 600
PLACE = "consents.asked"
SHOPIFY_HOST = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
MERCADOLIBRE = MappingProxyType(
    {
        "AR": "auth.mercadolibre.com.ar",
        "BR": "auth.mercadolivre.com.br",
        "CL": "auth.mercadolibre.cl",
        "CO": "auth.mercadolibre.com.co",
        "MX": "auth.mercadolibre.com.mx",
        "PE": "auth.mercadolibre.com.pe",
        "UY": "auth.mercadolibre.com.uy",
    }
)


class ConsentMissing(Conflict):
    """The shop's owner said no, or nothing that we asked for."""

    code = "no_consent"


class StateGone(Conflict):
    """Too old, used already, or begun by somebody else: none of them can be told from another."""

    code = "state_gone"


class AnotherShop(Conflict):
    code = "another_shop"


@dataclass(frozen=True, slots=True)
class Asked:
    """What consent is asked for: a new shop, or new tokens of one that is connected."""

    merchant_id: int
    platform: str
    domain: str
    name: str
    country: str
    currency: str
    shop_id: int | None = None


@dataclass(frozen=True, slots=True)
class App:
    """The operator's app at a platform."""

    client_id: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How one platform is asked for consent."""

    gate: Callable[[Asked, App], str]
    """Where the shop's owner is sent, without a query."""

    token: str
    """The path at which a code is exchanged."""

    host: Callable[[Keys], str]
    """The base of that path."""

    credentials: Callable[[Answer, App], dict[str, str]]
    """What is kept, from the answer to the exchange."""

    scope: str | None = None
    pkce: bool = False
    names_us: bool = True
    check: Callable[[Asked, App, Mapping[str, str]], None] = lambda asked, app, query: None  # noqa: ARG005
    register: Callable[[Client, str, list[str]], None] | None = None


def app_of(platform: str) -> App | None:
    """The operator's app; None where they have none, and tokens are pasted."""
    if platform not in PROVIDERS:
        return None
    settings: Settings = current_app.config["SETTINGS"]
    client_id = getattr(settings, f"{platform}_client_id")
    secret = getattr(settings, f"{platform}_secret")
    return App(client_id, secret.get_secret_value()) if client_id and secret else None


def begin(asked: Asked, *, session_id: int) -> str:
    """Keep what is asked for; returns the address where its owner says yes or no."""
    app = _app(asked.platform)
    provider = PROVIDERS[asked.platform]
    address = provider.gate(asked, app)
    state, verifier = security.new_secret(), security.new_secret()
    kept = json.dumps({"asked": asdict(asked), "verifier": verifier}).encode()
    sealed = security.seal(kept, place=PLACE)
    _redis().set(_key(state, session_id), sealed, ex=LIVES_SECONDS)
    more: dict[str, str] = {}
    if provider.pkce:
        challenge = create_s256_code_challenge(verifier)
        more |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    return str(
        prepare_grant_uri(
            address,
            client_id=app.client_id,
            response_type="code",
            redirect_uri=return_address(asked.platform) if provider.names_us else None,
            scope=provider.scope,
            state=state,
            **more,
        )
    )


def take(
    platform: str, query: Mapping[str, str], *, session_id: int, merchant_id: int
) -> tuple[Asked, str, str]:
    """What was asked for, the code and its verifier. Good once; what is wrong is said plainly."""
    app = _app(platform)
    sealed: Any = _redis().getdel(_key(query.get("state", ""), session_id))
    if sealed is None:
        raise StateGone(_("This consent is too old or was used already. Begin again."))
    kept = json.loads(security.unseal(sealed, place=PLACE))
    asked = Asked(**kept["asked"])
    if asked.platform != platform or asked.merchant_id != merchant_id:
        raise StateGone(_("This consent was begun for another merchant or shop. Begin again."))
    PROVIDERS[platform].check(asked, app, query)
    if query.get("error") or not query.get("code"):
        raise ConsentMissing(_("The shop gave no consent, so nothing was connected."))
    return asked, query["code"], kept["verifier"]


def exchange(asked: Asked, code: str, verifier: str) -> dict[str, str]:
    """The credentials for a code. Asks the platform, so outside of transactions."""
    app, provider = _app(asked.platform), PROVIDERS[asked.platform]
    given = {"client_id": app.client_id, "client_secret": app.secret, "code": code}
    if provider.pkce:
        given["code_verifier"] = verifier
    redirect = return_address(asked.platform) if provider.names_us else None
    body = prepare_token_request("authorization_code", redirect_uri=redirect, **given)
    api = Api(base=provider.host, prove=lambda *_: None)
    nothing = Keys((), domain=asked.domain)
    try:
        base = base_of(asked.platform, api, nothing)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        tokens = ShopTokens(asked.merchant_id, 0, nothing)
        with Client(api, nothing, tokens, base) as client:
            answer = client.for_token(Ask("POST", provider.token, {}, headers, body.encode()))
        if answer.status >= 300 or answer.body.get("error"):
            raise ConsentMissing(_("The shop did not take its own code back. Begin again."))
        return provider.credentials(answer, app)
    except NotNow as error:
        raise ConsentMissing(_("The shop does not answer now. Begin again later.")) from error
    except (Refused, Unreadable) as error:
        raise ConsentMissing(_("The shop's answer could not be read. Begin again.")) from error


def check_same(shop: Shop, credentials: Mapping[str, str]) -> None:
    """New tokens of a connected shop are of that shop."""
    before, now = keys(shop).get("store_id"), credentials.get("store_id", "")
    if before != now:
        message = _("You said yes in shop %(other)s, but this is %(shop)s.", other=now, shop=before)
        raise AnotherShop(message)


def ring_to_register(shop: Shop) -> None:
    if PROVIDERS[shop.platform].register:
        jobs.ring(jobs.Job.REGISTER_HOOKS, shop.merchant_id, shop.id)


def register(merchant_id: int, shop_id: int) -> None:
    """Tell the shop which events we want and where. What it has already stays as it is."""
    shop = catalog.door(merchant_id, shop_id)
    provider = PROVIDERS.get(shop.platform) if shop else None
    if shop is None or provider is None or provider.register is None:
        return
    try:
        with client_of(shop) as client:
            provider.register(client, catalog.hook_url(shop), topics(shop.platform))
    except Refused as error:
        # Its orders are asked for every half hour; the set-up page goes on waiting for an event.
        log.warning("hooks not registered", merchant=merchant_id, shop=shop_id, error=str(error))


def return_address(platform: str) -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return f"{settings.address}/merchant/shops/consent/{platform}"


def _app(platform: str) -> App:
    app = app_of(platform)
    if app is None:
        raise Conflict(_("Here shops of this kind are connected by copying tokens."))
    return app


def _key(state: str, session_id: int) -> str:
    return f"consent:{security.fingerprint(f'{session_id}:{state}').hex()}"


def _redis() -> Redis:
    redis: Redis = current_app.extensions["redis"]
    return redis


def _elsewhere(platform: str, address: str) -> str:
    """A sandbox in place of the platform's own host."""
    settings: Settings = current_app.config["SETTINGS"]
    other = settings.shop_apis.get(platform)
    return str(other).rstrip("/") if other else f"https://{address}"


# --- Shopify: shopify.dev, "authorization code grant" (2026-11) ----------------------------------


def _shopify_gate(asked: Asked, _app: App) -> str:
    if not SHOPIFY_HOST.fullmatch(asked.domain):
        message = _("Shopify asks by its own address: your-shop.myshopify.com.")
        raise invalid("/domain", "no_shopify_host", message)
    return f"{_elsewhere('shopify', asked.domain)}/admin/oauth/authorize"


def _shopify_check(asked: Asked, app: App, query: Mapping[str, str]) -> None:
    """All of the query but the proof itself is proved."""
    told = "&".join(f"{name}={query[name]}" for name in sorted(query) if name != "hmac")
    proof = hmac.digest(app.secret.encode(), told.encode(), "sha256").hex()
    if not security.same(query.get("hmac", ""), proof):
        raise ConsentMissing(_("This answer is not signed by Shopify, so nothing was connected."))
    if query.get("shop") != asked.domain:
        message = _(
            "You said yes in %(other)s, but began with %(shop)s.",
            other=query.get("shop", "")[:100],
            shop=asked.domain,
        )
        raise AnotherShop(message)


def _shopify_credentials(answer: Answer, app: App) -> dict[str, str]:
    """Webhooks that an app registers are signed with the app's secret."""
    return {"api_token": answer.body.get("access_token").text(), "webhook_secret": app.secret}


SUBSCRIBE = """
mutation ($topic: WebhookSubscriptionTopic!, $to: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $to) { userErrors { message } }
}"""


def _shopify_register(client: Client, address: str, events: list[str]) -> None:
    for event in events:
        topic = event.replace("/", "_").upper()
        asked = {"topic": topic, "to": {"uri": address, "format": "JSON"}}
        client.post(f"{SHOPIFY_API}/graphql.json", {"query": SUBSCRIBE, "variables": asked})


# --- Mercado Libre: developers.mercadolibre.com, "autenticación y autorización" (2026-11) --------


def _mercadolibre_gate(asked: Asked, _app: App) -> str:
    if asked.country not in MERCADOLIBRE:
        countries = ", ".join(MERCADOLIBRE)
        message = _("Mercado Libre asks for consent in %(countries)s.", countries=countries)
        raise invalid("/country", "unknown_country", message)
    return f"{_elsewhere('mercadolibre', MERCADOLIBRE[asked.country])}/authorization"


def _mercadolibre_credentials(answer: Answer, app: App) -> dict[str, str]:
    return {
        "store_id": answer.body.get("user_id").key(),
        "app_id": app.client_id,
        "app_secret": app.secret,
        "refresh_token": token_of(answer.status, answer.body).refresh,
    }


# --- Tiendanube: tiendanube.github.io/api-documentation, "authentication" (2026-11) --------------


def _tiendanube_gate(_asked: Asked, app: App) -> str:
    return f"{_elsewhere('tiendanube', 'www.tiendanube.com')}/apps/{app.client_id}/authorize"


def _tiendanube_credentials(answer: Answer, app: App) -> dict[str, str]:
    return {
        "store_id": answer.body.get("user_id").key(),
        "api_token": answer.body.get("access_token").text(),
        "webhook_secret": app.secret,
    }


def _tiendanube_register(client: Client, address: str, events: list[str]) -> None:
    path = f"/v1/{client.keys.get('store_id')}/webhooks"
    there = client.get(path, {"url": address, "per_page": 200}).body
    known = {each.get("event").value for each in there.items() if each.get("url").value == address}
    for event in events:
        if event not in known:
            client.post(path, {"event": event, "url": address})


PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        Platform.SHOPIFY: Provider(
            gate=_shopify_gate,
            host=lambda keys: f"https://{keys.domain}",
            token="/admin/oauth/access_token",  # noqa: S106
            scope="read_orders,read_products",
            check=_shopify_check,
            credentials=_shopify_credentials,
            register=_shopify_register,
        ),
        Platform.MERCADOLIBRE: Provider(
            gate=_mercadolibre_gate,
            host=lambda _keys: "https://api.mercadolibre.com",
            token="/oauth/token",  # noqa: S106
            pkce=True,
            credentials=_mercadolibre_credentials,
        ),
        Platform.TIENDANUBE: Provider(
            gate=_tiendanube_gate,
            host=lambda _keys: "https://www.tiendanube.com",
            token="/apps/authorize/token",  # noqa: S106
            names_us=False,
            credentials=_tiendanube_credentials,
            register=_tiendanube_register,
        ),
    }
)


def asked_for(
    merchant_id: int, platform: str, *, domain: str, name: str, country: str, currency: str
) -> Asked:
    try:
        host = addresses.bare_host(domain)
    except addresses.BadAddress as error:
        raise invalid("/domain", "bad_domain", str(error)) from None
    return Asked(merchant_id, platform, host, name, country, currency)
