"""Whatever comes, the door answers, nothing is lost, and no amount is wrong: samples that are cut,
fields of other kinds, and bodies nobody should send.
"""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affiliate.catalog import service as catalog
from affiliate.catalog.platforms import connection
from affiliate.catalog.service import Keys
from affiliate.db import db, unit_of_work
from affiliate.intake import queries, reading, service
from affiliate.intake.catalogue.interface import Ground
from affiliate.intake.catalogue.parts import named
from affiliate.intake.models import Event
from affiliate.intake.platforms import PLATFORMS, Knock, wechat, woocommerce
from affiliate.intake.reading import Unreadable
from affiliate.money import LARGEST
from tests.factories.catalog import a_shop
from tests.factories.orders import hook
from tests.factories.people import a_merchant

SAMPLES = Path(__file__).parent / "samples"
FOLDERS = {"tiktokshop": "tiktok"}
BODIES = {
    path: FOLDERS.get(path.parent.name, path.parent.name)
    for path in sorted(SAMPLES.glob("*/*.json"))
    if "headers" not in path.name and "vectors" not in path.name
}
GROUND = Ground("example.com", "USD", "BR")
KEYS = Keys(
    ("hush",), {"consumer_key": "k", "consumer_secret": "s", "app_id": "a", "store_id": "1"}
)


def in_its_shape(path):
    """Samples of whole API answers, as the fetch keeps them."""
    told = json.loads(path.read_text())
    if "order.get.response" in path.name:
        return {"order": told["order"], "aftersales": []}
    if "get_order_detail" in path.name:
        return told["response"]["order_list"][0]
    if path.parent.name == "stripe":
        return stripe_sale(told)
    return told


def stripe_sale(event):
    what = event["data"]["object"]
    kinds = {"checkout.session": "session", "payment_intent": "intent", "charge": "charge"}
    sale = {"object": "tuike.sale", "fetched_at": 1, kinds.get(what["object"], "refund"): what}
    sale.setdefault("intent", {
        "id": "pi_1", "amount": 100, "currency": "usd", "created": 1, "livemode": True,
        "status": "succeeded",
    })  # fmt: skip
    if what["object"] == "refund":
        sale["refunds"] = [what]
    return sale


def read(platform, body):
    """As a worker does it; only an Unreadable may come out. What was read is within bounds."""
    with suppress(Unreadable):
        node = reading.load(body)
        read_product(PLATFORMS[platform].catalogue, node)
        PLATFORMS[platform].order_key(node)
        PLATFORMS[platform].thin(KEYS, node)
        for report in PLATFORMS[platform].read(node):
            for line in getattr(report, "lines", ()):
                assert 0 <= line.amount <= LARGEST
                assert line.quantity >= 0
            for refund in getattr(report, "refunds", ()):
                assert refund.amount is None or 0 <= refund.amount <= LARGEST
    return True


def read_product(catalogue, node):
    """The same of a product."""
    with suppress(Unreadable):
        if catalogue and named(catalogue, node, "products/delete") is not None:
            catalogue.thin(KEYS, node)
            facts = catalogue.read(node, GROUND)
            for each in (facts, *facts.variants) if facts else ():
                assert each.price is None or 0 <= each.price <= LARGEST
                assert len(each.title) <= 300
                json.dumps([each.title, each.external_id]).encode()


