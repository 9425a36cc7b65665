"""What sessions remember of people, and how browsers, zones and networks are called."""

from zoneinfo import ZoneInfo

import pytest

from affiliate.db import db
from affiliate.people import browsers, service, sessions, tries, zones
from affiliate.people.models import OneTimeLink, UserSession
from affiliate.people.rules import COUNTRIES, coarse_ip
from affiliate.people.sessions import Browser
from tests.factories.people import a_user
from workers import people


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("nonsense", None),
        (None, None),
    ],
)
def test_an_address_is_kept_as_its_network(address, network):
    assert coarse_ip(address) == network


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/1 Safari/537.36 Edg/1", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605 Mobile/15E148 MicroMessenger/8", "WeChat, iPhone"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605 Version/18 Safari/605", "Safari, macOS"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:130) Gecko Firefox/130", "Firefox, Android"),
        ("curl/8", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_browsers_are_called_as_people_call_them(user_agent, name):
    assert browsers.name_of(user_agent) == name


def test_every_country_has_a_zone_that_exists():
    assert all(ZoneInfo(zones.of_country(country)) for country in COUNTRIES)
    assert zones.of_country("BR") == "America/Sao_Paulo"
    assert zones.of_country("JP") == "Asia/Tokyo"
    assert zones.of_country("AQ") == "UTC"
    assert {zones.of_country(country) for country in COUNTRIES} <= set(zones.all_zones())


def test_a_session_keeps_little_of_the_browser():
    user = a_user()

    opened = sessions.open_whole(user, Browser("203.0.113.77", "x" * 5000))

    assert opened.session.network == "203.0.113.0"
    assert len(opened.session.user_agent) == 300
    assert opened.secret.encode() not in opened.session.secret_hash


def test_a_half_session_is_no_session():
    secret = sessions.open_half(a_user(), Browser(None, ""))

    assert sessions.find(secret) is None
    assert sessions.find(secret, is_half=True)
    assert sessions.find("") is None


def test_a_shared_computer_is_known_to_each_of_its_people():
    first, second = a_user(), a_user()
    device = sessions.open_whole(first, Browser(None, "")).device

    again = sessions.open_whole(second, Browser(None, "", device))

    assert again.device == device
    assert sessions.open_whole(second, Browser(None, "", device)).device is None


def test_only_live_sessions_are_listed(clock):
    clock.stand("2026-11-22T10:00:00Z")
    user = a_user(None)
    sessions.open_whole(user, Browser(None, ""))
    clock.move(days=29)
    kept = sessions.open_whole(user, Browser(None, "")).session
    sessions.open_half(user, Browser(None, ""))
    ended = sessions.open_whole(user, Browser(None, "")).session
    sessions.end(user.id, ended.id)
    clock.move(days=1)

    db.session.expire_all()
    assert [each.id for each in sessions.all_of(user.id)] == [kept.id]


def test_sessions_and_links_are_forgotten_ninety_days_after_they_ended(clock):
    clock.stand("2026-08-01T10:00:00Z")
    user = a_user()
    sessions.open_whole(user, Browser(None, ""))
    service.create_link(user)
    clock.move(days=60)
    kept = sessions.open_whole(user, Browser(None, "")).session
    clock.move(days=38)

    people.forget_sessions()

    assert [each.id for each in db.session.query(UserSession)] == [kept.id]
    assert db.session.query(OneTimeLink).count() == 0


def test_tries_are_forgotten_after_the_time_of_the_limit(valkey):
    limit = tries.Limit("test", 2, sessions.HALF_LIVES)
    tries.count(limit, "ana")
    tries.count(limit, "ana")
    tries.count(limit, "bea")

    with pytest.raises(tries.TooManyTries) as refusal:
        tries.count(limit, "ana")

    assert valkey.ttl("tries:test:ana") == 600
    assert refusal.value.retry_after == 600
    tries.forget(limit, "ana")
    tries.count(limit, "ana")
