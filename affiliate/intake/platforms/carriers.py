"""Where shops carry a token: names of fields, and the query of the landing page."""

from urllib.parse import parse_qsl, urlsplit

NAMES = ("tk", "_tk")


def tokens_in_url(url: str | None) -> tuple[str, ...]:
    """The values of `tk` in a URL's query; nothing for what is no URL."""
    if not url or len(url) > 8192:
        return ()
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=100)
    except ValueError:
        return ()
    return tuple(value for name, value in pairs if name == "tk")
