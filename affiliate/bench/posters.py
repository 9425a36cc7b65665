"""How long a poster takes to be drawn, once fonts are loaded, and how large it gets."""

import io
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from affiliate.material import posters
from affiliate.material.canvas import HEIGHT, WIDTH
from affiliate.material.colours import SEAL
from affiliate.material.lettering import Lettering
from affiliate.material.posters import TEMPLATES, Poster

ROUNDS = 7
TITLE = "水洗亚麻衬衫 · 云白 夏季宽松长袖 Camisa de linho lavado"


class Measured(NamedTuple):
    ms: float  # the median
    kilobytes: int


def measure() -> dict[str, Measured]:
    """With a busy picture, which is the worst for time and size."""
    picture = Image.effect_noise((WIDTH // 4, WIDTH // 4), 60).convert("RGB").resize((WIDTH, WIDTH))
    letters = Lettering()
    found = {
        name: _timed(lambda name=name: posters.draw(_poster(name), letters, picture))  # type: ignore[misc]
        for name in TEMPLATES
    }
    return found | {"bare JPEG": _timed(lambda: _bare(picture))}


def _timed(drawn: Callable[[], bytes]) -> Measured:
    drawn()
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        content = drawn()
        took.append((time.perf_counter() - begun) * 1000)
    return Measured(statistics.median(took), len(content) // 1000)


def _bare(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.resize((WIDTH, HEIGHT)).save(file, "JPEG", quality=80)
    return file.getvalue()


def _poster(template: str) -> Poster:
    return Poster(
        template=template, title=TITLE, price="¥329.00", before="¥399.00", saves="立省 ¥70.00",
        shop="素白官方商城", name="王喆", recommends="王喆 推荐", label="广告",
        invite="长按或扫码查看", url="https://go.example.com/s/Ab3xYz?q", color=SEAL,
        picture=None, logo=None,
    )  # fmt: skip
