"""Passwords, the second factor, sessions, profile and outbox of one's own account."""

import re

import pyotp
import pytest

from affiliate import ids, security
from affiliate.db import db
from affiliate.events import Event
from affiliate.notices import queries as outbox
from affiliate.people import second_factor, service, sessions
from affiliate.people.models import Role, UserSession
from tests.consoles.signed_in import hidden_in, open_session, sign_in
from tests.consoles.test_account_joining import letters, link_in
from tests.factories.people import a_merchant, a_promoter, a_user

RIGHT = "correct horse battery"
NEW = "a wholly new password"


@pytest.fixture
def ana(client):
    user = a_user(Role.PROMOTER, promoter=a_promoter(), email="ana@example.com", password=RIGHT)
    sign_in(client, user)
    return user


def happened(name):
    return db.session.query(Event).filter_by(name=name).count()


def live(user):
    return len(sessions.all_of(user.id))


# --- a lost password ---------------------------------------------------------------------------


def ask(client, email):
    return client.post("/forgot", data=hidden_in(client.get("/forgot")) | {"email": email})


def test_a_lost_password_is_replaced_by_a_letter(app, ana):
    stranger = app.test_client()

    asked = ask(stranger, " ANA@example.com")
    path = link_in(letters()[0][1])
    answer = stranger.post(path, data=hidden_in(stranger.get(path)) | {"password": NEW})

    assert asked.location == "/forgot/sent"
    assert "If there is an account" in stranger.get("/forgot/sent").text
    assert answer.location == "/sign-in?email=ana@example.com"
    db.session.refresh(ana)
    assert security.password_fits(ana.password_hash, NEW)


def test_the_new_password_ends_every_session_and_every_other_link(client, app, ana):
    stranger = app.test_client()
    ask(stranger, "ana@example.com")
    ask(stranger, "ana@example.com")
    first, second = (link_in(text) for _, text in letters())

    stranger.post(first, data=hidden_in(stranger.get(first)) | {"password": NEW})

    assert client.get("/account/").status_code == 303
    assert stranger.get(first).status_code == stranger.get(second).status_code == 404
    assert happened("password.changed") == 1


def test_a_reset_link_lives_an_hour(app, ana, clock):
    clock.stand("2026-11-22T10:00:00Z")
    stranger = app.test_client()
    ask(stranger, "ana@example.com")
    path = link_in(letters()[0][1])

    clock.move(minutes=59)
    assert stranger.get(path).status_code == 200
    clock.move(minutes=1)

    assert stranger.get(path).status_code == 404


def test_a_weak_new_password_leaves_the_link_good(app, ana):
    stranger = app.test_client()
    ask(stranger, "ana@example.com")
    path = link_in(letters()[0][1])

    weak = stranger.post(path, data=hidden_in(stranger.get(path)) | {"password": "short"})

    assert weak.status_code == 422
    assert "10 characters or more" in weak.text
    assert stranger.get(path).status_code == 200


def test_nobody_learns_who_has_an_account(app, ana):
    stranger = app.test_client()

    known, unknown = ask(stranger, "ana@example.com"), ask(stranger, "nobody@example.com")

    assert known.status_code == unknown.status_code == 303
    assert known.location == unknown.location
    assert [each.address for each, _ in letters()] == ["ana@example.com"]


def test_three_letters_an_hour_are_enough(app, ana):
    stranger = app.test_client()

    answers = [ask(stranger, "ana@example.com").location for _ in range(5)]

    assert set(answers) == {"/forgot/sent"}
    assert len(letters()) == 3


# --- a new password ----------------------------------------------------------------------------


def change(client, **typed):
    return client.post("/account/password", data={"password": RIGHT, "new": NEW} | typed)


def test_a_new_password_ends_the_sessions_elsewhere(client, ana):
    open_session(ana)
    open_session(ana)

    answer = change(client)

    db.session.refresh(ana)
    assert answer.status_code == 303
    assert security.password_fits(ana.password_hash, NEW)
    assert live(ana) == 1
    assert client.get("/account/").status_code == 200
    assert happened("password.changed") == 1


def test_it_takes_the_present_one(client, ana):
    wrong = change(client, password="wrong password")
    weak = change(client, new="short")

    assert wrong.status_code == weak.status_code == 422
    assert "This is not your present password." in wrong.text
    assert "A password needs 10 characters or more." in weak.text
    assert happened("password.changed") == 0


def test_guessing_the_present_one_is_stopped(client, ana):
    answers = [change(client, password="wrong password").status_code for _ in range(11)]

    assert answers == [422] * 10 + [429]


# --- sessions ----------------------------------------------------------------------------------


