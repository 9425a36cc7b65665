"""Signing in by password and second factor, and all that goes wrong on the way."""

import re
from datetime import timedelta
from statistics import median
from time import perf_counter

import pyotp
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from affiliate import clock as time
from affiliate.consoles.account import demo
from affiliate.db import db
from affiliate.demo.people import PASSWORD as DEMO_PASSWORD
from affiliate.demo.people import TOTP_SECRET
from affiliate.events import Event
from affiliate.people import second_factor, service, tries
from affiliate.people.models import Role, UserSession
from tests.consoles.signed_in import fill_in, hidden_in, sign_in
from tests.factories.people import a_merchant, a_promoter, a_user

RIGHT = "correct horse battery"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.77"}


def somebody(role=Role.OPERATOR, **more):
    user = a_user(role, email="ana@example.com", password=RIGHT, **more)
    db.session.commit()
    return user


def try_in(client, password=RIGHT, *, email="ana@example.com", path="/sign-in", **more):
    form = hidden_in(client.get(path, **more))
    return client.post("/sign-in", data=form | {"email": email, "password": password}, **more)


def events(name):
    return db.session.query(Event).filter_by(name=name).order_by(Event.id).all()


def test_the_right_password_opens_the_right_console(client):
    somebody(Role.MERCHANT_OWNER, merchant=a_merchant())

    answer = try_in(client, email=" ANA@Example.com ")

    assert (answer.status_code, answer.location) == (303, "/merchant/")
    assert client.get("/account/").status_code == 200
    assert client.get("/").location == "/merchant/"


@pytest.mark.parametrize(
    "typed", [{"email": "ana\0@example.com"}, {"password": "a\0b"}, {"next": "/\0"}]
)
def test_what_nobody_can_type_is_refused_before_anything_is_asked(client, typed):
    form = hidden_in(client.get("/sign-in")) | {"email": "ana@example.com", "password": RIGHT}

    assert client.post("/sign-in", data=form | typed).status_code == 400


def test_without_a_role_there_is_the_account_and_it_says_why(client):
    somebody(None)

    answer = try_in(client)

    assert answer.location == "/account/"
    assert "You have no role yet" in client.get("/account/").text


def test_the_cookie_holds_a_random_secret_and_nothing_about_the_person(client, app):
    user = somebody()

    answer = try_in(client)

    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("tuike="))
    inside = app.session_interface.get_signing_serializer(app).loads(
        re.match(r"tuike=([^;]+)", cookie)[1]
    )
    row = db.session.query(UserSession).filter_by(user_id=user.id).one()
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert set(inside) == {"_user_id", "_permanent"}
    assert len(inside["_user_id"]) == 43
    assert inside["_user_id"].encode() not in row.secret_hash


def test_behind_https_the_cookies_travel_by_https_only(app, monkeypatch):
    monkeypatch.setitem(app.config, "SESSION_COOKIE_SECURE", True)
    somebody()
    client = app.test_client()

    answer = try_in(client, base_url="https://localhost")

    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("Secure" in cookie for cookie in cookies)


def test_a_session_planted_before_is_worth_nothing(client):
    somebody()
    other = sign_in(client, a_user())
    with client.session_transaction() as cookie:
        planted = dict(cookie)

    try_in(client)

    with client.session_transaction() as cookie:
        assert cookie["_user_id"] != planted["_user_id"]
        assert cookie.get("csrf_token") != planted["csrf_token"]
    assert other.user_id != db.session.query(UserSession).order_by(UserSession.id.desc())[0].user_id


@pytest.mark.parametrize("path", ["/account/security", "/account/?x=1"])
def test_one_comes_back_to_where_one_was(client, path):
    somebody()

    way_in = client.get(path).location

    assert try_in(client, path=way_in).location == path


def test_a_foreign_next_leads_home(client):
    somebody()

    answer = try_in(client, path="/sign-in?next=https://evil.example/")

    assert answer.location.startswith("/")
    assert "evil" not in answer.location


def test_unknown_address_and_wrong_password_get_the_same_page(client):
    somebody()

    wrong = try_in(client, "wrong password")
    unknown = try_in(client, email="nobody@example.com")
    no_password = try_in(client, email=a_user().email)

    assert wrong.status_code == unknown.status_code == no_password.status_code == 422
    assert "do not belong together" in wrong.text
    assert plain(wrong) == plain(unknown) == plain(no_password)


