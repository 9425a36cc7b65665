"""Joining by a sponsor's invite link, and confirming the address by a letter."""

import re

import pytest

from affiliate import ids
from affiliate.db import db
from affiliate.notices import queries as outbox
from affiliate.people import joining, queries, service
from affiliate.people.models import Promoter, Role, User
from affiliate.programs import queries as programs
from affiliate.programs.models import Enrolment
from tests.consoles.signed_in import fill_in, hidden_in, sign_in
from tests.factories.people import a_promoter, a_user
from tests.factories.programs import a_program
from workers import notices

TYPED = {
    "name": "Ana 🌸 Beatriz", "email": "Ana@Example.com", "password": "correct horse battery",
    "country": "BR", "locale": "pt-BR", "terms": "1",
}  # fmt: skip


@pytest.fixture
def sponsor():
    found = a_promoter("王小明")
    db.session.commit()
    return found


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


def test_the_page_says_who_invites(client, sponsor):
    page = client.get(address(sponsor))

    assert page.status_code == 200
    assert "王小明 invites you" in page.text


def test_joining_makes_a_user_and_a_promoter_below_the_sponsor(client, sponsor, clock):
    now = clock.stand("2026-11-22T10:00:00Z")

    answer = join(client, sponsor)

    user = queries.user_by_email("ana@example.com")
    promoter = queries.promoter_by_email("ana@example.com")
    (grant,) = queries.grants_of(user.id)
    assert (answer.status_code, answer.location) == (303, "/joined")
    assert "Check your e-mail" in client.get("/joined").text
    assert (user.name, user.locale) == ("Ana 🌸 Beatriz", "pt-BR")
    assert user.timezone == "America/Sao_Paulo"
    assert user.terms_accepted_at == user.unconfirmed_since == now
    assert (promoter.name, promoter.country, promoter.sponsor_id) == (user.name, "BR", sponsor.id)
    assert (grant.role, grant.promoter_id) == (Role.PROMOTER, promoter.id)


def test_the_letter_confirms_the_address_once_and_lets_in(client, sponsor, app):
    join(client, sponsor)
    ((letter, text),) = letters()
    path = link_in(text)

    page = client.get(path)
    answer = client.post(path, data=hidden_in(page))
    again = app.test_client().get(path)

    assert (letter.address, letter.locale, letter.state) == ("ana@example.com", "pt-BR", "kept")
    assert "ana@example.com" in page.text
    assert answer.status_code == 303
    assert client.get("/account/").status_code == 200
    assert queries.user_by_email("ana@example.com").unconfirmed_since is None
    assert again.status_code == 404


def test_opening_the_link_alone_uses_nothing_up(client, sponsor):
    """Mail scanners open every link before its reader does."""
    join(client, sponsor)
    path = link_in(letters()[0][1])

    for _ in range(3):
        assert client.get(path).status_code == 200

    assert queries.user_by_email("ana@example.com").unconfirmed_since is not None


def test_before_confirming_one_cannot_sign_in_but_is_written_to_again(client, sponsor):
    join(client, sponsor)
    typed = {"email": TYPED["email"], "password": TYPED["password"]}

    answer = fill_in(client, "/sign-in", **typed)

    texts = [text for _, text in letters()]
    assert answer.status_code == 200
    assert "We sent you an e-mail" in answer.text
    assert client.get("/account/").status_code == 303
    assert len({link_in(text) for text in texts}) == 2


def test_a_link_that_confirms_sets_no_password(client, sponsor):
    join(client, sponsor)
    secret = link_in(letters()[0][1]).rpartition("/")[2]

    assert client.get(f"/reset/{secret}").status_code == 404
    assert "used before" in client.get(f"/welcome/{secret}").text


def test_a_known_address_gets_the_same_page_and_another_letter(client, sponsor):
    known = a_user(Role.OPERATOR, email="ana@example.com", password="another horse battery")
    db.session.commit()

    answer = join(client, sponsor)

    ((letter, text),) = letters()
    assert (answer.status_code, answer.location) == (303, "/joined")
    assert (letter.user_id, letter.subject) == (known.id, "You have an account already")
    assert text.count("http://127.0.0.1:8765/sign-in") == 1
    assert known.name != TYPED["name"]
    assert db.session.query(Promoter).filter_by(email="ana@example.com").count() == 0


def test_joining_twice_before_confirming_writes_the_same_letter_again(client, sponsor):
    join(client, sponsor)
    join(client, sponsor)

    first, second = letters()
    assert first[0].subject == second[0].subject
    assert db.session.query(User).filter_by(email="ana@example.com").count() == 1


def test_an_address_is_not_flooded_with_letters(client, sponsor):
    for _ in range(6):
        assert join(client, sponsor).status_code == 303
        fill_in(client, "/sign-in", email=TYPED["email"], password=TYPED["password"])

    assert len(letters()) == 4  # one for joining, and three in an hour


def test_a_promoter_whom_a_merchant_wrote_down_takes_over_by_letter(client, sponsor):
    promoter = a_promoter("Ana", email="ana@example.com")
    db.session.commit()

    join(client, sponsor)

    ((_, text),) = letters()
    user = queries.user_by_email("ana@example.com")
    assert link_in(text).startswith("/welcome/")
    assert user.password_hash is None
    assert queries.grants_of(user.id)[0].promoter_id == promoter.id
    assert promoter.sponsor_id is None


def test_an_open_program_of_the_link_is_joined_as_well(client, sponsor):
    program = a_program(enrolment=Enrolment.OPEN)
    db.session.commit()
    page = client.get(address(sponsor, program=program))

    join(client, sponsor, program=program)

    promoter = queries.promoter_by_email("ana@example.com")
    member = programs.membership(program.merchant_id, program.id, promoter.id)
    assert program.name in page.text
    assert member.state == "active"


@pytest.mark.parametrize("enrolment", [Enrolment.APPROVAL, Enrolment.INVITE])
def test_other_programs_are_not(client, sponsor, enrolment):
    program = a_program(enrolment=enrolment)
    db.session.commit()

    answer = join(client, sponsor, program=program)

    promoter = queries.promoter_by_email("ana@example.com")
    assert answer.status_code == 303
    assert programs.membership(program.merchant_id, program.id, promoter.id) is None


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("name", "", "Tell us a name"),
        ("name", "x" * 101, "Tell us a name"),
        ("email", "nobody", "This is not an e-mail address."),
        ("email", "a\nb@example.com", "This is not an e-mail address."),
        ("password", "short", "A password needs 10 characters or more."),
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
    assert "correct horse battery" not in answer.text
    assert queries.user_by_email("ana@example.com") is None


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
