"""The fast road in front of Flask: the same answers, the same clicks, and fresh links."""

from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.links import queries, road, spool, token
from affiliate.links.lookup import Lookup, Watch
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program

ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-A546E) Chrome/131.0.6778.39 Mobile Safari/537.36"


@pytest.fixture
def clicks(app):
    def kept():
        folder = app.extensions["spool"].folder
        text = b"".join(path.read_bytes() for path in spool.segments(folder))
        return [spool.decode(line) for line in text.splitlines()]

    return kept


@pytest.fixture
def flask_calls(app, monkeypatch):
    """How often a request went past the fast road."""
    seen = []
    onward = app.wsgi_app._onward
    monkeypatch.setattr(
        app.wsgi_app, "_onward", lambda environ, start: seen.append(1) or onward(environ, start)
    )
    return seen


VISITS = [
    ("", {}),
    ("?q", {}),
    ("?q=1&utm_source=note", {}),
    ("?color=red&sub1=mine", {}),
    ("?tk=forged&x=%E4%BD%A0", {}),
    ("?x=" + "y" * 8000, {}),
    ("?x=%0d%0aSet-Cookie:%20a=1", {}),
    ("", {"User-Agent": ""}),
    ("", {"User-Agent": "微信\x00\t" + "M" * 9000, "Referer": "https://例子.com/\t"}),
    ("", {"Accept-Language": "pt-BR,pt;q=0.9" + ",x" * 500, "Sec-Purpose": "prefetch"}),
    ("", {"Cookie": "tk=abc; " + "a=b; " * 900, "Purpose": "prefetch"}),
    ("", {"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "https"}),
]


@pytest.mark.parametrize("more", [{}, {"utm": {"utm_source": "{link}", "utm_id": "{sub3}"}}])
@pytest.mark.parametrize(("query", "headers"), VISITS)
def test_it_answers_as_flask_does(app, client, clicks, flask_calls, clock, query, headers, more):
    clock.stand("2026-11-22T12:00:00Z")
    link = a_link(sub_ids=["a", "", "c d"], **more)
    sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    address = f"/s/{link.code}{query}"

    slow = client.get(address, headers={"User-Agent": ANDROID} | sent)
    assert len(flask_calls) == 1
    fast = client.get(address, headers={"User-Agent": ANDROID} | sent)
    assert len(flask_calls) == 1

    def without_token(answer):
        parts = urlsplit(answer.location)
        asked = parse_qs(parts.query, keep_blank_values=True)
        [tk] = asked.pop("tk")
        assert token.read(tk).link_id == link.id
        return parts._replace(query=""), asked

    assert without_token(fast) == without_token(slow)
    assert (fast.status, fast.data) == (slow.status, slow.data)
    own = {"Location", "X-Request-Id"}  # a click is its own line in the log
    assert {k: v for k, v in fast.headers if k not in own} == {
        k: v for k, v in slow.headers if k not in own
    }
    first, second = clicks()
    assert first.id != second.id
    for name in ("at", "link_id", "ip", "user_agent", "referrer", "scanned", "prefetched",
                 "language"):  # fmt: skip
        assert getattr(first, name) == getattr(second, name), name


@pytest.mark.parametrize(
    ("method", "agent"),
    [("HEAD", ANDROID), ("POST", ANDROID), ("GET", "WhatsApp/2.23.20.0 A"),
     ("GET", "facebookexternalhit/1.1")],
)  # fmt: skip
def test_what_is_odd_goes_on_to_flask(client, clicks, flask_calls, method, agent):
    link = a_link()
    client.get(f"/s/{link.code}")
    del flask_calls[:]
    before = clicks()

    answer = client.open(f"/s/{link.code}", method=method, headers={"User-Agent": agent})

    assert len(flask_calls) == 1
    assert answer.status_code == {"HEAD": 302, "POST": 405}.get(method, 200)
    assert [click for click in clicks() if not click.head] == before


def test_a_link_with_targets_is_always_looked_at_by_flask(client, flask_calls, clicks):
    merchant = a_merchant()
    a_shop(merchant, domain="loja.example.com")
    phone = {"url": "https://loja.example.com/phone", "devices": ["phone"]}
    link = a_link(a_program(merchant), targets=[phone])

    ways = [client.get(f"/s/{link.code}", headers={"User-Agent": ANDROID}) for _ in range(3)]

    assert len(flask_calls) == 3
    assert {urlsplit(each.location).path for each in ways} == {"/phone"}
    assert len(clicks()) == 3


def test_a_link_that_ends_is_not_passed_on_a_moment_later(client, clock, flask_calls):
    clock.stand("2026-11-22T12:00:00Z")
    from affiliate import clock as time

    link = a_link(expires_at=time.instant("2026-11-22T12:00:05Z"))
    client.get(f"/s/{link.code}")
    assert "tk=" in client.get(f"/s/{link.code}").location
    del flask_calls[:]

    clock.stand("2026-11-22T12:00:05Z")

    assert "tk=" not in client.get(f"/s/{link.code}").location
    assert len(flask_calls) == 1


@pytest.mark.parametrize("hops", [0, 1, 2])
@pytest.mark.parametrize("sent", ["", "1.1.1.1", "1.1.1.1, 2.2.2.2", "1.1.1.1,2.2.2.2 , 3.3.3.3"])
def test_the_visitor_is_found_behind_proxies_as_flask_finds_him(app, hops, sent):
    from werkzeug.middleware.proxy_fix import ProxyFix

    seen = {}

    def note(environ, _):
        seen.update(ip=environ["REMOTE_ADDR"], scheme=environ["wsgi.url_scheme"])
        return []

    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.url_scheme": "http",
        "HTTP_X_FORWARDED_FOR": sent,
        "HTTP_X_FORWARDED_PROTO": "https, http" if hops == 2 else "https",
    }
    fast = road.Road(app, note, hops)
    found = fast._address(environ), fast._is_secure(environ)
    fixed = ProxyFix(note, x_for=hops, x_proto=hops) if hops else note
    fixed(dict(environ), None)

    assert found == (seen["ip"], seen["scheme"] == "https")


# --- freshness -------------------------------------------------------------------------------


@pytest.fixture
def watched(app):
    """A lookup that believes its copies until it hears of a change, as in a web process."""
    lookup = Lookup()
    watch = Watch(app, lookup)
    lookup._watch = watch
    watch.look()
    return lookup, watch


def _touch(statement):
    def change(link):
        given = {"id": link.id} | {
            name: getattr(link, f"{name}_id")
            for name in ("merchant", "program", "promoter", "shop", "product")
        }
        db.session.execute(sa.text(statement), given)

    return change


CHANGES = {
    "link": "UPDATE links SET paused_at = now() WHERE id = :id",
    "program": "UPDATE programs SET ended_at = now()"
    " WHERE merchant_id = :merchant AND id = :program",
    "fallback": "UPDATE programs SET fallback_url = 'https://x.example/'"
    " WHERE merchant_id = :merchant AND id = :program",
    "promoter": "UPDATE promoters SET suspended_at = now() WHERE id = :promoter",
    "merchant": "UPDATE merchants SET suspended_at = now() WHERE id = :merchant",
    "shop": "UPDATE shops SET disconnected_at = now() WHERE merchant_id = :merchant AND id = :shop",
    "product": "UPDATE products SET stock = 0 WHERE merchant_id = :merchant AND id = :product",
    "address": "UPDATE products SET url = url || 'new'"
    " WHERE merchant_id = :merchant AND id = :product",
    "sold out": "UPDATE programs SET sold_out = 'pause'"
    " WHERE merchant_id = :merchant AND id = :program",
    "variant": "INSERT INTO variants (merchant_id, product_id, external_id, title, stock,"
    " created_at) VALUES (:merchant, :product, 's', 'S', 0, now())",
    "enrolment": "UPDATE enrolments SET state = 'ended', active_until = now()"
    " WHERE merchant_id = :merchant AND program_id = :program AND promoter_id = :promoter",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_made_anywhere_is_heard_of(committed, watched, what):
    lookup, watch = watched
    with unit_of_work():
        merchant = a_merchant()
        shop = a_shop(merchant)
        product = a_product(shop)
        link = a_link(a_program(merchant), product=product)
    watch.look()
    before = lookup.find(link.code)
    watch.look()
    assert lookup.find(link.code) is before

    with unit_of_work():
        _touch(CHANGES[what])(link)
    assert lookup.find(link.code) is before
    watch.look()

    assert lookup.find(link.code) not in (None, before)


def test_what_no_redirect_depends_on_is_not_told(committed, watched):
    with unit_of_work():
        link = a_link()
        _touch("UPDATE links SET version = version + 1 WHERE id = :id")(link)
        _touch("UPDATE shops SET last_event_at = now() WHERE id = :shop")(link)
        _touch("UPDATE promoters SET name = 'Ana' WHERE id = :promoter")(link)

    told = db.session.scalars(sa.text("SELECT subject FROM link_changes")).all()
    assert [each for each in told if not each.startswith("member:")] == []


def test_a_change_that_was_begun_early_and_ends_late_is_heard_of(committed, watched):
    """Its number is lower than that of changes which were heard of before it."""
    lookup, watch = watched
    with unit_of_work():
        early, late = a_link(), a_link()
    watch.look()
    facts = {link.code: lookup.find(link.code) for link in (early, late)}
    slow = db.engine.connect()
    slow.execute(sa.text("UPDATE links SET paused_at = now() WHERE id = :id"), {"id": early.id})
    with unit_of_work():
        _touch(CHANGES["link"])(late)
    watch.look()
    assert lookup.find(early.code) is facts[early.code]
    renewed = lookup.find(late.code)
    assert renewed is not facts[late.code]

    slow.commit()
    slow.close()
    watch.look()

    assert lookup.find(early.code).paused_at is not None
    assert lookup.find(late.code) is renewed, "what was heard is not heard again"


def test_words_of_changes_are_kept_for_an_hour(app):
    a_link()
    db.session.execute(sa.text("UPDATE link_changes SET at = now() - interval '61 minutes'"))
    before = db.session.scalar(sa.text("SELECT count(*) FROM link_changes"))
    a_link()

    assert queries.forget_changes() == before > 0
    assert db.session.scalar(sa.text("SELECT count(*) FROM link_changes")) > 0


def test_after_a_long_time_of_silence_nothing_is_believed(committed, watched, monkeypatch):
    lookup, watch = watched
    with unit_of_work():
        link = a_link()
    before = lookup.find(link.code)
    monkeypatch.setattr("affiliate.links.lookup.BLIND_SECONDS_MAX", -1)

    watch.look()

    assert lookup.find(link.code) is not before


def test_more_changes_than_can_be_remembered_forget_all(app, watched, monkeypatch):
    lookup, _ = watched
    monkeypatch.setattr("affiliate.links.lookup.CHANGES_MAX", 10)
    link = a_link()
    before = lookup.find(link.code)

    lookup.hear([f"promoter:{number}" for number in range(1_000_000, 1_000_011)])

    assert lookup.find(link.code) is not before
    assert len(lookup._changed) <= 11


def test_unknown_codes_are_remembered_for_a_moment_and_not_many_of_them(watched, monkeypatch):
    lookup, _ = watched
    monkeypatch.setattr("affiliate.links.lookup.UNKNOWN_MAX", 10)
    asked = []
    ask = queries.facts
    monkeypatch.setattr(
        "affiliate.links.queries.facts", lambda code: asked.append(code) or ask(code)
    )

    for _ in range(3):
        assert lookup.find("nobody22") is None
    for number in range(30):
        lookup.find(f"unknown{number}")

    assert asked.count("nobody22") == 1
    assert len(lookup._unknown) <= 10


def test_many_who_ask_for_a_cold_link_at_once_ask_once(app, committed, watched, monkeypatch):
    import threading

    lookup, _ = watched
    with unit_of_work():
        link = a_link()
    asked, go = [], threading.Event()
    ask = queries.facts

    def slowly(code):
        asked.append(code)
        go.wait(5)
        return ask(code)

    monkeypatch.setattr("affiliate.links.queries.facts", slowly)
    found = []

    def visit():
        with app.app_context():
            found.append(lookup.find(link.code))

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for each in threads:
        each.start()
    go.set()
    for each in threads:
        each.join(10)

    assert len(asked) == 1
    assert [each.id for each in found] == [link.id] * 8


def test_a_promoter_who_comes_in_opens_his_links(committed, watched):
    """Links may be older than the enrolment: one who left and was let in again."""
    lookup, watch = watched
    with unit_of_work():
        program, promoter = a_program(), a_promoter()
        link = a_link(program, promoter)
        db.session.execute(sa.text("DELETE FROM enrolments"))
    assert lookup.find(link.code).stopped
    watch.look()
    from affiliate.programs import service as programs

    with unit_of_work():
        programs.enrol(program, promoter.id, by_merchant=True)
    watch.look()

    assert not lookup.find(link.code).stopped
