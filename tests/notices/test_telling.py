"""From an event to a letter in somebody's hands, once."""

import re
from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import events
from affiliate.db import db, unit_of_work
from affiliate.events import Event
from affiliate.notices import mail, queries, service
from affiliate.notices.letters import LETTERS
from affiliate.notices.models import Channel, Notice
from affiliate.people import service as people
from affiliate.people.models import OneTimeLink, Role, User
from tests.factories.people import a_user
from tests.notices.post_office import post_office
from workers import notices

PAYOUT = {"payout": "pay_x", "amount": 4200, "currency": "BRL"}
PAYLOADS = {
    "promoter.joined": {"promoter": 1, "name": "Bia <b>"},
    "enrolment.approved": {"program": 1, "name": "Amigas"},
    "enrolment.refused": {"program": 1, "name": "Amigas"},
    **dict.fromkeys(
        ("payout.paid", "payout.action_required", "payout.failed", "payout.returned"), PAYOUT
    ),
    "agency.invited": {"agency": 1, "name": "Rede Sol"},
    "agency.left": {"agency": 1, "name": "Rede Sol"},
    "withdrawal.refused": {
        "merchant": "Casa Ana",
        "amount": 4200,
        "currency": "BRL",
        "reason": "on_hold",
    },
    "payout_account.changed": {
        "account": "BR Pix •••• 4705",
        "currency": "BRL",
        "used_from": "2026-12-02T10:00:00+00:00",
        "agency": False,
    },
    "device.added": {"network": "203.0.113.0", "user_agent": "Firefox Android"},
    "recovery_code.used": {"left": 3},
    "grade.changed": {
        "merchant": "Casa Ana",
        "grade": "Gold",
        "since": "2027-02-01T03:00:00+00:00",
    },
    "clicks.lost": {"clicks": 4, "trouble": "[Errno 28] No space left on device"},
    "domain.failed": {
        "address": "https://go.example.com",
        "fault": "certificate",
        "since": "2026-11-22T10:00:00+00:00",
    },
    "order.earned": {"orders": 1, "order": "ord_x", "amount": 5076, "currency": "CNY"},
    "rate.cut": {"name": "Amigas", "until": "2026-12-22T10:00:00+00:00"},
}


@pytest.fixture
def office(app, monkeypatch):
    with post_office() as found:
        _settle(app, monkeypatch, smtp_host="127.0.0.1", smtp_port=found.port, smtp_tls="none")
        yield found


def _settle(app, monkeypatch, **changes):
    settings = app.config["SETTINGS"].model_copy(update=changes)
    monkeypatch.setitem(app.config, "SETTINGS", settings)


def ana(**fields):
    user = a_user(Role.OPERATOR, email="ana@example.com", **fields)
    user.locale, user.timezone = "pt-BR", "America/Sao_Paulo"
    db.session.commit()
    return user


def happen(name="password.changed", user=None):
    with unit_of_work():
        events.record(name, user_id=user and user.id, payload=PAYLOADS.get(name))


def told():
    db.session.expire_all()
    return db.session.scalars(sa.select(Notice).order_by(Notice.id)).all()


# --- events ------------------------------------------------------------------------------------


def test_an_event_rings_after_the_commit(rung):
    with unit_of_work():
        events.record("password.changed", user_id=1)
        assert rung == []

    assert [str(call[0]) for call in rung] == ["workers.notices.tell"]


def test_what_was_rolled_back_did_not_happen(rung):
    with suppress(RuntimeError), unit_of_work():
        events.record("password.changed", user_id=1)
        raise RuntimeError

    assert rung == []
    assert db.session.scalar(sa.select(sa.func.count(Event.id))) == 0


def test_many_events_are_one_statement_and_one_bell(rung):
    with unit_of_work():
        events.record_all(events.Happening("order.paid", merchant_id=i) for i in range(50))
        events.record_all([])

    assert len(rung) == 1
    assert db.session.scalar(sa.select(sa.func.count(Event.id))) == 50


# --- without a mail server ---------------------------------------------------------------------


def test_without_a_mail_server_a_letter_is_kept_in_the_readers_language():
    user = ana()
    happen("reset.asked", user)

    notices.tell()

    (letter,) = told()
    text = queries.text_of(letter)
    assert (letter.state, letter.address, letter.locale) == ("kept", "ana@example.com", "pt-BR")
    assert re.search(r"http://127\.0\.0\.1:8765/reset/[\w-]{43}\n", text.plain)
    assert '<html lang="pt-BR">' in text.html


