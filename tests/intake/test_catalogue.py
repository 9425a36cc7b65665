"""What the platforms' own samples say of products, and what nobody should send."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from affiliate.catalog.service import Keys, VariantFacts
from affiliate.intake import reading
from affiliate.intake.catalogue import mercadolibre, parts, shopify, tiendanube, woocommerce
from affiliate.intake.catalogue.interface import Ground
from affiliate.intake.reading import Unreadable

SAMPLES = Path(__file__).parent / "samples"
GROUND = Ground("shop.example.com", "USD", "AR")


def told(name):
    return json.loads((SAMPLES / name).read_text())


def node(value):
    return reading.load(json.dumps(value).encode())


def read(platform, value, ground=GROUND):
    return platform.CATALOGUE.read(node(value), ground)


def refusal(platform, value, ground=GROUND):
    with pytest.raises(Unreadable) as refused:
        read(platform, value, ground)
    return refused.value.code, refused.value.pointer


IPOD = "shopify/product.rest-2026-07.ipod-nano.json"
SHIRT = "shopify/products.update.hookdeck-2024-10.json"
MINT = "woocommerce/product.updated.hookdeck-wc7.4.json"
BLACK = "woocommerce/product-variation.docs-732.json"
BALL = "tiendanube/product.resource.docs-1234.json"
CASE = "mercadolibre/item.resource.after-docs.json"
LOCAL = Ground("localhost", "XAF", "CM")
MARKET = Ground("mercadolibre.com.ar", "ARS", "AR")


def test_shopify():
    facts = read(shopify, told(IPOD))

    assert (facts.external_id, facts.title) == ("632910392", "IPod Nano - 8GB")
    assert facts.url == "https://shop.example.com/products/ipod-nano"
    assert facts.description.startswith("It's the small iPod with one very big idea: Video.")
    assert (facts.price, facts.list_price, facts.category) == (199_00, None, "Cult Products")
    assert facts.image_url.endswith("/ipod-nano.png?v=1735835399")
    assert len(facts.images) == 1  # one of the three stands there twice
    assert [each.sku for each in facts.variants][:2] == ["IPOD2008PINK", "IPOD2008RED"]
    assert facts.stock is None  # sold in advance, however few there are
    assert (
        facts.shop_version == int(datetime(2025, 10, 2, 16, 29, 59, tzinfo=UTC).timestamp()) * 10**6
    )
    assert not facts.gone


@pytest.mark.parametrize(
    ("changes", "stock"),
    [
        ({"inventory_policy": "deny"}, 40),
        ({"inventory_policy": "deny", "inventory_quantity": -3}, 0),
        ({"inventory_policy": "deny", "inventory_management": None}, None),
        ({"inventory_policy": "continue"}, None),
        ({"inventory_policy": "deny", "inventory_quantity": "many"}, None),
    ],
)
def test_stock_of_shopify_is_the_sum_of_what_is_counted(changes, stock):
    value = told(IPOD)
    value["variants"] = [each | {"inventory_quantity": 10} | changes for each in value["variants"]]

    assert read(shopify, value).stock == stock


def test_shopify_s_webhooks_leave_out_whether_it_is_counted():
    body = told(SHIRT)
    ask = Keys(("hush",), {"api_token": "t"})

    facts = read(shopify, body)

    assert (facts.price, facts.list_price, facts.stock) == (19_99, 24_99, 125)
    assert shopify.thin(ask, node(body))
    assert not shopify.thin(Keys(("hush",)), node(body))
    assert not shopify.thin(ask, node(told(IPOD)))


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({}, False), ({"status": "draft"}, True), ({"status": "archived"}, True),
        ({"published_at": None}, True),
    ],
)  # fmt: skip
def test_what_is_not_in_the_shop_is_gone(changes, gone):
    assert read(shopify, told(IPOD) | changes).gone == gone


def test_woocommerce():
    """In a currency without decimals, on sale without an end."""
    facts = read(woocommerce, told(MINT), LOCAL)

    assert (facts.external_id, facts.title) == ("18", "Perpemint")
    assert facts.url == "http://localhost/wordpress/product/perpemint/"
    assert (facts.price, facts.list_price, facts.price_until) == (150, 200, None)
    assert (facts.stock, facts.sold, facts.category) == (None, None, "Uncategorized")
    assert facts.description == "Very Usefull"


def test_woocommerce_of_whatever_kind():
    until = {"date_on_sale_to_gmt": "2026-12-01T00:00:00"}
    counted = {"manage_stock": True, "stock_quantity": 4}

    assert read(woocommerce, told(MINT) | until, LOCAL).price_until == datetime(
        2026, 12, 1, tzinfo=UTC
    )
    assert read(woocommerce, told(MINT) | counted, LOCAL).stock == 4
    assert read(woocommerce, told(MINT) | counted | {"backorders": "notify"}, LOCAL).stock is None
    assert read(woocommerce, told(MINT) | {"stock_status": "outofstock"}, LOCAL).stock == 0
    assert read(woocommerce, told(MINT) | {"status": "trash"}, LOCAL).gone
    assert read(woocommerce, told(BLACK) | {"type": "variation", "parent_id": 22}) is None
    sizes = [told(BLACK) | {"id": number} | counted for number in (1, 2)]
    facts = read(woocommerce, told(MINT) | {"variations": sizes, "price": ""}, LOCAL)
    assert (facts.stock, facts.price, len(facts.variants)) == (8, 9, 2)


def test_tiendanube_in_the_language_of_its_country():
    names = {"name": {"en": "Ball", "es": "Bola", "pt": "Bola de mestre"}}
    brazil = GROUND._replace(country="BR")

    facts = read(tiendanube, told(BALL))

    assert (facts.title, facts.price, facts.list_price, facts.stock) == (
        "Master Ball",
        1900,
        2500,
        15,
    )
    assert facts.url == "https://shop.example.com/productos/master-ball/"
    assert facts.description.startswith("La mejor Bola")
    assert facts.category == "Poké Balls"
    assert [each.title for each in facts.variants] == ["Small", "Medium", "Large"]
    assert len(facts.images) == 2
    assert read(tiendanube, told(BALL) | names, brazil).title == "Bola de mestre"
    assert read(tiendanube, told(BALL) | {"published": False}).gone
    at = {"canonical_url": "https://www.shop.example.com/productos/otra/"}
    assert read(tiendanube, told(BALL) | at).url == at["canonical_url"]
    assert read(tiendanube, told(BALL) | {"canonical_url": "https://x.test/p"}).url == facts.url


def test_mercado_libre():
    facts = read(mercadolibre, told(CASE), MARKET)

    assert (facts.external_id, facts.price, facts.stock, facts.sold) == (
        "MLA832998780",
        470000,
        1,
        0,
    )
    assert facts.url.startswith("https://articulo.mercadolibre.com.ar/MLA-832998780")
    assert facts.image_url == "https://http2.mlstatic.com/D_1-O.jpg"
    paused = {"status": "paused", "available_quantity": 7}
    assert read(mercadolibre, told(CASE) | paused, MARKET).gone
    sold_out = read(mercadolibre, told(CASE) | paused | {"sub_status": ["out_of_stock"]}, MARKET)
    assert (sold_out.gone, sold_out.stock) == (False, 0)
    assert refusal(mercadolibre, told(CASE), GROUND) == ("currency_mismatch", "/currency_id")


@pytest.mark.parametrize(
    ("platform", "changes", "found"),
    [
        (woocommerce, {"permalink": "https://evil.example/p"}, ("foreign_host", "/permalink")),
        (woocommerce, {"permalink": "javascript:alert(1)"}, ("bad_url", "/permalink")),
        (woocommerce, {"price": "-1"}, ("negative_amount", "/price")),
        (woocommerce, {"price": "NaN"}, ("amount_out_of_range", "/price")),
        (woocommerce, {"id": None}, ("wrong_type", "/id")),
    ],
)
def test_without_an_id_a_page_and_a_price_that_are_true_nothing_is_taken(platform, changes, found):
    assert refusal(platform, told(MINT) | changes, LOCAL) == found


HOSTILE = {
    "<b>Bolsa</b> &amp; <i>co</i>": "Bolsa & co",
    "<script>alert(1)</script>Bolsa<style>x{}</style>": "Bolsa",
    "<img src=x onerror=alert(1)>Bolsa": "Bolsa",
    "&lt;script&gt;": "<script>",  # text; pages escape it
    "a < b > c": "a < b > c",
    "I <3 you": "I <3 you",
    "<!-- hidden <b> -->Bolsa": "Bolsa",
    "Bolsa\u202egnp\u0000.exe\r\n\ttwo  spaces": "Bolsagnp.exe two spaces",
    "half \ud800": "half ?",
    "x" * 1000: "x" * 300,
    "<" * 200_000: "<" * 300,
    "<!--" * 100_000: "17",
    "<script>" * 50_000: "17",
    "   ": "17",
    "&#0;&#xd800;ok": "\ufffd\ufffdok",
}


@pytest.mark.parametrize(("sent", "kept"), HOSTILE.items(), ids=[key[:20] for key in HOSTILE])
def test_a_title_becomes_plain_text(sent, kept):
    assert parts.title(sent, "17") == kept


@pytest.mark.parametrize("value", [None, 5, ["a"], {"a": "b"}, True])
def test_a_title_of_another_kind_is_none(value):
    assert parts.title(value, "17") == "17"
    assert parts.paragraphs(value) is None


def test_a_description_keeps_its_paragraphs_and_ends_somewhere():
    assert parts.paragraphs("<p>One<br>two</p><p>three</p>") == "One\ntwo\n\nthree"
    assert len(parts.paragraphs("<p>word</p>" * 20_000)) <= parts.DESCRIPTION


def test_prices_of_nothing_are_prices_and_missing_ones_are_none():
    free = told(MINT) | {"price": "0", "on_sale": False}

    assert read(woocommerce, free, LOCAL).price == 0
    none = {"price": "", "regular_price": ""}
    assert read(woocommerce, told(MINT) | none, LOCAL).price is None
    fine = told(MINT) | {"price": "12.3456", "regular_price": "13"}
    assert read(woocommerce, fine, LOCAL._replace(currency="USD")).price == 1235


def test_pictures_are_addresses_of_the_web_and_only_that():
    """However large it is or whatever script it holds: it is shown by `<img>` and never fetched."""
    sent = [
        "data:image/svg+xml,<svg onload=alert(1)>", "javascript:alert(1)", "/etc/passwd", 5, None,
        "file:///etc/passwd", "https://user:secret@cdn.test/a.png",
        "https://cdn.test/" + "x" * 3000,
        "https://cdn.test/thirty-megabytes.png", "//cdn.test/b.svg", "http://cdn.test/ü.png",
        "https://cdn.test/thirty-megabytes.png",
    ]  # fmt: skip

    first, others = parts.pictures(sent)

    assert first == "https://cdn.test/thirty-megabytes.png"
    assert others == ("https://cdn.test/b.svg", "http://cdn.test/%C3%BC.png")
    first, others = parts.pictures(f"https://cdn.test/{number}.png" for number in range(50))
    assert len(others) == 19


def test_more_variants_than_are_kept_are_not_taken_for_none_left():
    value = told(IPOD)
    one = value["variants"][0] | {"inventory_policy": "deny", "inventory_quantity": 0}
    value["variants"] = [one | {"id": number} for number in range(1, 2100)]

    facts = read(shopify, value)

    assert len(facts.variants) == 2000
    assert facts.stock is None


def test_stock_together():
    def of(*levels):
        return parts.together(
            [VariantFacts(str(n), "", stock=each) for n, each in enumerate(levels)]
        )

    assert (of(), of(0, 0), of(3, -1, 2), of(3, None)) == (None, 0, 5, None)
