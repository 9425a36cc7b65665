"""`/p/<code>`: what a shopper sees before the shop, and what machines read of it."""

import json
import re
from datetime import date, timedelta

import pytest

from affiliate import clock as time
from affiliate.assets import FOLDER
from affiliate.catalog import service as catalog
from affiliate.catalog.models import Review, Sales
from affiliate.catalog.service import VariantFacts
from affiliate.config import ROOT
from affiliate.db import db
from affiliate.i18n import LANGUAGES
from affiliate.links import service, spool
from affiliate.people import service as people
from affiliate.programs import service as programs
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program

NOW = "2026-11-22T12:00:00Z"
CHROME = {"User-Agent": "Mozilla/5.0 Chrome/130.0", "Accept-Language": "en"}


class Stall:
    """One product of a Brazilian shop, shared by Bruna."""

    def __init__(self, client, app, **program):
        self.client, self.app = client, app
        self.shop = a_shop(a_merchant(), name="Loja da Ana")
        self.product = a_product(self.shop, title="Vestido de linho", external_id="v1")
        self.program = a_program(_merchant(self.shop), **program)
        self.link = a_link(self.program, a_promoter("Bruna"), product=self.product)

    def set(self, **fields):
        for name, value in fields.items():
            setattr(self.product, name, value)
        db.session.flush()
        return self

    def review(self, rating=5, origin="Shopee", **fields):
        number = str(db.session.query(Review).count())
        key = {"merchant_id": self.product.merchant_id, "product_id": self.product.id}
        db.session.add(Review(**key, origin=origin, external_id=number, rating=rating, **fields))
        db.session.flush()

    def open(self, rest="", **headers):
        self.app.extensions["links"].clear()
        self.app.extensions["shelf"].clear()
        return self.client.get(f"/p/{self.link.code}{rest}", headers=CHROME | headers)

    def data(self):
        text = re.search(r'application/ld\+json">(.*?)</script>', self.open().text, re.S)[1]
        return json.loads(text)


def _merchant(shop):
    from affiliate.people import queries

    return queries.merchant(shop.merchant_id)


@pytest.fixture
def stall(client, app, clock):
    clock.stand(NOW)
    return Stall(client, app)


@pytest.fixture
def clicks(app):
    def kept():
        segments = spool.segments(app.extensions["spool"].folder)
        return sum(len(path.read_bytes().splitlines()) for path in segments)

    return kept


def words(page):
    """What stands on the page, without tags."""
    body = page.text.partition("<body")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


# --- what a shopper sees -----------------------------------------------------------------------


def test_it_shows_what_one_wants_to_know_before_one_goes(stall, clicks):
    stall.set(
        description="Linho puro.\nLavar à mão.", list_price=24990, sold=1204, stock=3,
        price_until=time.now() + timedelta(days=2), image_url="https://cdn.example.com/1.jpg",
        images=["https://cdn.example.com/2.jpg"],
    )  # fmt: skip
    stall.review(4, author="Rita", text="Lindo!", written_on=date(2026, 10, 3))
    key = {"merchant_id": stall.product.merchant_id, "product_id": stall.product.id}
    db.session.add(Sales(**key, pieces=12, counted_at=time.now()))
    db.session.flush()

    page = stall.open()
    said = words(page)

    assert page.status_code == 200
    assert '<h1 dir="auto">Vestido de linho</h1>' in page.text
    assert "R$199.90" in said
    assert '<s><span class="hidden">Before: </span>R$249.90</s>' in page.text
    assert "You save R$50.00" in said
    assert "Only 3 left" in said
    assert "Until Nov 24, 2026 9:00\N{NARROW NO-BREAK SPACE}AM GMT\N{MINUS SIGN}03:00" in page.text
    assert "Linho puro. Lavar à mão." in said
    assert "12 sold in Brazil in 30 days, counted by Tuike" in said
    assert "1,204 sold, says Loja da Ana" in said
    assert "4.0" in said
    assert "Rita Lindo! Written at Shopee · Oct 3, 2026" in said
    assert "[Ad]" in said
    assert "earns a commission" in said
    assert "Recommended by Bruna" in said
    assert page.text.count("<img ") == 2
    assert clicks() == 0