def test_a_letter_is_sealed_and_a_link_in_it_is_nowhere_else():
    user = ana()
    happen("reset.asked", user)
    notices.tell()

    (letter,) = told()
    secret = re.search(r"/reset/([\w-]{43})", queries.text_of(letter).plain)[1]
    link = db.session.scalars(sa.select(OneTimeLink)).one()
    assert secret.encode() not in letter.letter
    assert secret.encode() not in link.secret_hash
    assert secret not in str(db.session.scalars(sa.select(Event)).one().payload)


def test_an_event_is_told_once_however_often_it_is_asked_for():
    happen(user=ana())

    notices.tell()
    notices.tell()

    assert len(told()) == 1


def test_events_for_nobody_and_without_a_letter_are_passed():
    happen("reset.asked")
    happen("order.paid", ana())

    notices.tell()

    assert told() == []
    assert db.session.scalar(sa.select(sa.func.count()).where(Event.told_at.is_(None))) == 0


def test_an_event_that_breaks_its_letter_stops_nobody(monkeypatch):
    user = ana()
    with unit_of_work():
        events.record("recovery_code.used", user_id=user.id, payload={})
        events.record("password.changed", user_id=user.id)

    notices.tell()

    assert len(told()) == 1


@pytest.mark.parametrize("locale", ["en", "zh-Hans", "es", "es-AR", "pt-BR", "xx"])
@pytest.mark.parametrize("name", LETTERS)
def test_every_letter_can_be_written_in_every_language(name, locale):
    user = ana()
    user.name, user.locale = "Ana <b>\n🌸", locale
    service.choose(user, {kind: {Channel.MAIL} for kind in queries.DEFAULTS})
    db.session.commit()
    happen(name, user)

    notices.tell()

    (letter,) = told()
    text = queries.text_of(letter)
    assert letter.subject
    assert "\n" not in letter.subject
    assert "%(" not in text.plain + letter.subject
    assert "http://127.0.0.1:8765/" in text.plain
    assert "<b>" not in text.html


def test_letters_are_forgotten_after_a_month(clock):
    clock.stand("2026-11-22T10:00:00Z")
    happen("reset.asked", ana())
    notices.tell()

    clock.move(days=30)
    notices.forget_letters()
    assert queries.text_of(told()[0]) is not None
    clock.move(seconds=1)
    notices.forget_letters()

    assert queries.text_of(told()[0]) is None


# --- by mail -----------------------------------------------------------------------------------


def test_a_letter_is_sent_as_text_and_html(office):
    user = ana()
    happen("reset.asked", user)

    notices.tell()

    (letter,), (row,) = office.letters, told()
    text = letter.get_body(("plain",)).get_content()
    html = letter.get_body(("html",)).get_content()
    link = re.search(r"http://127\.0\.0\.1:8765/reset/[\w-]{43}", text)[0]
    assert letter["To"] == "ana@example.com"
    assert letter["From"] == "Tuike <no-reply@localhost>"
    assert letter["Content-Language"] == "pt-BR"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch(r"<[0-9a-f]{32}@localhost>", letter["Message-ID"])
    assert html.count(link) == 3
    assert (row.state, row.letter, row.tries) == ("sent", None, 1)
    assert row.sent_at is not None


def test_who_it_is_from_and_how_we_sign_in_can_be_set(office, app, monkeypatch):
    from pydantic import SecretStr

    _settle(
        app, monkeypatch,
        smtp_user="tuike", smtp_password=SecretStr("a secret"), smtp_from="Loja <oi@loja.example>",
    )  # fmt: skip
    happen(user=ana())

    notices.tell()

    assert office.letters[0]["From"] == "Loja <oi@loja.example>"
    assert office.letters[0]["Message-ID"].endswith("@loja.example>")
    assert len(office.logins) == 1


def test_a_letter_is_sent_once_however_often_it_is_asked_for(office):
    happen(user=ana())

    for _ in range(3):
        notices.tell()

    assert len(office.letters) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        {"RCPT": "450 later"},
        {"SENT": "451 later"},
        {"MAIL": "hang up"},
        {"EHLO": "500 no", "HELO": "500 no"},
    ],
    ids=lambda each: next(iter(each)),
)
def test_a_letter_refused_for_now_goes_out_later_and_later(office, clock, trouble):
    clock.stand("2026-11-22T10:00:00Z")
    happen(user=ana())
    office.answers = trouble

    notices.tell()
    (row,) = told()
    assert (row.state, row.tries) == ("waiting", 1)
    assert row.trouble
    assert row.due_at == time.now() + timedelta(minutes=1)
    clock.move(minutes=1)
    notices.tell()
    assert told()[0].due_at == time.now() + timedelta(minutes=5)
    office.answers = {}
    clock.move(minutes=5)
    notices.tell()

    assert told()[0].state == "sent"
    assert told()[0].trouble is None


