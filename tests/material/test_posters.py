"""The posters: readable by strangers, never too large, and never without their label."""

import io
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import sqlalchemy as sa
from PIL import Image, ImageChops

from affiliate import i18n
from affiliate.catalog import service
from affiliate.db import unit_of_work
from affiliate.links import captions, share
from affiliate.links import queries as asked
from affiliate.links import service as links
from affiliate.material import posters, queries, words
from affiliate.material import service as material
from affiliate.material.canvas import BYTES_MOST, HEIGHT, WIDTH, covering
from affiliate.material.colours import INK, WHITE, contrast, on, on_paper, rgb
from affiliate.material.lettering import Lettering, _visual, faces
from affiliate.material.posters import TEMPLATES, Poster
from affiliate.people import queries as people
from affiliate.programs import queries as programs
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_promoter
from tests.factories.programs import a_program
from tests.material.pictures import a_photo
from tests.material.reading import passed_on, read_code

LETTERS = Lettering()
PLAIN = Poster(
    template="window", title="水洗亚麻衬衫 · 云白", price="¥329.00", before="¥399.00",
    saves="立省 ¥70.00", shop="素白官方商城", name="王喆", recommends="王喆 推荐", label="广告",
    invite="长按或扫码查看", url="https://go.example.com/s/Ab3xYz?q", color="#c2410c",
    picture=None, logo=None,
)  # fmt: skip
LONG = LETTERS.drawable("Vestido 👗 midi de linho, edição limitada " * 10)[:300]
SHAPES = {
    "plain": ({}, None),
    "long": ({"title": LONG, "name": "José " * 12, "recommends": "José " * 12}, a_photo()),
    "wide": ({"title": "水" * 300, "price": "¥1,280,000.00"}, a_photo((1600, 500))),
    "tall": ({"saves": "", "before": "", "color": "#f5c518"}, a_photo((500, 1600))),
    "bare": ({"title": "A", "price": "", "before": "", "saves": "", "name": ""}, a_photo()),
    "far": ({"url": "https://a-long-name.of-a-host.example.com/s/Ab3xYzQ?q"}, None),
}


def drawn(poster, picture=None, logo=None):
    return posters.draw(poster, LETTERS, picture, logo)


@pytest.mark.parametrize(("template", "shape"), [*product(TEMPLATES, SHAPES)])
def test_a_stranger_reads_its_code_also_when_it_was_passed_on(template, shape):
    changes, picture = SHAPES[shape]
    poster = replace(PLAIN, template=template, **changes)

    jpeg = drawn(poster, picture)

    assert len(jpeg) <= BYTES_MOST
    assert Image.open(io.BytesIO(jpeg)).size == (WIDTH, HEIGHT)
    assert read_code(jpeg) == poster.url
    assert read_code(passed_on(jpeg)) == poster.url


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_word_of_it_is_seen(template):
    """What is taken away changes the picture: also the label, whatever the template."""
    whole = Image.open(io.BytesIO(drawn(replace(PLAIN, template=template))))

    for name in ("title", "price", "before", "saves", "shop", "recommends", "label", "invite"):
        poster = replace(PLAIN, template=template, **{name: ""})
        less = Image.open(io.BytesIO(drawn(poster)))
        assert ImageChops.difference(whole, less).point(lambda x: x > 60 and 255).getbbox(), name


def test_a_logo_and_a_picture_that_is_missing_are_drawn():
    logo = Image.new("RGBA", (256, 80), (10, 200, 80, 255))

    with_logo = drawn(PLAIN, None, logo)

    assert with_logo != drawn(PLAIN)
    assert read_code(with_logo) == PLAIN.url


def test_characters_stand_in_a_font_or_are_left_out():
    assert LETTERS.drawable("王喆 👩‍👩‍👧 垚犇赟\u200b 한 Ñandú ✨\t№\n5") == "王喆 垚犇赟 Ñandú № 5"
    assert LETTERS.drawable("👗✨") == ""
    assert all(ord(each) in faces(True)[0].covers for each in "立省素白áéíóúñãçõ¿¡¥€·…")
    assert ord("喆") in faces(False)[2].covers


