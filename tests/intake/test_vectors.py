"""Signatures that others published, or that others' code accepts, against ours."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from affiliate.catalog.service import Keys
from affiliate.intake.platforms import (
    Knock,
    bigcommerce,
    mercadolibre,
    mercadopago,
    shopee,
    shopify,
    shoplazza,
    stripe,
    tiendanube,
    tiktok,
    wechat,
    woocommerce,
    youzan,
)

SAMPLES = Path(__file__).parent / "samples"
VECTORS = json.loads((SAMPLES / "vectors.json").read_text())
AES = json.loads((SAMPLES / "wechat" / "vectors.aes.json").read_text())


def vector(name):
    (found,) = [each for each in VECTORS if name in each["name"]]
    return found


def body_of(told):
    return (SAMPLES / told["body_file"]).read_bytes()


def good_only_as_it_is(platform, keys, knock):
    """Accepted as it came and beside an old secret; refused when a byte, or the secret, differs."""
    assert platform.signed(keys, knock)
    before = Keys(("newer", *keys.secrets), keys.given, keys.hook_url)
    assert platform.signed(before, knock)
    assert not platform.signed(keys, knock._replace(body=knock.body + b" "))
    assert not platform.signed(keys, knock._replace(headers={}))
    assert not platform.signed(Keys(("another",), keys.given, keys.hook_url), knock)
    return True


def test_woocommerce():
    told = vector("order 723")
    knock = Knock(told["headers"], body_of(told))

    assert good_only_as_it_is(woocommerce, Keys((told["key"],)), knock)


def test_woocommerce_signs_with_the_secret_as_it_was_typed():
    body = b"{}"
    headers = {"X-WC-Webhook-Signature": woocommerce.sign("a&b'c", body)}

    assert woocommerce.signed(Keys(("a&amp;b&#039;c",)), Knock(headers, body))


def test_stripe(clock):
    told = vector("charge.refunded")
    clock.stand(datetime.fromtimestamp(1700000000, UTC))
    knock = Knock(told["headers"], body_of(told))

    assert good_only_as_it_is(stripe, Keys((told["key"],)), knock)
    two = told["headers"]["Stripe-Signature"].replace("v1=", "v1=00,v0=1,v1=")
    assert stripe.signed(Keys((told["key"],)), knock._replace(headers={"Stripe-Signature": two}))


@pytest.mark.parametrize(
    ("seconds", "good"), [(-301, False), (-299, True), (299, True), (301, False)]
)
def test_stripe_takes_five_minutes_on_both_sides(clock, seconds, good):
    told = vector("charge.refunded")
    clock.stand(datetime.fromtimestamp(1700000000, UTC) + timedelta(seconds=seconds))

    assert stripe.signed(Keys((told["key"],)), Knock(told["headers"], body_of(told))) is good


def test_shopee_by_what_was_published_and_by_a_push():
    literal, push = vector("shopee-php"), vector("order_status push")
    address, _, content = literal["message_utf8"].partition("|")
    assert shopee.sign(literal["key"], address, content.encode()) == literal["expected"]

    keys = Keys((push["key"],), {"store_id": "727720655"}, "https://aff.example/hooks/shopee/1")
    assert good_only_as_it_is(shopee, keys, Knock(push["headers"], body_of(push)))
    other = Keys(keys.secrets, {"store_id": "1"}, keys.hook_url)
    assert not shopee.signed(other, Knock(push["headers"], body_of(push)))


def test_tiendanube_and_the_store_it_names():
    told = vector("docs example")
    knock = Knock(told["headers"], body_of(told))

    assert good_only_as_it_is(tiendanube, Keys((told["key"],), {"store_id": "123"}), knock)
    assert not tiendanube.signed(Keys((told["key"],), {"store_id": "124"}), knock)


def test_mercadopago_signs_the_notice_and_not_its_body(clock):
    told = vector("lower-case id")
    clock.stand(datetime.fromtimestamp(1742505638, UTC))
    keys, about = Keys((told["key"],)), "ORD01JQ4S4KY8HWQ6NA5PXB65B3D3"
    body = json.dumps({"type": "payment", "data": {"id": about}}).encode()
    knock = Knock(told["headers"], body, {"data.id": about})

    assert mercadopago.signed(keys, knock)
    assert mercadopago.signed(keys, knock._replace(query={"data.id": about.lower()})) is False
    assert not mercadopago.signed(keys, knock._replace(body=b'{"data":{"id":"another"}}'))
    clock.move(minutes=11)
    assert not mercadopago.signed(keys, knock)


def test_tiktok():
    """Three implementations agree on the recipe; no literal with its key was published."""
    body = (SAMPLES / "tiktokshop" / "type1.order_status_change.docs.json").read_bytes()
    keys = Keys(("hush",), {"app_id": "key1", "store_id": "7494049642642441621"})
    headers = {"Authorization": tiktok.sign("key1", "hush", body)}

    assert good_only_as_it_is(tiktok, keys, Knock(headers, body))
    assert not tiktok.signed(
        Keys(("hush",), {"app_id": "key1", "store_id": "2"}), Knock(headers, body)
    )


def test_youzan():
    body = (SAMPLES / "youzan" / "trade_TradeClose.dezsidog-test.json").read_bytes()
    keys = Keys(("hush",), {"app_id": "6cd25b3f99727975b5", "store_id": "63077"})
    headers = {"Event-Sign": youzan.sign("6cd25b3f99727975b5", "hush", body)}

    assert good_only_as_it_is(youzan, keys, Knock(headers, body))


def test_what_looks_like_shopify_has_its_own_names():
    for platform, brand in ((shoplazza.PLATFORM, "Shoplazza"), (shoplazza.SHOPLINE, "Shopline")):
        headers = {f"X-{brand}-Hmac-Sha256": shopify.sign("hush", b"{}")}
        assert good_only_as_it_is(platform, Keys(("hush",)), Knock(headers, b"{}"))
        assert not shopify.signed(Keys(("hush",)), Knock(headers, b"{}"))


def test_platforms_without_a_proof_ask_for_what_is_agreed():
    notice = (SAMPLES / "mercadolibre" / "notification.orders_v2.example.json").read_bytes()
    ours = Keys((), {"store_id": "123456789", "app_id": "89745685555"})
    assert mercadolibre.signed(ours, Knock({}, notice))
    assert not mercadolibre.signed(Keys((), {"store_id": "1", "app_id": "2"}), Knock({}, notice))
    assert not mercadolibre.signed(ours, Knock({}, notice[:-9]))

    knock = Knock({bigcommerce.SECRET: "hush"}, b"{}")
    assert bigcommerce.signed(Keys(("new", "hush")), knock)
    assert not bigcommerce.signed(Keys(("new",)), knock)


# --- 微信小店 ------------------------------------------------------------------------------------


def keys_of(told):
    aes = [{"value": told["encoding_aes_key"], "until": None}]
    return Keys((told["token"],), {"app_id": told["appid"], "aes_keys": aes})


def query_of(told):
    return {name: told[name] for name in ("timestamp", "nonce", "msg_signature")}


@pytest.mark.parametrize(
    "told", [each for each in AES if "body" in each], ids=lambda each: each["name"]
)
def test_wechat_messages_are_proved_and_opened(told):
    knock = Knock({}, told["body"].encode(), query_of(told))

    assert wechat.signed(keys_of(told), knock)
    assert not wechat.signed(keys_of(told), knock._replace(query={**knock.query, "nonce": "1"}))
    other = knock.body.replace(b"<Encrypt><![CDATA[R", b"<Encrypt><![CDATA[S")
    assert not wechat.signed(keys_of(told), knock._replace(body=other))
    message = json.loads(wechat.plain(keys_of(told), knock))
    assert message | told["expect"] == message


def test_wechat_checks_its_address():
    (told,) = [each for each in AES if "echostr" in each]
    query = query_of(told) | {"echostr": told["echostr"]}

    assert wechat.greet(keys_of(told), Knock({}, b"", query)) is not None
    bad = query | {"nonce": told["bad_nonce"]}
    assert wechat.greet(keys_of(told), Knock({}, b"", bad)) is None


def test_wechat_checks_its_address_without_cipher():
    keys = Keys(("token",), {})
    query = {"timestamp": "1", "nonce": "2", "echostr": "hello"}
    query["signature"] = wechat.sign("token", "1", "2")

    assert wechat.greet(keys, Knock({}, b"", query)) == b"hello"
    assert wechat.greet(keys, Knock({}, b"", query | {"signature": "no"})) is None


def test_wechat_enciphers_as_the_platform_does():
    (told,) = [each for each in AES if "expect_encrypt" in each]
    message = told["plaintext"].encode()
    salt = told["random16"].encode()

    made = wechat.enciphered(told["encoding_aes_key"], told["appid"], message, salt)

    assert made == told["expect_encrypt"]
    assert wechat.deciphered(keys_of(told), made) == message


def test_a_message_for_another_app_is_not_opened():
    (told,) = [each for each in AES if "expect_encrypt" in each]
    keys = keys_of(told | {"appid": "wx-another"})

    assert wechat.deciphered(keys, told["expect_encrypt"]) is None
