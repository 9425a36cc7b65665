"""What posters are made of: text, rounded shapes, pictures, faces, codes."""

import io
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter

from affiliate.links import share
from affiliate.material.colours import FACES, INK, WHITE, Colour, mixed, rgb
from affiliate.material.lettering import Lettering

WIDTH, HEIGHT = 1080, 1440
BYTES_MOST = 250_000
QUALITY, QUALITY_LEAST = 86, 10
Box = tuple[int, int, int, int]  # left, top, width, height
EDGE_SPREAD = 14  # of 255: so little differs what people see as one colour
_FINER = 4  # edges are drawn so many times larger, and shrunk


class Canvas:
    def __init__(self, lettering: Lettering, ground: Colour) -> None:
        self.image = Image.new("RGB", (WIDTH, HEIGHT), ground)
        self.draw = ImageDraw.Draw(self.image)
        self.letters = lettering

    # --- text ------------------------------------------------------------------------------------

    def text(
        self, at: tuple[float, float], text: str, size: int, fill: Colour, *, bold: bool = False
    ) -> float:
        return self.letters.draw(self.draw, at, text, size, fill, bold=bold)

    def width(self, text: str, size: int, *, bold: bool = False) -> float:
        return self.letters.width(text, size, bold=bold)

    def centred(
        self, middle: float, y: float, text: str, size: int, fill: Colour, *, bold: bool = False
    ) -> None:
        self.text((middle - self.width(text, size, bold=bold) / 2, y), text, size, fill, bold=bold)

    def block(
        self, at: tuple[int, int], text: str, width: int, sizes: Sequence[int], lines: int,
        fill: Colour, *, bold: bool = True, leading: int = 128,
    ) -> int:  # fmt: skip
        """As large as it fits into so many lines; the smallest is cut. Returns where it ends."""
        x, y = at
        for size in sizes:
            wrapped = self.letters.wrap(text, size, width, lines, bold=bold)
            if size == sizes[-1] or not wrapped or not wrapped[-1].endswith(("…", "...")):
                break
        step = size * leading // 100
        for number, line in enumerate(wrapped):
            self.text((x, y + size * 88 // 100 + number * step), line, size, fill, bold=bold)
        return y + step * len(wrapped)

    def fitted(
        self, at: tuple[float, float], text: str, width: int, sizes: Sequence[int], fill: Colour,
        *, bold: bool = True,
    ) -> float:  # fmt: skip
        """One line, as large as it fits."""
        size = next((s for s in sizes if self.width(text, s, bold=bold) <= width), sizes[-1])
        return self.text(at, self.letters.clip(text, size, width, bold=bold), size, fill, bold=bold)

    def struck(self, at: tuple[float, float], text: str, size: int, fill: Colour) -> float:
        """What it costs otherwise."""
        x, y = at
        end = self.text(at, text, size, fill)
        high = y - size * 34 // 100
        self.draw.line((x - 2, high, end + 2, high), fill=fill, width=max(size // 14, 2))
        return end

    def chip(
        self, at: tuple[int, int], text: str, size: int, ground: Colour, fill: Colour,
        *, right: bool = False, bold: bool = True,
    ) -> int:  # fmt: skip
        """A short word on a rounded ground; its left edge, or its right one, is at this point."""
        across = int(self.width(text, size, bold=bold)) + size
        high = size * 170 // 100
        x, y = (at[0] - across, at[1]) if right else at
        self.panel((x, y, across, high), ground, high // 2)
        self.text((x + size / 2, y + high * 69 // 100), text, size, fill, bold=bold)
        return x if right else x + across

    # --- shapes ----------------------------------------------------------------------------------

    def panel(self, box: Box, fill: Colour, radius: int) -> None:
        left, top, width, height = box
        self.image.paste(fill, (left, top), rounded(width, height, radius))

    def shadow(self, box: Box, radius: int, depth: int = 18, darkness: int = 56) -> None:
        """Of a panel that is drawn next."""
        left, top, width, height = box
        self.image.paste((0, 0, 0), (left - depth * 2, top - depth), _shadow(
            width, height, radius, depth, darkness))  # fmt: skip

    def veil(self, box: Box, colour: Colour, start: int, end: int) -> None:
        """From so opaque (of 255) at its top to so opaque at its end."""
        left, top, width, height = box
        self.image.paste(colour, (left, top), _veil(width, height, start, end))

    def picture(self, picture: Image.Image, box: Box, radius: int = 0) -> None:
        left, top, width, height = box
        mask = rounded(width, height, radius) if radius else None
        self.image.paste(covering(picture, width, height), (left, top), mask)

    def stand_in(self, box: Box, colour: Colour, radius: int = 0) -> None:
        """Where there is no picture: a bag on soft rings in the merchant's colour."""
        left, top, width, height = box
        mask = rounded(width, height, radius) if radius else None
        self.image.paste(_bag(width, height, colour), (left, top), mask)

    def face(self, at: tuple[int, int], side: int, name: str, letter: str) -> None:
        """A promoter's: the first letter of the name on a colour of its own."""
        x, y = at
        ground = rgb(FACES[sum(map(ord, name)) % len(FACES)])
        self.panel((x, y, side, side), ground, side // 2)
        if letter:
            size = side * 46 // 100
            self.centred(x + side / 2, y + side * 66 // 100, letter, size, WHITE, bold=True)
        else:
            self._person(x, y, side)

    def _person(self, x: int, y: int, side: int) -> None:
        head, body = side * 30 // 100, side * 52 // 100
        self.panel((x + (side - head) // 2, y + side * 22 // 100, head, head), WHITE, head // 2)
        shoulders = rounded(body, side * 24 // 100, side * 12 // 100)
        self.image.paste(WHITE, (x + (side - body) // 2, y + side * 57 // 100), shoulders)

    def logo(self, logo: Image.Image, box: Box) -> int:
        """As large as it fits into the box, from its left edge on. Returns where it ends."""
        left, top, width, height = box
        small = logo.copy()
        small.thumbnail((width, height), Image.Resampling.LANCZOS)
        place = (left, top + (height - small.height) // 2)
        self.image.paste(small.convert("RGB"), place, small.getchannel("A"))
        return left + small.width

    def code(self, at: tuple[int, int], most: int, text: str) -> int:
        """On a white card; its modules are whole pixels. Returns the side of the card."""
        modules = share.matrix(text)
        scale = max(most // len(modules), 1)
        side = len(modules) * scale
        margin = (most - side) // 2 if most > side else 0
        card = (at[0], at[1], side + 2 * margin, side + 2 * margin)
        self.panel(card, WHITE, 28)
        small = share.drawn(modules, scale)
        self.image.paste(small.convert("RGB"), (at[0] + margin, at[1] + margin),
                         rounded(side, side, 20))  # fmt: skip
        return card[2]

    def jpeg(self) -> bytes:
        """As good as it can be below the limit: mostly at once, else at the second try."""
        quality = QUALITY
        while True:
            file = io.BytesIO()
            self.image.save(file, "JPEG", quality=quality)
            if file.tell() <= BYTES_MOST or quality <= QUALITY_LEAST:
                return file.getvalue()
            quality = max(quality * BYTES_MOST // file.tell() - 4, QUALITY_LEAST)


@lru_cache(maxsize=64)
def rounded(width: int, height: int, radius: int) -> Image.Image:
    """The corner is drawn large once; the rest of the mask is plain."""
    radius = min(radius, width // 2, height // 2)
    mask = Image.new("L", (width, height), 255)
    if radius <= 0:
        return mask
    big = Image.new("L", (radius * _FINER, radius * _FINER), 0)
    ImageDraw.Draw(big).ellipse((0, 0, radius * _FINER * 2 - 1, radius * _FINER * 2 - 1), fill=255)
    corner = big.resize((radius, radius), Image.Resampling.BOX)
    flipped = corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    below = Image.Transpose.FLIP_TOP_BOTTOM
    mask.paste(corner, (0, 0))
    mask.paste(flipped, (width - radius, 0))
    mask.paste(corner.transpose(below), (0, height - radius))
    mask.paste(flipped.transpose(below), (width - radius, height - radius))
    return mask


@lru_cache(maxsize=8)
def _shadow(width: int, height: int, radius: int, depth: int, darkness: int) -> Image.Image:
    """Blurred at an eighth of its size: it is soft anyway."""
    whole = (width + depth * 4, height + depth * 4)
    small = Image.new("L", (whole[0] // 8, whole[1] // 8), 0)
    inner = rounded(width // 8, height // 8, radius // 8).point(
        [x * darkness // 255 for x in range(256)]
    )
    small.paste(inner, (depth * 2 // 8, depth * 2 // 8))
    soft = small.filter(ImageFilter.GaussianBlur(max(depth // 8, 1)))
    return soft.resize(whole, Image.Resampling.BICUBIC)


@lru_cache(maxsize=16)
def _veil(width: int, height: int, start: int, end: int) -> Image.Image:
    ramp = Image.linear_gradient("L").point([start + (end - start) * x // 255 for x in range(256)])
    return ramp.resize((width, height), Image.Resampling.BILINEAR)


def covering(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Filled to its edges. Of a picture that would lose more than a third all is shown: on the
    colour that it has all around, else on itself out of focus.
    """
    scale = max(width / picture.width, height / picture.height)
    kept = (width * height) / (picture.width * picture.height * scale * scale)
    if kept >= 0.62:
        return _cropped(picture, width, height)
    plain = _plain_edge(picture)
    ground = Image.new("RGB", (width, height), plain) if plain else _soft(picture, width, height)
    whole = picture.copy()
    whole.thumbnail((width, height), Image.Resampling.LANCZOS)
    ground.paste(whole, ((width - whole.width) // 2, (height - whole.height) // 2))
    return ground


def _plain_edge(picture: Image.Image) -> Colour | None:
    """The colour of its four edges, if that is one: goods are shown before plain walls."""
    width, height = picture.size
    edges = ((0, 0, width, 2), (0, height - 2, width, height), (0, 0, 2, height),
             (width - 2, 0, width, height))  # fmt: skip
    spread = [band for edge in edges for band in picture.crop(edge).resize((24, 24)).getextrema()]
    lows, highs = zip(*spread, strict=True)
    for band in range(3):
        if max(highs[band::3]) - min(lows[band::3]) > EDGE_SPREAD:
            return None
    red, green, blue = ((min(lows[band::3]) + max(highs[band::3])) // 2 for band in range(3))
    return (red, green, blue)


def _soft(picture: Image.Image, width: int, height: int) -> Image.Image:
    filled = _cropped(picture, width, height)
    soft = filled.resize((width // 16 or 1, height // 16 or 1), Image.Resampling.BOX)
    soft = soft.filter(ImageFilter.GaussianBlur(2))
    return soft.resize((width, height), Image.Resampling.BICUBIC)


def _cropped(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle, and of a tall one rather its upper part: there stand faces and collars."""
    wanted = width / height
    if picture.width / picture.height > wanted:
        across = int(picture.height * wanted)
        left = (picture.width - across) // 2
        box = (left, 0, left + across, picture.height)
    else:
        down = int(picture.width / wanted)
        top = (picture.height - down) * 2 // 5
        box = (0, top, picture.width, top + down)
    return picture.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)


@lru_cache(maxsize=16)
def _bag(width: int, height: int, colour: Colour) -> Image.Image:
    paper, ring = mixed(colour, WHITE, 82), mixed(colour, WHITE, 74)
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    middle, high = width // 2, height * 46 // 100
    unit = min(width, height) // 20
    for number, radius in enumerate((unit * 15, unit * 11, unit * 7)):
        tone = mixed(ring, paper, (60, 35, 10)[number])
        draw.ellipse((middle - radius, high - radius, middle + radius, high + radius), fill=tone)
    side, top = unit * 7, high - unit * 2
    body = rounded(side, unit * 6, unit)
    image.paste(mixed(colour, WHITE, 18), (middle - side // 2, top), body)
    hook = (middle - unit * 2, top - unit * 2, middle + unit * 2, top + unit * 2)
    draw.arc(hook, 180, 360, fill=mixed(colour, INK, 12), width=max(unit // 3, 4))
    smile = (middle - unit * 3 // 2, top + unit * 2, middle + unit * 3 // 2, top + unit * 4)
    draw.arc(smile, 20, 160, fill=paper, width=max(unit // 3, 4))
    return image.resize((width, height))
