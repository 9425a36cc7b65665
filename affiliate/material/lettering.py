"""Text in pictures: which font has a character, how wide it is, where a line breaks.

Four fonts stand behind each other, and one more of the operator's. What none of them has, emoji
above all, is left out: an empty box says nothing. Nothing here depends on what the machine has.
"""

import struct
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

FOLDER = Path(__file__).parent / "fonts"
ELLIPSIS = "…"  # as high as the middle of a hanzi; letters get dots on their line
MIDDLE_DOT = "·"  # in a font for hanzi it is as wide as one of them
# No line begins with these, and none ends with those.
NOT_FIRST = frozenset("，。、；：！？）》」』】〉”’…·%％,.;:!?)]}")
NOT_LAST = frozenset("（《「『【〈“‘([{¥$€￥")
_RTL = {"R", "AL", "NSM"}


@dataclass(frozen=True, slots=True)
class Face:
    """A font file and what it can draw."""

    path: str
    number: int
    covers: frozenset[int]

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        return _font(self.path, self.number, size)


@lru_cache(maxsize=128)
def _font(path: str, number: int, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout is the same on every machine; the other needs a library of the system.
    return ImageFont.truetype(path, size, index=number, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4)
def faces(bold: bool, further: str | None = None) -> tuple[Face, ...]:
    weight = "bold" if bold else "regular"
    paths = [FOLDER / f"common-{weight}.otf", FOLDER / f"rtl-{weight}.ttf", FOLDER / "rare.otf"]
    found = [Face(str(path), 0, covers(path.read_bytes())) for path in paths]
    if further:
        found.append(Face(further, 0, covers(Path(further).read_bytes())))
    return tuple(found)


class Lettering:
    """The fonts of one instance."""

    def __init__(self, further: Path | None = None) -> None:
        self._further = str(further) if further else None

    def drawable(self, text: str) -> str:
        """What can be drawn of it, in one line. May be nothing at all."""
        known = faces(False, self._further)
        kept = (
            each if any(ord(each) in face.covers for face in known) else _space(each)
            for each in unicodedata.normalize("NFC", text)
        )
        return " ".join("".join(kept).split())

    def width(self, text: str, size: int, *, bold: bool = False) -> float:
        return sum(self._advance(each, size, bold) for each in _visual(text))

    def draw(
        self,
        draw: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        size: int,
        fill: tuple[int, int, int],
        *,
        bold: bool = False,
    ) -> float:
        """From this point on, on this base line. Returns where it ends."""
        x, y = at
        for face, run in self._runs(_visual(text), bold):
            font = face.at(size)
            draw.text((x, y), run, fill=fill, font=font, anchor="ls")
            x += font.getlength(run)
        return x

    def wrap(
        self, text: str, size: int, width: float, lines: int, *, bold: bool = False
    ) -> list[str]:
        """At most so many lines; what does not fit ends in three dots."""
        found: list[str] = []
        rest = text
        while rest and len(found) < lines:
            fits = self._fitting(rest, size, width, bold)
            if len(found) == lines - 1 and fits < len(rest):
                found.append(self.clip(rest, size, width, bold=bold))
                return found
            found.append(rest[:fits].rstrip())
            rest = rest[fits:].lstrip()
        return found

    def clip(self, text: str, size: int, width: float, *, bold: bool = False) -> str:
        """One line of it."""
        if self.width(text, size, bold=bold) <= width:
            return text
        dots = ELLIPSIS if _is_wide(text[0]) else "..."
        room = width - self.width(dots, size, bold=bold)
        kept, used = 0, 0.0
        for each in text:
            used += self._advance(each, size, bold)
            if used > room:
                break
            kept += 1
        return text[:kept].rstrip(" ·,，、-") + dots

    def _fitting(self, text: str, size: int, width: float, bold: bool) -> int:
        """How many characters stand in the first line."""
        used = 0.0
        for place, each in enumerate(text):
            used += self._advance(each, size, bold)
            if used > width and place:
                return _break(text, place)
        return len(text)

    def _advance(self, character: str, size: int, bold: bool) -> float:
        return _advance(character, size, bold, self._further)

    def _runs(self, text: str, bold: bool) -> list[tuple[Face, str]]:
        found: list[tuple[Face, str]] = []
        for each in text:
            face = _face(each, bold, self._further)
            if found and found[-1][0] is face:
                found[-1] = (face, found[-1][1] + each)
            else:
                found.append((face, each))
        return found


@lru_cache(maxsize=20_000)
def _advance(character: str, size: int, bold: bool, further: str | None) -> float:
    return _face(character, bold, further).at(size).getlength(character)


def _face(character: str, bold: bool, further: str | None) -> Face:
    known = faces(bold, further)
    if character == MIDDLE_DOT:
        return known[1]
    return next((face for face in known if ord(character) in face.covers), known[0])


def _space(character: str) -> str:
    """Spaces of all kinds stay spaces; joiners, variants and what cannot be drawn are nothing."""
    return " " if character.isspace() else ""


def _break(text: str, most: int) -> int:
    """The last good place to break a line of at most so many characters."""
    for place in range(most, max(most - 28, 0), -1):
        before, after = text[place - 1], text[place]
        if (before.isspace() or after.isspace()) and after not in NOT_FIRST:
            return place
        # Between words of letters only at spaces; hanzi part anywhere.
        wide = _is_wide(before) or _is_wide(after)
        if wide and after not in NOT_FIRST and before not in NOT_LAST:
            return place
    return most


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


# --- from right to left --------------------------------------------------------------------------


def _visual(text: str) -> str:
    """In the order in which it is drawn. Arabic letters take the forms that join."""
    if not any(unicodedata.bidirectional(each) in _RTL for each in text):
        return text
    text = _joined(text)
    runs = _directions(text)
    first = next((rtl for rtl, run in runs if rtl is not None and run.strip()), False)
    ordered = reversed(runs) if first else runs
    return "".join(_mirrored(run) if rtl else run for rtl, run in ordered)


def _directions(text: str) -> list[tuple[bool | None, str]]:
    """Runs of one direction; what has none goes with what is before it."""
    found: list[tuple[bool | None, str]] = []
    for each in text:
        kind = unicodedata.bidirectional(each)
        rtl = True if kind in _RTL else False if kind in {"L", "EN", "AN"} else None
        if rtl is None and found:
            rtl = found[-1][0]
        if found and found[-1][0] is rtl:
            found[-1] = (rtl, found[-1][1] + each)
        else:
            found.append((rtl, each))
    return [run for each in found for run in _trimmed(*each)]


def _trimmed(rtl: bool | None, run: str) -> list[tuple[bool | None, str]]:
    """A space at the end of a run stands between it and the next, whichever way they are read."""
    bare = run.rstrip()
    return [(rtl, bare), (rtl, run[len(bare) :])] if bare and bare != run else [(rtl, run)]


def _mirrored(run: str) -> str:
    return run[::-1].translate(_MIRRORS)


_MIRRORS = str.maketrans("()[]{}<>«»", ")(][}{><»«")


@lru_cache(maxsize=1)
def _forms() -> dict[str, dict[str, str]]:
    """By letter: how it looks alone, at the beginning, in the middle and at the end of a word."""
    found: dict[str, dict[str, str]] = {}
    for code in range(0xFE70, 0xFEFD):
        form, _, base = unicodedata.decomposition(chr(code)).partition(" ")
        letters = "".join(chr(int(each, 16)) for each in base.split())
        found.setdefault(letters, {})[form.strip("<>")] = chr(code)
    return found


def _joined(text: str) -> str:
    forms, found, joins = _forms(), "", False
    place = 0
    while place < len(text):
        letters = text[place : place + 2] if text[place : place + 2] in forms else text[place]
        place += len(letters)
        shapes = forms.get(letters)
        if shapes is None:
            found += letters
            joins = joins and unicodedata.bidirectional(letters) == "NSM"
            continue
        goes_on = "initial" in shapes and "final" in forms.get(text[place : place + 1], {})
        form = ("medial" if goes_on else "final") if joins else "initial" if goes_on else "isolated"
        found += shapes.get(form) or shapes.get("isolated") or letters
        joins = goes_on
    return found


# --- what a font has -----------------------------------------------------------------------------


def covers(font: bytes) -> frozenset[int]:
    """The characters of its `cmap` table: Pillow draws boxes, but does not say for what."""
    start = struct.unpack_from(">I", font, 12)[0] if font[:4] == b"ttcf" else 0
    for place in range(struct.unpack_from(">H", font, start + 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sIII", font, start + 12 + place * 16)
        if tag == b"cmap":
            return frozenset(_characters(font, offset))
    return frozenset()


def _characters(font: bytes, table: int) -> set[int]:
    found: set[int] = set()
    for place in range(struct.unpack_from(">H", font, table + 2)[0]):
        offset = table + struct.unpack_from(">HHI", font, table + 4 + place * 8)[2]
        kind = struct.unpack_from(">H", font, offset)[0]
        if kind == 12:
            for group in range(struct.unpack_from(">I", font, offset + 12)[0]):
                first, last, _ = struct.unpack_from(">III", font, offset + 16 + group * 12)
                found.update(range(first, last + 1))
        elif kind == 4:
            double = struct.unpack_from(">H", font, offset + 6)[0]
            ends = struct.unpack_from(f">{double // 2}H", font, offset + 14)
            starts = struct.unpack_from(f">{double // 2}H", font, offset + 16 + double)
            for first, last in zip(starts, ends, strict=True):
                found.update(range(first, last + 1))
    return found - {0xFFFF}