@pytest.mark.parametrize("path", BODIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_sample_cut_at_twenty_points_is_refused(path):
    raw = path.read_bytes()
    for part in range(20):
        with pytest.raises(Unreadable):
            reading.load(raw[: len(raw.rstrip()) * part // 20])


def places(value, at=()):
    """Every field of a body."""
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:3]):
            yield from places(inner, (*at, index))


def replaced(value, at, new):
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


WRONG = (None, True, -1, 0, 1.5, 1e300, 2**53 + 1, 2**80, "", "x" * 300, "-1.00", "NaN", "\x00",
         "9" * 40, "1.2345678", "2026-01-01T00:00:00", [], [[]], {}, {"a": 1})  # fmt: skip


@pytest.mark.parametrize("path", BODIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_field_of_a_sample_of_a_wrong_kind_never_breaks(path):
    """Each place once with a value of another kind, by turns; half a million would take an hour."""
    told, platform = in_its_shape(path), BODIES[path]
    for number, at in enumerate(places(told)):
        for turn in range(2):
            value = WRONG[(number + turn * 7) % len(WRONG)]
            assert read(platform, json.dumps(replaced(told, at, value)).encode())


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_fields_of_any_kind_never_break(data):
    path = data.draw(st.sampled_from(list(BODIES)))
    told = in_its_shape(path)
    at = data.draw(st.sampled_from(list(places(told))))

    assert read(BODIES[path], json.dumps(replaced(told, at, data.draw(ANY))).encode())


# --- through the door --------------------------------------------------------------------------

ORDER = json.loads(
    (SAMPLES / "woocommerce/order.updated.docs-723-partially-refunded.json").read_text()
)


def test_a_body_whose_refunds_are_no_list_is_kept_though_they_are_asked_for_first(client, app):
    with unit_of_work():
        shop = a_shop(platform="woocommerce", secret="hush")
        catalog.change_shop(shop, credentials={"consumer_key": "k", "consumer_secret": "s"})

    assert send(client, shop, json.dumps(ORDER | {"refunds": {"a": 1}}).encode()).status_code == 200
    service.drain(shop.merchant_id, shop.id)
    assert [each.error["pointer"] for each in queries.quarantined()] == ["/refunds"]


@pytest.fixture
def shop(app):
    with unit_of_work():
        return a_shop(platform="woocommerce", secret="hush")


def send(client, shop, body):
    return client.post(
        hook(shop), data=body, headers={"X-WC-Webhook-Signature": woocommerce.sign("hush", body)}
    )


def line(**changes):
    return {"line_items": [ORDER["line_items"][0] | changes]}


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"{", "not_json", ""),
        (b"\xff\xfe{\x00}\x00", "not_utf8", ""),
        (json.dumps(ORDER).encode("utf-16"), "not_utf8", ""),
        (b"[" * 30_000, "not_json", ""),
        (b'{"id":NaN}', "not_json", ""),
        (json.dumps(ORDER | {"currency": "XTS"}).encode(), "unknown_currency", "/currency"),
        (json.dumps(ORDER | line(total="9.005")).encode(),
         "too_many_decimals", "/line_items/0/total"),
        (json.dumps(ORDER | line(total="-9")).encode(), "negative_amount", "/line_items/0/total"),
        (json.dumps(ORDER | line(quantity="2")).encode(), "wrong_type", "/line_items/0/quantity"),
        (json.dumps(ORDER | {"date_created_gmt": "2026"}).encode(),
         "bad_time", "/date_created_gmt"),
        (json.dumps(ORDER | {"line_items": ORDER["line_items"][:1] * 2}).encode(),
         "duplicate_line", "/line_items/1"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_cannot_be_read_is_kept_put_aside_and_tried_again_after_a_mend(
    client, shop, body, code, pointer
):
    assert send(client, shop, body).status_code == 200
    service.drain(shop.merchant_id, shop.id)

    (event,) = queries.quarantined()
    assert (event.error["code"], event.error["pointer"]) == (code, pointer)
    with unit_of_work():
        assert service.retry(shop.merchant_id) == 1
    db.session.expire_all()
    assert db.session.get(Event, (event.merchant_id, event.id)).state == "waiting"


def test_of_duplicate_keys_the_last_one_counts_as_it_does_for_the_shop():
    told = json.dumps(ORDER)[:-1] + ', "currency": "BRL"}'

    (order,) = woocommerce.read(reading.load(told.encode()))

    assert order.currency == "BRL"


def test_numbers_above_two_to_the_53_are_kept_to_the_last_digit():
    told = ORDER | {"id": 820982911946154508}

    (order,) = woocommerce.read(reading.load(json.dumps(told).encode()))
    again = reading.dump(reading.load(b'{"a":820982911946154508,"b":0.1000000000000000055}').value)

    assert order.external_id == "820982911946154508"
    assert again == b'{"a":820982911946154508,"b":0.1000000000000000055}'


def test_amounts_that_contradict_each_other_are_kept_with_a_note_and_never_computed_with():
    (order,) = woocommerce.read(reading.load(json.dumps(ORDER | {"total": "1.00"}).encode()))

    assert order.notes == (("total_mismatch", {"total": 100, "computed": 3900}),)
    assert sum(line.amount for line in order.lines) == 2900


def test_ten_megabytes_are_too_large(client, shop):
    assert send(client, shop, b"x" * 10 * 1024 * 1024).status_code == 413


@pytest.mark.parametrize("depth", [3, 30])
def test_xml_bombs_are_refused_before_they_are_opened(depth):
    entities = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};">' for n in range(1, depth))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><xml><Encrypt>&e{depth - 1};</Encrypt></xml>'
    deep = b"<xml>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</xml>"

    for body in (bomb.encode(), deep, b"<xml>" + b"x" * 100_000 + b"</xml>"):
        assert not wechat.signed(Keys(("token",)), Knock({}, body, {"msg_signature": "x"}))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_door_refuses_what_is_not_signed_whatever_it_is(client, app, platform):
    """Every platform, every kind of nonsense: never a 5xx, never kept."""
    given = dict.fromkeys(connection(platform).required, "x" * 43)
    with unit_of_work():
        shop, _ = catalog.create_shop(
            a_merchant().id, platform=platform, domain="s.example.com", currency="USD",
            country="BR", credentials=given,
        )  # fmt: skip
    for body in (b"", b"{}", b"\xff", b"[]", b"null", b'{"a":' * 2000, b"<xml/>", b"x" * 9000):
        for query in ("", "?data.id=1&timestamp=x&nonce=&msg_signature=é&echostr=1", "?%zz=&&="):
            answer = client.post(f"{hook(shop)}{query}", data=body, headers={"Authorization": "é"})
            assert answer.status_code == 401
    assert client.get(hook(shop)).status_code == 405
    assert queries.counts(shop.merchant_id)["waiting"] == 0
