"""The `sandbox` rail: speaks to the bundled provider, `affiliate sandbox-psp`, which pays nobody.

It is there only where AFFILIATE_SANDBOX_URL says so. Its wire format stands in docs/payouts.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
from flask import current_app

from affiliate import clock
from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS
from affiliate.payouts.rails import wire
from affiliate.payouts.rails.fields import Field, cleaned
from affiliate.payouts.rails.interface import Answer, Destination, Instruction, Said

FIELDS = {
    "account_holder": Field(140, required=True),
    "account": Field(64, required=True),
}
STATES = {
    "processing": Said.ACCEPTED,
    "waiting": Said.ACTION_REQUIRED,
    "paid": Said.PAID,
    "failed": Said.FAILED,
    "expired": Said.FAILED,
    "returned": Said.RETURNED,
}


class SandboxRail:
    name = "sandbox"
    asks_for = timedelta(days=30)
    at_once = 8

    def is_offered(self) -> bool:
        return current_app.config["SETTINGS"].sandbox_url is not None

    def takes(self, currency: str) -> bool:
        return currency in EXPONENTS

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        taken = cleaned(fields, FIELDS)
        account = taken["account"]
        shown = account[-4:] if len(account) >= 8 else ""
        return Destination(taken, f"{country} •••• {shown}".strip(), f"sandbox:{account}")

    @contextmanager
    def line(self) -> Iterator["SandboxLine"]:
        url = current_app.config["SETTINGS"].sandbox_url
        with wire.client(str(url) if url else None, at_once=self.at_once) as client:
            yield SandboxLine(client)

    def hints(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:  # noqa: ARG002
        """A provider of real money signs; this one has nothing to lose."""
        try:
            return [str(json.loads(body)["reference"])]
        except (ValueError, KeyError, TypeError):
            raise Invalid(_("This is not a notification.")) from None


RAIL = SandboxRail()


class SandboxLine:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, instruction: Instruction) -> Answer:
        body = {
            "reference": instruction.reference,
            "amount": instruction.amount,
            "currency": instruction.currency,
            "country": instruction.country,
            **instruction.fields,
        }
        return wire.sent(lambda: self._client.post("transfers", json=body), _read, _explain)

    def ask(self, instruction: Instruction) -> Answer:
        path = f"transfers/{instruction.reference}"
        return wire.asked(lambda: self._client.get(path), _read, _explain)


def _explain(_status: int, told: Any) -> Answer | None:
    if told["error"] == "refused":
        return Answer(Said.FAILED, detail=str(told.get("reason") or ""))
    return Answer(Said.NOT_FOUND) if told["error"] == "not_found" else None


def _read(told: Any) -> Answer:
    return Answer(
        STATES.get(told["state"], Said.UNKNOWN),
        provider_reference=str(told["id"]),
        detail=str(told.get("reason") or ""),
        until=clock.instant(told["confirm_by"]) if told.get("confirm_by") else None,
        amount=int(told["amount"]),
        currency=str(told["currency"]),
        fee=int(told["fee"]) if told.get("fee") else None,
        fee_currency=str(told["currency"]),
    )
