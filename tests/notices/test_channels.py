"""News by the channels that people chose: here, mail, browsers, WeChat; and quiet hours."""

import json

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import HttpUrl, SecretStr

from affiliate import clock as time
from affiliate import events, security
from affiliate.db import db, unit_of_work
from affiliate.events import Event
from affiliate.notices import push, queries, service
from affiliate.notices.models import Channel, Kind, Notice, Subscription
from affiliate.people import sessions
from affiliate.people.models import Role
from affiliate.people.sessions import Browser
from tests.consoles.promoter_town import Town
from tests.factories.orders import a_refund, deliver
from tests.factories.people import a_promoter, a_user
from tests.notices.gateways import gateway
from tests.notices.post_office import post_office
from workers import notices

NOON = "2026-11-22T15:00:00Z"  # in São Paulo
NIGHT = "2026-11-23T02:00:00Z"  # 23:00 there; quiet hours end at 11:00Z
DAWN = "2026-11-23T11:00:00Z"
PAYOUT = {"payout": "pay_x", "amount": 4200, "currency": "BRL"}


@pytest.fixture
def ana(clock):
    clock.stand(NOON)
    promoter = a_promoter("Ana")
    user = a_user(Role.PROMOTER, promoter=promoter, email="ana@example.com")
    user.timezone = "America/Sao_Paulo"
    db.session.commit()
    user.promoter_id = promoter.id  # to be handed on
    return user


def _settle(app, monkeypatch, **changes):
    settings = app.config["SETTINGS"].model_copy(update=changes)
    monkeypatch.setitem(app.config, "SETTINGS", settings)


def choose(user, *channels):
    service.choose(user, {kind: channels for kind in Kind if kind is not Kind.SAFETY})
    db.session.commit()


def happen(user, name="payout.paid", **more):
    with unit_of_work():
        events.record(name, promoter_id=user.promoter_id, payload=PAYOUT | more)
    notices.tell()


def told(channel):
    db.session.expire_all()
    wanted = sa.select(Notice).filter_by(channel=channel).order_by(Notice.id)
    return db.session.scalars(wanted).all()