@pytest.mark.parametrize("trouble", [{"RCPT": "550 nobody here"}, {"SENT": "554 spam"}])
def test_a_letter_refused_for_good_is_given_up(office, clock, trouble):
    clock.stand("2026-11-22T10:00:00Z")
    happen(user=ana())
    office.answers = trouble

    notices.tell()
    clock.move(days=2)
    notices.tell()

    (row,) = told()
    assert (row.state, row.tries) == ("failed", 1)
    assert queries.text_of(row) is not None  # an operator can pass it on


def test_after_eight_tries_it_is_given_up(office, clock):
    clock.stand("2026-11-22T10:00:00Z")
    happen(user=ana())
    office.answers = {"RCPT": "450 later"}

    for _ in range(9):
        notices.tell()
        clock.move(days=1)

    assert (told()[0].state, told()[0].tries) == ("failed", 8)


def test_a_clumsy_goodbye_sends_nothing_twice(office, clock):
    clock.stand("2026-11-22T10:00:00Z")
    happen(user=ana())
    office.answers = {"QUIT": "500 what?"}

    notices.tell()
    clock.move(hours=1)
    notices.tell()

    assert len(office.letters) == 1
    assert told()[0].state == "sent"


def test_no_server_at_all_costs_time_only(app, monkeypatch, clock):
    clock.stand("2026-11-22T10:00:00Z")
    _settle(app, monkeypatch, smtp_host="127.0.0.1", smtp_port=1, smtp_tls="none")
    happen(user=ana())

    notices.tell()

    assert told()[0].state == "waiting"


def test_a_worker_that_dies_after_sending_sends_the_same_letter_again(office, clock, monkeypatch):
    """What SMTP cannot do better: the Message-ID tells mail programs that it is the same."""
    clock.stand("2026-11-22T10:00:00Z")
    happen(user=ana())
    with monkeypatch.context() as broken:
        broken.setattr(service, "sent", _die)
        with pytest.raises(Killed):
            notices.tell()
    assert told()[0].state == "sending"

    notices.tell()
    assert len(office.letters) == 1
    clock.move(minutes=10)
    notices.tell()

    first, second = office.letters
    assert first["Message-ID"] == second["Message-ID"]
    assert told()[0].state == "sent"


class Killed(BaseException):
    pass


def _die(_notice_id):
    raise Killed


def test_two_workers_send_a_letter_once(office, committed, app):
    from concurrent.futures import ThreadPoolExecutor

    with unit_of_work():
        user = a_user(Role.OPERATOR, email="ana@example.com")
        for _ in range(8):
            events.record("password.changed", user_id=user.id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: notices.tell(), range(4)))
    notices.tell()

    assert len(office.letters) == 8
    assert {row.state for row in told()} == {"sent"}


def test_names_cannot_write_headers(office):
    user = ana()
    user.name = "Ana\r\nBcc: everybody@example.com"
    people.create_link(user)
    db.session.commit()
    happen("confirmation.asked", user)

    notices.tell()

    (letter,) = office.letters
    assert letter["Bcc"] is None
    assert len(office.recipients) == 1


def test_trouble_names_the_server_and_no_password(app, monkeypatch, office):
    from pydantic import SecretStr

    _settle(app, monkeypatch, smtp_user="tuike", smtp_password=SecretStr("a secret"))
    office.answers = {"AUTH": "535 wrong"}
    happen(user=ana())

    notices.tell()

    (row,) = told()
    assert row.state == "waiting"
    assert "535" in row.trouble
    assert "a secret" not in row.trouble


def test_the_sender_is_at_the_host_people_know(app, monkeypatch):
    from pydantic import HttpUrl

    _settle(app, monkeypatch, public_url=HttpUrl("https://go.example.com/"))

    assert mail.sender(app.config["SETTINGS"]) == "Tuike <no-reply@go.example.com>"


def test_a_user_without_address_is_told_nothing():
    key_holder = User(name="robot", is_service=True)
    db.session.add(key_holder)
    db.session.commit()
    happen(user=key_holder)

    notices.tell()

    assert told() == []
