"""What a promoter writes beside a link, in the buyer's language, marked as advertising.

The mark is part of the caption wherever it is shown, copied or sent: the law of every market asks
for it, so nothing here makes a caption without it.
"""

from babel.core import get_global

from affiliate import formats, i18n
from affiliate.i18n import _, _p
from affiliate.money import Money

# Right before what is advertised, as people read it.
LABEL = _p("disclosure", "[Ad]")
TAGS = {"zh": "zh-Hans", "es": "es", "pt": "pt-BR"}


def language_of(country: str) -> str:
    """What most people of a country read, of the languages we have."""
    likely: str = get_global("likely_subtags").get(f"und_{country}", "en")
    return TAGS.get(likely.partition("_")[0], i18n.DEFAULT)


def caption(tag: str, country: str, *, title: str, price: Money | None, url: str) -> str:
    """In this language, with numbers as the buyer's country writes them."""
    with i18n.read_as(nearest(tag, country)):
        words = f"{title} · {formats.price(price)}" if price else title
        invitation = _("I can recommend this: %(url)s", url=url)
        return f"{LABEL} {words}\n{invitation}"


def nearest(tag: str, country: str) -> str:
    """The way of this language's country to write numbers, where we know it."""
    there = f"{tag}-{country}"
    return there if there in i18n.LOCALES else tag


def label(tag: str) -> str:
    with i18n.read_as(tag):
        return str(LABEL)