def test_the_one_button_leads_to_the_link_with_what_the_visitor_brought(stall, clicks):
    page = stall.open("?utm_source=ig&q&lang=en")

    [onwards] = re.findall(r'class="go" href="([^"]+)"', page.text)
    assert onwards == f"/s/{stall.link.code}?utm_source=ig&amp;q"
    stall.client.get(onwards.replace("&amp;", "&"), headers=CHROME)
    assert clicks() == 1


@pytest.mark.parametrize(
    ("asked", "accepts", "tag", "price"),
    [
        ("", "", "pt-BR", "R$\N{NO-BREAK SPACE}199,90"),  # nobody asked: the market's
        ("", "de-DE,de;q=0.9", "pt-BR", "R$\N{NO-BREAK SPACE}199,90"),
        ("", "zh-CN,zh;q=0.9", "zh-Hans", "R$199.90"),
        ("?lang=es", "zh-CN", "es", "BRL"),
        ("?lang=xx", "en", "en", "R$199.90"),
    ],
)
def test_it_speaks_the_visitors_language_and_else_the_markets(stall, asked, accepts, tag, price):
    page = stall.open(asked, **{"Accept-Language": accepts})

    assert f'<html lang="{tag}">' in page.text
    assert price in page.text


@pytest.mark.parametrize("tag", LANGUAGES)
def test_it_says_in_every_language_that_it_is_advertising(stall, tag):
    label = {"zh-Hans": "【广告】", "en": "[Ad]", "es": "[Publicidad]", "pt-BR": "[Publicidade]"}

    page = stall.open(f"?lang={tag}")

    assert f"<strong>{label[tag]}</strong>" in page.text
    assert f'property="og:description" content="{label[tag]}' in page.text


def test_a_dated_price_ends_by_itself(stall, clock):
    stall.set(list_price=24990, price_until=time.now() + timedelta(seconds=5))
    assert "R$199.90" in words(stall.open())

    clock.move(seconds=5)

    said = words(stall.open())
    assert "R$249.90" in said
    assert "R$199.90" not in said
    assert "Until" not in said
    assert stall.data()["offers"]["price"] == "249.90"


def test_variants_show_their_range_and_what_is_gone(stall):
    catalog.change_product(stall.shop, stall.product, {
        "variants": [
            VariantFacts("s", "S", price=9990, stock=0),
            VariantFacts("m", "M", price=14990, stock=7),
        ]
    })  # fmt: skip

    said = words(stall.open())

    assert "R$99.90 – R$149.90" in said
    assert "S R$99.90 Sold out" in said
    offers = stall.data()["offers"]
    assert (offers["@type"], offers["lowPrice"], offers["highPrice"]) == (
        "AggregateOffer", "99.90", "149.90",
    )  # fmt: skip
    assert offers["availability"] == "https://schema.org/InStock"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"price": 0}, "R$0.00"),
        ({"price": None}, "The shop tells the price."),
        ({"sold": 4}, "You order and pay there."),
        ({"title": "<b>Vestido</b> &amp; cinto <script>alert(1)</script>"}, "Vestido &amp; cinto"),
        ({"title": "فستان 👗 " * 20}, "فستان 👗"),
        ({"title": "名" * 300}, "名" * 300),
        ({"description": "<p>Um</p><p>Dois</p><style>p{}</style>"}, "Um Dois"),
    ],
)
def test_what_shops_write_is_shown_as_well_as_can_be(stall, fields, shown):
    page = stall.set(**fields).open()

    assert shown in words(page)
    assert "<b>Vestido" not in page.text
    assert "alert(1)</script>" not in page.text
    assert "4 sold" not in page.text


def test_only_pictures_that_a_browser_would_show_are_asked_for(stall):
    stall.set(
        image_url="javascript:alert(1)", url="javascript:alert(1)",
        images=["http://cdn.example.com/1.jpg", "https://cdn.example.com/2.svg", "data:x",
                "https://cdn.example.com/2.svg", "/static/demo/cotton-tee.svg"],
    )  # fmt: skip

    page = stall.open()

    assert re.findall(r'<img src="([^"]+)"', page.text) == [
        "https://cdn.example.com/2.svg", "/static/demo/cotton-tee.svg",
    ]  # fmt: skip
    assert 'alt="Vestido de linho"' in page.text
    assert "javascript:" not in page.text
    assert "canonical" not in page.text