class Phone:
    """A browser's side of Web Push: its keys, and how it reads a message (RFC 8291)."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = b"0123456789abcdef"

    @property
    def point(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def read(self, body):
        salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
        theirs, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size == 4096
        there = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = self.key.exchange(ec.ECDH(), there)
        info = b"WebPush: info\0" + self.point + theirs
        keyed = HKDF(SHA256(), 32, salt=self.auth, info=info).derive(shared)
        key, nonce = (
            HKDF(SHA256(), size, salt=salt, info=b"Content-Encoding: " + name).derive(keyed)
            for size, name in ((16, b"aes128gcm\0"), (12, b"nonce\0"))
        )
        clear = AESGCM(key).decrypt(nonce, record, None)
        assert clear.endswith(b"\2")
        return json.loads(clear[:-1])

    def subscribe(self, user, address):
        with unit_of_work():
            session = sessions.open_whole(user, Browser("127.0.0.1", "Chrome Android")).session
            service.subscribe(session, f"{address}/to/phone", self.point, self.auth)


@pytest.fixture
def line(app, monkeypatch):
    _settle(app, monkeypatch, push_anywhere=True)
    with gateway(lambda _: (201, {})) as found:
        yield found


def test_a_browser_reads_what_was_sealed_for_it_and_the_service_knows_us(ana, line):
    phone = Phone()
    phone.subscribe(ana, line.address)
    choose(ana, Channel.PUSH)

    happen(ana)

    (asked,) = line.asked
    message = phone.read(asked.body)
    parts = dict(
        part.strip().split("=", 1) for part in asked.headers["Authorization"][6:].split(",")
    )
    point = security.unb64url(parts["k"])
    x, y = (security.b64url(point[start : start + 32]) for start in (1, 33))
    key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    claims = jwt.decode(parts["t"], key, algorithms=["ES256"]).claims
    assert (asked.path, asked.headers["Content-Encoding"]) == ("/to/phone", "aes128gcm")
    assert asked.headers["TTL"] == "86400"
    assert message["path"] == "/promoter/wallet/payouts/pay_x"
    assert "42.00" in message["title"]
    assert parts["k"] == push.public_key()
    assert claims["aud"] == line.address
    assert 0 < claims["exp"] - time.now().timestamp() <= 86_400
    assert [each.state for each in told(Channel.PUSH)] == ["sent"]


@pytest.mark.parametrize(
    ("status", "state", "stays"), [(410, "failed", 0), (413, "failed", 1), (503, "waiting", 1)]
)
def test_a_browser_that_is_gone_is_forgotten_and_one_that_is_busy_asked_again(
    ana, line, status, state, stays
):
    Phone().subscribe(ana, line.address)
    choose(ana, Channel.PUSH)
    line.answer = lambda _: (status, {})

    happen(ana)

    assert [each.state for each in told(Channel.PUSH)] == [state]
    assert db.session.query(Subscription).count() == stays


def test_a_push_service_inside_of_our_own_network_is_never_called(ana, line, app, monkeypatch):
    Phone().subscribe(ana, line.address)
    choose(ana, Channel.PUSH)
    _settle(app, monkeypatch, push_anywhere=False)

    happen(ana)

    assert line.asked == []
    assert told(Channel.PUSH)[0].state == "failed"


def test_each_channel_that_was_chosen_and_no_other(ana, line):
    Phone().subscribe(ana, line.address)
    choose(ana, Channel.IN_APP, Channel.MAIL)

    happen(ana)

    found = {each: len(told(each)) for each in Channel}
    assert found == {"in_app": 1, "mail": 1, "push": 0, "wechat": 0, "sms": 0}


def test_what_is_about_safety_cannot_be_turned_off(ana):
    choose(ana)
    with unit_of_work():
        events.record("password.changed", user_id=ana.id)

    notices.tell()

    assert len(told(Channel.MAIL)) == 1


def test_quiet_hours_hold_back_what_can_wait_and_send_it_together_afterwards(
    ana, line, app, monkeypatch, clock
):
    phone = Phone()
    phone.subscribe(ana, line.address)
    with post_office() as office:
        _settle(app, monkeypatch, smtp_host="127.0.0.1", smtp_port=office.port, smtp_tls="none",
                push_anywhere=True)  # fmt: skip
        clock.stand(NIGHT)
        for amount in (100, 200, 300):
            happen(ana, amount=amount)
        with unit_of_work():
            events.record("password.changed", user_id=ana.id)
        notices.tell()
        at_night = (len(office.letters), len(line.asked), len(told(Channel.IN_APP)))
        clock.stand(DAWN)
        notices.tell()
        notices.tell()

    message = phone.read(line.asked[0].body)
    assert at_night == (1, 0, 3)  # the password does not wait, and one's own pages wake nobody
    assert [letter["Subject"] for letter in office.letters][1:] == ["3 pieces of news"]
    assert (message["title"], message["path"]) == ("3 pieces of news", "/promoter/news")
    assert [f"{amount}.00" in message["words"] for amount in (1, 2, 3)] == [True] * 3
    assert len(line.asked) == 1
    assert {each.state for each in told(Channel.PUSH) + told(Channel.MAIL)} == {"sent"}


def test_a_new_order_is_told_once_to_whose_link_it_was_and_wakes_nobody(client, line, clock):
    clock.stand(NIGHT)
    with unit_of_work():
        town = Town("Sol")
        town.user.timezone = "America/Sao_Paulo"
        a_user(Role.PROMOTER, promoter=town.eva)  # earns of it too, and has no news of every order
    Phone().subscribe(town.user, line.address)
    told_of = town.order(client)
    deliver(client, town.shop, told_of | {"version": 2, "refunds": [a_refund("10.00")]})
    town.order(client, created_at="2026-11-20T10:00:00Z", paid_at="2026-11-20T10:00:00Z")
    notices.tell()

    (here,) = told(Channel.IN_APP)
    (push,) = told(Channel.PUSH)
    assert (here.user_id, here.kind) == (town.user.id, Kind.ORDERS)
    assert "10.00" in here.subject
    assert client.get(here.path).status_code in (302, 303)  # to sign in
    assert (push.held, line.asked, told(Channel.MAIL)) == (True, [], [])
    clock.stand(DAWN)
    notices.tell()
    clock.move(days=31)
    notices.forget_letters()
    assert db.session.query(Notice).count() == 0
    assert db.session.query(Event).filter_by(name="order.earned").count() == 0


def test_what_goes_out_together_is_tried_again_together(ana, line, clock):
    phone = Phone()
    phone.subscribe(ana, line.address)
    choose(ana, Channel.PUSH)
    clock.stand(NIGHT)
    happen(ana)
    happen(ana)
    clock.stand(DAWN)
    line.answer = lambda _: (503, {})
    notices.tell()
    line.answer = lambda _: (201, {})
    clock.move(minutes=1)

    notices.tell()

    assert [phone.read(each.body)["title"] for each in line.asked] == ["2 pieces of news"] * 2
    assert {each.state for each in told(Channel.PUSH)} == {"sent"}


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-23T00:59:00Z", None),
        ("2026-11-23T01:00:00Z", DAWN),
        ("2026-11-23T10:59:00Z", DAWN),
        ("2026-11-23T11:00:00Z", None),
    ],
)
def test_quiet_hours_are_those_of_the_place_where_one_lives(ana, clock, now, until):
    clock.stand(now)

    found = service.quiet_until(ana, time.now())

    assert (found and found.strftime("%Y-%m-%dT%H:%M:%SZ")) == until


# --- WeChat ---------------------------------------------------------------------------------------


@pytest.fixture
def account(app, monkeypatch):
    """A service account with one template."""
    stale = set()

    def answer(asked):
        if asked.path == "/cgi-bin/stable_token":
            assert asked.json["secret"] == "s"
            return 200, {"access_token": f"token{len(stale)}", "expires_in": 7200}
        if asked.query["access_token"] in stale:
            return 200, {"errcode": 40001}
        return 200, {"errcode": 0, "msgid": 1}

    with gateway(answer) as found:
        found.stale = stale
        _settle(
            app, monkeypatch,
            wechat_service_appid="wx1", wechat_service_secret=SecretStr("s"),
            wechat_service_template="T1", wechat_service_url=HttpUrl(found.address),
            wechat_service_fields={"thing1": "{subject}", "time2": "{time}"},
        )  # fmt: skip
        yield found


def test_a_follower_gets_a_template_message(ana, account):
    service.follow(ana.id, "openid-of-ana")
    choose(ana, Channel.WECHAT)

    happen(ana)
    happen(ana)

    token, first, second = account.asked
    assert (token.path, first.query) == ("/cgi-bin/stable_token", {"access_token": "token0"})
    assert first.json["touser"] == "openid-of-ana"
    assert first.json["template_id"] == "T1"
    assert first.json["url"] == "http://127.0.0.1:8765/promoter/wallet/payouts/pay_x"
    assert len(first.json["data"]["thing1"]["value"]) <= 20
    assert first.json["client_msg_id"] != second.json["client_msg_id"]
    assert {each.state for each in told(Channel.WECHAT)} == {"sent"}


def test_a_token_that_went_stale_is_renewed(ana, account):
    service.follow(ana.id, "openid-of-ana")
    choose(ana, Channel.WECHAT)
    happen(ana)
    account.stale.add("token0")

    happen(ana)

    assert account.asked[-1].query == {"access_token": "token1"}
    assert told(Channel.WECHAT)[-1].state == "sent"


@pytest.mark.parametrize(("code", "state"), [(43004, "failed"), (45009, "waiting")])
def test_who_does_not_follow_is_not_asked_again(ana, account, code, state):
    service.follow(ana.id, "openid-of-ana")
    choose(ana, Channel.WECHAT)
    usual = account.answer
    account.answer = lambda asked: (
        (200, {"errcode": code}) if "template" in asked.path else usual(asked)
    )

    happen(ana)

    assert [each.state for each in told(Channel.WECHAT)] == [state]


def test_phones_that_are_not_on_any_more_are_not_asked(ana, line):
    Phone().subscribe(ana, line.address)
    sessions.end_all(ana.id)
    db.session.commit()
    choose(ana, Channel.PUSH)

    happen(ana)

    assert line.asked == []
    assert queries.subscriptions_of(ana.id) == []
