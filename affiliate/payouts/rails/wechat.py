"""The `wechat` rail: 微信支付 商家转账 (API v3), in which the payee confirms each transfer.

Requests are signed with the merchant's key, and only answers signed by WeChat Pay are believed.
A bill keeps its number whatever happens: another number after an error could pay twice.
"""

import base64
import json
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from flask import current_app

from affiliate import clock
from affiliate.config import Settings
from affiliate.errors import Invalid
from affiliate.i18n import _
from affiliate.payouts.rails import wire
from affiliate.payouts.rails.fields import Field, cleaned
from affiliate.payouts.rails.identifiers import openid
from affiliate.payouts.rails.interface import Answer, Destination, Instruction, Said

FIELDS = {
    "account_holder": Field(64, required=True),
    "openid": Field(64, required=True, check=openid),
}
BILLS = "v3/fund-app/mch-transfer/transfer-bills"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
STATES = {
    "ACCEPTED": Said.ACCEPTED,
    "PROCESSING": Said.ACCEPTED,
    "TRANSFERING": Said.ACCEPTED,  # their spelling
    "CANCELING": Said.ACCEPTED,
    "WAIT_USER_CONFIRM": Said.ACTION_REQUIRED,
    "SUCCESS": Said.PAID,
    "FAIL": Said.FAILED,
    "CANCELLED": Said.FAILED,
}
LEAST = 10  # fen
NAMED_FROM = 200_000  # fen: from ¥2 000 on the real name is needed
CONFIRMED_WITHIN = timedelta(hours=24)
ANSWERS_FRESH = timedelta(minutes=5)


class WeChatRail:
    name = "wechat"
    asks_for = timedelta(days=30)
    at_once = 8

    def is_offered(self) -> bool:
        settings = _settings()
        return all(
            (
                settings.wechat_mchid, settings.wechat_appid, settings.wechat_serial,
                settings.wechat_key, settings.wechat_public_key, settings.wechat_public_key_id,
            )
        )  # fmt: skip

    def takes(self, currency: str) -> bool:
        return currency == "CNY"

    def read(self, country: str, fields: Mapping[str, object]) -> Destination:
        taken = cleaned(fields, FIELDS)
        return Destination(
            taken, f"{country} WeChat •••• {taken['openid'][-4:]}", f"openid:{taken['openid']}"
        )

    @contextmanager
    def line(self) -> Iterator["WeChatLine"]:
        settings = _settings()
        with wire.client(str(settings.wechat_url), at_once=self.at_once) as client:
            # Without keys nothing is sent and nothing is believed.
            if self.is_offered():
                client.auth = Seals(settings)
                yield WeChatLine(client, settings)
            else:
                yield WeChatLine(None, settings)

    def hints(self, headers: Mapping[str, str], body: bytes) -> Sequence[str]:  # noqa: ARG002
        """Its content is sealed with the APIv3 key; a hint needs no more proof than that."""
        key = _settings().wechat_v3_key
        try:
            sealed = json.loads(body)["resource"]
            told = AESGCM(key.get_secret_value().encode() if key else b"").decrypt(
                sealed["nonce"].encode(),
                base64.b64decode(sealed["ciphertext"]),
                sealed.get("associated_data", "").encode(),
            )
            return [str(json.loads(told)["out_bill_no"])]
        except (ValueError, KeyError, TypeError, AttributeError, InvalidTag):
            raise Invalid(_("This is not a notification.")) from None


RAIL = WeChatRail()


class Unsigned(httpx.RequestError):
    """Somebody answered, and it was not WeChat Pay."""


class Seals(httpx.Auth):
    """Signs what we say, and checks the signature of what we are told."""

    requires_request_body = True
    requires_response_body = True

    def __init__(self, settings: Settings) -> None:
        assert settings.wechat_key
        assert settings.wechat_public_key
        self._settings = settings
        self._ours = private_key(settings.wechat_key.get_secret_value())
        self._theirs = public_key(settings.wechat_public_key)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        now, nonce = str(int(clock.now().timestamp())), secrets.token_hex(16)
        path = request.url.raw_path.decode()
        text = message(request.method, path, now, nonce, request.content.decode())
        parts = {
            "mchid": self._settings.wechat_mchid,
            "nonce_str": nonce,
            "timestamp": now,
            "serial_no": self._settings.wechat_serial,
            "signature": signature(self._ours, text),
        }
        told = ",".join(f'{name}="{value}"' for name, value in parts.items())
        request.headers["Authorization"] = f"{SCHEME} {told}"
        request.headers["Accept"] = "application/json"
        response = yield request
        if not self._is_theirs(response):
            raise Unsigned(f"{response.status_code} without their signature", request=request)

    def _is_theirs(self, response: httpx.Response) -> bool:
        given = {
            name: response.headers.get(f"Wechatpay-{name}", "")
            for name in ("Serial", "Timestamp", "Nonce", "Signature")
        }
        if given["Serial"] != self._settings.wechat_public_key_id:
            return False
        text = f"{given['Timestamp']}\n{given['Nonce']}\n{response.text}\n"
        try:
            age = abs(clock.now().timestamp() - int(given["Timestamp"]))
            self._theirs.verify(
                base64.b64decode(given["Signature"]), text.encode(), PKCS1v15(), SHA256()
            )
        except (ValueError, InvalidSignature):
            return False
        return age <= ANSWERS_FRESH.total_seconds()


