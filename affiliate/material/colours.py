"""Colours of a merchant, made readable wherever they stand."""

import re

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
INK: Colour = (28, 32, 36)
SEAL = "#c2410c"  # ours, until a merchant chooses another
HEX = re.compile(r"#[0-9a-fA-F]{6}")
# Of faces without a picture; all of them carry white letters.
FACES = ("#b4531f", "#0f766e", "#6d4aa8", "#a83a5b", "#35618e", "#5d7032")


def rgb(text: str) -> Colour:
    return (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))


def mixed(one: Colour, other: Colour, percent: int) -> Colour:
    """So much of the other."""
    red, green, blue = ((a * (100 - percent) + b * percent) // 100
                        for a, b in zip(one, other, strict=True))  # fmt: skip
    return (red, green, blue)


def contrast(one: Colour, other: Colour) -> float:
    """From 1 to 21, as WCAG counts it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def on_paper(colour: Colour, least: float = 4.5) -> Colour:
    """The same, as dark as it must be to be read on white."""
    for percent in range(0, 101, 8):
        darker = mixed(colour, INK, percent)
        if contrast(darker, WHITE) >= least:
            return darker
    return INK


def on(ground: Colour) -> Colour:
    """Letters on this ground."""
    return WHITE if contrast(WHITE, ground) >= 3 else INK


def _luminance(colour: Colour) -> float:
    parts = [each / 255 for each in colour]
    red, green, blue = (
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