def test_sessions_are_listed_by_browser_and_network(client, ana):
    page = client.get("/account/security")

    assert "Chrome, Linux" in page.text
    assert "127.0.0.0" in page.text
    assert "This one" in page.text


def test_one_session_is_ended(client, ana):
    _, other = open_session(ana)

    answer = client.post(f"/account/sessions/{ids.encode('ses', other.id)}/end")

    assert answer.status_code == 303
    assert live(ana) == 1


def test_all_others_are_ended(client, ana):
    open_session(ana)
    open_session(ana)

    client.post("/account/sessions/end-others")

    assert live(ana) == 1
    assert client.get("/account/").status_code == 200


def test_the_sessions_of_others_are_out_of_reach(client, ana):
    other = a_user()
    _, theirs = open_session(other)

    client.post(f"/account/sessions/{ids.encode('ses', theirs.id)}/end")

    assert live(other) == 1
    assert client.post("/account/sessions/ses_nonsense/end").status_code == 404


# --- second factor -----------------------------------------------------------------------------


def set_up(client, now, *, password=RIGHT, otp=None, **more):
    page = client.get("/account/second-factor")
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page.text)[1]
    form = hidden_in(page) | {"password": password, "otp": otp or pyotp.TOTP(secret).at(now)}
    return secret, client.post("/account/second-factor", data=form | more)


def codes_of(page):
    return re.findall(r"<code>([a-z0-9-]{14})</code>", page.text)


def test_a_second_factor_is_set_up_with_its_recovery_codes(client, ana, clock):
    now = clock.stand("2026-11-22T10:00:00Z")

    secret, page = set_up(client, now)

    db.session.refresh(ana)
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert len(set(codes_of(page))) == second_factor.codes_left(ana.id) == 8
    assert happened("second_factor.added") == 1
    with pytest.raises(service.WrongCode):  # the code that showed that it works is used up
        service.check_totp(ana, pyotp.TOTP(secret).at(now))


def test_the_page_alone_changes_nothing(client, ana):
    client.get("/account/second-factor")

    db.session.refresh(ana)
    assert ana.totp_secret is None


def test_a_wrong_code_or_password_sets_nothing_up_and_keeps_the_picture(client, ana, clock):
    now = clock.stand("2026-11-22T10:00:00Z")

    secret, wrong_code = set_up(client, now, otp="000000")
    _, wrong_password = set_up(client, now, password="wrong password")

    db.session.refresh(ana)
    assert wrong_code.status_code == wrong_password.status_code == 422
    assert secret in wrong_code.text
    assert "Is the clock of your phone right?" in wrong_code.text
    assert "This is not your present password." in wrong_password.text
    assert ana.totp_secret is None


def test_an_offer_of_another_person_is_worth_nothing(client, ana, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    theirs = second_factor.offer(a_user())

    _, answer = set_up(client, now, otp=pyotp.TOTP(theirs.secret).at(now), offer=theirs.sealed)
    _, nonsense = set_up(client, now, offer="nonsense")

    db.session.refresh(ana)
    assert answer.status_code == nonsense.status_code == 422
    assert "Here is a new code to scan." in answer.text
    assert ana.totp_secret is None


def test_another_phone_takes_a_code_of_the_one_before(client, ana, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    old, page = set_up(client, now)
    now = clock.move(minutes=6)

    _, without = set_up(client, now)
    new, answer = set_up(client, now, old=pyotp.TOTP(old).at(now))
    now = clock.move(minutes=6)
    _, by_list = set_up(client, now, old=codes_of(answer)[0])

    assert without.status_code == 422
    assert answer.status_code == by_list.status_code == 200
    assert old != new
    assert set(codes_of(page)).isdisjoint(codes_of(answer))


def test_turning_it_off_takes_password_and_code(client, ana, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    secret, _ = set_up(client, now)
    now = clock.move(minutes=6)
    off = "/account/second-factor/off"

    refused = client.post(off, data={"password": RIGHT, "old": "000000"})
    done = client.post(off, data={"password": RIGHT, "old": pyotp.TOTP(secret).at(now)})

    db.session.refresh(ana)
    assert refused.status_code == 422
    assert done.status_code == 303
    assert ana.totp_secret is None
    assert second_factor.codes_left(ana.id) == 0
    assert happened("second_factor.removed") == 1


def test_new_recovery_codes_replace_the_old(client, ana, clock):
    now = clock.stand("2026-11-22T10:00:00Z")
    _, page = set_up(client, now)

    renewed = client.post("/account/recovery-codes", data={"password": RIGHT})  # still fresh

    old, new = codes_of(page), codes_of(renewed)
    assert len(new) == 8
    with pytest.raises(service.WrongCode):
        second_factor.use_recovery_code(ana, old[0])
    second_factor.use_recovery_code(ana, new[0])


def test_recovery_codes_are_not_in_the_database_in_clear(client, ana, clock):
    _, page = set_up(client, clock.stand("2026-11-22T10:00:00Z"))

    kept = db.session.execute(db.text("SELECT code_hash FROM recovery_codes")).scalars().all()
    assert all(len(each) == 16 for each in kept)
    assert not any(code.encode() in bytes(each) for code in codes_of(page) for each in kept)


# --- profile -----------------------------------------------------------------------------------


def test_the_profile_is_saved_and_the_page_speaks_the_new_language(client, ana):
    typed = {"name": "安娜 🌸", "locale": "zh-Hans", "timezone": "Asia/Shanghai", "theme": "night"}
    client.set_cookie("lang", "es")

    answer = client.post("/account/", data=typed)
    page = client.get("/account/")

    db.session.refresh(ana)
    assert answer.status_code == 303
    assert (ana.name, ana.locale, ana.timezone) == ("安娜 🌸", "zh-Hans", "Asia/Shanghai")
    assert '<html lang="zh-Hans" data-theme="night">' in page.text
    assert "安娜 🌸" in page.text


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "x" * 101}, {"locale": "tlh"}, {"timezone": "Moon/Sea"}]
)
def test_a_profile_that_makes_no_sense_is_not_saved(client, ana, wrong):
    before = (ana.name, ana.locale, ana.timezone)
    typed = {"name": "Ana", "locale": "en", "timezone": "UTC"} | wrong

    answer = client.post("/account/", data=typed)

    db.session.refresh(ana)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert (ana.name, ana.locale, ana.timezone) == before