class WeChatLine:
    def __init__(self, client: httpx.Client | None, settings: Settings) -> None:
        self._client, self._settings = client, settings

    def send(self, instruction: Instruction) -> Answer:
        if instruction.amount < LEAST:
            return Answer(Said.FAILED, detail="WeChat Pay sends ¥0.10 and more")
        client, body, headers = self._client, self._bill(instruction), {}
        if client is None:
            return Answer(Said.UNREACHABLE, detail="the rail is not set up")
        if instruction.amount >= NAMED_FROM:
            body["user_name"] = self._sealed(instruction.fields["account_holder"])
            headers["Wechatpay-Serial"] = self._settings.wechat_public_key_id or ""
        return wire.sent(lambda: client.post(BILLS, json=body, headers=headers), _read)

    def ask(self, instruction: Instruction) -> Answer:
        client, path = self._client, f"{BILLS}/out-bill-no/{instruction.reference}"
        if client is None:
            return Answer(Said.UNREACHABLE, detail="the rail is not set up")
        found = wire.asked(lambda: client.get(path), _read, _explain)
        if found.said == Said.ACTION_REQUIRED and instruction.provider_reference is None:
            # The answer that held the package was lost; the same bill sent again has it again.
            return Answer(Said.AGAIN, detail="its package is told to the sending alone")
        return found

    def _bill(self, instruction: Instruction) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {
            "appid": settings.wechat_appid,
            "out_bill_no": instruction.reference,
            "transfer_scene_id": settings.wechat_scene,
            "openid": instruction.fields["openid"],
            "transfer_amount": instruction.amount,
            "transfer_remark": settings.wechat_remark,
            "user_recv_perception": "劳务报酬",
            # What scene 1005 (佣金报酬) wants to be told, word by word.
            "transfer_scene_report_infos": [
                {"info_type": "岗位类型", "info_content": "推客"},
                {"info_type": "报酬说明", "info_content": settings.wechat_remark},
            ],
        }
        if settings.address.startswith("https://"):
            body["notify_url"] = f"{settings.address}/rails/wechat/hook"
        return body

    def _sealed(self, name: str) -> str:
        """For the eyes of WeChat Pay alone; SHA-1 is what they ask for here."""
        key = public_key(self._settings.wechat_public_key or "")
        padding = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303
        return base64.b64encode(key.encrypt(name.encode(), padding)).decode()


def message(method: str, path: str, timestamp: str, nonce: str, body: str) -> str:
    """What is signed of a request."""
    return f"{method}\n{path}\n{timestamp}\n{nonce}\n{body}\n"


def signature(key: RSAPrivateKey, text: str) -> str:
    return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def private_key(pem: str) -> RSAPrivateKey:
    found = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(found, RSAPrivateKey)
    return found


def public_key(pem: str) -> RSAPublicKey:
    found = load_pem_public_key(pem.encode())
    assert isinstance(found, RSAPublicKey)
    return found


def _read(told: Any) -> Answer:
    said = STATES.get(told["state"], Said.UNKNOWN)
    waits = said == Said.ACTION_REQUIRED
    return Answer(
        said,
        provider_reference=str(told["transfer_bill_no"]),
        detail=str(told.get("fail_reason") or ""),
        until=clock.instant(told["create_time"]) + CONFIRMED_WITHIN if waits else None,
        amount=int(told["transfer_amount"]) if "transfer_amount" in told else None,
        currency="CNY" if "transfer_amount" in told else None,
        action=told.get("package_info"),
    )


def _explain(status: int, told: Any) -> Answer | None:
    is_unknown = status == httpx.codes.NOT_FOUND and told["code"] == "NOT_FOUND"
    return Answer(Said.NOT_FOUND) if is_unknown else None


def _settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found
