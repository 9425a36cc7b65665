"""What others wrote of the providers' formats, against ours: an SDK, and published examples."""

import json
from decimal import Decimal

import httpx
import pytest
from wechatpayv3 import utils as theirs

from affiliate.payouts.rails import mercadopago, paypal, wechat
from affiliate.payouts.rails.interface import Instruction, Said
from tests.payouts.sandbox import Sandbox, configured


@pytest.fixture
def sandbox(tmp_path):
    found = Sandbox(tmp_path / "log.jsonl")
    found.start()
    yield found
    found.stop()


# --- WeChat Pay: the package wechatpayv3 ---------------------------------------------------------


def test_its_signature_is_ours(sandbox, monkeypatch):
    key = wechat.private_key(sandbox.keys.merchant_pem)
    text = wechat.message("POST", "/v3/x", "1554208460", "593BEC0C930BF1AFEB40B4A08C8FB242", "{}")

    assert wechat.signature(key, text) == theirs.rsa_sign(key, text)
    monkeypatch.setattr(theirs.time, "time", lambda: 1554208460)
    told = theirs.build_authorization(
        "/v3/x", "POST", "1900000001", "5157F09E", key, "{}", "593BEC0C930BF1AFEB40B4A08C8FB242"
    )
    assert wechat.signature(key, text) in told
    assert told.startswith(wechat.SCHEME)


def test_it_opens_the_name_that_we_seal_and_believes_what_our_sandbox_signs(app, sandbox):
    keys = sandbox.keys
    with configured(app, wechat_public_key=keys.public_pem):
        sealed = wechat.WeChatLine(None, app.config["SETTINGS"])._sealed("张伟")

    assert theirs.rsa_decrypt(sealed, keys._platform) == "张伟"
    signature = keys.signature("1554208460\nnonce\n{}\n")
    assert theirs.rsa_verify(
        "1554208460", "nonce", "{}", signature, wechat.public_key(keys.public_pem)
    )


# --- PayPal: the example of its documentation ----------------------------------------------------

PAYPAL = json.loads("""
{"batch_header": {"payout_batch_id": "CDZEC5MJ8R5HY", "batch_status": "SUCCESS",
  "time_created": "2014-04-14T06:46:22Z", "time_completed": "2014-04-14T06:46:23Z",
  "sender_batch_header": {"sender_batch_id": "2014021801", "email_subject": "You have a Payout!"},
  "amount": {"currency": "USD", "value": "1.0"}, "fees": {"currency": "USD", "value": "0.02"}},
 "items": [{"payout_item_id": "VHBFGN95AWV82", "transaction_id": "0728664497487461D",
  "transaction_status": "SUCCESS", "payout_item_fee": {"currency": "USD", "value": "0.02"},
  "payout_batch_id": "CDZEC5MJ8R5HY", "payout_item": {"amount": {"currency": "USD", "value": "1.0"},
  "note": "Thanks for your patronage!", "receiver": "shirt-supplier-one@mail.com",
  "recipient_type": "EMAIL", "sender_item_id": "201403140001"},
  "time_processed": "2014-04-14T06:46:23Z", "links": []}], "links": []}
""")


def test_the_answer_in_paypals_documentation_is_understood():
    answer = paypal._read("201403140001", PAYPAL)

    assert (answer.said, answer.provider_reference) == (Said.PAID, "CDZEC5MJ8R5HY")
    assert (answer.amount, answer.currency) == (100, "USD")
    assert (answer.fee, answer.fee_currency) == (2, "USD")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("PENDING", Said.ACCEPTED), ("ONHOLD", Said.ACCEPTED), ("UNCLAIMED", Said.ACTION_REQUIRED),
        ("BLOCKED", Said.FAILED), ("FAILED", Said.FAILED), ("RETURNED", Said.FAILED),
        ("REFUNDED", Said.RETURNED), ("REVERSED", Said.RETURNED), ("NEWS", Said.UNKNOWN),
    ],
)  # fmt: skip
def test_each_status_of_paypal_has_its_meaning(status, said):
    told = json.loads(json.dumps(PAYPAL))
    told["items"][0]["transaction_status"] = status

    assert paypal._read("201403140001", told).said == said


def test_paypal_speaking_of_another_payout_is_not_heard():
    assert paypal._read("TK1", PAYPAL).said == Said.UNKNOWN


@pytest.mark.parametrize(
    ("told", "reference"),
    [
        ({"event_type": "PAYMENT.PAYOUTS-ITEM.SUCCEEDED",
          "resource": {"payout_item": {"sender_item_id": "TK1"}}}, "TK1"),
        ({"resource": {"batch_header": {"sender_batch_header": {"sender_batch_id": "TK2"}}}},
         "TK2"),
    ],
)  # fmt: skip
def test_paypals_notifications_are_hints(told, reference):
    assert paypal.RAIL.hints({}, json.dumps(told).encode()) == [reference]


# --- Mercado Pago: the two examples of its documentation -----------------------------------------

PIX = {
    "external_reference": "MP0001",
    "point_of_interaction": {"type": "PSP_TRANSFER"},
    "transaction": {
        "from": {"accounts": [{"amount": 100}]},
        "to": {
            "accounts": [
                {
                    "type": "current", "amount": 100,
                    "chave": {"type": "CPF", "value": "39053344705"},
                    "owner": {"identification": {"type": "CPF", "number": "39053344705"}},
                }
            ]
        },
        "total_amount": 100,
    },
}  # fmt: skip
SPEI = {
    "external_reference": "12345",
    "point_of_interaction": {"type": "PSP_TRANSFER"},
    "transaction": {
        "from": {"accounts": [{"amount": 25}]},
        "to": {
            "accounts": [
                {
                    "amount": 25, "bank_id": "646", "number": "646180110400000007",
                    "holder": "JUAN JOSE MARIA", "type": "savings_account",
                }
            ]
        },
        "total_amount": 25,
    },
}  # fmt: skip


def body(instruction):
    return json.loads(mercadopago._body(instruction), parse_float=Decimal)


def test_a_pix_is_asked_for_as_in_mercado_pagos_documentation(app):
    read = mercadopago.RAIL.read("BR", {
        "account_holder": "Ana", "key_type": "cpf", "key": "390.533.447-05",
        "tax_id": "390.533.447-05"})  # fmt: skip

    assert body(Instruction("MP0001", 10000, "BRL", "BR", read.fields)) == PIX


def test_a_spei_is_asked_for_as_in_mercado_pagos_documentation(app):
    with configured(app, mercadopago_country="MX"):
        read = mercadopago.RAIL.read(
            "MX", {"account_holder": "JUAN JOSE MARIA", "clabe": "646180110400000007"}
        )

    assert body(Instruction("12345", 2500, "MXN", "MX", read.fields)) == SPEI


def test_mercado_pagos_signature_is_of_the_body(app):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with configured(app, mercadopago_key=pem, mercadopago_token="APP-1"):
        auth = mercadopago.Signed(app.config["SETTINGS"])

    request = next(auth.auth_flow(httpx.Request("POST", "http://x/", content=b'{"a": 1}')))

    import base64

    key.public_key().verify(base64.b64decode(request.headers["X-Signature"]), b'{"a": 1}')
    assert request.headers["X-Enforce-Signature"] == "true"
    assert request.headers["Authorization"] == "Bearer APP-1"
