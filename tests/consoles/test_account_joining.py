"""Joining by a sponsor's invite link: by a code to an e-mail address or a phone."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from pydantic import HttpUrl, SecretStr

from affiliate import clock as time
from affiliate import ids
from affiliate.db import db
from affiliate.notices import queries as outbox
from affiliate.people import codes, joining, queries, service
from affiliate.people.models import Consent, OneTimeCode, Promoter, Role, User
from affiliate.programs import queries as programs
from affiliate.programs.models import Enrolment
from tests.consoles.signed_in import fill_in, hidden_in, sign_in
from tests.factories.people import a_promoter, a_user
from tests.factories.programs import a_program
from tests.notices.gateways import gateway
from workers import notices

TYPED = {
    "name": "Ana 🌸 Beatriz", "contact": "Ana@Example.com", "country": "BR", "locale": "pt-BR",
    "terms": "1",
}  # fmt: skip
ENTER = "/by-code/enter"


@pytest.fixture
def sponsor():
    found = a_promoter("王小明")
    db.session.commit()
    return found


@pytest.fixture
def phones(app, monkeypatch):
    """A gateway for messages, and that it is used."""
    with gateway() as line:
        _settle(app, monkeypatch, sms_url=HttpUrl(f"{line.address}/send"))
        yield line


def _settle(app, monkeypatch, **changes):
    settings = app.config["SETTINGS"].model_copy(update=changes)
    monkeypatch.setitem(app.config, "SETTINGS", settings)


def address(sponsor, *, program=None):
    code = joining.invite_code(sponsor.id)
    mark = f"?program={ids.encode('prg', program.merchant_id, program.id)}" if program else ""
    return f"/join/{code}{mark}"


def join(client, sponsor, *, program=None, **typed):
    path = address(sponsor, program=program)
    return client.post(path, data=hidden_in(client.get(path)) | TYPED | typed)


def letters():
    """What stands in the outbox, oldest first."""
    notices.tell()
    return [(each, outbox.text_of(each).plain) for each in reversed(outbox.outbox())]


def link_in(text):
    return re.search(r"http://127\.0\.0\.1:8765(/\S+)", text)[1]


def code_in(text):
    return re.search(r"\b(\d{6})\b", text)[1]


def newest_code():
    return code_in(letters()[-1][1])


def enter(client, code):
    return fill_in(client, ENTER, code=code)


def joined(client, sponsor, **typed):
    """All the way in."""
    join(client, sponsor, **typed)
    return enter(client, newest_code())


def test_the_page_says_who_invites(client, sponsor):
    page = client.get(address(sponsor))

    assert page.status_code == 200
    assert "王小明 invites you" in page.text


def test_nobody_exists_before_the_code_is_typed_and_then_somebody_below_the_sponsor(
    client, sponsor, clock
):
    now = clock.stand("2026-11-22T10:00:00Z")

    asked = join(client, sponsor)
    before = queries.user_by_email("ana@example.com")
    page = client.get(ENTER)
    answer = enter(client, newest_code())

    user = queries.user_by_email("ana@example.com")
    promoter = queries.promoter_by_email("ana@example.com")
    (grant,) = queries.grants_of(user.id)
    (consent,) = db.session.scalars(sa.select(Consent))
    assert (asked.status_code, asked.location, before) == (303, ENTER, None)
    assert "ana@example.com" in page.text
    assert (answer.status_code, answer.location) == (303, "/promoter/")
    assert client.get("/account/").status_code == 200
    assert (user.name, user.locale, user.timezone) == (
        "Ana 🌸 Beatriz", "pt-BR", "America/Sao_Paulo",
    )  # fmt: skip
    assert (user.terms_accepted_at, user.unconfirmed_since) == (now, None)
    assert (promoter.name, promoter.country, promoter.sponsor_id) == (user.name, "BR", sponsor.id)
    assert (grant.role, grant.promoter_id) == (Role.PROMOTER, promoter.id)
    assert (consent.user_id, consent.kind, consent.created_at) == (user.id, "terms", now)
    assert "advertising" in consent.words


def test_the_letter_is_in_the_language_of_the_form_and_its_code_kept_nowhere(client, sponsor):
    join(client, sponsor)

    ((letter, text),) = letters()
    row = db.session.scalars(sa.select(OneTimeCode)).one()
    code = code_in(text)
    assert (letter.address, letter.locale, letter.user_id) == ("ana@example.com", "pt-BR", None)
    assert "Tuike" in letter.subject
    assert code.encode() not in row.code_hash
    assert code not in str(row.newcomer)


def test_by_phone_of_whatever_country(client, sponsor, phones):
    """Typed as people of that country do, or with + from anywhere."""
    asked = join(client, sponsor, contact="+86 138 1234 5678", country="BR")
    notices.tell()
    sent = phones.asked[-1].json
    answer = enter(client, code_in(sent["text"]))

    user = db.session.scalars(sa.select(User).filter_by(phone="+8613812345678")).one()
    assert asked.location == ENTER
    assert sent["to"] == "+8613812345678"
    assert sent["text"].endswith(f"@127.0.0.1 #{code_in(sent['text'])}")
    assert answer.location == "/promoter/"
    assert user.email is None
    assert queries.grants_of(user.id)[0].promoter_id
    assert client.get("/promoter/").status_code == client.get("/account/").status_code == 200


@pytest.mark.parametrize(
    ("settings", "header", "told"),
    [
        ({"sms_key": SecretStr("k")}, "Bearer k", "json"),
        ({"sms_key": SecretStr("k"), "sms_user": "u", "sms_as": "form"}, "Basic dTpr", "form"),
    ],
    ids=["json", "form"],
)
def test_gateways_are_spoken_to_as_they_want_it(
    client, sponsor, phones, app, monkeypatch, settings, header, told
):
    fields = {"To": "{to}", "Body": "{text}", "From": "+15550100"}
    _settle(app, monkeypatch, sms_fields=fields, **settings)

    join(client, sponsor, contact="(11) 98765-4321")
    notices.tell()

    (asked,) = phones.asked
    sent = getattr(asked, told)
    assert (sent["To"], sent["From"]) == ("+5511987654321", "+15550100")
    assert asked.headers["Authorization"] == header
    assert re.search(r"\d{6}", sent["Body"])


def test_a_gateway_that_is_away_is_asked_again_but_not_for_a_code_that_is_too_old(
    client, sponsor, phones, clock
):
    clock.stand("2026-11-22T10:00:00Z")
    phones.answer = lambda _: (503, {})
    join(client, sponsor, contact="(11) 98765-4321")

    notices.tell()
    clock.move(minutes=1)
    notices.tell()
    clock.move(minutes=11)
    notices.tell()

    (letter,) = outbox.outbox()
    assert len(phones.asked) == 2
    assert (letter.state, letter.trouble) == ("failed", "too late")


def test_without_a_gateway_only_addresses_are_taken(client, sponsor):
    answer = join(client, sponsor, contact="+8613812345678")

    assert answer.status_code == 422
    assert "This is not an e-mail address." in answer.text


def test_a_wrong_code_is_refused_and_the_right_one_still_good(client, sponsor):
    join(client, sponsor)
    code = newest_code()

    wrong = enter(client, "000000" if code != "000000" else "000001")

    assert wrong.status_code == 422
    assert "This code is wrong" in wrong.text
    assert enter(client, f" {code[:3]} {code[3:]} ").location == "/promoter/"


def test_five_guesses_are_the_end_of_a_code(client, sponsor):
    join(client, sponsor)
    code = newest_code()
    for guess in range(5):
        enter(client, f"{(int(code) + guess + 1) % 10**6:06}")

    late = enter(client, code)

    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) > 0
    assert queries.user_by_email("ana@example.com") is None


def test_guesses_are_counted_for_the_address_whatever_browser_they_come_from(app, sponsor):
    for _ in range(4):
        stranger = app.test_client()
        join(stranger, sponsor)
        for _ in range(4):
            answer = enter(stranger, "nonsense")

    assert answer.status_code == 429


def test_a_code_is_good_for_ten_minutes_in_its_own_browser_and_once(client, sponsor, app, clock):
    clock.stand("2026-11-22T10:00:00Z")
    join(client, sponsor)
    code = newest_code()
    elsewhere = app.test_client()
    form = hidden_in(client.get(ENTER))

    assert elsewhere.get(ENTER).location == "/by-code"
    with client.session_transaction() as cookie:
        before = dict(cookie)
    first = client.post(ENTER, data=form | {"code": code})
    with elsewhere.session_transaction() as cookie:
        cookie.update(before)
    second = elsewhere.post(ENTER, data=form | {"code": code})

    assert first.location == "/promoter/"
    assert second.location == "/sign-in"  # from there on to one's pages, where one is signed in
    assert db.session.query(User).filter_by(email="ana@example.com").count() == 1


def test_an_old_code_is_refused(client, sponsor, clock):
    clock.stand("2026-11-22T10:00:00Z")
    join(client, sponsor)
    code, form = newest_code(), hidden_in(client.get(ENTER))
    clock.move(minutes=10)

    answer = client.post(ENTER, data=form | {"code": code})

    assert answer.location == "/by-code"
    assert "That took too long" in client.get("/by-code").text
    assert queries.user_by_email("ana@example.com") is None


def test_the_same_form_sent_twice_asks_once(client, sponsor):
    path = address(sponsor)
    form = hidden_in(client.get(path)) | TYPED

    answers = [client.post(path, data=form) for _ in range(2)]

    assert {each.location for each in answers} == {ENTER}
    assert len(letters()) == 1


def test_another_code_voids_the_one_before_and_is_not_given_at_once_again(client, sponsor, clock):
    clock.stand("2026-11-22T10:00:00Z")
    join(client, sponsor)
    first = newest_code()
    fill_in(client, ENTER, to="/by-code/again")
    fill_in(client, ENTER, to="/by-code/again")
    assert "Wait half a minute" in client.get(ENTER).text
    second = newest_code()

    assert len(letters()) == 2
    if first != second:
        assert enter(client, first).status_code == 422
    assert enter(client, second).location == "/promoter/"


def test_two_tabs_that_join_make_one_promoter(app, sponsor):
    tabs = [app.test_client() for _ in range(2)]
    for tab in tabs:
        join(tab, sponsor)
    first, second = [code_in(text) for _, text in letters()]

    answers = [enter(tab, code) for tab, code in zip(tabs, (first, second), strict=True)]

    assert {each.location for each in answers} == {"/promoter/"}
    assert db.session.query(Promoter).filter_by(email="ana@example.com").count() == 1


def test_an_address_is_not_flooded_with_letters(client, sponsor):
    for _ in range(6):
        assert join(client, sponsor).status_code == 303

    assert len(letters()) == 4


def test_all_phones_together_get_so_many_messages_a_day(client, sponsor, phones, app, monkeypatch):
    _settle(app, monkeypatch, sms_per_day=2)
    for number in range(4):
        join(client, sponsor, contact=f"(11) 98765-432{number}")
    notices.tell()

    assert len(phones.asked) == 2


def test_a_known_address_gets_the_same_page_and_its_owner_is_let_in(client, sponsor):
    known = a_user(Role.AGENCY, email="ana@example.com", agency=_agency())
    db.session.commit()

    answer = join(client, sponsor)
    entered = enter(client, newest_code())

    assert (answer.status_code, answer.location) == (303, ENTER)
    assert entered.location == "/agency/"
    assert "You have an account already" in client.get("/agency/").text
    assert known.name != TYPED["name"]
    assert db.session.query(Promoter).filter_by(email="ana@example.com").count() == 0


def _agency():
    from tests.factories.people import an_agency

    return an_agency()


def test_who_has_a_second_factor_shows_it_as_well(client, sponsor):
    known = a_user(Role.OPERATOR, email="ana@example.com")
    service.set_up_totp(known)
    db.session.commit()

    join(client, sponsor)
    answer = enter(client, newest_code())

    assert answer.location == "/sign-in/code"
    assert client.get("/account/").status_code == 303


def test_a_password_of_a_stranger_does_not_survive_the_owner(client, sponsor):
    """Somebody signed up with her address before, and never proved it."""
    planted = a_user(None, email="ana@example.com", password="a stranger's own words")
    planted.unconfirmed_since = time.now()
    db.session.commit()

    joined(client, sponsor)

    db.session.refresh(planted)
    assert (planted.unconfirmed_since, planted.password_hash) == (None, None)


def test_a_disabled_user_gets_no_code(client, sponsor):
    service.disable_user(a_user(None, email="ana@example.com"))
    db.session.commit()

    assert join(client, sponsor).location == ENTER
    assert letters() == []


def test_a_promoter_whom_a_merchant_wrote_down_takes_over_by_code(client, sponsor):
    promoter = a_promoter("Ana", email="ana@example.com")
    db.session.commit()

    joined(client, sponsor)

    user = queries.user_by_email("ana@example.com")
    assert user.password_hash is None
    assert queries.grants_of(user.id)[0].promoter_id == promoter.id
    assert promoter.sponsor_id is None


def test_an_open_program_of_the_link_is_joined_as_well(client, sponsor):
    program = a_program(enrolment=Enrolment.OPEN)
    db.session.commit()
    page = client.get(address(sponsor, program=program))

    joined(client, sponsor, program=program)

    promoter = queries.promoter_by_email("ana@example.com")
    member = programs.membership(program.merchant_id, program.id, promoter.id)
    assert program.name in page.text
    assert member.state == "active"


@pytest.mark.parametrize("enrolment", [Enrolment.APPROVAL, Enrolment.INVITE])
def test_other_programs_are_not(client, sponsor, enrolment):
    program = a_program(enrolment=enrolment)
    db.session.commit()

    answer = joined(client, sponsor, program=program)

    promoter = queries.promoter_by_email("ana@example.com")
    assert answer.status_code == 303
    assert programs.membership(program.merchant_id, program.id, promoter.id) is None


def test_the_sponsor_hears_of_it(client, sponsor):
    owner = a_user(Role.PROMOTER, promoter=sponsor)
    db.session.commit()

    joined(client, sponsor)
    notices.tell()

    (news,) = outbox.news_of(owner.id, 5)
    assert "Ana 🌸 Beatriz" in news.subject
    assert outbox.has_news(owner.id)


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("name", "", "Tell us a name"),
        ("name", "x" * 101, "Tell us a name"),
        ("contact", "nobody", "This is not an e-mail address."),
        ("contact", "a\nb@example.com", "This is not an e-mail address."),
        ("country", "XX", "Choose your country."),
        ("locale", "tlh", "Choose your language."),
        ("terms", "", "Without this we cannot take you in."),
    ],
)
def test_what_cannot_be_taken_is_said_at_its_field_and_the_rest_is_kept(
    client, sponsor, field, typed, words
):
    answer = join(client, sponsor, **{field: typed})

    assert answer.status_code == 422
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert ("Ana 🌸 Beatriz" in answer.text) == (field != "name")
    assert letters() == []


@pytest.mark.parametrize(
    "number",
    ["12345", "(11) 3456-7890", "0800 123 4567", "+1 900 555 0123", "++86 138", "📱"],
)
def test_numbers_that_no_message_reaches_are_refused(client, sponsor, phones, number):
    """Short ones, landlines, and those that cost whoever writes to them."""
    answer = join(client, sponsor, contact=number)

    assert answer.status_code == 422
    assert "begin with + and its code" in answer.text


def test_signing_in_by_code_tells_nobody_who_has_an_account(client, app):
    known = a_user(Role.OPERATOR, email="ana@example.com")
    db.session.commit()
    answers = [
        fill_in(browser, "/by-code", contact=contact, next="/account/security")
        for browser, contact in ((client, "ana@example.com"), (app.test_client(), "no@example.com"))
    ]

    ((letter, text),) = letters()
    entered = fill_in(client, f"{ENTER}?next=/account/security", to=ENTER, code=code_in(text))

    assert {each.location for each in answers} == {f"{ENTER}?next=/account/security"}
    assert letter.user_id == known.id
    assert entered.location == "/account/security"


def test_old_codes_are_forgotten_with_what_newcomers_said(client, sponsor, clock):
    clock.stand("2026-11-22T10:00:00Z")
    join(client, sponsor)
    clock.move(minutes=10, hours=24)
    codes.forget_old()
    assert db.session.query(OneTimeCode).count() == 1

    with time.moved(timedelta(seconds=1)):
        codes.forget_old()

    assert db.session.query(OneTimeCode).count() == 0


def test_a_first_password_is_set_without_one_before(client, sponsor):
    joined(client, sponsor)

    answer = fill_in(client, "/account/security", to="/account/password", new="a horse of my own")

    assert answer.status_code == 303
    assert queries.user_by_email("ana@example.com").password_hash


# --- who joined before codes: a password, and a link that confirms the address --------------------


def unconfirmed():
    user = a_user(Role.OPERATOR, email="ana@example.com", password="correct horse battery")
    user.unconfirmed_since = time.now()
    db.session.commit()
    return user


def ask_to_confirm(client):
    return fill_in(client, "/sign-in", email="ana@example.com", password="correct horse battery")


def test_before_confirming_one_cannot_sign_in_but_is_written_to(client):
    unconfirmed()

    answer = ask_to_confirm(client)

    assert answer.status_code == 200
    assert "We sent you an e-mail" in answer.text
    assert client.get("/account/").status_code == 303
    assert link_in(letters()[0][1]).startswith("/confirm/")


def test_the_letter_confirms_the_address_once_and_lets_in(client, app):
    user = unconfirmed()
    ask_to_confirm(client)
    path = link_in(letters()[0][1])

    for _ in range(3):  # mail scanners open every link before its reader does
        page = client.get(path)
    db.session.refresh(user)
    assert user.unconfirmed_since is not None
    answer = client.post(path, data=hidden_in(page))
    db.session.refresh(user)

    assert answer.status_code == 303
    assert client.get("/account/").status_code == 200
    assert user.unconfirmed_since is None
    assert app.test_client().get(path).status_code == 404


def test_a_link_that_confirms_sets_no_password(client):
    unconfirmed()
    ask_to_confirm(client)
    secret = link_in(letters()[0][1]).rpartition("/")[2]

    assert client.get(f"/reset/{secret}").status_code == 404
    assert "used before" in client.get(f"/welcome/{secret}").text


# --- invitations that do not work -----------------------------------------------------------------


@pytest.mark.parametrize("code", ["nonsense", "%00", "prm_x", "💥"])
def test_an_invitation_that_nobody_made(client, code):
    page = client.get(f"/join/{code}")

    assert page.status_code == 404
    assert "This invitation does not work" in page.text


def test_a_sponsor_who_was_stopped_invites_nobody(client, sponsor):
    form = hidden_in(client.get(address(sponsor)))
    service.suspend(sponsor)
    db.session.commit()

    assert client.get(address(sponsor)).status_code == 404
    assert client.post(address(sponsor), data=form | TYPED).status_code == 404
    assert queries.user_by_email("ana@example.com") is None


def test_who_is_signed_in_sees_the_page_too(client, sponsor):
    sign_in(client, a_user())

    assert client.get(address(sponsor)).status_code == 200
