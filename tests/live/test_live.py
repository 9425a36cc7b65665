"""News reaches the pages it is for and no others; where nobody tells them, pages go on working."""

import os
import re
import signal
import socket
from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from itsdangerous import TimestampSigner
from pydantic import HttpUrl, SecretStr
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from affiliate import clock as time
from affiliate import servers
from affiliate.db import db, unit_of_work
from affiliate.intake import service as intake
from affiliate.links import token as clicks
from affiliate.live import channels, server, token
from affiliate.live.token import Ticket
from affiliate.orders.models import Order
from affiliate.people.models import Role
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.orders import an_order, deliver, send
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment
from tests.house.system import wait
from tests.live.listening import SECONDS, SETTINGS, exchange, well


@pytest.fixture(scope="module")
def live(place):
    with well(place.redis_url) as running:
        yield running


class Sale:
    """Bruna shares for a merchant and Cida, who brought her, earns too. Dora only watches."""

    def __init__(self):
        with unit_of_work():
            self.merchant, self.rival = a_merchant(), a_merchant("Rival")
            self.shop = a_shop(self.merchant)
            self.cida, self.dora = a_promoter("Cida"), a_promoter("Dora")
            self.bruna = a_promoter("Bruna", sponsor=self.cida)
            program = a_program(self.merchant, tiers_ppm=[20_000])
            for who in (self.cida, self.bruna, self.dora):
                an_enrolment(program, who)
            self.link = a_link(program, self.bruna)

    def order(self):
        return an_order(clicks.make(self.link.id, time.now(), b"abc"))


@pytest.fixture
def sale(app):
    return Sale()


def announce(*names):
    with unit_of_work():
        channels.announce(names)


def test_an_order_reaches_the_pages_of_all_who_earn_and_of_nobody_else(live, client, sale):
    with (
        live.stream(channels.merchant(sale.merchant.id)) as merchant,
        live.stream(channels.promoter(sale.bruna.id)) as bruna,
        live.stream(channels.promoter(sale.cida.id)) as cida,
        live.stream(channels.promoter(sale.dora.id)) as dora,
        live.stream(channels.merchant(sale.rival.id)) as rival,
    ):
        for each in (merchant, bruna, cida, dora, rival):
            each.begin()

        deliver(client, sale.shop, sale.order())

        for each in (merchant, bruna, cida):
            assert (each.next(), each.next()) == ("event: news", "data: 1")
        # Valkey keeps the order: what these two hear first came later.
        announce(channels.promoter(sale.dora.id), channels.merchant(sale.rival.id))
        for each in (dora, rival):
            assert (each.next(), each.next()) == ("event: news", "data: 1")


def test_many_orders_are_one_piece_of_news(sale, client, app, monkeypatch):
    published = []
    monkeypatch.setattr(channels, "publish", published.append)
    for _ in range(5):
        send(client, sale.shop, sale.order())
    intake.drain(sale.merchant.id, sale.shop.id)

    earning = [sale.bruna.id, sale.cida.id]
    assert published == [
        sorted([f"merchant:{sale.merchant.id}", *map("promoter:{}".format, earning)])
    ]


def test_what_is_rolled_back_is_told_to_nobody(app, monkeypatch):
    published = []
    monkeypatch.setattr(channels, "publish", published.append)

    def change_ones_mind():
        with unit_of_work():
            channels.announce(["merchant:1"])
            raise LookupError

    with pytest.raises(LookupError):
        change_ones_mind()

    assert published == []


def test_without_valkey_orders_are_booked_all_the_same(client, sale, app, monkeypatch):
    nobody = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)

    deliver(client, sale.shop, sale.order())
    nobody.close()

    (order,) = db.session.scalars(sa.select(Order))
    assert order.paid_at is not None


def a_token(user_id=1, channel="merchant:1", settings=SETTINGS):
    return token.make(settings, Ticket(user_id, channel))


def test_a_forged_an_expired_and_no_token_open_nothing(live, monkeypatch):
    good = a_token()
    elsewhere = SETTINGS.model_copy(update={"secret_key": SecretStr("x" * 40)})
    hours_ago = int(time.now().timestamp()) - token.LIVES_SECONDS - 5
    with monkeypatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda _: hours_ago)
        expired = a_token()

    forged = ["", "x", good[:-2] + "xx", "%00", "a" * 3000, a_token(settings=elsewhere), expired]

    assert {each: live.status(f"/live/{each}") for each in forged} == dict.fromkeys(forged, 403)
    assert live.status("/live") == live.status("/") == 404
    assert live.status(f"/live/{good}", "POST") == 405


def test_what_is_no_request_is_hung_up_on(live):
    for line in (b"\r\n\r\n", b"\xff\x00\r\n\r\n", b"GET /live/\r\n\r\n", b"x" * 20_000):
        with socket.create_connection(("127.0.0.1", live.port), timeout=SECONDS) as door:
            door.sendall(line)
            assert b"200 OK" not in door.recv(100)
    assert live.is_well()


def test_one_person_holds_a_dozen_streams_and_another_is_not_kept_out(live):
    with ExitStack() as open_pages:
        for _ in range(12):
            open_pages.enter_context(live.stream("merchant:1", user_id=77)).begin()
        assert live.status(f"/live/{a_token(77)}") == 429
        with live.stream("merchant:1", user_id=78) as other:
            other.begin()
    wait(lambda: live.may_listen(user_id=77))


