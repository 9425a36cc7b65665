"""The guard of the consoles: strangers, wrong roles, several roles, two tabs, and `next=`."""

from contextlib import contextmanager

import pytest
from werkzeug.exceptions import NotFound

from affiliate import ids
from affiliate.consoles import session as door
from affiliate.consoles.session import guard, own_path
from affiliate.db import db
from affiliate.people import queries, service, sessions
from affiliate.people.models import Role
from affiliate.people.rules import Right
from tests.consoles.signed_in import cookie_for, sign_in
from tests.factories.people import a_merchant, a_promoter, a_user

MERCHANT = (Role.MERCHANT_OWNER, Role.MERCHANT_STAFF)


@contextmanager
def asking(app, user=None, path="/merchant/", **request):
    """Inside a request for a console, by nobody or by a person who is signed in."""
    headers = dict(request.pop("headers", {}))
    if user is not None:
        cookie = cookie_for(app, user, "http://localhost")
        headers["Cookie"] = f"{cookie['name']}={cookie['value']}"
    with app.app_context(), app.test_request_context(path, headers=headers, **request):
        yield


def test_a_stranger_signs_in_first_and_comes_back(app):
    with asking(app, path="/account/?a=1"):
        answer = guard(*MERCHANT)()

    assert (answer.status_code, answer.location) == (303, "/sign-in?next=/account/?a%3D1")


def test_a_stranger_who_posted_comes_back_to_the_page_and_not_to_the_post(app):
    referrer = {"Referer": "http://localhost/account/security"}
    with asking(app, path="/account/password", method="POST", headers=referrer):
        answer = guard()()

    assert answer.location == "/sign-in?next=/account/security"


def test_htmx_is_sent_to_the_sign_in_page_as_a_whole(app):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/account/security?x=1"}
    with asking(app, path="/account/part", headers=headers):
        answer = guard(*MERCHANT)()

    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in?next=/account/security?x%3D1"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_machines_get_a_status(app, accept):
    with asking(app, headers={"Accept": accept}):
        answer = app.make_response(guard(*MERCHANT)())

    assert answer.status_code == 401


def test_who_holds_the_role_is_let_in_with_it_alone(app):
    merchant, other = a_merchant(), a_merchant("Other")
    user = a_user(Role.MERCHANT_OWNER, merchant=merchant)
    service.grant(user, Role.MERCHANT_OWNER, merchant_id=other.id)
    service.grant(user, Role.FINANCE_MAKER)

    with asking(app, user):
        assert guard(*MERCHANT)() is None
        caller, place = door.current_caller(), door.current_merchant_id()

    assert place == merchant.id
    assert caller.user_id == user.id
    assert caller.scope(Right.OWN_MERCHANT) == {merchant.id}
    assert caller.scope(Right.READ_MONEY) == {merchant.id}


def test_for_other_roles_the_console_does_not_exist(app):
    user = a_user(Role.PROMOTER, promoter=a_promoter())

    with asking(app, user), pytest.raises(NotFound):
        guard(*MERCHANT)()


def test_a_promoter_is_known_by_their_promoter(app):
    promoter = a_promoter()

    with asking(app, a_user(Role.PROMOTER, promoter=promoter)):
        assert guard(Role.PROMOTER)() is None
        assert door.current_promoter_id() == promoter.id
        with pytest.raises(NotFound):
            door.current_merchant_id()


def test_finance_of_every_merchant_has_every_merchant_in_scope(app):
    with asking(app, a_user(Role.FINANCE_CHECKER)):
        guard(Role.FINANCE_CHECKER)()

        assert door.current_scope(Right.READ_MONEY) is None


def two_places():
    first, second = a_merchant("First"), a_merchant("Second")
    user = a_user(Role.MERCHANT_OWNER, merchant=first)
    grant = service.grant(user, Role.MERCHANT_OWNER, merchant_id=second.id)
    return user, queries.grants_of(user.id)[0], grant


def test_the_switch_moves_this_session(client):
    user, first, second = two_places()
    session = sign_in(client, user, place=first)

    answer = client.get(f"/account/place/{ids.encode('pla', second.id)}")

    db.session.refresh(session)
    assert (answer.status_code, answer.location) == (303, "/merchant/")
    assert session.grant_id == second.id


def test_nobody_moves_to_a_place_of_others(client):
    _, theirs, _ = two_places()
    sign_in(client, a_user(Role.OPERATOR))

    assert client.get(f"/account/place/{ids.encode('pla', theirs.id)}").status_code == 404
    assert client.get("/account/place/pla_nonsense").status_code == 404


