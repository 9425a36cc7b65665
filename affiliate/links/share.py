"""What a promoter passes on: the short address, and its QR code as SVG and PNG."""

import io
from functools import lru_cache
from typing import Any

from flask import current_app
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

PIXELS_MIN, PIXELS_MAX = 64, 2048
# Any mask is readable. Trying all eight for the prettiest takes ten times as long, and a fixed
# one keeps printed and shown codes the same.
_MASK = 4

Matrix = tuple[tuple[bool, ...], ...]


def short_url(code: str) -> str:
    return f"{current_app.config['SETTINGS'].address}/s/{code}"


def page_url(code: str) -> str:
    """With a page in between: price, pictures and reviews before the shop."""
    return f"{current_app.config['SETTINGS'].address}/p/{code}"


def scan_url(url: str) -> str:
    """What a QR code holds: the mark tells a scan from a click."""
    return f"{url}?q"


@lru_cache(maxsize=1024)
def matrix(text: str) -> Matrix:
    """Dark and light modules with the quiet zone of four around them."""
    code: Any = QRCode(error_correction=ERROR_CORRECT_M, mask_pattern=_MASK, border=4)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())


def svg(text: str) -> str:
    modules = matrix(text)
    side = len(modules)
    path = "".join(_row(y, row) for y, row in enumerate(modules))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}"'
        f' shape-rendering="crispEdges"><rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path d="{path}"/></svg>'
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


def png(text: str, pixels: int) -> bytes:
    """A square of this many pixels; modules are whole pixels, so that every edge is sharp."""
    modules = matrix(text)
    side = len(modules)
    small = Image.new("1", (side, side), 1)
    small.putdata([0 if module else 1 for row in modules for module in row])
    scale = max(pixels // side, 1)
    drawn = small.resize((side * scale, side * scale), Image.Resampling.NEAREST)
    picture = Image.new("1", (max(pixels, drawn.width),) * 2, 1)
    margin = (picture.width - drawn.width) // 2
    picture.paste(drawn, (margin, margin))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
