"""The `paypal` rail: Payouts of PayPal, one batch of one item for each payout.

PayPal knows a batch by a number of its own, so a question without it is answered by sending the
same again: for 30 days the same `sender_batch_id` is the same batch, and the refusal links to it.
"""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import httpx
from flask import current_app

from affiliate import clock, money
from affiliate.config import Settings
from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails import wire
from affiliate.payouts.rails.fields import Field, cleaned
from affiliate.payouts.rails.identifiers import email
from affiliate.payouts.rails.interface import Answer, Destination, Instruction, Said

FIELDS = {
    "account_holder": Field(140, required=True),
    "email": Field(127, required=True, check=email),
}
# Not those that PayPal sends inside one country only, or without decimals against ISO 4217.
CURRENCIES = frozenset(
    "AUD CAD CHF CZK DKK EUR GBP HKD ILS JPY MXN NOK NZD PHP PLN SEK SGD THB USD".split()
)
STATES = {
    "PENDING": Said.ACCEPTED,
    "ONHOLD": Said.ACCEPTED,
    "UNCLAIMED": Said.ACTION_REQUIRED,  # nobody has a PayPal account under this address yet
    "SUCCESS": Said.PAID,
    "FAILED": Said.FAILED,
    "BLOCKED": Said.FAILED,
    "RETURNED": Said.FAILED,  # nobody claimed it, so nobody was ever paid
    "REFUNDED": Said.RETURNED,
    "REVERSED": Said.RETURNED,
}
UNCLAIMED_FOR = timedelta(days=30)
EARLY = timedelta(minutes=2)  # before a token lapses


class PayPalRail:
    name = "paypal"
    # Less than the 30 days in which the same number is the same batch.
    asks_for = timedelta(days=28)
    at_once = 4

    def is_offered(self) -> bool:
        return bool(_settings().paypal_client_id and _settings().paypal_secret)

    def takes(self, currency: str) -> bool:
        return currency in CURRENCIES

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        taken = cleaned(fields, FIELDS)
        name, _at, domain = taken["email"].rpartition("@")
        shown = f"{country} PayPal {name[0]}•••@{domain}"
        return Destination(taken, shown, f"paypal:{taken['email'].casefold()}")

    @contextmanager
    def line(self) -> Iterator["PayPalLine"]:
        settings = _settings()
        secret = settings.paypal_secret.get_secret_value() if settings.paypal_secret else ""
        with wire.client(str(settings.paypal_url), at_once=self.at_once) as client:
            client.auth = Token(client, settings.paypal_client_id or "", secret)
            yield PayPalLine(client)

    def hints(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:  # noqa: ARG002
        """Whoever signed it: a hint only rings."""
        try:
            resource = json.loads(body)["resource"]
            item = resource.get("payout_item") or {}
            header = (resource.get("batch_header") or {}).get("sender_batch_header") or {}
            return [str(item.get("sender_item_id") or header["sender_batch_id"])]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Invalid(_("This is not a notification.")) from None


RAIL = PayPalRail()


class Token(httpx.Auth):
    """The access token, asked for when there is none and shared by all calls of a line."""

    requires_response_body = True

    def __init__(self, client: httpx.Client, client_id: str, secret: str) -> None:
        self._url = client.base_url.join("v1/oauth2/token")
        self._basic = httpx.BasicAuth(client_id, secret)
        self._token, self._until = "", clock.now()
        self._lock = Lock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        with self._lock:
            if not self._token or clock.now() >= self._until:
                yield from self._renew()
            request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._token = ""

    def _renew(self) -> Generator[httpx.Request, httpx.Response, None]:
        wanted = httpx.Request("POST", self._url, data={"grant_type": "client_credentials"})
        response = yield next(self._basic.auth_flow(wanted))
        try:
            told = response.raise_for_status().json()
            self._token = str(told["access_token"])
            self._until = clock.now() + timedelta(seconds=int(told["expires_in"])) - EARLY
        except (httpx.HTTPStatusError, *wire.NO_ANSWER) as error:
            raise wire.NotSent(f"no token: {response.status_code}") from error


class PayPalLine:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, instruction: Instruction) -> Answer:
        reference = instruction.reference
        body = {
            "sender_batch_header": {"sender_batch_id": reference, "recipient_type": "EMAIL"},
            "items": [
                {
                    "recipient_type": "EMAIL",
                    "receiver": instruction.fields["email"],
                    "amount": {
                        "value": money.decimal_text(instruction.amount, instruction.currency),
                        "currency": instruction.currency,
                    },
                    "sender_item_id": reference,
                }
            ],
        }
        return wire.sent(
            lambda: self._client.post(
                "v1/payments/payouts?sync_mode=false",
                json=body,
                headers={"PayPal-Request-Id": reference},
            ),
            _taken,
            _known,
        )

    def ask(self, instruction: Instruction) -> Answer:
        number = instruction.provider_reference
        if number is None:
            return Answer(Said.AGAIN, detail="PayPal is asked by its own number, not told yet")
        return wire.asked(
            lambda: self._client.get(f"v1/payments/payouts/{number}"),
            lambda told: _read(instruction.reference, told),
        )


def _taken(told: Any) -> Answer:
    header = told["batch_header"]
    if header["batch_status"] in {"DENIED", "CANCELED"}:
        return _denied(header)
    return Answer(Said.ACCEPTED, provider_reference=str(header["payout_batch_id"]))


def _known(_status: int, told: Any) -> Answer | None:
    """A batch of this number is there already: its link names it."""
    is_ours = any(each.get("field", "").upper() == "SENDER_BATCH_ID" for each in told["details"])
    links = [each["href"] for each in told.get("links", []) if "/payments/payouts/" in each["href"]]
    if told["name"] != "USER_BUSINESS_ERROR" or not is_ours or not links:
        return None
    return Answer(Said.ACCEPTED, provider_reference=links[0].rpartition("/")[2])


def _denied(header: Mapping[str, Any]) -> Answer:
    return Answer(Said.FAILED, str(header["payout_batch_id"]), f"batch {header['batch_status']}")


def _read(reference: str, told: Any) -> Answer:
    header = told["batch_header"]
    if header["batch_status"] in {"DENIED", "CANCELED"}:
        return _denied(header)
    number = str(header["payout_batch_id"])
    items = told.get("items") or []
    if not items:
        return Answer(Said.ACCEPTED, provider_reference=number)
    (item,) = items
    if item["payout_item"]["sender_item_id"] != reference:
        return Answer(Said.UNKNOWN, detail="speaks of another payout")
    amount, fee = item["payout_item"]["amount"], item.get("payout_item_fee") or {}
    said = STATES.get(item["transaction_status"], Said.UNKNOWN)
    return Answer(
        said,
        provider_reference=number,
        detail=str((item.get("errors") or {}).get("message", "")),
        until=_claim_by(item) if said == Said.ACTION_REQUIRED else None,
        amount=money.minor(amount["value"], amount["currency"]),
        currency=str(amount["currency"]),
        fee=money.minor(fee["value"], fee["currency"]) if fee else None,
        fee_currency=fee.get("currency"),
    )


def _claim_by(item: Mapping[str, Any]) -> datetime | None:
    at = item.get("time_processed")
    return clock.instant(at) + UNCLAIMED_FOR if at else None


def _settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found
