"""What every page has: headers, theme, refusals by kind of asker, words for every state."""

import re

import pytest
from flask import render_template_string

from affiliate.commissions import models as commissions
from affiliate.consoles import layout
from affiliate.orders import models as orders
from affiliate.payouts import models as payouts
from affiliate.programs import models as programs
from affiliate.settlement import models as settlement
from tests.reading import reading

STATES = {
    "entry": commissions.State,
    "order": orders.Status,
    "payout": payouts.State,
    "settlement": settlement.State,
    "enrolment": programs.MembershipState,
    "simulation": ("running", "done", "failed"),
}


@pytest.mark.parametrize("kind", STATES)
def test_every_state_has_a_word_and_a_colour(app, kind):
    source = "{% import 'components/status.html' as status %}{{ status[kind](state) }}"
    with reading(app):
        for state in STATES[kind]:
            badge = render_template_string(source, kind=kind, state=str(state))

            assert re.search(r"tone-\w+\">\w", badge), state


def test_a_page_may_load_nothing_but_our_own(client):
    answer = client.get("/-/components")
    policy = answer.headers["Content-Security-Policy"]

    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for address in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert address.startswith(("/", "#", "?", "data:")), address


def test_built_files_are_kept_for_a_year_and_sent_packed(client, app):
    with app.test_request_context():
        from affiliate.assets import asset

        address = asset("app.css")
    packed = client.get(address, headers={"Accept-Encoding": "gzip"})
    plain = client.get(address, headers={"Accept-Encoding": "identity"})

    assert "immutable" in packed.headers["Cache-Control"]
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.mimetype == plain.mimetype == "text/css"
    assert len(packed.data) < len(plain.data) / 3
    assert client.get("/static/dist/app.00000000.css").status_code == 404
    assert client.get("/static/../affiliate/config.py").status_code == 404


@pytest.mark.parametrize(
    ("query", "cookie", "shown"),
    [("?theme=night", None, "night"), ("", "day", "day"), ("", "evil", None), ("", None, None)],
)
def test_the_theme_stands_in_the_page_so_that_nothing_flashes(client, query, cookie, shown):
    if cookie:
        client.set_cookie("theme", cookie)

    found = re.search(r'<html[^>]* data-theme="(\w+)"', client.get("/-/components" + query).text)

    assert (found and found[1]) == shown


def test_as_the_system_has_it_forgets_the_choice(client):
    client.get("/-/components?theme=night")
    client.get("/-/components?theme=system")

    assert client.get_cookie("theme") is None


def test_a_refusal_is_a_toast_for_htmx_and_a_page_for_people(client):
    wrong = {"rate": "95"}

    toast = client.post("/-/rate", data=wrong, headers={"HX-Request": "true"})
    page = client.post("/-/rate", data=wrong, headers={"Accept": "text/html"})
    machine = client.post("/-/rate", data=wrong, headers={"Accept": "application/json"})

    assert [each.status_code for each in (toast, page, machine)] == [409, 409, 409]
    assert toast.headers["HX-Retarget"] == "#toasts"
    assert "<html" not in toast.text
    assert "<html" in page.text
    assert machine.json["error"] == "refused"
    for each in (toast, page, machine):
        assert "above 90%" in each.text


def test_what_was_typed_comes_back_harmless(client):
    wrong = {"rate": "<script>alert(1)</script>"}

    answer = client.post("/-/rate", data=wrong, headers={"HX-Request": "true"})

    assert answer.status_code == 422
    assert "<script" not in answer.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 429, 500, 503])
def test_every_error_page_says_what_to_do_next(client, status):
    answer = client.get(f"/-/error/{status}", headers={"X-Request-Id": "abcdef123456"})

    assert answer.status_code == status
    assert "abcdef123456" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert '<a class="btn btn-primary" href="/">' in answer.text


def test_addresses_keep_the_rest_of_the_query(app):
    with app.app_context(), app.test_request_context("/x?q=a%26b&cursor=7&sort=-at"):
        assert layout.here_with(sort="at", cursor=None) == "/x?q=a%26b&sort=at"
        assert layout.here_with(q=None, cursor=None, sort=None) == "/x"


def test_going_back_never_leaves_the_site(client):
    elsewhere = {"Referer": "http://localhost.evil.example/"}

    page = client.post("/-/rate", data={"rate": "95"}, headers=elsewhere)

    assert "evil.example" not in page.text


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ana Beatriz Souza", "AS"),
        ("王小明", "小明"),
        ("李静", "李静"),
        ("Cher", "C"),
        ("", ""),
        ("😀", "😀"),
    ],
)
def test_a_face_has_two_letters(name, letters):
    assert layout.initials(name) == letters


@pytest.mark.parametrize("values", [[], [5], [0, 0, 0], [-3, 9, 2]])
def test_a_sparkline_stays_inside_its_picture(values):
    points = [tuple(map(float, point.split(","))) for point in layout.spark(values).split()]

    assert len(points) == len(values)
    assert all(0 <= x <= 96 and 0 <= y <= 28 for x, y in points)