def plain(page):
    """Without what is different on every page: tokens, and what was typed."""
    return re.sub(r'value="[^"]*"|"X-CSRFToken": "[^"]*"|email=\S+', "", page.text)


def test_unknown_address_and_wrong_password_take_the_same_time(client):
    somebody()
    form = hidden_in(client.get("/sign-in"))

    def seconds(email):
        begun = perf_counter()
        client.post("/sign-in", data=form | {"email": email, "password": "wrong password"})
        return perf_counter() - begun

    known = median(seconds("ana@example.com") for _ in range(5))
    unknown = median(seconds("nobody@example.com") for _ in range(5))

    assert 0.5 < known / unknown < 2


def test_ten_wrong_passwords_stop_also_the_right_one_for_a_while(client):
    somebody()
    for _ in range(10):
        assert try_in(client, "wrong password").status_code == 422

    stopped = try_in(client)

    assert stopped.status_code == 429
    assert "Too many tries. Wait 15 minutes." in stopped.text
    assert 880 < int(stopped.headers["Retry-After"]) <= 900


def test_a_stranger_who_guesses_does_not_lock_the_owner_out(client, app):
    somebody()
    assert try_in(client).status_code == 303
    client.post("/sign-out", data=hidden_in(client.get("/account/")))
    stranger = app.test_client()
    for _ in range(11):
        locked = try_in(stranger, "wrong password")

    assert locked.status_code == 429
    assert try_in(client).status_code == 303


def test_an_address_may_try_a_hundred_times_whoever_it_tries(client, monkeypatch):
    monkeypatch.setattr("affiliate.security.password_fits", lambda *_: False)
    form = hidden_in(client.get("/sign-in"))

    tried = [
        client.post("/sign-in", data=form | {"email": f"p{i}@example.com", "password": "x"})
        for i in range(101)
    ]
    elsewhere = try_in(client, environ_base=ELSEWHERE)

    assert {each.status_code for each in tried[:100]} == {422}
    assert tried[100].status_code == 429
    assert elsewhere.status_code == 422


def test_without_valkey_people_sign_in_and_guessing_is_slower_still(client, app, monkeypatch):
    somebody()
    nobody = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)
    tries._here.clear()

    tried = [try_in(client, "wrong password").status_code for _ in range(4)]
    tries._here.clear()
    right = try_in(client)
    tries._here.clear()
    nobody.close()

    assert tried == [422, 422, 422, 429]
    assert right.status_code == 303


