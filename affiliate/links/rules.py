"""Where a visit through a link leads: decided from facts alone, by whatever door it came in."""

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

from affiliate import clock
from affiliate.links.targets import Detour, Look, Looks, MiniProgram, fitting
from affiliate.programs.models import SoldOut

CODE = re.compile(r"[0-9A-Za-z_-]{1,64}")
QUERY_BYTES_MAX = 2048
SCAN_MARK = "q"
SUB_IDS_MAX = 5
_KEEP = "%/?:@!$'()*+,;=-._~"
_TOKENS_PLACE = "\0"

# Programs that fetch a page to draw its card in a chat. Browsers inside those apps are people
# and say something else: MicroMessenger, Instagram, FBAN, Line/…
_PREVIEWERS = re.compile(
    r"facebookexternalhit|facebot|meta-externalfetcher|^whatsapp/|telegrambot|twitterbot"
    r"|slackbot|slack-imgproxy|linkedinbot|discordbot|skypeuripreview|^viber|line-poker"
    r"|kakaotalk-scrap|pinterestbot|redditbot|vkshare|snap url preview|wechat share extension"
    r"|wechatbot|iframely|embedly|cardyb|mastodon/",
    re.IGNORECASE,
)


class Target(StrEnum):
    PRODUCT = "product"  # or the address it was made for
    FALLBACK = "fallback"  # what else the shop has
    NOWHERE = "nowhere"  # it is closed until there is something again


@dataclass(frozen=True, slots=True)
class Facts:
    """What a redirect needs to know of a link."""

    id: int
    code: str
    subjects: tuple[str, ...]  # what these facts were read from (links/models.py, Change)
    url: str
    sub_ids: tuple[str, ...]
    home: str  # the shop's front page
    fallback_url: str | None  # its own or the program's: where it leads when it is dead
    expires_at: datetime | None
    paused_at: datetime | None
    stopped: bool  # its program, promoter or merchant no longer takes part
    sold_out: bool
    gone: bool  # hidden by the merchant, or sold by the shop no more
    when_sold_out: str  # the program's SoldOut
    title: str | None
    image_url: str | None
    product: tuple[int, int] | None  # merchant and product; None: it leads to an address
    promoter_id: int
    targets: tuple[Detour, ...] = ()
    utm: tuple[tuple[str, str], ...] | None = None  # of a template; None: our own two
    base: str | None = None  # the short domain it is shown under; None: our public address

    def is_open(self, now: datetime) -> bool:
        if self.stopped or (self.paused_at is not None and self.paused_at <= now):
            return False
        return self.expires_at is None or now < self.expires_at

    @property
    def elsewhere(self) -> str:
        return self.fallback_url or self.home


def target(*, gone: bool, sold_out: bool, when_sold_out: str) -> Target:
    """Where an open link leads. What is gone cannot be ordered in advance either."""
    if gone or (sold_out and when_sold_out != SoldOut.IGNORE):
        return Target.NOWHERE if when_sold_out == SoldOut.PAUSE else Target.FALLBACK
    return Target.PRODUCT


@dataclass(frozen=True, slots=True)
class Visit:
    query: str
    user_agent: str
    look: Look = Looks  # asked only where it matters


@dataclass(frozen=True, slots=True)
class Answer:
    """Where to send the visitor (None: show the preview card), and whether it is a click."""

    location: str | None
    counts: bool = False
    scanned: bool = False
    mini: MiniProgram | None = None  # opened by a page of ours; `location` is its scheme then


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a visit without parameters of its own leads: the token goes between the two."""

    before: str
    after: str
    until: float  # in ticks of the clock


def is_preview(user_agent: str) -> bool:
    return _PREVIEWERS.search(user_agent) is not None


def ready(facts: Facts, now: datetime) -> Ready | None:
    """The answer that the next visits will get too; None where each is looked at."""
    if facts.targets:
        return None
    found = answer(facts, Visit("", ""), now, lambda: _TOKENS_PLACE)
    if found.location is None or not found.counts:
        return None
    before, _, after = found.location.partition(_TOKENS_PLACE)
    ends = [each for each in (facts.expires_at, facts.paused_at) if each is not None]
    return Ready(before, after, min(map(clock.in_ticks, ends), default=math.inf))


def answer(facts: Facts, visit: Visit, now: datetime, token: Callable[[], str]) -> Answer:
    """A dead link leads to the fallback without a token. One whose product is sold out leads
    there with its token, unless the program says otherwise: the promoter did bring somebody who
    may buy something else.
    """
    leads = target(gone=facts.gone, sold_out=facts.sold_out, when_sold_out=facts.when_sold_out)
    if not facts.is_open(now) or leads == Target.NOWHERE:
        return Answer(facts.elsewhere)
    if is_preview(visit.user_agent):
        return Answer(None)
    asked, scanned = _asked(visit.query)
    instead = fitting(facts.targets, visit.look)
    if instead is not None and instead.mini is not None:
        parts = urlsplit(_with_parameters("", facts, asked, token()))
        return Answer(instead.mini.scheme(parts.query), True, scanned, instead.mini)
    url = facts.url if leads == Target.PRODUCT else facts.elsewhere
    if instead is not None and instead.url is not None:
        url = instead.url
    return Answer(_with_parameters(url, facts, asked, token()), counts=True, scanned=scanned)


def handed_on(query: str, *, without: Collection[str] = ()) -> str:
    """The visitor's query as the page in between passes it to the link, scan mark and all."""
    if len(query) > QUERY_BYTES_MAX:
        return ""
    parts = [quote(part, safe=_KEEP) for part in query.split("&") if part]
    return "&".join(part for part in parts if _name(part) not in without)


def _asked(query: str) -> tuple[list[str], bool]:
    """The visitor's own parameters, without the scan mark, and whether it stood there."""
    if len(query) > QUERY_BYTES_MAX:  # nobody's real link; kept out of the Location header
        return [], False
    parts = [quote(part, safe=_KEEP) for part in query.split("&") if part]
    kept = [part for part in parts if _name(part) != SCAN_MARK]
    return kept, len(kept) < len(parts)


def _with_parameters(url: str, facts: Facts, asked: list[str], token: str) -> str:
    """Ours stand above the visitor's, the visitor's above those of a template, and these above
    those of the target itself.
    """
    ours = {"tk": token}
    ours |= {f"sub{n}": quote(sub, safe="") for n, sub in enumerate(facts.sub_ids, 1) if sub}
    asked = [part for part in asked if _name(part) not in ours]
    names = {_name(part) for part in asked} | set(ours)
    if facts.utm is not None:
        template = {name: quote(text, safe="") for name, text in facts.utm if name not in names}
        ours |= template
        names |= set(template)
    parts = urlsplit(url)
    own = [part for part in parts.query.split("&") if part and _name(part) not in names]
    if facts.utm is None and not any(_name(part).startswith("utm_") for part in [*own, *asked]):
        ours |= {"utm_source": "tuike", "utm_medium": "affiliate"}
    query = "&".join([*own, *asked, *(f"{name}={value}" for name, value in ours.items())])
    return urlunsplit(parts._replace(query=query))


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
