"""Where shops carry a token: names of fields, and the query of the landing page. And in which field
they name the group of a group buy.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

NAMES = ("tk", "_tk")
GROUPS = ("group_id", "_group_id")
LONGEST_GROUP = 200


def tokens_in_url(url: str | None) -> tuple[str, ...]:
    """The values of `tk` in a URL's query; nothing for what is no URL."""
    if not url or len(url) > 8192:
        return ()
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=100)
    except ValueError:
        return ()
    return tuple(value for name, value in pairs if name == "tk")


def group(fields: Iterable[tuple[object, object]]) -> str | None:
    """The group that fields with these names and values tell of. Buyers and apps write anything
    there; what is no id is passed over.
    """
    for name, value in fields:
        if name in GROUPS and isinstance(value, int | str) and not isinstance(value, bool):
            told = str(value).strip()
            if is_group(told):
                return told
    return None


def is_group(told: str) -> bool:
    return 0 < len(told) <= LONGEST_GROUP and told.isprintable()
