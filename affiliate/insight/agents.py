"""What a User-Agent says: which kind of device, system and browser, inside whose app, or that
nobody sits there at all.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from ua_parser import parse

AGENTS_MAX = 20_000  # remembered; a day's clicks have some thousands
NAME_CHARACTERS_MAX = 40

# They ask as programs do. Names of crawlers, tools and watchers; `parse` knows more of them.
_BOTS = re.compile(
    r"bot\b|bot[/_-]|crawl|spider|slurp|scrap(?:er|y)|archiver|monitor|uptime|pingdom|lighthouse"
    r"|headless|phantomjs|puppeteer|playwright|selenium|^curl|^wget|^python|^go-http|^java/"
    r"|^okhttp|^axios|^node-fetch|^undici|^ruby|^php|^perl|libwww|httpclient|http_request|^dart"
    r"|^postman|^insomnia|feedfetcher|google-read-aloud|mediapartners|adsbot|apis-google|bingpreview"
    r"|ahrefs|semrush|bytespider|petalbot|yandex(?:images|metrika)|gptbot|claudebot|facebookcatalog",
    re.IGNORECASE,
)
# They fetch a page to draw its card in a chat. Browsers inside of these apps are people.
_PREVIEWS = re.compile(
    r"facebookexternalhit|facebot|meta-externalfetcher|^whatsapp/|telegrambot|twitterbot|slackbot"
    r"|slack-imgproxy|linkedinbot|discordbot|skypeuripreview|^viber|line-poker|kakaotalk-scrap"
    r"|pinterestbot|redditbot|vkshare|snap url preview|wechat share extension|wechatbot|iframely"
    r"|embedly|cardyb|mastodon/|bitlybot|google-pagerenderer|yahoo link preview|zoombot|tumblr/",
    re.IGNORECASE,
)
# The first that fits: an app may name another that it grew out of.
_APPS = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("wechat", r"micromessenger|wxwork"),
        ("whatsapp", r"whatsapp"),
        ("instagram", r"instagram|barcelona"),
        ("tiktok", r"musical_ly|tiktok|trill_|bytedancewebview|bytelocale"),
        ("douyin", r"\baweme|douyin"),
        ("xiaohongshu", r"xhsdiscover|xiaohongshu|\bdiscover/\d"),
        ("messenger", r"fb_iab/messenger|messengerforios|\borca-android"),
        ("facebook", r"\bfban|\bfbav|fb_iab|fbios"),
        ("weibo", r"weibo"),
        ("qq", r"\bqq/|mqqbrowser.*\bqq\b"),
        ("taobao", r"aliapp|alipayclient|taobao"),
        ("line", r"\bline/"),
        ("kakaotalk", r"kakaotalk"),
        ("telegram", r"telegram"),
        ("x", r"twitter"),
        ("pinterest", r"pinterest"),
        ("snapchat", r"snapchat"),
        ("linkedin", r"linkedinapp"),
        ("kwai", r"\bkwai|kuaishou"),
        ("mercadolibre", r"mercadolibre|mercadolivre|meli/"),
        ("google", r"\bgsa/"),
    )
)
_TABLET = re.compile(r"ipad|tablet|playbook|kindle|silk/|\bsm-t\d", re.IGNORECASE)
_PHONE = re.compile(r"iphone|ipod|mobile|windows phone|opera mini|\bphone\b", re.IGNORECASE)
_DESKTOP = re.compile(r"windows nt|macintosh|x11|cros\b|linux (?:x86|i686|amd64)", re.IGNORECASE)
_SYSTEMS = {"Mac OS X": "macOS", "Chrome OS": "ChromeOS", "Ubuntu": "Linux", "Fedora": "Linux",
            "Debian": "Linux", "HarmonyOS": "HarmonyOS", "Windows Phone": "Windows"}  # fmt: skip
_DECORATION = re.compile(r" (?:Mobile|iOS|WebView|UI/WKWebView|Frame)\b|^Mobile ")


@dataclass(frozen=True, slots=True)
class Agent:
    device: str
    os: str | None = None
    browser: str | None = None
    app: str | None = None

    @property
    def reason(self) -> str | None:
        """Why nobody sits there; None: somebody does."""
        return self.device if self.device in {"bot", "preview"} else None


@lru_cache(AGENTS_MAX)
def classify(text: str) -> Agent:
    """Each distinct text once, as far as memory allows. No browser sends none."""
    if not text.strip():
        return Agent("bot")
    if _PREVIEWS.search(text):
        return Agent("preview")
    if _BOTS.search(text):
        return Agent("bot")
    found = parse(text)
    if found.device and found.device.family == "Spider":
        return Agent("bot")
    system = found.os.family if found.os else None
    return Agent(
        _device(text, system),
        _name(_SYSTEMS.get(system, system)) if system else None,
        _name(_DECORATION.sub("", found.user_agent.family)) if found.user_agent else None,
        next((name for name, pattern in _APPS if pattern.search(text)), None),
    )


def _device(text: str, system: str | None) -> str:
    is_android = system == "Android"
    if _TABLET.search(text) or (is_android and not _PHONE.search(text)):
        return "tablet"
    if _PHONE.search(text) or system == "iOS" or "openharmony" in text.lower():
        return "phone"
    return "desktop" if _DESKTOP.search(text) else "other"


def _name(text: str) -> str | None:
    """What is made of somebody's text is short and printable, or nothing."""
    clean = text.strip()[:NAME_CHARACTERS_MAX]
    return clean if clean.isprintable() and "\\" not in clean and clean else None