def test_strangers_leave_room_for_those_who_work_here(monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS_OF_ANYBODY", 2)
    board = server.Switchboard()
    board.hears = True
    stranger = Ticket(token.ANYBODY, channels.product(1, 1))
    for _ in range(2):
        assert board.refusal(stranger) is None
        board.join(server.Listener(stranger))

    assert board.refusal(stranger) == 429
    assert board.refusal(Ticket(7, channels.merchant(1))) is None


def test_a_thousand_idle_pages_fit_and_all_are_told(live):
    doors = []
    try:
        for number in range(1000):
            door = socket.create_connection(("127.0.0.1", live.port), timeout=SECONDS)
            ticket = a_token(1000 + number // 10, "merchant:424242")
            door.sendall(f"GET /live/{ticket} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            doors.append(door)
        for door in doors:
            until_said(door, b"retry: ")

        announce("merchant:424242")

        for door in doors:
            until_said(door, b"event: news")
    finally:
        for door in doors:
            door.close()


def until_said(door, words):
    said = b""
    while words not in said:
        part = door.recv(1000)
        assert part, said
        said += part


def test_when_valkey_dies_pages_are_let_go_and_may_come_back_later(tmp_path):
    (tmp_path / "log").mkdir()
    alive = os.open(tmp_path / "alive", os.O_RDWR | os.O_CREAT)
    with servers.sockets() as sockets:
        url = f"unix://:secret@{sockets}/valkey.sock?db=0"

        def start():
            child = servers.start_valkey(tmp_path, sockets, "secret", alive)
            servers.wait_for_valkey(child, tmp_path, sockets, "secret")
            return child

        valkey = start()
        try:
            with well(url) as live:
                with live.stream("merchant:1") as page:
                    page.begin()
                    valkey.kill()
                    valkey.wait()
                    assert page.next() is None
                assert live.status(f"/live/{a_token()}") == 503

                valkey = start()
                wait(live.is_well)
                with live.stream("merchant:1") as page:
                    page.begin()
        finally:
            valkey.kill()
            valkey.wait()
            os.close(alive)


def test_it_stops_at_once_although_pages_are_open(place):
    with well(place.redis_url) as live, live.stream("merchant:1") as page:
        page.begin()

        live.process.send_signal(signal.SIGTERM)

        assert live.process.wait(SECONDS) == 0
        assert page.next() is None


def test_a_busy_port_is_waited_for(place):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        other.listen()
        with exchange(place.redis_url, AFFILIATE_LIVE_PORT=port) as live:
            live.port = int(port)
            with pytest.raises(AssertionError):
                wait(lambda: live.process.poll() is not None, seconds=2)
            other.close()
            wait(live.is_well)


# --- pages -------------------------------------------------------------------------------------


@pytest.fixture
def beside(app, monkeypatch):
    """Sets how browsers reach `affiliate live`."""

    def put(**settings):
        changed = app.config["SETTINGS"].model_copy(update=settings)
        monkeypatch.setitem(app.config, "SETTINGS", changed)

    return put


def overview(client, merchant, **options):
    with unit_of_work():
        owner = a_user(Role.MERCHANT_OWNER, merchant=merchant)
    sign_in(client, owner)
    page = client.get("/merchant/", **options)
    assert page.status_code == 200
    address = re.search(r'data-live="([^"]*)"', page.text)[1]
    return owner, address, page.headers["Content-Security-Policy"]


def test_a_page_hears_of_the_goods_it_shows(live, client, sale):
    """One stream, however many merchants' goods are on it; nobody else is told."""
    text = token.make(SETTINGS, Ticket(1, "promoter:1", ("goods:7", "goods:8")))
    assert token.read(SETTINGS, text).channels == ("promoter:1", "goods:7", "goods:8")
    with live.stream("promoter:1", also=("goods:7", "goods:8")) as market:
        market.begin()
        announce("goods:9")
        announce("goods:8")
        assert market.next() == "event: news"


def connects(policy):
    return re.search(r"connect-src ([^;]*);", policy)[1]


def test_a_page_knows_its_own_stream_and_may_connect_there_only(client, sale, beside):
    beside(live_port=8799)

    owner, address, policy = overview(client, sale.merchant)

    base, _, text = address.rpartition("/live/")
    assert base == "http://localhost:8799"
    assert token.read(SETTINGS, text) == Ticket(owner.id, f"merchant:{sale.merchant.id}")
    assert connects(policy) == "'self' http://localhost:8799"
    assert connects(client.get("/account/").headers["Content-Security-Policy"]) == "'self'"


def test_behind_a_proxy_the_stream_is_at_the_public_address(client, sale, beside):
    beside(live_port=None, public_url=HttpUrl("https://go.example.com"))
    _, address, policy = overview(client, sale.merchant)
    assert address.startswith("/live/")
    assert connects(policy) == "'self'"

    beside(live_port=None, live_url=HttpUrl("https://news.example.com/"))
    _, address, policy = overview(client, sale.merchant)
    assert address.startswith("https://news.example.com/live/")
    assert connects(policy) == "'self' https://news.example.com"


def test_where_nobody_tells_the_page_has_no_stream_and_no_right_to_one(client, sale, beside):
    beside(live_port=0)

    _, address, policy = overview(client, sale.merchant)

    assert address == ""
    assert connects(policy) == "'self'"


@pytest.mark.parametrize("host", ["evil.example; script-src *", "a b", "x,y", "[::1]:1 y"])
def test_no_host_name_writes_into_the_policy(client, sale, beside, host):
    beside(live_port=8799)
    with unit_of_work():
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=sale.merchant))

    page = client.get("/merchant/", headers={"Host": host})

    policy = page.headers["Content-Security-Policy"]
    assert connects(policy) == "'self'" or page.status_code != 200
    assert "evil" not in policy
