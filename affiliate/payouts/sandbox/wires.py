"""How other providers talk, each below its own path: the same book, in their words.

`/paypal`, `/wechat` and `/mercadopago` are base addresses for the rails of these names. Behaviour
is chosen by the account, as in the provider's own format: the name before the @ of an e-mail
address, or an openid filled up with hyphens (`expires-------------`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from email.message import Message
from http import HTTPStatus
from typing import Any, Protocol

from affiliate import clock
from affiliate.payouts.sandbox.book import Transfer
from affiliate.payouts.sandbox.keys import Keys

Answer = tuple[HTTPStatus, Any]
Headers = Message | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks for, whatever its words."""

    reference: str
    amount: int
    currency: str
    account: str


class Wire(Protocol):
    posts: str  # path of a sending
    gets: str  # path of a question, to which the name of a transfer is added
    asked_by_number: bool  # of the provider; else by our reference
    knocks: bool
    not_found: Answer
    bad: Answer

    def refuses(self, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:
        """Whoever may not talk to it."""

    def other(self, path: str) -> Answer | None:
        """What it answers on other paths."""

    def order(self, headers: Headers, body: Any) -> Order:
        """LookupError, TypeError or ValueError if it makes no sense."""

    def took(self, transfer: Transfer, *, is_new: bool, is_other: bool = False) -> Answer:
        """Said to a sending."""

    def told(self, transfer: Transfer) -> Answer:
        """Said to a question."""

    def seal(self, content: bytes) -> Headers:
        """What goes with an answer."""


class Plain:
    """What wires have in common that have nothing special about it."""

    posts = gets = ""
    asked_by_number = False
    knocks = False
    not_found: Answer = (HTTPStatus.NOT_FOUND, {"error": "not_found"})
    bad: Answer = (HTTPStatus.BAD_REQUEST, {"error": "bad_request"})

    def refuses(self, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:  # noqa: ARG002
        return None

    def other(self, path: str) -> Answer | None:  # noqa: ARG002
        return None

    def seal(self, content: bytes) -> Headers:  # noqa: ARG002
        return {}


class Own(Plain):
    """The format in docs/payouts.md."""

    posts, gets, knocks = "/transfers", "/transfers/", True

    def order(self, headers: Headers, body: Any) -> Order:  # noqa: ARG002
        return Order(
            str(body["reference"]), int(body["amount"]), str(body["currency"]), str(body["account"])
        )

    def took(self, transfer: Transfer, *, is_new: bool, is_other: bool = False) -> Answer:
        if is_other:
            return HTTPStatus.CONFLICT, {"error": "reference_used"}
        if transfer.course[0][1] == "failed":
            return HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "refused", **transfer.shown()}
        return HTTPStatus.CREATED if is_new else HTTPStatus.OK, transfer.shown()

    def told(self, transfer: Transfer) -> Answer:
        return HTTPStatus.OK, transfer.shown()


class PayPal(Plain):
    posts, gets = "/paypal/v1/payments/payouts", "/paypal/v1/payments/payouts/"
    asked_by_number = True
    login = "/paypal/v1/oauth2/token"
    not_found: Answer = (HTTPStatus.NOT_FOUND, {"name": "RESOURCE_NOT_FOUND"})
    bad: Answer = (HTTPStatus.BAD_REQUEST, {"name": "VALIDATION_ERROR"})
    states: Mapping[str, str] = {
        "processing": "PENDING", "waiting": "UNCLAIMED", "paid": "SUCCESS", "failed": "FAILED",
        "expired": "RETURNED", "returned": "REFUNDED",
    }  # fmt: skip

    def refuses(self, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:  # noqa: ARG002
        wanted = "Basic " if path == self.login else "Bearer sandbox-"
        if headers.get("Authorization", "").startswith(wanted):
            return None
        return HTTPStatus.UNAUTHORIZED, {"error": "invalid_token"}

    def other(self, path: str) -> Answer | None:
        token = {"access_token": "sandbox-token", "token_type": "Bearer", "expires_in": 32400}
        return (HTTPStatus.OK, token) if path == self.login else None

    def order(self, headers: Headers, body: Any) -> Order:  # noqa: ARG002
        (item,) = body["items"]
        amount, reference = item["amount"], str(body["sender_batch_header"]["sender_batch_id"])
        if item["sender_item_id"] != reference or item["recipient_type"] != "EMAIL":
            raise ValueError
        currency = str(amount["currency"])
        account = str(item["receiver"]).partition("@")[0]
        return Order(reference, _minor(amount["value"], currency), currency, account)

    def took(self, transfer: Transfer, *, is_new: bool, is_other: bool = False) -> Answer:  # noqa: ARG002
        if is_new:
            return HTTPStatus.CREATED, {"batch_header": self._header(transfer, "PENDING")}
        return HTTPStatus.BAD_REQUEST, {
            "name": "USER_BUSINESS_ERROR",
            "message": "User business error.",
            "details": [
                {"field": "SENDER_BATCH_ID", "location": "body",
                 "issue": "Batch with given sender_batch_id already exists"},
            ],
            "links": [{"href": f"http://sandbox{self.gets}{transfer.number}", "rel": "self"}],
        }  # fmt: skip

    def told(self, transfer: Transfer) -> Answer:
        item = {
            "payout_item_id": f"I{transfer.number}",
            "transaction_status": self.states[transfer.state],
            "payout_item_fee": _money(transfer.amount // 50, transfer.currency),
            "payout_batch_id": transfer.number,
            "payout_item": {
                "recipient_type": "EMAIL",
                "amount": _money(transfer.amount, transfer.currency),
                "sender_item_id": transfer.reference,
            },
            "time_processed": _instant(transfer),
        }
        if transfer.state in {"failed", "expired"}:
            item["errors"] = {"name": "RECEIVER_UNCONFIRMED", "message": transfer.reason}
        return HTTPStatus.OK, {"batch_header": self._header(transfer, "SUCCESS"), "items": [item]}

    def _header(self, transfer: Transfer, status: str) -> dict[str, Any]:
        return {
            "payout_batch_id": transfer.number,
            "batch_status": status,
            "sender_batch_header": {"sender_batch_id": transfer.reference},
        }


class WeChat(Plain):
    posts = "/wechat/v3/fund-app/mch-transfer/transfer-bills"
    gets = f"{posts}/out-bill-no/"
    not_found: Answer = (HTTPStatus.NOT_FOUND, {"code": "NOT_FOUND", "message": "记录不存在"})
    bad: Answer = (HTTPStatus.BAD_REQUEST, {"code": "PARAM_ERROR", "message": "参数错误"})
    states: Mapping[str, str] = {
        "processing": "PROCESSING", "waiting": "WAIT_USER_CONFIRM", "paid": "SUCCESS",
        "failed": "FAIL", "expired": "FAIL", "returned": "SUCCESS",
    }  # fmt: skip

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def refuses(self, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:
        given = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("Authorization", "")))
        text = "\n".join((method, path, given.get("timestamp", ""),
                          given.get("nonce_str", ""), body.decode(), ""))  # fmt: skip
        if self._keys.is_merchants(text, given.get("signature", "")):
            return None
        return HTTPStatus.UNAUTHORIZED, {"code": "SIGN_ERROR", "message": "签名错误"}

    def order(self, headers: Headers, body: Any) -> Order:
        amount = int(body["transfer_amount"])
        if amount < 10 or not body["transfer_scene_report_infos"] or not body["appid"]:
            raise ValueError
        if amount >= 200_000:
            self._keys.opened(body["user_name"])
            if headers.get("Wechatpay-Serial") != self._keys.number:
                raise ValueError
        account = str(body["openid"]).strip("-_")
        return Order(str(body["out_bill_no"]), amount, "CNY", account)

    def took(self, transfer: Transfer, *, is_new: bool, is_other: bool = False) -> Answer:  # noqa: ARG002
        if is_other:
            return HTTPStatus.BAD_REQUEST, {
                "code": "INVALID_REQUEST",
                "message": "请求参数与原单不一致",
            }
        told = {
            "out_bill_no": transfer.reference,
            "transfer_bill_no": transfer.number,
            "create_time": _instant(transfer),
            "state": self.states[transfer.state],
        }
        if transfer.state == "waiting":
            told["package_info"] = f"package-{transfer.number}"
        if told["state"] == "FAIL":
            told["fail_reason"] = transfer.reason
        return HTTPStatus.OK, told

    def told(self, transfer: Transfer) -> Answer:
        """Without the package: that is told to the sending alone."""
        status, told = self.took(transfer, is_new=False)
        told.pop("package_info", None)
        return status, told | {"transfer_amount": transfer.amount}

    def seal(self, content: bytes) -> Headers:
        now, nonce = str(int(clock.now().timestamp())), "593BEC0C930BF1AFEB40B4A08C8FB242"
        text = f"{now}\n{nonce}\n{content.decode()}\n"
        return {
            "Wechatpay-Serial": self._keys.number,
            "Wechatpay-Timestamp": now,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": self._keys.signature(text),
        }


class MercadoPago(Plain):
    posts = "/mercadopago/v1/transaction-intents/process"
    gets = "/mercadopago/v1/transaction-intents/"
    asked_by_number = True
    states: Mapping[str, str] = {
        "processing": "approved", "waiting": "pending", "paid": "processed", "failed": "rejected",
        "expired": "rejected", "returned": "refunded",
    }  # fmt: skip

    def refuses(self, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:  # noqa: ARG002
        if headers.get("Authorization", "").startswith("Bearer "):
            return None
        return HTTPStatus.UNAUTHORIZED, {"error": "invalid_token"}

    def order(self, headers: Headers, body: Any) -> Order:
        reference, asked = str(body["external_reference"]), body["transaction"]
        (target,) = asked["to"]["accounts"]
        (source,) = asked["from"]["accounts"]
        if not headers["X-Idempotency-Key"] == reference:
            raise ValueError
        if not source["amount"] == target["amount"] == asked["total_amount"]:
            raise ValueError
        currency = "BRL" if "chave" in target else "MXN"
        account = str(target["chave"]["value"] if "chave" in target else target["number"])
        amount = _minor(str(asked["total_amount"]), currency)
        return Order(reference, amount, currency, account.partition("@")[0])

    def took(self, transfer: Transfer, *, is_new: bool, is_other: bool = False) -> Answer:
        if is_other:
            return HTTPStatus.CONFLICT, {"error": "idempotency_key_already_used"}
        status, told = self.told(transfer)
        return (HTTPStatus.ACCEPTED if is_new else status), told

    def told(self, transfer: Transfer) -> Answer:
        failed = transfer.state in {"failed", "expired"}
        return HTTPStatus.OK, {
            "id": transfer.number,
            "external_reference": transfer.reference,
            "status": self.states[transfer.state],
            "status_detail": transfer.reason if failed else "",
            "transaction": {"total_amount": _text(transfer.amount, transfer.currency)},
        }


def wires(keys: Keys) -> list[Wire]:
    return [PayPal(), WeChat(keys), MercadoPago(), Own()]


def _text(amount: int, currency: str) -> str:
    return str(Decimal(amount).scaleb(-_digits(currency)))


def _money(amount: int, currency: str) -> dict[str, str]:
    return {"currency": currency, "value": _text(amount, currency)}


def _minor(text: str, currency: str) -> int:
    found = Decimal(text).scaleb(_digits(currency))
    if found != found.to_integral_value():
        raise ValueError
    return int(found)


def _digits(currency: str) -> int:
    return 0 if currency == "JPY" else 2


def _instant(transfer: Transfer) -> str:
    return transfer.taken_at.astimezone(UTC).isoformat(timespec="seconds")
