"""Where a link leads some of its visitors instead: by country, device, system, language or app.

The first target that fits wins; a target without conditions fits everybody.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from affiliate.people.rules import COUNTRIES

TARGETS_MAX = 10
DEVICES = ("phone", "tablet", "desktop")
SYSTEMS = ("ios", "android")
MINIPROGRAM = "wechat_miniprogram"
CONDITIONS = ("countries", "devices", "systems", "languages", "apps")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")
_APP = re.compile(r"[a-z]{1,20}")
# Whether a text can be a value of a condition.
KNOWN: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "countries": COUNTRIES.__contains__,
        "devices": DEVICES.__contains__,
        "systems": SYSTEMS.__contains__,
        "languages": _LANGUAGE.fullmatch,
        "apps": _APP.fullmatch,
    }
)
ACCEPT_MAX = 500
SCHEME_QUERY_MAX = 512  # characters that WeChat takes


@dataclass(frozen=True, slots=True)
class MiniProgram:
    """One of WeChat's, of the merchant. It must allow plain URL schemes for this page
    (小程序管理后台 → 设置 → 隐私与安全 → 明文 Scheme 拉起此小程序).
    """

    appid: str
    path: str

    def scheme(self, query: str) -> str:
        """What opens it, inside of WeChat and on phones that have WeChat."""
        parts = query.split("&")
        if len(query) > SCHEME_QUERY_MAX:
            parts = [part for part in parts if part.startswith("tk=")]
        kept = "&".join(parts)
        return (
            f"weixin://dl/business/?appid={self.appid}"
            f"&path={quote(self.path, safe='/')}&query={quote(kept, safe='')}"
        )


@dataclass(frozen=True, slots=True)
class Looks:
    """What is known of a visitor; None or empty: it is not known."""

    country: str | None = None
    device: str | None = None
    system: str | None = None
    app: str | None = None
    languages: tuple[str, ...] = ()  # as wished for, the dearest first, in small letters


Look = Callable[[], Looks]


@dataclass(frozen=True, slots=True)
class Detour:
    """Leads to an address, or into a mini program. Every condition that is there must hold."""

    url: str | None
    mini: MiniProgram | None = None
    countries: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()

    def fits(self, looks: Looks) -> bool:
        return (
            (not self.countries or looks.country in self.countries)
            and (not self.devices or looks.device in self.devices)
            and (not self.systems or looks.system in self.systems)
            and (not self.apps or looks.app in self.apps)
            and (not self.languages or self._reads(looks.languages))
        )

    def _reads(self, languages: Sequence[str]) -> bool:
        """By the language a visitor likes best: `pt` fits `pt-BR`, and `pt-br` only that."""
        dearest = next(iter(languages), "")
        return any(f"{dearest}-".startswith(f"{each}-") for each in self.languages)


def fitting(targets: Sequence[Detour], look: Look) -> Detour | None:
    if not targets:
        return None
    looks = look()
    return next((each for each in targets if each.fits(looks)), None)


def of(stored: Sequence[Mapping[str, Any]], mini: Mapping[str, str] | None) -> tuple[Detour, ...]:
    """As they lie in the database. One into a mini program that the shop has no more is none."""
    return tuple(
        Detour(
            each.get("url"),
            MiniProgram(mini["appid"], mini["path"]) if "url" not in each and mini else None,
            **{name: frozenset(each.get(name, ())) for name in CONDITIONS},
        )
        for each in stored
        if "url" in each or mini
    )


def languages_of(accept: str) -> tuple[str, ...]:
    """`pt-BR,pt;q=0.9,en;q=0.8` → pt-br, pt, en. What cannot be read is left out."""
    wished = parse_accept_header(accept[:ACCEPT_MAX], LanguageAccept)
    return tuple(
        tag.lower().replace("_", "-") for tag, quality in wished if quality > 0 and tag != "*"
    )
