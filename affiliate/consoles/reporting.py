"""Reports on pages: clicks and orders of some days, for a merchant and for a promoter alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from flask import request

from affiliate import clock, i18n
from affiliate.consoles import layout
from affiliate.i18n import _, _n
from affiliate.insight import queries, store
from affiliate.insight.queries import Leader
from affiliate.insight.store import Counted, Question, Summed
from affiliate.money import Money

PERIODS = (7, 30, 90)  # days
ROWS = 8  # of each list
SHOWN = ("device", "app", "country")
DEVICES = MappingProxyType(
    {
        "phone": _("Phone"),
        "tablet": _("Tablet"),
        "desktop": _("Computer"),
        "other": _("Something else"),
        "bot": _("Robots"),
        "preview": _("Previews in chats"),
    }
)
APPS = MappingProxyType(
    {
        "": _("Browser"), "wechat": _("WeChat"), "xiaohongshu": _("Xiaohongshu"),
        "douyin": _("Douyin"), "weibo": _("Weibo"), "taobao": _("Taobao and Alipay"),
        "whatsapp": "WhatsApp", "instagram": "Instagram", "tiktok": "TikTok",
        "facebook": "Facebook", "messenger": "Messenger", "telegram": "Telegram", "qq": "QQ",
        "line": "LINE", "kakaotalk": "KakaoTalk", "x": "X", "pinterest": "Pinterest",
        "snapchat": "Snapchat", "linkedin": "LinkedIn", "kwai": "Kwai", "google": "Google",
        "mercadolibre": "Mercado Libre",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one currency; never added to another's."""

    currency: str
    revenue: Money
    refunds: Money
    commission: Money
    epc: Money | None  # of a hundred clicks


@dataclass(frozen=True, slots=True)
class Share:
    words: str
    clicks: int


@dataclass(frozen=True, slots=True)
class Report:
    days: list[date]
    clicks: list[int]
    orders: list[int]
    visitors: int
    scans: int
    not_people: int
    paid: int
    kept: int
    sums: list[Sums]
    shares: dict[str, list[Share]]

    @property
    def funnel(self) -> list[tuple[str, int]]:
        return [
            (_("Clicks"), sum(self.clicks)),
            (_("Orders"), sum(self.orders)),
            (_("Paid"), self.paid),
            (_("Kept"), self.kept),
        ]


def period() -> int:
    """How many days are asked for."""
    asked = request.args.get("days", default=PERIODS[1], type=int)
    return asked if asked in PERIODS else PERIODS[1]


def periods() -> list[tuple[str, str, None, bool]]:
    """For `parts.tabs`."""
    now = period()
    words = {each: str(_n("%(num)s day", "%(num)s days", each)) for each in PERIODS}
    return [(layout.here_with(days=str(each)), words[each], None, each == now) for each in PERIODS]


def question(zone: ZoneInfo, **whose: Any) -> Question:
    today = clock.now().astimezone(zone).date()
    return Question(today - timedelta(days=period() - 1), today, **whose)


def report(asked: Question) -> Report:
    """In four statements."""
    days = [asked.since + timedelta(days=n) for n in range((asked.until - asked.since).days + 1)]
    clicked = {each.key: each for each in store.clicks_by("day", asked)}
    ordered = store.orders_by("day", asked)
    of_day = dict.fromkeys(days, 0)
    for row in ordered:
        of_day[row.key] = of_day.get(row.key, 0) + row.orders
    total = sum(each.valid_clicks for each in clicked.values())
    return Report(
        days=days,
        clicks=[clicked[day].valid_clicks if day in clicked else 0 for day in days],
        orders=[of_day[day] for day in days],
        visitors=sum(each.visitors for each in clicked.values()),
        scans=sum(each.scans for each in clicked.values()),
        not_people=sum(each.clicks - each.valid_clicks for each in clicked.values()),
        paid=sum(row.paid_orders for row in ordered),
        kept=sum(row.kept_orders for row in ordered),
        sums=_sums(ordered, total, own=asked.promoter_ids is not None),
        shares=_shares(store.dimensions(SHOWN, asked)),
    )


def leaders(by: str, asked: Question) -> list[Leader]:
    return queries.leaders(by, asked, most=ROWS)


def today(zone: ZoneInfo, asked: Question) -> Counted:
    """Since midnight of the zone, to the second."""
    midnight = clock.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    found = store.clicks_since(midnight.astimezone(UTC), asked)
    return found[0] if found else Counted(None, 0)


def money(rows: Sequence[Summed], name: str) -> list[Money]:
    """One amount for each currency, without those of nothing."""
    return [Money(value, row.currency) for row in rows if (value := getattr(row, name))]


def _sums(rows: Sequence[Summed], clicks: int, *, own: bool) -> list[Sums]:
    by_currency: dict[str, list[int]] = {}
    for row in rows:
        sums = by_currency.setdefault(row.currency, [0, 0, 0])
        earned = row.earned if own else row.commission
        for number, value in enumerate((row.revenue, row.refunds, earned)):
            sums[number] += value
    found = [
        Sums(
            currency, Money(revenue, currency), Money(refunds, currency), Money(earned, currency),
            Money(earned * queries.EPC_CLICKS // clicks, currency) if clicks else None,
        )
        for currency, (revenue, refunds, earned) in by_currency.items()
    ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.revenue.minor, each.currency))


def _shares(found: Sequence[tuple[str, Counted]]) -> dict[str, list[Share]]:
    """The largest of each, in the reader's words; nobody's clicks stand in none."""
    shares: dict[str, list[Share]] = {name: [] for name in SHOWN}
    territories = i18n.locale().territories
    for name, each in found:
        if each.valid_clicks and len(shares[name]) < ROWS:
            shares[name].append(Share(_word(name, each.key, territories), each.valid_clicks))
    return shares


def _word(name: str, value: str, territories: Any) -> str:
    if name == "country":
        return str(territories.get(value, value) if value else _("Unknown"))
    words = DEVICES if name == "device" else APPS
    return str(words.get(value, value))
