"""Whether two names may be of one person: for a look by people, never to refuse anybody."""

import re

from text_unidecode import unidecode


def differ(holder: str, name: str) -> bool:
    """Neither holds all the words of the other, in Latin letters and whatever their order."""
    ours, theirs = _words(holder), _words(name)
    if not ours or not theirs or "".join(sorted(ours)) == "".join(sorted(theirs)):
        return False
    together = "".join(_in_order(holder)) == "".join(_in_order(name))
    return not (together or ours <= theirs or theirs <= ours)


def _words(name: str) -> set[str]:
    return set(_in_order(name))


def _in_order(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", unidecode(name).lower())
