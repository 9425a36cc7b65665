"""What is read out of a click: agents, addresses, languages, referrers, damaged lines."""

import dataclasses
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from affiliate.insight import places, staging
from affiliate.insight.agents import classify
from affiliate.insight.staging import Owner, Stage
from affiliate.links import spool
from affiliate.links.spool import Click
from tests.insight import mmdb

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko)"
IN_APP = f"{IPHONE} Gecko) Mobile/15E148"


@pytest.mark.parametrize(
    ("agent", "device", "system", "browses", "inside"),
    [
        (f"{ANDROID} Chrome/131.0.0.0 Mobile Safari/537.36", "phone", "Android", "Chrome", None),
        (f"{ANDROID} Chrome/131.0.0.0 Safari/537.36", "tablet", "Android", "Chrome", None),
        (f"{IPHONE} Gecko) Version/18 Mobile/15E148 Safari/604.1", "phone", "iOS", "Safari", None),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
         "desktop", "Windows", "Firefox", None),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/17.5 Mobile/15E148 Safari/604.1", "tablet", "iOS", "Safari", None),
        (f"{IN_APP} MicroMessenger/8.0.54(0x18003630) NetType/WIFI Language/zh_CN",
         "phone", "iOS", "WeChat", "wechat"),
        (f"{IN_APP} Instagram 356.0.0.29 (iPhone14,5; iOS 18_1; pt_BR)",
         "phone", "iOS", "Instagram", "instagram"),
        (f"{IN_APP} [FBAN/FBIOS;FBAV/489.0.0.59;FBDV/iPhone14,5]",
         "phone", "iOS", "Facebook", "facebook"),
        (f"{ANDROID} Version/4.0 Chrome/131.0 Mobile Safari/537.36 musical_ly_2023708050"
         " JsSdk/1.0 BytedanceWebview/d8a21c6", "phone", "Android", "TikTok", "tiktok"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
         "preview", None, None, None),
        ("WhatsApp/2.24.20.80 A", "preview", None, None, None),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
         "bot", None, None, None),
        ("curl/8.5.0", "bot", None, None, None),
        ("", "bot", None, None, None),
        ("\N{PILE OF POO}" * 500, "other", None, None, None),
    ],
)  # fmt: skip
def test_agents(agent, device, system, browses, inside):
    found = classify(agent)

    assert (found.device, found.os, found.app) == (device, system, inside)
    assert (found.browser or "").startswith(browses or "")


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://www.Instagram.com/p/1", "instagram.com"),
        ("https://l.instagram.com:443/?u=x", "l.instagram.com"),
        ("https://münchen.example/ä", "xn--mnchen-3ya.example"),
        ("android-app://com.whatsapp/", "com.whatsapp"),
        ("javascript:alert(1)", None),
        ("http://[::1", None),
        ("http://" + "a" * 400 + ".com/", None),
        ("https://evil\\.example/", None),
        ("nowhere", None),
        ("", None),
    ],
)
def test_hosts_of_referrers(referrer, host):
    assert staging.host_of(referrer) == host


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("ZH-hans-cn", "zh-Hans"),
        ("es;q=0.9", "es"),
        ("*", None),
        ("'; DROP TABLE clicks", None),
        ("", None),
    ],
)
def test_languages(header, tag):
    assert staging._language(header) == tag


def test_countries_come_from_the_operator_s_file(tmp_path):
    path = tmp_path / "countries.mmdb"
    path.write_bytes(mmdb.made({"203.0.113.0/24": "BR"}))
    place = places.finder(path)

    assert place("203.0.113.9") == ("203.0.113.9", "BR")
    assert place("::ffff:203.0.113.9") == ("203.0.113.9", "BR")
    assert place("198.51.100.1") == ("198.51.100.1", None)
    assert place("1.2.3.4, 5.6.7.8") == (None, None)
    assert places.finder(None)("203.0.113.9") == ("203.0.113.9", None)


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100, None])
def test_a_broken_file_costs_no_click(tmp_path, content):
    path = tmp_path / "countries.mmdb"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(places.BadGeoip):
        places.opened(path)
    assert places.finder(path)("203.0.113.9") == ("203.0.113.9", None)


def click(**fields) -> Click:
    return Click(bytes(16), NOON, 7, **fields)


