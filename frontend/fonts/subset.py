"""Cuts the fonts of posters out of the full ones, into affiliate/material/fonts.

    pip install fonttools
    apt-get install fonts-noto-cjk fonts-dejavu-core
    python frontend/fonts/subset.py

`common-*` has Latin and the 6 763 hanzi of GB 2312, which are nearly all that is written; `rare`
the other 14 000 of Unicode's first plane, which stand in names; `rtl-*` Arabic and Hebrew, and a
middle dot that is as narrow as letters are.
"""

from pathlib import Path

from fontTools import subset

NOTO = "/usr/share/fonts/opentype/noto/NotoSansCJK-{}.ttc"
SIMPLIFIED = 2  # which font of the collection
DEJAVU = "/usr/share/fonts/truetype/dejavu/DejaVuSans{}.ttf"
OUT = Path(__file__).resolve().parents[2] / "affiliate" / "material" / "fonts"

LATIN = [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x2010, 0x2028), *range(0x2030, 0x203B),
         *range(0x20A0, 0x20C1)]  # fmt: skip
HANZI = set(range(0x4E00, 0xA000))
RIGHT_TO_LEFT = [*range(0x590, 0x700), *range(0xFB1D, 0xFB50), *range(0xFE70, 0xFEFD), 0x20, 0xB7]


def gb2312() -> set[int]:
    """Every character of its rows, in two bytes each."""
    found = set()
    for row in range(0xA1, 0xF8):
        for cell in range(0xA1, 0xFF):
            try:
                found.add(ord(bytes([row, cell]).decode("gb2312")))
            except UnicodeDecodeError:
                continue
    return found


def cut(source: str, name: str, characters: set[int], number: int = -1) -> None:
    options = subset.Options(font_number=number, hinting=False, layout_features=[])
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    font = subset.load_font(source, options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=characters)
    cutter.subset(font)
    subset.save_font(font, str(OUT / name), options)


common = gb2312() | set(LATIN)
for weight in ("Regular", "Bold"):
    cut(NOTO.format(weight), f"common-{weight.lower()}.otf", common, SIMPLIFIED)
    tail = "" if weight == "Regular" else "-Bold"
    cut(DEJAVU.format(tail), f"rtl-{weight.lower()}.ttf", set(RIGHT_TO_LEFT))
cut(NOTO.format("Regular"), "rare.otf", HANZI - common, SIMPLIFIED)