@pytest.mark.parametrize("how", ["form", "header"])
def test_a_page_of_another_tab_acts_where_it_says_it_is(app, how):
    user, first, second = two_places()
    mark = ids.encode("pla", second.id)
    asked = {"data": {"place": mark}} if how == "form" else {"headers": {"X-Place": mark}}

    with asking(app, user, method="POST", **asked):
        guard(*MERCHANT)()
        assert door.current_merchant_id() == second.merchant_id
    with asking(app, user):
        guard(*MERCHANT)()
        assert door.current_merchant_id() == first.merchant_id


def test_a_form_of_a_place_that_was_lost_is_refused(app):
    user, _, _ = two_places()
    _, theirs, _ = two_places()

    for mark in (ids.encode("pla", theirs.id), "pla_nonsense"):
        with asking(app, user, method="POST", data={"place": mark}), pytest.raises(NotFound):
            guard(*MERCHANT)()


def test_a_session_that_was_ended_opens_nothing(client):
    user = a_user()
    session = sign_in(client, user)
    assert client.get("/account/").status_code == 200

    sessions.end(user.id, session.id)

    assert client.get("/account/").location == "/sign-in?next=/account/"


def test_somebody_who_was_disabled_is_out(client, clock):
    clock.stand("2026-11-22T10:00:00Z")
    user = a_user()
    sign_in(client, user)

    user.disabled_at = clock.move(seconds=1)
    db.session.flush()

    assert client.get("/account/").status_code == 303


def test_last_seen_is_noted_once_a_minute_and_the_cookie_lives_on(client, clock):
    start = clock.stand("2026-11-22T10:00:00Z")
    session = sign_in(client, a_user())

    clock.move(seconds=30)
    early = client.get("/account/")
    db.session.refresh(session)
    assert session.seen_at == start
    later = clock.move(seconds=31)
    late = client.get("/account/")

    db.session.refresh(session)
    assert session.seen_at == later
    assert "Set-Cookie" not in early.headers
    assert "tuike=" in late.headers["Set-Cookie"]


def test_private_pages_are_kept_nowhere(client):
    sign_in(client, a_user())

    assert client.get("/account/").headers["Cache-Control"] == "no-store"


def test_pictures_and_scripts_neither_ask_nor_set_who_it_is(client, app):
    sign_in(client, a_user())

    name = app.extensions["assets"]["app.css"]
    answer = client.get(f"/static/dist/{name}")

    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.headers["Vary"]


def test_a_post_without_the_token_changes_nothing(client):
    user = a_user()
    sign_in(client, user)
    del client.environ_base["HTTP_X_CSRFTOKEN"]

    answer = client.post("/account/", data={"name": "Mallory"})

    assert answer.status_code == 400
    assert "This form is too old" in answer.text
    assert user.name != "Mallory"


def test_keys_open_the_api_without_any_token(client):
    assert client.post("/api/v1/merchants", json={}).status_code == 401


OWN = ("/account/", "/account/security?x=//evil.example", "/account/?next=%2F", "/", "/sign-in")
FOREIGN = (
    None, "", "account/", "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example",
    "\\\\evil.example", "https://evil.example", "https:evil.example", "HTTPS://evil.example/account/",
    "javascript:alert(1)", "data:text/html,x", "/%2Fevil.example", "/%2f%2fevil.example",
    "/%5Cevil.example", "/%255Cevil.example", "/%252Fevil.example", "/\tevil.example",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example",
    "/%09/evil.example", "/%0a/evil.example", "/%0d%0aSet-Cookie:x=1", "/account/\r\nX: y",
    "/account//evil", "/.//evil.example", "/account/..//evil.example", "//evil.example/account/",
    "/／evil.example", "/﹨evil.example", "／／evil.example", "/\u2028/evil.example",
    "/\u200b/evil.example", "/@evil.example", "/nothing/there", "/static/dist/manifest.json",
    "/api/v1/me", "/s/abc", "/hooks/abc", "/account/" + "x" * 3000, "/sign-out",
    "//localhost/account/", "http://localhost/account/", "/account/\x00", "/account/%00",
    "?next=/account/", "#/account/", "/;@evil.example", "/%E2%80%AE//evil",
)  # fmt: skip


@pytest.mark.parametrize("text", OWN)
def test_next_may_be_a_page_of_ours(app, text):
    with app.test_request_context("/sign-in"):
        assert own_path(text) == text


@pytest.mark.parametrize("text", FOREIGN)
def test_next_is_never_another_place(app, text):
    with app.test_request_context("/sign-in"):
        assert own_path(text) is None