# --- sold out, closed, unknown -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "fields", "button", "state"),
    [
        ("redirect", {"stock": 0}, "See what else the shop has", "Sold out"),
        ("redirect", {"hidden_at": time.now()}, "See what else the shop has", "Not for sale"),
        ("redirect", {"gone_at": time.now()}, "See what else the shop has", "Not for sale"),
        ("pause", {"stock": -1}, "Closed until it is back", "Sold out"),
        ("ignore", {"stock": 0}, "Go to the shop", "order in advance"),
        ("ignore", {"gone_at": time.now()}, "See what else the shop has", "Not for sale"),
        ("pause", {"stock": 9}, "Go to the shop", "In stock"),
    ],
)
def test_the_button_does_as_the_program_says(client, app, when, fields, button, state):
    stall = Stall(client, app, sold_out=when).set(**fields)

    page = stall.open()

    assert button in words(page)
    assert state in words(page)
    assert ('class="go" href' in page.text) == (when != "pause" or fields["stock"] > 0)


def test_a_product_whose_variants_are_all_gone_is_sold_out_for_page_and_link(client, app, clicks):
    stall = Stall(client, app, sold_out="pause")
    none_left = [VariantFacts("s", "S", stock=0), VariantFacts("m", "M", stock=0)]
    catalog.change_product(stall.shop, stall.product, {"variants": none_left})

    assert "Sold out" in words(stall.open())
    answer = client.get(f"/s/{stall.link.code}", headers=CHROME)
    assert answer.location == f"https://{stall.shop.domain}/"
    assert clicks() == 0


def test_a_link_that_is_closed_leads_where_it_always_does(stall, clicks):
    service.change_link(stall.link, {"paused": True})

    answer = stall.open()

    assert (answer.status_code, answer.location) == (302, f"https://{stall.shop.domain}/")
    assert "offer has ended" in stall.open("/offer").text
    assert clicks() == 0


def test_who_no_longer_takes_part_has_no_page(stall):
    programs.change_program(stall.program, {"ended": True})
    assert stall.open().status_code == 302


def test_a_link_without_a_product_goes_straight_on(client, app):
    link = a_link()
    app.extensions["links"].clear()

    answer = client.get(f"/p/{link.code}?q&a=1")

    assert (answer.status_code, answer.location) == (302, f"/s/{link.code}?q&a=1")


@pytest.mark.parametrize(
    "path",
    ["/p/nobody22", "/p/%00", "/p/%E4%BD%A0", "/p/" + "a" * 8000, "/p/a%0d%0aX:%20y",
     "/p/nobody22/qr.svg", "/p/nobody22/qr.png"],
)  # fmt: skip
def test_unknown_codes_get_the_small_404(client, path):
    answer = client.get(path)

    assert answer.status_code == 404
    assert len(answer.data) < 600


# --- machines ----------------------------------------------------------------------------------


def test_the_structured_data_says_what_is_true(stall):
    ends = time.now() + timedelta(days=1)
    stall.set(stock=0, price_until=ends, image_url="/static/demo/cotton-tee.svg")

    data = stall.data()

    assert data["@type"] == "Product"
    assert data["url"] == stall.product.url
    assert data["image"] == ["http://127.0.0.1:8765/static/demo/cotton-tee.svg"]
    assert data["offers"] == {
        "@type": "Offer", "price": "199.90", "priceCurrency": "BRL",
        "availability": "https://schema.org/OutOfStock",
        "priceValidUntil": "2026-11-23T12:00:00Z", "url": stall.product.url,
        "seller": {"@type": "Organization", "name": "Loja da Ana"},
    }  # fmt: skip
    assert not {"aggregateRating", "review"} & set(data)


def test_ratings_are_told_only_when_there_are_any(stall):
    for rating in (5, 4, 4):
        stall.review(rating, text="</script><script>alert(1)</script>")

    data = stall.data()

    assert data["aggregateRating"]["ratingValue"] == "4.3"
    assert data["aggregateRating"]["reviewCount"] == 3
    assert data["review"][0]["publisher"]["name"] == "Shopee"


