"""What a promoter writes beside a link, in the buyer's language, marked as advertising.

The mark is part of the caption wherever it is shown, copied or sent: the law of every market asks
for it, so nothing here makes a caption without it.
"""

import re
import unicodedata

from babel.core import get_global

from affiliate import formats, i18n
from affiliate.errors import invalid
from affiliate.i18n import _, _p
from affiliate.money import Money

# Right before what is advertised, as people read it.
LABEL = _p("disclosure", "[Ad]")
TAGS = {"zh": "zh-Hans", "es": "es", "pt": "pt-BR"}
TEXT_MOST = 1000
LINES_MOST = 24
# What words of people's own may hold, and is filled in when they are shown.
PLACES = ("title", "price", "saves", "link")
_PLACE = re.compile(r"\{ ?(" + "|".join(PLACES) + r") ?\}")
_EMOJI_JOINER = "\u200d"


def language_of(country: str) -> str:
    """What most people of a country read, of the languages we have."""
    likely: str = get_global("likely_subtags").get(f"und_{country}", "en")
    return TAGS.get(likely.partition("_")[0], i18n.DEFAULT)


def caption(
    tag: str,
    country: str,
    *,
    title: str,
    price: Money | None,
    url: str,
    saves: Money | None = None,
    text: str | None = None,
) -> str:
    """In this language, with numbers as the buyer's country writes them: in somebody's own words,
    else in ours.
    """
    with i18n.read_as(nearest(tag, country)):
        costs = formats.price(price) if price else ""
        less = formats.price(saves) if saves else ""
        if text:
            return _own(text, title=title, price=costs, saves=less, link=url)
        words = f"{title} · {costs}" if price else title
        if less:
            words = f"{words} · {_('Save %(price)s', price=less)}"
        invitation = _("I can recommend this: %(url)s", url=url)
        return f"{LABEL} {words}\n{invitation}"


def _own(text: str, **known: str) -> str:
    """The label stands in front of everything, and the link is there, whoever wrote it."""
    filled = _PLACE.sub(lambda found: known[found[1]], unmarked(text))
    if known["link"] not in filled:
        filled = f"{filled}\n{known['link']}"
    return f"{LABEL} {filled}"


def checked(text: str, pointer: str = "/text") -> str:
    """Words of somebody's own as they are kept: within bounds, with nothing in them that hides or
    turns around what stands beside it, and without the label, which is ours to put.
    """
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").split("\n")
    kept = unmarked("\n".join(_visible(line).rstrip() for line in lines).strip())
    if not kept:
        raise invalid(pointer, "empty", _("Write something."))
    if len(kept) > TEXT_MOST or kept.count("\n") >= LINES_MOST:
        message = _(
            "At most %(characters)s characters in %(lines)s lines.",
            characters=TEXT_MOST, lines=LINES_MOST,
        )  # fmt: skip
        raise invalid(pointer, "too_long", message)
    return kept


def unmarked(text: str) -> str:
    """Without a label at its beginning, in whatever language."""
    labels = {label(tag) for tag in i18n.LANGUAGES}
    while found := next((each for each in labels if text.startswith(each)), None):
        text = text.removeprefix(found).lstrip()
    return text


def _visible(line: str) -> str:
    """Joiners of emoji stay; other invisible characters could hide the label."""
    return "".join(
        each
        for each in line
        if each == _EMOJI_JOINER or unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def nearest(tag: str, country: str) -> str:
    """The way of this language's country to write numbers, where we know it."""
    there = f"{tag}-{country}"
    return there if there in i18n.LOCALES else tag


def label(tag: str) -> str:
    with i18n.read_as(tag):
        return str(LABEL)
