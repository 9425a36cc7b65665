"""Hosts and web addresses, compared as browsers would: whether a page is on a shop's own ground."""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from affiliate.i18n import _

URL_CHARACTERS_MAX = 2000
_OWN_PICTURE = re.compile(r"/static/([a-z0-9-]+/)*[a-z0-9-]+\.(svg|png|jpg|webp)")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# What browsers read differently from urlsplit, or drop without a word.
_TREACHEROUS = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEEP = "%/:@!$&'()*+,;=-._~"


class BadAddress(ValueError):
    """No web address, or none that may be used here."""


def bare_host(text: str) -> str:
    """`https://Shop.Example:443/` → `shop.example`; a port that is not the default one stays."""
    address = text.strip()
    if "://" not in address:
        address = f"https://{address}"
    return _host(_split(address))


def web_address(text: str) -> str:
    """The address in ASCII with a normalised host, as it may stand in a Location header."""
    parts = _split(text)
    host = _host(parts)
    path = quote(parts.path or "/", safe=_KEEP)
    query = quote(parts.query, safe=_KEEP + "?")
    fragment = quote(parts.fragment, safe=_KEEP + "?")
    address = urlunsplit((parts.scheme, host, path, query, fragment))
    if len(address) > URL_CHARACTERS_MAX:
        raise BadAddress(
            _(
                "An address may have at most %(longest)s characters.",
                longest=URL_CHARACTERS_MAX,
            )
        )
    return address


def picture_address(text: str) -> str:
    """A web address, or the path of a picture that this instance ships itself."""
    return text if _OWN_PICTURE.fullmatch(text) else web_address(text)


def is_on(address: str, domain: str) -> bool:
    """Whether a normalised address is on a shop's host or on a subdomain of it."""
    host = urlsplit(address).netloc
    if host == domain:
        return True
    root = domain.removeprefix("www.")
    name, _, _ = root.partition(":")
    # Below a bare `com` or an IP address there is nothing that is surely the shop's.
    if "." not in name or name.rpartition(".")[2].isdigit() or root.startswith("["):
        return False
    return host == root or host.endswith(f".{root}")


def _split(text: str) -> SplitResult:
    if _TREACHEROUS.search(text):
        raise BadAddress(_("An address has no spaces, control characters or backslashes."))
    try:
        text.encode()
        parts = urlsplit(text)
        if parts.port == 0:  # asked here, as a bad port is refused only when it is asked for
            raise ValueError(text)
    except ValueError:
        raise BadAddress(_("This is no web address.")) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise BadAddress(_("An address begins with http:// or https:// and a host."))
    if "@" in parts.netloc:
        raise BadAddress(_("An address holds no user name."))
    return parts


def _host(parts: SplitResult) -> str:
    assert parts.hostname
    host = _bare_name(parts.hostname)
    if parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]:
        return host
    return f"{host}:{parts.port}"


@lru_cache(maxsize=1024)  # a shop's products are all on one host, and their pictures on another
def _bare_name(name: str) -> str:
    if ":" in name:
        try:
            return f"[{ipaddress.IPv6Address(name)}]"
        except ValueError:
            raise BadAddress(_("%(name)s is no host.", name=name)) from None
    try:
        plain = name.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        raise BadAddress(_("%(name)s is no host.", name=name)) from None
    if len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in plain.split(".")):
        raise BadAddress(_("%(name)s is no host.", name=name))
    return plain
