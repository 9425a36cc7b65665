"""The `mercadopago` rail, beta: Payouts of Mercado Pago, to Pix keys (Brazil) or CLABEs (Mexico).

Written by its reference and its examples, not yet tried with a real account. It is asked by a
number of its own; without it, the same is sent again under the same idempotency key.
"""

import base64
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flask import current_app

from affiliate import money
from affiliate.config import Settings
from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails import pix, wire
from affiliate.payouts.rails.fields import Field, cleaned
from affiliate.payouts.rails.identifiers import clabe, cpf_or_cnpj
from affiliate.payouts.rails.interface import Answer, Destination, Instruction, Said

PIX = pix.FIELDS | {"tax_id": Field(18, is_code=True, required=True, check=cpf_or_cnpj)}
SPEI = {
    "account_holder": Field(140, required=True),
    "clabe": Field(24, is_code=True, required=True, check=clabe),
}
CURRENCIES = {"BR": "BRL", "MX": "MXN"}
KEYS = {"cpf": "CPF", "cnpj": "CNPJ", "email": "EMAIL", "phone": "PHONE", "random": "PIX_CODE"}
STATES = {
    "approved": Said.ACCEPTED,  # made, not processed
    "created": Said.ACCEPTED,
    "pending": Said.ACCEPTED,
    "in_process": Said.ACCEPTED,
    "transaction_in_process": Said.ACCEPTED,
    "processed": Said.PAID,
    "success": Said.PAID,
    "error": Said.FAILED,
    "failed": Said.FAILED,
    "rejected": Said.FAILED,
    "canceled": Said.FAILED,
    "refunded": Said.RETURNED,
}


class MercadoPagoRail:
    name = "mercadopago"
    # How long an idempotency key is remembered is not said anywhere; a day is not much to trust.
    asks_for = timedelta(days=1)
    at_once = 4

    def is_offered(self) -> bool:
        return _settings().mercadopago_token is not None

    def takes(self, currency: str) -> bool:
        return CURRENCIES[_settings().mercadopago_country] == currency

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        if _settings().mercadopago_country == "MX":
            taken = cleaned(fields, SPEI)
            number = taken["clabe"]
            return Destination(taken, f"{country} CLABE •••• {number[-4:]}", f"clabe:{number}")
        tax = cleaned({"tax_id": fields.get("tax_id")}, {"tax_id": PIX["tax_id"]})
        found = pix.read(country, {k: v for k, v in fields.items() if k != "tax_id"})
        return replace(found, fields=found.fields | tax)

    @contextmanager
    def line(self) -> Iterator["MercadoPagoLine"]:
        settings = _settings()
        with wire.client(str(settings.mercadopago_url), at_once=self.at_once) as client:
            client.auth = Signed(settings)
            yield MercadoPagoLine(client)

    def hints(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:  # noqa: ARG002
        """Its notifications name a number of its own and no reference, so it is only asked."""
        raise Invalid(_("This is not a notification."))


RAIL = MercadoPagoRail()


class Signed(httpx.Auth):
    """The access token, and in production a signature of the body."""

    requires_request_body = True

    def __init__(self, settings: Settings) -> None:
        self._token, self._key = settings.mercadopago_token, _key(settings)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token.get_secret_value() if self._token else ""
        request.headers["Authorization"] = f"Bearer {token}"
        if request.method == "POST":
            request.headers["X-Enforce-Signature"] = "true" if self._key else "false"
            request.headers["X-Test-Token"] = "false" if self._key else "true"
        if self._key and request.method == "POST":
            signature = self._key.sign(request.content)
            request.headers["X-Signature"] = base64.b64encode(signature).decode()
        yield request


def _key(settings: Settings) -> Ed25519PrivateKey | None:
    if settings.mercadopago_key is None:
        return None
    pem = settings.mercadopago_key.get_secret_value().encode()
    found = load_pem_private_key(pem, password=None)
    assert isinstance(found, Ed25519PrivateKey)
    return found


class MercadoPagoLine:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, instruction: Instruction) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "X-Idempotency-Key": instruction.reference,
        }
        return wire.sent(
            lambda: self._client.post(
                "v1/transaction-intents/process", content=_body(instruction), headers=headers
            ),
            lambda told: _read(instruction, told),
        )

    def ask(self, instruction: Instruction) -> Answer:
        number = instruction.provider_reference
        if number is None:
            return Answer(
                Said.AGAIN, detail="Mercado Pago is asked by its own number, not told yet"
            )
        return wire.asked(
            lambda: self._client.get(f"v1/transaction-intents/{number}"),
            lambda told: _read(instruction, told),
        )


def _body(each: Instruction) -> bytes:
    """Amounts are numbers with decimals there, which JSON can hold exactly and floats cannot."""
    amount = f"#{each.reference}"
    body = {
        "external_reference": each.reference,
        "point_of_interaction": {"type": "PSP_TRANSFER"},
        "transaction": {
            "from": {"accounts": [{"amount": amount}]},
            "to": {"accounts": [{"amount": amount, **_target(each)}]},
            "total_amount": amount,
        },
    }
    exact = money.decimal_text(each.amount, each.currency)
    return json.dumps(body).replace(f'"{amount}"', exact).encode()


def _target(each: Instruction) -> dict[str, Any]:
    fields = each.fields
    if "clabe" in fields:
        return {
            "type": "savings_account",
            "bank_id": fields["clabe"][:3],
            "number": fields["clabe"],
            "holder": fields["account_holder"],
        }
    kind = "CPF" if len(fields["tax_id"]) == 11 else "CNPJ"
    return {
        "type": "current",
        "chave": {"type": KEYS[fields["key_type"]], "value": fields["key"]},
        "owner": {"identification": {"type": kind, "number": fields["tax_id"]}},
    }


def _read(instruction: Instruction, told: Any) -> Answer:
    if told.get("external_reference", instruction.reference) != instruction.reference:
        return Answer(Said.UNKNOWN, detail="speaks of another payout")
    amount = (told.get("transaction") or {}).get("total_amount")
    currency = instruction.currency
    return Answer(
        STATES.get(told["status"], Said.UNKNOWN),
        provider_reference=str(told["id"]),
        detail=str(told.get("status_detail") or ""),
        amount=money.minor(amount, currency) if amount is not None else None,
        currency=currency if amount is not None else None,
    )


def _settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found
