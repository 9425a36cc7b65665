"""Pictures from outside: bounded, written anew, and refused in words."""

import io
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from affiliate import clock as time
from affiliate.db import unit_of_work
from affiliate.material import fetching, pictures, queries, service
from affiliate.material.fetching import Unfetched
from affiliate.material.pictures import BadPicture
from affiliate.material.service import Sent
from affiliate.people import queries as people
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.programs import a_program
from tests.material.pictures import A_VIDEO, a_bomb, a_picture, with_place

BAD = {
    "no picture": b"<html>hello</html>",
    "nothing": b"",
    "a bomb": a_bomb(),
    "a lie": a_bomb(300, 300),
    "cut off": a_picture(size=(900, 900))[:900],
    "a drawing": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a font": b"OTTO" + bytes(500),
    "a program": b"\x7fELF" + bytes(500),
}


@contextmanager
def a_shop_of_pictures(answers):
    """Serves each path as it is told: (status, content) or where else to look."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, content = answers.get(self.path, (404, b""))
            self.send_response(status)
            if isinstance(content, str):
                self.send_header("Location", content)
                content = b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def private(app, monkeypatch):
    settings = app.config["SETTINGS"].model_copy(update={"private_pictures": True})
    monkeypatch.setitem(app.config, "SETTINGS", settings)


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_good_picture_is_refused_in_words(what):
    with pytest.raises(BadPicture) as refusal:
        pictures.taken(BAD[what])

    assert refusal.value.status == 422
    assert "picture" in str(refusal.value.message)


def test_what_a_phone_wrote_beside_the_pixels_is_gone_and_it_stands_upright():
    taken = pictures.taken(with_place())

    image = Image.open(io.BytesIO(taken.content))
    assert (taken.width, taken.height) == image.size == (480, 640)
    assert dict(image.getexif()) == {}
    assert b"Phone of Ana" not in taken.content
    assert b"at home" not in taken.content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_each_usual_kind_becomes_a_jpeg_of_ours(kind):
    taken = pictures.taken(a_picture(kind, size=(3000, 1000)))

    assert taken.content[:3] == b"\xff\xd8\xff"
    assert (taken.width, taken.height) == (1600, 533)


def test_what_was_transparent_is_white():
    taken = pictures.taken(a_picture("PNG", (50, 50), (200, 0, 0, 0)))

    assert Image.open(io.BytesIO(taken.content)).getpixel((25, 25)) == (255, 255, 255)


def test_a_logo_stays_transparent_and_becomes_small():
    logo = pictures.logo(a_picture("PNG", (900, 300), (200, 0, 0, 0)))

    image = Image.open(io.BytesIO(logo.content))
    assert (image.format, image.size, image.getpixel((9, 9))[3]) == ("PNG", (256, 85), 0)


def test_a_video_is_known_by_its_first_bytes():
    assert pictures.video(A_VIDEO).kind == "mp4"
    with pytest.raises(BadPicture):
        pictures.video(b"<script>" + bytes(100))
    assert not pictures.looks_like_video(a_picture("AVIF"))


def test_a_file_of_thirty_megabytes_is_refused_by_its_name():
    sent = [
        Sent("big.jpg", io.BytesIO(b"\xff\xd8\xff" + bytes(30_000_000))),
        Sent("big.mp4", io.BytesIO(A_VIDEO + bytes(60_000_000))),
    ]
    for each, most in zip(sent, ("20 MB", "50 MB"), strict=True):
        with pytest.raises(BadPicture) as refusal:
            service.add_material(a_product(), "", [each])
        assert each.name in str(refusal.value.message)
        assert most in str(refusal.value.message)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x", "http://169.254.169.254/x",
     "http://10.0.0.1/x", "http://0.0.0.0/", "http://2130706433/"],
)  # fmt: skip
def test_nothing_is_asked_inside_our_own_network(address):
    with pytest.raises(Unfetched) as refusal:
        fetching.fetch(address)

    assert refusal.value.code in {"not_public", "unknown_host"}


def test_a_shop_cannot_lead_us_inside_by_a_redirect_or_for_ever():
    with a_shop_of_pictures({"/in": (302, "ftp://x/"), "/round": (302, "/round")}) as (at, asked):
        with pytest.raises(Unfetched, match="bad_address"):
            fetching.fetch(f"{at}/in", private=True)
        with pytest.raises(Unfetched, match="redirects"):
            fetching.fetch(f"{at}/round", private=True)

    assert asked.count("/round") == fetching.REDIRECTS_MOST + 1


def test_a_picture_of_thirty_megabytes_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(fetching, "BYTES_MOST", 300_000)
    with a_shop_of_pictures({"/big": (200, bytes(3_000_000))}) as (at, _):
        with pytest.raises(Unfetched, match="too_large"):
            fetching.fetch(f"{at}/big", private=True)
        with pytest.raises(Unfetched, match="status_404"):
            fetching.fetch(f"{at}/none", private=True)


def test_a_poster_shows_the_shops_picture_and_one_that_is_missing_is_drawn(private, client):
    answers = {"/a.png": (200, a_picture("PNG", (900, 900), (10, 90, 200)))}
    with a_shop_of_pictures(answers) as (at, asked):
        blue, bomb, none = (_link(f"{at}{path}") for path in ("/a.png", "/bomb", "/none"))
        answers["/bomb"] = (200, a_bomb())
        shown = [client.get(f"/s/{each.code}/poster.jpg") for each in (blue, bomb, none)]
        client.get(f"/s/{blue.code}/poster.jpg?template=cover")
        client.get(f"/s/{none.code}/poster.jpg?template=cover")

    assert [each.status_code for each in shown] == [200, 200, 200]
    pixels = [Image.open(io.BytesIO(each.data)).getpixel((500, 200)) for each in shown]
    assert pixels[0][2] > 180 > pixels[1][2] - 60
    assert abs(pixels[0][0] - 10) < 12
    assert min(pixels[1][0], pixels[2][0]) > 200  # soft rings of our own
    assert sorted(asked) == ["/a.png", "/bomb", "/none"]  # each once


def test_a_shop_that_gave_none_is_asked_again_later_and_keeps_what_it_gave(private):
    answers = {}
    with a_shop_of_pictures(answers) as (at, asked):
        link = _link(f"{at}/a.jpg")
        service.draw_posters(link.merchant_id, link.id)
        service.draw_posters(link.merchant_id, link.id)
        assert len(asked) == 1
        answers["/a.jpg"] = (200, a_picture())
        with time.moved(timedelta(minutes=11)):
            service.draw_posters(link.merchant_id, link.id)
        first = queries.subject(link).picture
        answers.clear()
        with time.moved(timedelta(days=8)):
            service.draw_posters(link.merchant_id, link.id)

    assert len(asked) == 3
    assert first
    assert queries.subject(link).picture == first


def test_a_picture_of_our_own_is_read_from_its_file():
    link = _link("/static/demo/linen-dress.svg")

    subject = queries.subject(link)

    assert not subject.wants_picture
    assert queries.own_picture(subject.picture).suffix == ".jpg"


def _link(picture):
    with unit_of_work():
        shop = a_shop()
        goods = a_product(shop, image_url=picture)
        return a_link(a_program(people.merchant(shop.merchant_id)), product=goods)