def test_another_font_of_the_operator_is_asked_for_what_ours_lack():
    further = Lettering(a_further_font())

    assert further.drawable("ⴰ") == "ⴰ"
    assert LETTERS.drawable("ⴰ") == ""


def a_further_font():
    path = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    if not path.exists():
        pytest.skip("no further font on this machine")
    return path


def test_goods_before_a_plain_wall_are_shown_before_more_of_it():
    wall = Image.new("RGB", (600, 600), (240, 228, 220))
    wall.paste((20, 20, 20), (200, 200, 400, 400))

    wide = covering(wall, 888, 520)

    assert wide.getpixel((4, 260)) == (240, 228, 220)
    assert wide.getpixel((444, 260)) == (20, 20, 20)
    assert covering(a_photo((600, 600)), 888, 520).size == (888, 520)


def test_words_from_right_to_left_are_joined_and_turned():
    assert _visual("سلام") == "\ufee1\ufefc\ufeb3"  # meem, lam with alef, seen
    assert _visual("שלום 12") == "12 םולש"
    assert _visual("Ana أب") == "Ana \ufe8f\ufe83"
    assert _visual("linho") == "linho"


def test_lines_break_where_people_break_them():
    assert LETTERS.wrap("Camisa de linho lavado", 40, 300, 3) == ["Camisa de linho", "lavado"]
    lines = LETTERS.wrap("水洗亚麻衬衫，云白。夏季宽松" * 3, 40, 247, 9)
    assert all(not line.startswith(("，", "。")) for line in lines)
    assert all(LETTERS.width(line, 40) <= 247 for line in lines)
    assert LETTERS.wrap("x" * 99, 40, 200, 2)[-1].endswith("...")
    assert LETTERS.wrap("水" * 99, 40, 200, 2)[-1].endswith("…")
    assert LETTERS.wrap("", 40, 200, 2) == []


@pytest.mark.parametrize("color", ["#ffffff", "#000000", "#f5c518", "#c2410c", "#1d2b64"])
def test_words_can_be_read_on_every_colour(color):
    assert contrast(on_paper(rgb(color)), WHITE) >= 4.5
    assert contrast(on(rgb(color)), rgb(color)) >= 3
    assert contrast(INK, WHITE) > 10


@pytest.mark.parametrize("tag", i18n.LANGUAGES)
def test_it_speaks_the_buyers_language(tag):
    with unit_of_work():
        shop = a_shop(country="MX", currency="MXN")
        goods = a_product(shop, title="Vestido 👗", price=89_900, list_price=99_900)
        link = a_link(a_program(_merchant(shop)), a_promoter("Ana 🌸"), product=goods)

    poster = words.poster(queries.subject(link), "ticket", tag, LETTERS)

    assert poster.title == "Vestido"
    assert poster.name == "Ana"
    assert poster.label == captions.label(tag).strip("[]【】")
    assert "100" in poster.saves
    assert "Ana" in poster.recommends
    assert poster.url == share.scan_url(share.short_url(link.code))
    if tag != "en":
        assert poster.invite != "Scan, or hold to open"


def test_a_title_of_which_nothing_can_be_drawn_gives_way_to_the_shop():
    shop = a_shop(name="Loja")
    link = a_link(a_program(_merchant(shop)), product=a_product(shop, title="👗✨"))

    assert words.poster(queries.subject(link), "cover", "en", LETTERS).title == "Loja"


