"""The QR codes."""

import io
import re

import pytest
from PIL import Image
from qrcode.main import QRCode

from affiliate.links import share
from tests.factories.links import a_link

TEXT = "https://go.example.com/s/abc234?q"


def modules_of_svg(svg: str) -> list[list[bool]]:
    side = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    found = [[False] * side for _ in range(side)]
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", svg):
        for step in range(int(width)):
            found[int(y)][int(x) + step] = True
    return found


def modules_of_png(png: bytes, side: int) -> list[list[bool]]:
    picture = Image.open(io.BytesIO(png))
    scale = picture.width // side
    margin = (picture.width - side * scale) // 2
    middle = margin + scale // 2
    return [
        [picture.getpixel((middle + x * scale, middle + y * scale)) == 0 for x in range(side)]
        for y in range(side)
    ]


def reference(text: str) -> list[list[bool]]:
    code = QRCode(error_correction=0, mask_pattern=4, border=4)
    code.add_data(text)
    return [list(map(bool, row)) for row in code.get_matrix()]


def test_the_svg_holds_exactly_the_modules_in_one_path():
    svg = share.svg(TEXT)

    assert modules_of_svg(svg) == reference(TEXT)
    assert svg.count("<path") == 1


@pytest.mark.parametrize("pixels", [64, 100, 512, 513, 2048])
def test_the_png_holds_exactly_the_modules_at_the_size_asked_for(pixels):
    picture = Image.open(io.BytesIO(share.png(TEXT, pixels)))

    assert picture.size == (pixels, pixels)
    assert modules_of_png(share.png(TEXT, pixels), len(reference(TEXT))) == reference(TEXT)


def test_a_long_address_is_never_drawn_smaller_than_its_modules():
    text = "https://a-rather-long-name-of-a-host.example.com/s/" + "a" * 200
    side = len(reference(text))

    assert Image.open(io.BytesIO(share.png(text, 64))).width == side > 64


def test_the_codes_of_a_link_hold_its_address_with_the_scan_mark(client):
    link = a_link()
    wanted = reference(share.short_url(link.code) + "?q")

    svg = client.get(f"/s/{link.code}/qr.svg")
    png = client.get(f"/s/{link.code}/qr.png?size=300")

    assert svg.mimetype == "image/svg+xml"
    assert modules_of_svg(svg.text) == wanted
    assert png.mimetype == "image/png"
    assert modules_of_png(png.data, len(wanted)) == wanted


@pytest.mark.parametrize(
    ("asked", "pixels"),
    [("", 512), ("1", 64), ("-5", 64), ("99999999", 2048), ("x", 512), ("9" * 5000, 512)],
)
def test_sizes_are_bounded(client, asked, pixels):
    answer = client.get(f"/s/{a_link().code}/qr.png?size={asked}")

    assert Image.open(io.BytesIO(answer.data)).width == pixels


def test_a_code_that_is_known_is_not_sent_again(client):
    path = f"/s/{a_link().code}/qr.svg"
    first = client.get(path)

    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert "max-age" in first.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")


def test_a_paused_link_keeps_its_printed_code(client):
    from affiliate.links import service

    link = a_link()
    service.change_link(link, {"paused": True})

    assert client.get(f"/s/{link.code}/qr.svg").status_code == 200
