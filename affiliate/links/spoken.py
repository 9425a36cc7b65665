"""口令: a short text to copy and paste where chat apps let no link through, and how the link in
whatever somebody pasted is found again.
"""

import re
import unicodedata
from urllib.parse import urlsplit

from affiliate import i18n
from affiliate.i18n import _
from affiliate.links import captions, domains, queries, rules, share
from affiliate.links.models import Link

TEXT_CHARACTERS_MAX = 5000
TITLE_CHARACTERS_MAX = 40
CODES_MAX = 10
# As other apps' texts look too, so every code in the text is tried. NFKC makes ￥ a plain ¥.
_MARKED = re.compile(r"[¥#]\s?([0-9A-Za-z-]{3,64})\s?[¥#]")
_ADDRESS = re.compile(r"https?://[^\s<>\"'，。！？）】」]{4,300}", re.ASCII)
_PATH = re.compile(r"/[sp]/([0-9A-Za-z_-]{1,64})")


def text(link: Link, title: str, *, tag: str, base: str) -> str:
    """With the disclosure label in front, as everywhere, and where to paste it."""
    short = title if len(title) <= TITLE_CHARACTERS_MAX else f"{title[:TITLE_CHARACTERS_MAX]}…"
    host = urlsplit(base).netloc
    with i18n.read_as(tag):
        how = _("Copy this whole text and paste it at %(place)s", place=f"{host}/kl")
        return f"{captions.LABEL} {' '.join(short.split())} ￥{link.word}￥ {how}"


def find(pasted: str) -> Link | None:
    """The first of our links in a text, by its mark or by its address on any of our domains."""
    plain = unicodedata.normalize("NFKC", pasted[:TEXT_CHARACTERS_MAX])
    words = [*_MARKED.findall(plain), *_in_addresses(plain), *_alone(plain)]
    for word in dict.fromkeys(words[:CODES_MAX]):
        if found := queries.by_word(word):
            return found
    return None


def leads_to(link: Link) -> str:
    """A product is shown first; anything else opens at once."""
    base = domains.base_of(link)
    where = share.page_url if link.product_id is not None else share.short_url
    return where(link.word, base)


def _in_addresses(plain: str) -> list[str]:
    addresses = _ADDRESS.findall(plain)[:CODES_MAX]
    if not addresses:
        return []
    hosts = domains.ours()
    found = []
    for each in addresses:
        try:
            parts = urlsplit(each)
        except ValueError:
            continue
        word = _PATH.match(parts.path)
        if word and parts.netloc.lower() in hosts:
            found.append(word[1])
    return found


def _alone(plain: str) -> list[str]:
    word = plain.strip()
    return [word] if rules.CODE.fullmatch(word) else []