def test_no_title_can_close_the_script_element(stall):
    stall.set(title="</script ><script>alert(1)</script>Bag <!\u2028& co")

    page = stall.open()

    assert page.text.count("<script") == 2
    assert page.text.count("</script>") == 2
    assert stall.data()["name"] == "Bag <! & co"
    assert "Bag \\u003c! \\u0026 co" in page.text


def test_without_a_price_there_is_no_offer(stall):
    assert "offers" not in stall.set(price=None).data()


def test_cards_and_search_engines_find_the_shops_own_page(stall):
    page = stall.set(image_url="https://cdn.example.com/1.jpg").open()

    for line in (
        f'<link rel="canonical" href="{stall.product.url}">',
        '<meta property="og:title" content="Vestido de linho">',
        f'<meta property="og:url" content="http://127.0.0.1:8765/p/{stall.link.code}">',
        '<meta property="og:image" content="https://cdn.example.com/1.jpg">',
        '<meta property="product:price:amount" content="199.90">',
        '<meta property="product:price:currency" content="BRL">',
        '<meta name="twitter:card" content="summary_large_image">',
    ):
        assert line in page.text


def test_the_qr_code_of_the_page_is_another_one(client, stall):
    page, link = (client.get(f"/{way}/{stall.link.code}/qr.svg") for way in "ps")

    assert page.status_code == 200
    assert page.data != link.data
    assert client.get(f"/p/{stall.link.code}/qr.png?size=256").mimetype == "image/png"


# --- small, and kept true ----------------------------------------------------------------------


def test_the_largest_page_stays_below_40_kilobytes(stall):
    stall.set(
        title="👗&" * 250, description="<é&" * 4000, list_price=99_990, sold=10**9,
        price_until=time.now() + timedelta(days=1), url=f"{stall.product.url}?{'u' * 1900}",
        images=[f"https://cdn.example.com/{n}/{'&' * 400}" for n in range(30)],
    )  # fmt: skip
    many = [VariantFacts(str(n), "&" * 500, price=n, stock=1) for n in range(250)]
    catalog.change_product(stall.shop, stall.product, {"url": stall.product.url, "variants": many})
    for _ in range(9):
        stall.review(3, text="👗&" * 1000, author="&" * 100, origin="&" * 100)

    page = stall.open("?" + "x=" + "%22" * 600, **{"Accept-Encoding": "identity"})

    built = json.loads((ROOT / "static" / FOLDER / "manifest.json").read_text())
    parts = [built[name] for name in ("landing.css", "landing.js", "favicon.svg")]
    own = set(re.findall(rf"/static/{FOLDER}/([\w.-]+)", page.text))
    assert own == set(parts)
    sizes = [(ROOT / "static" / FOLDER / name).stat().st_size for name in parts]
    head = sum(len(f"{name}: {value}\r\n") for name, value in page.headers)
    assert page.headers.get("Content-Encoding") is None
    assert len(page.data) + head + sum(sizes) < 40 * 1024


def test_a_page_that_is_open_is_told_only_what_changed(stall):
    tag = re.search(r'data-tag="([^"]+)"', stall.open().text)[1].replace("&#34;", '"')

    same = stall.open("/offer", **{"If-None-Match": tag})
    stall.set(price=14990, stock=2)
    other = stall.open("/offer", **{"If-None-Match": tag})

    assert (same.status_code, same.data) == (304, b"")
    assert other.status_code == 200
    assert "R$149.90" in other.text
    assert "Only 2 left" in other.text
    assert other.headers["ETag"] != tag


def test_many_who_ask_at_once_ask_the_database_once(stall, client):
    asked = []
    db.engine.dialect  # noqa: B018
    import sqlalchemy as sa

    stall.open()
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    for _ in range(20):
        client.get(f"/p/{stall.link.code}/offer", headers=CHROME)

    assert [each for each in asked if "FROM products" in each] == []


def test_nobody_is_followed(stall):
    page = stall.open()

    assert "Set-Cookie" not in page.headers
    assert "bruna" not in page.text.replace("Recommended by Bruna", "").lower()
    people.change_promoter(stall_promoter(stall), {"name": "Bruna Dias"})
    assert "Recommended by Bruna Dias" in words(stall.open())


def stall_promoter(stall):
    from affiliate.people import queries

    return queries.promoter(stall.link.promoter_id)
