"""Posters to be shared: picture, price, what it saves, code, who recommends it, and the label.

Everything a poster shows stands in `Poster`, so its fingerprint tells whether one must be drawn
again. Each template is a function that draws on a canvas; all of them show the label.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from PIL import Image

from affiliate.material.canvas import HEIGHT, WIDTH, Box, Canvas
from affiliate.material.colours import INK, WHITE, Colour, contrast, mixed, on, on_paper, rgb
from affiliate.material.lettering import Lettering

VERSION = 1  # of the drawings: a higher one draws all posters again
PAPER: Colour = (250, 249, 246)
QUIET: Colour = (104, 110, 116)
MARGIN = 56


@dataclass(frozen=True, slots=True)
class Poster:
    """In the buyer's words. Texts come from shops and people: none of them is trusted to fit."""

    template: str
    title: str
    price: str
    before: str  # what it costs otherwise, "" if that is the same
    saves: str  # "Save ¥20", or what else is worth a glance
    shop: str
    name: str  # the promoter's
    recommends: str  # with that name
    label: str
    invite: str
    url: str
    color: str
    picture: str | None  # by the hash of its content, as the logo
    logo: str | None

    @property
    def fingerprint(self) -> str:
        text = json.dumps([VERSION, asdict(self)], ensure_ascii=True, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Scene:
    """What a template works with."""

    poster: Poster
    canvas: Canvas
    picture: Image.Image | None
    logo: Image.Image | None
    colour: Colour

    def picture_in(self, box: Box, radius: int = 0) -> None:
        if self.picture is None:
            self.canvas.stand_in(box, self.colour, radius)
        else:
            self.canvas.picture(self.picture, box, radius)

    def label(self, right: int, top: int, ground: Colour = WHITE, fill: Colour = INK) -> None:
        self.canvas.chip((right, top), self.poster.label, 28, ground, fill, right=True)

    def shop(self, at: tuple[int, int], width: int, fill: Colour) -> None:
        """The merchant's logo, else the shop's name; on this base line."""
        x, y = at
        if self.logo is not None:
            self.canvas.logo(self.logo, (x, y - 48, min(width, 300), 64))
        else:
            self.canvas.fitted((x, y), self.poster.shop, width, (34, 30, 26), fill)

    def recommender(self, at: tuple[int, int], side: int, width: int, fill: Colour) -> None:
        x, y = at
        name = self.poster.name
        self.canvas.face(at, side, name, _initial(name))
        size = side * 42 // 100
        words = self.poster.recommends
        self.canvas.fitted((x + side + 20, y + side * 64 // 100), words, width - side - 20,
                           (size, size * 85 // 100), fill, bold=False)  # fmt: skip


def window(scene: Scene) -> None:
    """The picture in a frame, all words below it on paper."""
    poster, canvas = scene.poster, scene.canvas
    tone = on_paper(scene.colour)
    frame = (MARGIN, MARGIN, WIDTH - 2 * MARGIN, 820)
    scene.picture_in(frame, 44)
    scene.label(WIDTH - MARGIN - 28, MARGIN + 28)
    if poster.saves:
        canvas.chip((MARGIN + 28, 800), poster.saves, 42, scene.colour, on(scene.colour))
    end = canvas.block((MARGIN, 906), poster.title, 600, (52, 46, 40, 36), 2, INK)
    if poster.price:
        canvas.fitted((MARGIN - 3, end + 112), poster.price, 600, (92, 80, 66, 54), tone)
    if poster.before:
        canvas.struck((MARGIN, end + 172), poster.before, 36, QUIET)
    side = 330
    left = WIDTH - MARGIN - side
    canvas.shadow((left, 906, side, side), 28)
    canvas.code((left, 906), side, poster.url)
    _centred_lines(canvas, poster.invite, left + side // 2, 1274, side + 30, 27, INK)
    canvas.draw.line((MARGIN, 1324, WIDTH - MARGIN, 1324), fill=mixed(PAPER, INK, 12), width=2)
    scene.recommender((MARGIN, 1342), 64, 560, INK)
    _right(scene, WIDTH - MARGIN, 1384)


def _right(scene: Scene, right: int, base: int) -> None:
    """The shop at the right edge."""
    canvas, shop = scene.canvas, scene.poster.shop
    if scene.logo is not None:
        across = min(260, scene.logo.width * 56 // scene.logo.height)
        canvas.logo(scene.logo, (right - across, base - 38, across, 56))
        return
    clipped = canvas.letters.clip(shop, 30, 380, bold=True)
    canvas.text((right - canvas.width(clipped, 30, bold=True), base), clipped, 30, QUIET, bold=True)


def cover(scene: Scene) -> None:
    """The picture from edge to edge, words in the dark below it."""
    poster, canvas = scene.poster, scene.canvas
    night = mixed(scene.colour, (10, 12, 14), 82)
    tall = scene.picture is not None and scene.picture.height * 10 > scene.picture.width * 11
    scene.picture_in((0, 0, WIDTH, HEIGHT if tall else 1140))
    canvas.veil((0, 0, WIDTH, 300), night, 150, 0)
    canvas.veil((0, 540, WIDTH, 420), night, 0, 226)
    canvas.veil((0, 960, WIDTH, 180), night, 226, 255)
    canvas.panel((0, 1140, WIDTH, HEIGHT - 1140), night, 0)
    scene.shop((MARGIN, 116), 640, WHITE)
    scene.label(WIDTH - MARGIN, 76)
    side = 330
    left = WIDTH - MARGIN - side
    lines = canvas.letters.wrap(poster.title, 60, WIDTH - 2 * MARGIN, 3, bold=True)
    top = 1040 - len(lines) * 76
    if poster.saves:
        canvas.chip((MARGIN, top - 94), poster.saves, 40, scene.colour, on(scene.colour))
    canvas.block((MARGIN, top), poster.title, WIDTH - 2 * MARGIN, (60, 52, 46), 3, WHITE)
    if poster.price:
        canvas.fitted((MARGIN - 3, 1178), poster.price, 600, (104, 90, 74, 60), WHITE)
    if poster.before:
        canvas.struck((MARGIN, 1240), poster.before, 38, mixed(WHITE, night, 30))
    canvas.code((left, 1064), side, poster.url)
    invite = mixed(WHITE, night, 12)
    canvas.fitted((MARGIN, 1302), poster.invite, 600, (32, 28, 24), invite, bold=False)
    scene.recommender((MARGIN, 1328), 64, 600, WHITE)


def ticket(scene: Scene) -> None:
    """A voucher on the merchant's colour, its stub to be scanned."""
    poster, canvas = scene.poster, scene.canvas
    ground = scene.colour
    letters = on(ground)
    _rays(canvas, ground)
    scene.shop((MARGIN, 106), 640, letters)
    scene.label(WIDTH - MARGIN, 62)
    headline = poster.saves or poster.recommends
    canvas.fitted((MARGIN - 4, 232), headline, WIDTH - 2 * MARGIN, (104, 88, 72, 60, 50), letters)
    card = (MARGIN, 282, WIDTH - 2 * MARGIN, 1104)
    canvas.shadow(card, 44, 24, 90)
    canvas.panel(card, WHITE, 44)
    inner = card[2] - 64
    scene.picture_in((card[0] + 32, card[1] + 32, inner, 520), 28)
    end = canvas.block((card[0] + 44, 858), poster.title, inner - 24, (46, 42, 38), 2, INK)
    after = canvas.fitted((card[0] + 41, end + 86), poster.price, 560, (84, 72, 60),
                          on_paper(ground)) if poster.price else card[0] + 44  # fmt: skip
    if poster.before:
        canvas.struck((after + 26, end + 84), poster.before, 36, QUIET)
    tear = 1094
    for x in (card[0], card[0] + card[2]):
        canvas.panel((x - 26, tear - 26, 52, 52), mixed(ground, INK, 6), 26)
    for x in range(card[0] + 48, card[0] + card[2] - 48, 30):
        canvas.draw.line((x, tear, x + 16, tear), fill=mixed(WHITE, INK, 22), width=3)
    canvas.code((card[0] + 32, tear + 24), 256, poster.url)
    left, width = card[0] + 330, card[2] - 380
    canvas.block((left, tear + 66), poster.invite, width, (42, 36), 2, INK)
    scene.recommender((left, tear + 176), 64, width, QUIET)


def _rays(canvas: Canvas, ground: Colour) -> None:
    """Wide rings from the corner, hardly lighter than the ground."""
    light = mixed(ground, WHITE, 7 if contrast(WHITE, ground) >= 3 else 30)
    for radius in (900, 620, 360):
        tone = mixed(light, ground, 60 if radius == 900 else 30 if radius == 620 else 0)
        box = (WIDTH - radius, -radius // 2, WIDTH + radius, radius * 3 // 2)
        canvas.draw.ellipse(box, fill=tone)


def _centred_lines(
    canvas: Canvas, text: str, middle: int, y: int, width: int, size: int, fill: Colour
) -> None:
    for number, line in enumerate(canvas.letters.wrap(text, size, width, 2)):
        canvas.centred(middle, y + number * size * 120 // 100, line, size, fill)


def _initial(name: str) -> str:
    return next((each.upper() for each in name if each.isalnum()), "")


TEMPLATES: dict[str, Callable[[Scene], None]] = {
    "window": window,
    "cover": cover,
    "ticket": ticket,
}
GROUNDS = {"window": PAPER, "cover": INK}


def draw(
    poster: Poster,
    lettering: Lettering,
    picture: Image.Image | None = None,
    logo: Image.Image | None = None,
) -> bytes:
    """As a JPEG below 250 KB."""
    colour = rgb(poster.color)
    canvas = Canvas(lettering, GROUNDS.get(poster.template, colour))
    TEMPLATES[poster.template](Scene(poster, canvas, picture, logo, colour))
    return canvas.jpeg()
