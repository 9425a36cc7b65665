"""What a promoter passes on: the short address, and its QR code as SVG and PNG."""

import base64
import io
from functools import lru_cache
from typing import Any

from flask import current_app
from PIL import Image
from qrcode.constants import ERROR_CORRECT_H, ERROR_CORRECT_M
from qrcode.main import QRCode

PIXELS_MIN, PIXELS_MAX = 64, 2048
# Any mask is readable. Trying all eight for the prettiest takes ten times as long, and a fixed
# one keeps printed and shown codes the same.
_MASK = 4
LOGO_PERCENT = 24  # of the code's side

Matrix = tuple[tuple[bool, ...], ...]


def short_url(code: str, base: str | None = None) -> str:
    """`base`: the link's short domain (links/domains.py); without one our public address."""
    return f"{base or current_app.config['SETTINGS'].address}/s/{code}"


def page_url(code: str, base: str | None = None) -> str:
    """With a page in between: price, pictures and reviews before the shop."""
    return f"{base or current_app.config['SETTINGS'].address}/p/{code}"


def scan_url(url: str) -> str:
    """What a QR code holds: the mark tells a scan from a click."""
    return f"{url}?q"


@lru_cache(maxsize=1024)
def matrix(text: str, *, careful: bool = False) -> Matrix:
    """Dark and light modules with the quiet zone of four around them. A careful one can be read
    with almost a third of it covered.
    """
    correction = ERROR_CORRECT_H if careful else ERROR_CORRECT_M
    code: Any = QRCode(error_correction=correction, mask_pattern=_MASK, border=4)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())


def svg(text: str, logo: bytes | None = None) -> str:
    """With a merchant's logo (a PNG) in the middle, or without any."""
    modules = matrix(text, careful=logo is not None)
    side = len(modules)
    path = "".join(_row(y, row) for y, row in enumerate(modules))
    middle = _svg_logo(side, logo) if logo else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}"'
        f' shape-rendering="crispEdges"><rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path d="{path}"/>{middle}</svg>'
    )


def _svg_logo(side: int, logo: bytes) -> str:
    ground = side * LOGO_PERCENT // 100
    ground += (side - ground) % 2  # so that it covers whole modules
    at, inner = (side - ground) // 2, ground - 1
    data = base64.b64encode(logo).decode()
    return (
        f'<rect x="{at}" y="{at}" width="{ground}" height="{ground}" fill="#fff"/>'
        f'<image x="{at}.5" y="{at}.5" width="{inner}" height="{inner}"'
        f' href="data:image/png;base64,{data}"/>'
    )


def _row(y: int, row: tuple[bool, ...]) -> str:
    """Runs of dark modules, each as one rectangle."""
    runs = []
    x = 0
    while x < len(row):
        start = x
        while x < len(row) and row[x] == row[start]:
            x += 1
        if row[start]:
            runs.append(f"M{start} {y}h{x - start}v1h-{x - start}z")
    return "".join(runs)


def png(text: str, pixels: int, logo: Image.Image | None = None) -> bytes:
    """A square of this many pixels; modules are whole pixels, so that every edge is sharp."""
    modules = matrix(text, careful=logo is not None)
    code = drawn(modules, max(pixels // len(modules), 1))
    picture = Image.new("1", (max(pixels, code.width),) * 2, 1)
    margin = (picture.width - code.width) // 2
    picture.paste(code, (margin, margin))
    if logo is not None:
        picture = _with_logo(picture, code.width, logo)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def drawn(modules: Matrix, scale: int) -> Image.Image:
    """Black and white, with so many pixels for each module."""
    side = len(modules)
    small = Image.new("1", (side, side), 1)
    small.putdata([0 if module else 1 for row in modules for module in row])
    return small.resize((side * scale, side * scale), Image.Resampling.NEAREST)


def opened(logo: bytes | None) -> Image.Image | None:
    return Image.open(io.BytesIO(logo)) if logo else None


def _with_logo(picture: Image.Image, side: int, logo: Image.Image) -> Image.Image:
    """In the middle, on a white ground: it covers less than a code of the highest correction can
    do without.
    """
    full = picture.convert("RGB")
    ground, inner = side * LOGO_PERCENT // 100, side * (LOGO_PERCENT - 3) // 100
    left = (full.width - ground) // 2
    full.paste((255, 255, 255), (left, left, left + ground, left + ground))
    small = logo.convert("RGBA")
    small.thumbnail((inner, inner), Image.Resampling.LANCZOS)
    place = ((full.width - small.width) // 2, (full.height - small.height) // 2)
    full.paste(small.convert("RGB"), place, small.getchannel("A"))
    return full