def test_the_profile_names_every_role(client):
    user = a_user(Role.MERCHANT_OWNER, merchant=a_merchant("Casa Ana"))
    service.grant(user, Role.FINANCE_MAKER)
    sign_in(client, user)

    page = client.get("/account/").text

    assert "Casa Ana" in page
    assert "All merchants" in page


# --- outbox ------------------------------------------------------------------------------------


def test_an_operator_reads_the_letters_that_were_kept(client, app, ana):
    ask(app.test_client(), "ana@example.com")
    ((letter, text),) = letters()
    sign_in(client, a_user(Role.OPERATOR))

    rows = client.get("/account/outbox")
    page = client.get(f"/account/outbox/{letter.id}")

    assert letter.subject in rows.text
    assert "No mail server is set" in rows.text
    assert link_in(text) in page.text


def test_nobody_else_does(client, app, ana):
    ask(app.test_client(), "ana@example.com")
    ((letter, _),) = letters()

    for user in (ana, a_user(Role.FINANCE_CHECKER)):
        sign_in(client, user)
        assert client.get("/account/outbox").status_code == 404
        assert client.get(f"/account/outbox/{letter.id}").status_code == 404
        assert "/account/outbox" not in client.get("/account/").text


def test_what_was_sent_by_mail_is_between_the_server_and_its_reader(client, app, ana):
    ask(app.test_client(), "ana@example.com")
    ((letter, text),) = letters()
    letter.state = "sent"
    db.session.commit()
    sign_in(client, a_user(Role.OPERATOR))

    page = client.get(f"/account/outbox/{letter.id}")

    assert page.status_code == 200
    assert link_in(text) not in page.text


def test_many_letters_come_in_pages(client, ana, monkeypatch):
    monkeypatch.setattr("affiliate.consoles.account.outbox.ROWS", 2)
    for _ in range(3):
        db.session.add(Event(name="password.changed", user_id=ana.id))
    db.session.flush()
    letters()
    sign_in(client, a_user(Role.OPERATOR))

    first = client.get("/account/outbox").text
    older = re.search(r'href="(/account/outbox\?before=\d+)"', first)[1]

    shown = re.findall(r"/account/outbox/(\d+)", first + client.get(older).text)
    assert len(shown) == len(set(shown)) == 3


def test_there_is_no_page_of_a_letter_that_never_was(client):
    sign_in(client, a_user(Role.OPERATOR))

    assert client.get("/account/outbox/99999999").status_code == 404
    assert outbox.outbox() == []


def test_every_page_of_the_account_is_closed_to_strangers(app):
    from affiliate.consoles.account import OPEN

    stranger = app.test_client()
    closed = [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("account.") and rule.endpoint not in OPEN
    ]
    for rule in closed:
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in rule.methods & {"GET", "POST"}:
            answer = stranger.open(path, method=method)
            assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in"), (
                rule
            )
    assert len(closed) > 10
    assert db.session.query(UserSession).count() == 0
