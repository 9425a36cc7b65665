"""Where a visit leads, from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate.links.rules import Answer, Facts, Visit, answer, handed_on

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FACTS = Facts(
    id=7,
    code="abc234",
    subjects=(),
    url="https://shop.example/p/1",
    sub_ids=(),
    home="https://shop.example/",
    fallback_url=None,
    expires_at=None,
    paused_at=None,
    stopped=False,
    sold_out=False,
    gone=False,
    when_sold_out="redirect",
    title="Bag",
    image_url=None,
    product=(1, 1),
    promoter_id=1,
)
CHROME = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
UTM = "utm_source=tuike&utm_medium=affiliate"


def visit(query="", *, facts=FACTS, agent=CHROME) -> Answer:
    return answer(facts, Visit(query, agent), NOON, lambda: "TOKEN")


def test_the_token_and_the_source_are_added():
    assert visit() == Answer(f"https://shop.example/p/1?tk=TOKEN&{UTM}", counts=True)


@pytest.mark.parametrize(
    ("url", "query", "location"),
    [
        pytest.param(
            "https://shop.example/p?variant=3#reviews", "",
            f"https://shop.example/p?variant=3&tk=TOKEN&{UTM}#reviews",
            id="the target's own query and fragment stay",
        ),
        pytest.param(
            "https://shop.example/p", "ref=ana%20b&x",
            f"https://shop.example/p?ref=ana%20b&x&tk=TOKEN&{UTM}",
            id="the visitor's query is passed on as it was written",
        ),
        pytest.param(
            "https://shop.example/p?variant=3", "variant=4",
            f"https://shop.example/p?variant=4&tk=TOKEN&{UTM}",
            id="the visitor's parameter stands for the target's of the same name",
        ),
        pytest.param(
            "https://shop.example/p", "tk=STOLEN&%74k=STOLEN",
            f"https://shop.example/p?tk=TOKEN&{UTM}",
            id="nobody brings a token of their own",
        ),
        pytest.param(
            "https://shop.example/p?tk=OLD", "",
            f"https://shop.example/p?tk=TOKEN&{UTM}",
            id="nor does the target",
        ),
        pytest.param(
            "https://shop.example/p?utm_source=mail", "",
            "https://shop.example/p?utm_source=mail&tk=TOKEN",
            id="a target that names its source keeps it",
        ),
        pytest.param(
            "https://shop.example/p", "utm_campaign=double11",
            "https://shop.example/p?utm_campaign=double11&tk=TOKEN",
            id="so does a visitor who brings one",
        ),
        pytest.param(
            "https://shop.example/search?q=shoes", "q",
            f"https://shop.example/search?q=shoes&tk=TOKEN&{UTM}",
            id="the scan mark goes, the target's own q stays",
        ),
    ],
)  # fmt: skip
def test_queries_are_merged(url, query, location):
    assert visit(query, facts=replace(FACTS, url=url)).location == location


def test_sub_ids_travel_under_their_numbers_and_empty_ones_do_not():
    location = visit(facts=replace(FACTS, sub_ids=("live room 3", "", "笔记&a=b"))).location

    found = dict(parse_qsl(urlsplit(location).query))
    assert found["sub1"] == "live room 3"
    assert found["sub3"] == "笔记&a=b"
    assert "sub2" not in found
    assert "a" not in found


def test_the_link_s_sub_ids_stand_above_the_visitor_s():
    location = visit("sub1=mine&sub2=yours", facts=replace(FACTS, sub_ids=("theirs",))).location

    assert parse_qsl(urlsplit(location).query)[:3] == [
        ("sub2", "yours"), ("tk", "TOKEN"), ("sub1", "theirs")
    ]  # fmt: skip


@pytest.mark.parametrize("query", ["q", "q=", "q=1", "a=1&q"])
def test_a_scan_is_told_from_a_click(query):
    assert visit(query).scanned
    assert not visit(query.replace("q", "r")).scanned


@given(st.text(max_size=300))
def test_no_query_breaks_out_of_the_header(query):
    location = visit(query).location

    assert location.isascii()
    assert location.isprintable()
    assert location.startswith("https://shop.example/p/1?")
    assert " " not in location
    assert "#" not in location


def test_a_query_nobody_needs_is_not_passed_on():
    location = visit("x=" + "a" * 8000).location

    assert location == f"https://shop.example/p/1?tk=TOKEN&{UTM}"


@pytest.mark.parametrize(
    "dead",
    [
        pytest.param({"paused_at": NOON}, id="paused"),
        pytest.param({"expires_at": NOON}, id="expired at this very moment"),
        pytest.param({"expires_at": NOON - timedelta(days=1)}, id="expired"),
        pytest.param({"stopped": True}, id="program or promoter stopped"),
    ],
)
def test_a_dead_link_leads_home_without_a_token_and_does_not_count(dead):
    facts = replace(FACTS, **dead)

    assert visit(facts=facts) == Answer("https://shop.example/")
    elsewhere = replace(facts, fallback_url="https://shop.example/sale")
    assert visit(facts=elsewhere) == Answer("https://shop.example/sale")


def test_a_link_lives_until_its_end():
    facts = replace(FACTS, expires_at=NOON + timedelta(seconds=1))

    assert visit(facts=facts).counts


def test_who_comes_for_a_sold_out_product_still_came_through_the_promoter():
    facts = replace(FACTS, sold_out=True, fallback_url="https://shop.example/sale")

    assert visit(facts=facts) == Answer(f"https://shop.example/sale?tk=TOKEN&{UTM}", counts=True)


@pytest.mark.parametrize(
    ("when_sold_out", "facts", "location", "counts"),
    [
        ("redirect", {"sold_out": True}, f"https://shop.example/?tk=TOKEN&{UTM}", True),
        ("redirect", {"gone": True}, f"https://shop.example/?tk=TOKEN&{UTM}", True),
        ("pause", {"sold_out": True}, "https://shop.example/", False),
        ("pause", {"gone": True}, "https://shop.example/", False),
        ("ignore", {"sold_out": True}, f"https://shop.example/p/1?tk=TOKEN&{UTM}", True),
        # Ordered in advance is what comes back, not what the shop took away.
        ("ignore", {"gone": True}, f"https://shop.example/?tk=TOKEN&{UTM}", True),
        ("pause", {}, f"https://shop.example/p/1?tk=TOKEN&{UTM}", True),
    ],
)
def test_the_program_says_what_links_to_sold_out_products_do(
    when_sold_out, facts, location, counts
):
    facts = replace(FACTS, when_sold_out=when_sold_out, **facts)

    assert visit(facts=facts) == Answer(location, counts=counts)


@pytest.mark.parametrize(
    ("query", "handed"),
    [
        ("", ""),
        ("q", "q"),
        ("utm_source=ig&q&lang=pt-BR", "utm_source=ig&q"),
        ("%6Cang=x&a=%E4%BD%A0", "a=%E4%BD%A0"),
        ('a="><script>', "a=%22%3E%3Cscript%3E"),
        ("x=" + "y" * 8000, ""),
    ],
)
def test_the_page_in_between_hands_on_what_the_visitor_brought(query, handed):
    assert handed_on(query, without={"lang"}) == handed


@pytest.mark.parametrize(
    "agent",
    [
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "WhatsApp/2.23.20.0 A",
        "TelegramBot (like TwitterBot)",
        "Twitterbot/1.0",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "facebookexternalhit/1.1;line-poker/1.0",
        "WeChat Share Extension 8.0.50 CFNetwork/1496.0.7 Darwin/23.5.0",
    ],
)
def test_who_only_draws_a_card_gets_the_card(agent):
    assert visit(agent=agent) == Answer(None)


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        "",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.50 NetType/WIFI",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Instagram 350.0.0 FBAN/FBIOS",
        "Mozilla/5.0 (Linux; Android 14) Line/14.0.0 Chrome/130.0",
        "Mozilla/5.0 (Linux; Android 14) [Pinterest/Android]",
    ],
)
def test_people_in_an_app_s_own_browser_are_people(agent):
    assert visit(agent=agent).counts