def test_tries_count_also_when_the_request_fails_afterwards(client, monkeypatch, valkey):
    somebody()
    monkeypatch.setattr("affiliate.consoles.account.signing_in._enter", lambda *_, **__: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        try_in(client)

    assert int(valkey.get("tries:address:127.0.0.1")) == 1


@pytest.mark.parametrize("email", ["", "x", "😀@example.com", "a" * 5000, "' OR 1=1 --"])
def test_odd_addresses_are_wrong_and_no_more(client, email):
    assert try_in(client, "x", email=email).status_code == 422


def test_somebody_disabled_and_a_service_cannot_sign_in(client, clock):
    clock.stand("2026-11-22T10:00:00Z")
    user = somebody()
    user.disabled_at = time.now()
    db.session.commit()

    assert try_in(client).status_code == 422


def test_who_is_in_needs_no_sign_in_page(client):
    sign_in(client, a_user())

    assert client.get("/sign-in?next=/account/security").location == "/account/security"


# --- devices -----------------------------------------------------------------------------------


def test_a_new_device_is_told_but_not_the_first_and_not_twice(client, app):
    user = somebody()
    try_in(client)
    assert events("device.added") == []

    other = app.test_client()
    try_in(other, environ_base=ELSEWHERE, headers={"User-Agent": "Firefox Android"})
    try_in(other, environ_base=ELSEWHERE)
    try_in(client)

    (told,) = events("device.added")
    assert told.user_id == user.id
    assert told.payload == {"network": "203.0.113.0", "user_agent": "Firefox Android"}


# --- signing out -------------------------------------------------------------------------------


def test_signing_out_ends_the_session_for_good(client):
    somebody()
    try_in(client)
    with client.session_transaction() as cookie:
        stolen = dict(cookie)

    answer = client.post("/sign-out", data=hidden_in(client.get("/account/")))
    with client.session_transaction() as cookie:
        cookie.update(stolen)

    assert answer.location == "/sign-in"
    assert client.get("/account/").status_code == 303


def test_signing_out_twice_does_no_harm(client):
    somebody()
    try_in(client)
    form = hidden_in(client.get("/account/"))

    assert client.post("/sign-out", data=form).status_code == 303
    again = client.post("/sign-out", data=form)

    assert again.status_code in (303, 400)
    assert client.get("/sign-in").status_code == 200


# --- second factor -----------------------------------------------------------------------------


def with_phone(role=Role.OPERATOR):
    user = somebody(role)
    secret = pyotp.parse_uri(service.set_up_totp(user)).secret
    db.session.commit()
    return user, pyotp.TOTP(secret)


def give(client, *, path="/sign-in/code", **fields):
    return client.post("/sign-in/code", data=hidden_in(client.get(path)) | fields)


def test_the_password_alone_opens_nothing_with_a_second_factor(client, clock):
    clock.stand("2026-11-22T10:00:00Z")
    with_phone()

    answer = try_in(client, path="/sign-in?next=/account/security")

    assert answer.location == "/sign-in/code?next=%2Faccount%2Fsecurity"
    assert client.get("/account/").status_code == 303
    with client.session_transaction() as cookie:
        assert "_user_id" not in cookie


def test_the_code_lets_in_and_counts_as_fresh(client, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    user, phone = with_phone()
    way = try_in(client, path="/sign-in?next=/account/security").location

    answer = give(client, path=way, otp=phone.at(now))

    rows = db.session.query(UserSession).filter_by(user_id=user.id).order_by(UserSession.id).all()
    assert answer.location == "/account/security"
    assert client.get("/account/").status_code == 200
    assert (rows[0].is_half, rows[0].revoked_at) == (True, now)
    assert (rows[1].is_half, rows[1].otp_at) == (False, now)


def test_a_wrong_code_ten_times_is_locked_for_a_while_and_says_so(client, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    _, phone = with_phone()
    try_in(client)
    wrong = f"{(int(phone.at(now)) + 7) % 10**6:06d}"

    answers = [give(client, otp=wrong) for _ in range(10)]
    right = give(client, otp=phone.at(now))

    assert [each.status_code for each in answers] == [422] * 5 + [429] * 5
    assert "This code is wrong, too old, or was used before." in answers[0].text
    assert "Too many wrong codes. Wait five minutes." in answers[9].text
    assert right.status_code == 429
    assert client.get("/account/").status_code == 303


def test_a_recovery_code_stands_in_once(client, clock, app):
    clock.stand("2026-11-22T10:00:00Z")
    user, _ = with_phone()
    codes = second_factor.new_recovery_codes(user)
    db.session.commit()
    try_in(client)

    assert give(client, recovery=codes[0].upper().replace("-", " ")).status_code == 303
    again = app.test_client()
    try_in(again)
    assert give(again, recovery=codes[0]).status_code == 422
    assert give(again, recovery="nonsense").status_code == 422
    assert give(again, recovery=codes[1]).status_code == 303
    assert [each.payload["left"] for each in events("recovery_code.used")] == [7, 6]


def test_the_code_must_come_within_ten_minutes(client, clock):
    clock.stand("2026-11-22T10:00:00Z")
    _, phone = with_phone()
    try_in(client)
    form = hidden_in(client.get("/sign-in/code"))

    late = clock.move(minutes=10)
    answer = client.post("/sign-in/code", data=form | {"otp": phone.at(late)})

    assert answer.location == "/sign-in"
    assert "That took too long" in client.get("/sign-in").text


def test_without_a_password_before_there_is_no_code_page(client):
    assert client.get("/sign-in/code").location == "/sign-in"


def test_sending_the_code_twice_signs_in_once(client, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    user, phone = with_phone()
    try_in(client)
    form = hidden_in(client.get("/sign-in/code")) | {"otp": phone.at(now)}

    first = client.post("/sign-in/code", data=form)
    client.post("/sign-in/code", data=form)

    whole = db.session.query(UserSession).filter_by(user_id=user.id, is_half=False).count()
    assert first.status_code == 303
    assert whole == 1
    assert client.get("/account/").status_code == 200


# --- how long it lasts -------------------------------------------------------------------------


def test_a_promoter_stays_signed_in_for_thirty_days_after_the_last_visit(client, clock):
    clock.stand("2026-11-01T10:00:00Z")
    sign_in(client, a_user(Role.PROMOTER, promoter=a_promoter()))

    for _ in range(3):
        clock.move(days=29)
        assert client.get("/account/").status_code == 200
    clock.move(days=30)

    assert client.get("/account/").status_code == 303


@pytest.mark.parametrize("role", [Role.FINANCE_MAKER, Role.OPERATOR])
def test_who_handles_money_signs_in_every_working_day(client, clock, role):
    clock.stand("2026-11-22T08:00:00Z")
    sign_in(client, a_user(role))

    for _ in range(11):
        clock.move(hours=1)
        assert client.get("/account/").status_code == 200
    clock.move(hours=1)

    assert client.get("/account/").status_code == 303


def test_signing_in_again_keeps_the_forms_in_other_tabs_good(client, clock):
    clock.stand("2026-11-22T08:00:00Z")
    user = somebody()
    try_in(client)
    open_tab = hidden_in(client.get("/account/"))
    clock.move(hours=13)
    posted = client.post(
        "/account/", data=open_tab, headers={"Referer": "http://localhost/account/"}
    )

    back = try_in(client, path=posted.location)
    again = client.post("/account/", data=open_tab | fields_of(user))

    assert posted.location == "/sign-in?next=/account/"
    assert back.location == "/account/"
    assert again.status_code == 303


def fields_of(user):
    return {"name": "Ana", "locale": user.locale, "timezone": user.timezone}


# --- the demo ----------------------------------------------------------------------------------


def a_demo_checker():
    user = a_user(Role.FINANCE_CHECKER, email=f"checker@{demo.DOMAIN}", password=DEMO_PASSWORD)
    service.set_up_totp(user, TOTP_SECRET)
    db.session.commit()
    return user


def test_demo_people_are_one_tap_away_on_this_machine(client):
    user = a_demo_checker()
    page = client.get("/sign-in")

    answer = try_in(client, DEMO_PASSWORD, email=user.email)
    code = re.search(r"the code is (\d{6}) at the moment", client.get("/sign-in/code").text)[1]

    assert user.email in page.text
    assert answer.location == "/sign-in/code"
    assert give(client, otp=code).status_code == 303


@pytest.mark.parametrize(
    "request_from",
    [{"environ_base": ELSEWHERE}, {"headers": {"X-Forwarded-For": "203.0.113.77"}}],
    ids=["directly", "through a proxy on this machine"],
)
def test_demo_people_cannot_sign_in_from_elsewhere(client, request_from):
    user = a_demo_checker()

    answer = try_in(client, DEMO_PASSWORD, email=user.email, **request_from)

    assert answer.status_code == 403
    assert "Demo people sign in on the machine that runs Tuike only." in answer.text
    assert user.email not in client.get("/sign-in", **request_from).text


def test_without_a_demo_nobody_is_offered(client):
    somebody()

    assert "demo" not in client.get("/sign-in").text


def test_a_half_open_session_lasts_no_longer_by_being_used(client, clock):
    clock.stand("2026-11-22T10:00:00Z")
    with_phone()
    try_in(client)

    clock.stand(time.now() + timedelta(minutes=9))
    assert client.get("/sign-in/code").status_code == 200
    clock.move(minutes=1)

    assert client.get("/sign-in/code").status_code == 303


def test_a_sign_in_page_that_is_too_old_comes_back_new(client):
    somebody()
    typed = {"email": "ana@example.com", "password": RIGHT, "next": "/account/security"}

    answer = client.post("/sign-in", data=typed)

    assert answer.location == "/sign-in?next=/account/security"
    assert "This page was too old. Please try again." in client.get(answer.location).text
    assert client.get("/account/").status_code == 303


def test_filling_in_the_form_is_all_it_takes(client):
    somebody()

    assert fill_in(client, "/sign-in", email="ana@example.com", password=RIGHT).status_code == 303