def test_a_poster_is_drawn_once_and_again_when_its_price_is_another(client, monkeypatch):
    shop, goods, link = _goods()
    drawings = _counted(monkeypatch)

    first = client.get(f"/s/{link.code}/poster.jpg?template=ticket&lang=es")
    again = client.get(f"/s/{link.code}/poster.jpg?template=ticket&lang=es")
    assert first.mimetype == "image/jpeg"
    assert (first.status_code, first.data, len(drawings)) == (200, again.data, 1)
    assert read_code(first.data) == share.scan_url(share.short_url(link.code))
    seen = client.get(
        f"/s/{link.code}/poster.jpg?template=ticket&lang=es",
        headers={"If-None-Match": first.headers["ETag"]},
    )
    assert seen.status_code == 304

    with unit_of_work():
        service.change_product(shop, goods, {"price": 5})
    assert client.get(f"/s/{link.code}/poster.jpg?template=ticket&lang=es").data != first.data
    assert len(drawings) == 2


def test_it_is_there_before_the_tap(client, monkeypatch, rung):
    _, _, link = _goods()

    material.draw_posters(link.merchant_id, link.id)
    drawings = _counted(monkeypatch)

    for template in TEMPLATES:
        assert client.get(f"/s/{link.code}/poster.jpg?template={template}").status_code == 200
    assert drawings == []


def test_a_new_price_or_colour_draws_again_what_was_looked_at_lately(rung):
    shop, goods, link = _goods()
    with unit_of_work():
        other = a_link(links_program(link), product=goods)
    material.draw_posters(link.merchant_id, link.id)
    asked = ("workers.material.draw_posters", link.merchant_id, link.id)

    with unit_of_work():
        material.sweep()
    assert asked not in rung
    with unit_of_work():
        service.change_product(shop, goods, {"price": 1})
        material.sweep()
    assert asked in rung
    assert all(bell[2] != other.id for bell in rung if bell[0] == asked[0])

    material.draw_posters(link.merchant_id, link.id)
    rung.clear()
    with unit_of_work():
        material.change_look(link.merchant_id, {"color": "#0F766E"})
        material.sweep()
    assert asked in rung


def test_what_it_shows_now_is_its_fingerprint():
    assert PLAIN.fingerprint == replace(PLAIN).fingerprint
    changes = {"price": "¥1", "label": "Ad", "color": "#000000", "picture": "x", "title": "y"}
    others = {replace(PLAIN, **{name: value}).fingerprint for name, value in changes.items()}
    assert len(others | {PLAIN.fingerprint}) == len(changes) + 1


@pytest.mark.parametrize("query", ["template=none", "lang=tlh", "template=../../x&lang=..", ""])
def test_an_unknown_wish_gets_the_first_template_in_the_buyers_language(client, query):
    _, _, link = _goods()
    usual = client.get(f"/s/{link.code}/poster.jpg").data

    answer = client.get(f"/s/{link.code}/poster.jpg?{query}")

    assert (answer.status_code, answer.data) == (200, usual)


def test_an_unknown_link_has_no_poster(client):
    assert client.get("/s/nothing/poster.jpg").status_code == 404


def test_a_paused_link_keeps_its_poster(client):
    _, _, link = _goods()
    links.change_link(link, {"paused": True})

    assert client.get(f"/s/{link.code}/poster.jpg").status_code == 200


def _goods():
    with unit_of_work():
        shop = a_shop()
        goods = a_product(shop, title="Camisa de linho")
        link = a_link(a_program(_merchant(shop)), product=goods)
    return shop, goods, link


def links_program(link):
    return programs.program(link.merchant_id, link.program_id)


def _merchant(shop):
    return people.merchant(shop.merchant_id)


def _counted(monkeypatch):
    drawings = []
    before = posters.draw

    def counting(poster, *rest):
        drawings.append(poster)
        return before(poster, *rest)

    monkeypatch.setattr(posters, "draw", counting)
    return drawings


def test_while_the_database_is_away_a_poster_is_asked_for_again_later(client, monkeypatch):
    def gone(_):
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(asked, "by_word", gone)

    answer = client.get("/s/abc234/poster.jpg")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
