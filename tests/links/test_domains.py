"""Short domains: which one new links take, what a probe finds there, and who is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.errors import AffiliateError
from affiliate.events import Event
from affiliate.jobs import Job
from affiliate.links import domains, probing, queries, spoken
from affiliate.links.models import ShortDomain
from affiliate.notices import service as notices
from affiliate.notices.models import Notice
from affiliate.people.models import Role
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program


def a_domain(address, *, found=True, **fields):
    domain = domains.add(address, **fields)
    if found:
        probing.note(domain.id, None)
    return domain


@pytest.fixture
def server(app):
    """Another machine on the same network: it answers as `app` does, or as `says` tells."""

    class Handler(BaseHTTPRequestHandler):
        says = None

        def do_GET(self):
            status, body = self.says or (200, None)
            if body is None:
                with app.app_context():
                    body = probing.proof(self.path.rpartition("/")[2]).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.handler = Handler
    yield server
    server.shutdown()
    server.server_close()


# --- which one -------------------------------------------------------------------------------


def test_new_links_take_their_markets_domain_then_the_default_then_our_address(app):
    public = domains.public_address()
    before = a_link()
    a_domain("go.example.com", is_default=True)
    a_domain("br.example.com", countries=["br", "PT"])
    a_domain("mx.example.com", countries=["MX"], found=False)

    def shown(country):
        merchant = a_merchant()
        a_shop(merchant, country=country)
        return domains.base_of(a_link(a_program(merchant)))

    assert [shown(each) for each in ("BR", "US", "MX")] == [
        "https://br.example.com", "https://go.example.com", "https://go.example.com"
    ]  # fmt: skip
    assert domains.base_of(before) == public


def test_a_blocked_domain_has_no_new_links_and_old_ones_are_shown_under_another(app, client):
    usual = a_domain("go.example.com", is_default=True)
    market = a_domain("br.example.com", countries=["BR"])
    link = a_link()
    assert queries.facts(link.code).base == domains.base_of(link) == market.address

    domains.change(market, {"blocked": True})

    assert queries.facts(link.code).base == domains.base_of(link) == usual.address
    assert domains.base_of(a_link()) == usual.address
    domains.change(usual, {"blocked": True})
    assert queries.facts(link.code).base is None
    assert domains.base_of(link) == domains.public_address()
    for host in ("go.example.com", "br.example.com", "tuike.example.com"):
        assert "tk=" in client.get(f"/s/{link.code}", headers={"Host": host}).location


def test_there_is_one_default(app):
    first = a_domain("a.example.com", is_default=True)
    second = a_domain("b.example.com", is_default=True)
    db.session.refresh(first)

    assert (first.is_default, second.is_default) == (False, True)


@pytest.mark.parametrize(
    ("address", "code"),
    [("go.example.com/s", "bad_address"), ("ftp://go.example.com", "bad_address"),
     ("go example", "bad_address"), ("", "bad_address"), ("https://a@b.example", "bad_address"),
     ("x" * 300, "bad_address"), ("\ud800.example", "bad_address"),
     ("https://GO.example.com:443/", "known_domain")],
)  # fmt: skip
def test_what_is_no_domain_is_refused(app, address, code):
    domains.add("go.example.com")

    with pytest.raises(AffiliateError) as refused:
        domains.add(address)

    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/address", code)]


# --- probes ----------------------------------------------------------------------------------


def test_only_this_instance_can_answer_a_probe(app, client, server):
    with httpx.Client(timeout=5) as http:
        assert probing.probe(http, server.address) is None
        for says in ((200, b"0" * 64), (200, b"x" * 100_000), (404, b""), (302, b"")):
            server.handler.says = says
            assert probing.probe(http, server.address) == "foreign"
        assert probing.probe(http, "http://127.0.0.1:1") == "unreachable"
        assert probing.probe(http, "https://nowhere.invalid") == "unreachable"
        assert probing.probe(http, f"https://127.0.0.1:{server.server_port}") == "certificate"
    nonce = "0" * 32
    assert client.get(f"/.well-known/tuike/{nonce}").text == probing.proof(nonce)
    assert client.get("/.well-known/tuike/other").status_code == 404


def test_a_domain_that_is_down_twice_is_passed_over_and_operators_are_told_once(
    committed, server, clock
):
    clock.stand("2026-11-22T12:00:00Z")
    with unit_of_work():
        a_user(Role.OPERATOR, email="op@example.com")
        a_user(Role.FINANCE_MAKER)
        domain = domains.add(server.address, is_default=True)
    assert probing.probe_all() == 1
    assert (domain.state, probing.probe_all()) == ("good", 0)

    server.handler.says = (200, b"This domain is for sale.")
    states = []
    for _ in range(4):
        clock.move(minutes=3)
        probing.probe_all()
        db.session.refresh(domain)
        states.append(domain.state)

    assert states == ["shaky", "failing", "failing", "failing"]
    with unit_of_work():
        assert domains.for_new_link("BR") is None
        assert notices.tell_some() > 0
        [letter] = db.session.scalars(sa.select(Notice).where(Notice.subject.contains("127.0.0.1")))
    assert letter.address == "op@example.com"
    server.handler.says = None
    clock.move(minutes=3)
    probing.probe_all()
    db.session.refresh(domain)
    assert (domain.state, domain.failing_since) == ("good", None)


def test_blocked_domains_raise_no_alarm_and_are_asked_at_once_when_they_come_back(app, rung):
    domain = a_domain("go.example.com")
    domains.change(domain, {"blocked": True})
    for _ in range(3):
        probing.note(domain.id, "unreachable")
    assert db.session.scalars(sa.select(Event).filter_by(name="domain.failed")).all() == []

    domains.change(domain, {"blocked": False})

    assert domain.probed_at is None
    assert db.session.get_one(ShortDomain, domain.id).state == "failing"


# --- 口令 ------------------------------------------------------------------------------------


def test_a_copied_text_leads_back_to_its_link(app, client):
    a_domain("go.example.com", is_default=True)
    link = a_link(slug="summer")
    base = domains.base_of(link)
    text = spoken.text(link, "亚麻长裤 " * 30, tag="zh-Hans", base=base)

    assert "go.example.com/kl" in text
    address = f"看看 https://go.example.com/p/{link.code}，好的"
    usual = f"{domains.public_address()}/s/summer?q"
    for pasted in (text, "￥summer￥", address, usual, "ＳＵＭＭＥＲ"):
        assert spoken.find(pasted).id == link.id, pasted
    page = client.get("/kl", query_string={"text": text})
    assert (page.status_code, "https://go.example.com/s/summer" in page.text) == (200, True)


@pytest.mark.parametrize(
    "pasted",
    ["", " ", "￥nothing￥", "https://evil.example/s/summer", "https://[/s/summer", "\0￥\ud800￥",
     "￥" * 5000, "https://" + "a" * 4900, "¥sum mer¥", "<script>alert(1)</script>"],
)  # fmt: skip
def test_a_text_without_a_link_of_ours_leads_nowhere(app, client, pasted):
    a_link(slug="summer")

    assert spoken.find(pasted) is None
    sent = pasted.encode("utf-8", "replace").decode()
    page = client.get("/kl", query_string={"text": sent})
    assert page.status_code in ({404} if sent.replace("\0", "").strip() else {200})
    assert "<script>alert" not in page.text


def test_adding_a_domain_rings_for_its_probe(app, rung):
    with unit_of_work():
        domains.add("go.example.com")

    assert (Job.PROBE_DOMAINS,) in rung
