"""Plain text of what shops and people write about goods, whatever markup they left in it."""

import html
import re
from collections.abc import Iterator

MARKUP = 100_000  # characters that are looked at
# Ends a line where a browser would.
_BLOCKS = {
    "br", "p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "section", "article", "blockquote", "pre", "dt", "dd",
}  # fmt: skip
_SILENT = {"script", "style", "template", "iframe", "noscript"}
_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
# Control characters, and those that turn the direction of what follows them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: str) -> str:
    """Without tags, entities and what no reader sees; a line for each paragraph. Never refuses."""
    found = text[:MARKUP].encode("utf-8", "replace").decode()
    if "<" in found:
        found = "".join(_without_tags(found))
    found = _UNSEEN.sub("", html.unescape(found).replace("\r\n", "\n"))
    lines = (" ".join(each.split()) for each in found.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _without_tags(text: str) -> Iterator[str]:
    """Each `<…>` is looked at once, so that no text is slow to read."""
    first, *rest = text.split("<")
    yield first
    silent = comment = ""
    for piece in rest:
        if comment:
            _, ended, after = piece.partition(comment)
            comment = "" if ended else comment
            yield after if ended and not silent else ""
            continue
        if piece.startswith("!--"):
            _, ended, after = piece[3:].partition("-->")
            comment = "" if ended else "-->"
            yield after if not silent else ""
            continue
        inside, ended, after = piece.partition(">")
        tag = _TAG.match(inside)
        if not ended or not (tag or inside.startswith(("!", "?"))):
            yield "" if silent else f"<{piece}"  # a sign, as in "a < b"
            continue
        name = tag[1].lower() if tag else ""
        if silent:
            silent = "" if inside.startswith("/") and name == silent else silent
            yield "" if silent else after
            continue
        if name in _SILENT and not inside.startswith("/"):
            silent = name
            continue
        yield ("\n" if name in _BLOCKS else "") + after