@pytest.mark.parametrize(
    "given",
    [
        click(ip="203.0.113.9", user_agent="Chrome 微信", referrer="https://x.com/", language="zh"),
        click(user_agent="x" * 8192, referrer="\t\n\0", scanned=True, prefetched=True, head=True),
        click(user_agent="\\N \ud800 \x85", referrer="\\"),
        dataclasses.replace(click(), at=datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_line_is_read_as_the_spool_wrote_it(given):
    whole = spool.decode(spool.encode(given)[:-1])
    (row,), _ = rows(given)

    def column(text):
        return text.replace("\\", r"\\") or staging.NULL

    assert row["id"] == rf"\\x{whole.id.hex()}"
    assert row["at"] == f"{whole.at.replace(tzinfo=None).isoformat(' ', 'microseconds')}+00"
    assert row["link_id"] == str(whole.link_id)
    assert row["scanned"] == ("t" if whole.scanned else "f")
    assert row["ip"] == column(whole.ip)
    assert row["user_agent"] == column(whole.user_agent)
    assert row["referrer"] == column(whole.referrer)
    assert row["language"] == column(whole.language)


def checked(rest: bytes) -> bytes:
    return b"%08x\t%s" % (zlib.crc32(rest), rest)


WHOLE = spool.encode(click())[9:-1]


@pytest.mark.parametrize(
    "line",
    [
        WHOLE,
        checked(WHOLE)[:-1],
        checked(b"zz" + WHOLE[2:]),
        checked(WHOLE.replace(b"\t7\t", b"\t99999999999999999999\t")),
        checked(WHOLE.replace(b"\t7\t", b"\t-7\t")),
        checked(WHOLE + b"\x00"),
        checked(WHOLE + b"\r"),
        checked(WHOLE + b"\xff"),
        checked(WHOLE + b"\ta\tb"),
    ],
)
def test_lines_that_a_database_would_stumble_over_are_damaged(line):
    found = stage().rows([line], now=NOON)

    assert (found.count, found.damaged) == (0, 1)


def test_an_old_line_without_a_language_is_whole():
    found = stage().rows([checked(WHOLE.rpartition(b"\t")[0])], now=NOON)

    assert (found.count, found.damaged) == (1, 0)


def stage(zone: str = "UTC") -> Stage:
    owners = {7: Owner(1, 2, zone)}
    return Stage(b"k" * 32, places.finder(None), lambda _: owners, timedelta(days=30))


def rows(*clicks: Click, zone: str = "UTC"):
    found = stage(zone).rows([spool.encode(each)[:-1] for each in clicks], now=NOON)
    named = [dict(zip(staging.COLUMNS, row.split("\t"), strict=True))
             for row in found.text.splitlines()]  # fmt: skip
    return named, found.damaged


def test_days_and_visitors_follow_the_merchant_s_calendar():
    agent, zone = f"{ANDROID} Chrome/131 Mobile", "America/Sao_Paulo"  # midnight is 03:00 in UTC
    times = [NOON.replace(hour=hour) + timedelta(days=days)
             for hour, days in ((4, 0), (2, 1), (4, 1))]  # fmt: skip
    told = [
        dataclasses.replace(click(ip="203.0.113.9", user_agent=agent), at=at, id=bytes([n] * 16))
        for n, at in enumerate(times)
    ]
    (first, late, next_day), _ = rows(*told, zone=zone)

    assert [each["day"] for each in (first, late, next_day)] == [
        "2026-11-22", "2026-11-22", "2026-11-23"
    ]  # fmt: skip
    assert first["visitor"] == late["visitor"] != next_day["visitor"]


def test_a_line_that_stands_there_twice_is_one_click_and_an_impossible_time_none():
    far = spool.encode(click())[9:-1].replace(b"\t1", b"\t99999", 1)

    assert len(rows(click(), click())[0]) == 1
    found = stage().rows([checked(far)], now=NOON)
    assert (found.count, found.damaged) == (0, 1)


def test_old_clicks_come_with_their_network_only():
    old = dataclasses.replace(click(ip="203.0.113.9"), at=NOON - timedelta(days=31))
    (row,), _ = rows(old)

    assert row["ip"] == "203.0.113.0/24"
