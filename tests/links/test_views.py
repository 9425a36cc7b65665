"""`/s/<code>` as visitors meet it."""

from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.catalog import service as catalog
from affiliate.db import db
from affiliate.links import service, spool, token
from affiliate.people import service as people
from affiliate.programs import queries as programs
from affiliate.programs import service as programs_service
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program

CHROME = {"User-Agent": "Mozilla/5.0 Chrome/130.0", "Referer": "https://instagram.com/"}


@pytest.fixture
def visit(app, client):
    def go(link, query="", method="GET", **headers):
        app.extensions["links"].clear()
        path = f"/s/{link.code}{query}"
        return client.open(path, method=method, headers=CHROME | headers)

    return go


@pytest.fixture
def clicks(app):
    def kept():
        folder = app.extensions["spool"].folder
        text = b"".join(path.read_bytes() for path in spool.segments(folder))
        return [spool.decode(line) for line in text.splitlines()]

    return kept


def test_a_visit_is_sent_on_with_a_token_that_names_the_link(visit, clock):
    now = clock.stand("2026-11-22T12:00:00Z")
    link = a_link(sub_ids=["live3"])

    answer = visit(link)

    assert answer.status_code == 302
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "Set-Cookie" not in answer.headers
    asked = parse_qs(urlsplit(answer.location).query)
    found = token.read(asked["tk"][0])
    assert (found.link_id, found.issued_at) == (link.id, now)
    assert asked["sub1"] == ["live3"]


def test_the_click_is_in_the_spool_when_the_answer_is_there(visit, clicks):
    link = a_link()

    answer = visit(link, "?q")

    [click] = clicks()
    tk = parse_qs(urlsplit(answer.location).query)["tk"][0]
    assert click.id[:3] == token.read(tk).nonce
    assert (click.link_id, click.scanned) == (link.id, True)
    assert (click.user_agent, click.referrer) == (CHROME["User-Agent"], CHROME["Referer"])
    assert click.ip == "127.0.0.1"
    assert answer.location.endswith("utm_medium=affiliate")
    assert "q=" not in urlsplit(answer.location).query.split("&")


def test_two_visits_are_two_clicks_with_two_tokens(visit, clicks):
    link = a_link()

    assert visit(link).location != visit(link).location
    assert len({click.id for click in clicks()}) == 2


def test_head_is_answered_alike_and_leaves_no_click(visit, clicks):
    link = a_link()

    answer = visit(link, method="HEAD")

    assert (answer.status_code, answer.data) == (302, b"")
    assert token.read(parse_qs(urlsplit(answer.location).query)["tk"][0])
    assert clicks() == []


def test_a_chat_app_gets_a_card_and_leaves_no_click(visit, clicks):
    product = a_product(title="Bolsa <b>&", image_url="https://cdn.example.com/1.jpg")
    link = a_link(a_program(_merchant_of(product)), product=product)

    answer = visit(link, **{"User-Agent": "WhatsApp/2.23.20.0 A"})

    assert answer.status_code == 200
    assert '<meta property="og:title" content="Bolsa &lt;b&gt;&amp;">' in answer.text
    assert 'content="https://cdn.example.com/1.jpg"' in answer.text
    assert f"/s/{link.code}" in answer.text
    assert clicks() == []


@pytest.mark.parametrize(
    "path",
    [
        "/s/nobody22",
        "/s/NOBODY",
        "/s/%E4%BD%A0%E5%A5%BD",
        "/s/%F0%9F%9B%8D",
        "/s/%00",
        "/s/a%0d%0aSet-Cookie:%20x=1",
        "/s/%ff%fe",
        "/s/'%20OR%201=1--",
        "/s/..%2f..%2fetc",
        "/s/" + "a" * 8000,
        "/s/nobody22?" + "x=" + "y" * 8000,
        "/s/nobody22/qr.svg",
        "/s/nobody22/qr.png?size=99999",
        "/s/%E4%BD%A0/qr.svg",
    ],
)
def test_an_unknown_or_odd_code_gets_a_small_page(client, clicks, path):
    answer = client.get(path)

    assert answer.status_code == 404
    # What is no code at all (a slash in it) is answered by the page for every unknown address.
    assert len(answer.data) < (8000 if "%2f" in path else 3000)
    assert "Set-Cookie" not in answer.headers
    assert clicks() == []


@pytest.mark.parametrize(
    "query",
    [
        "?" + "x=" + "y" * 8000,
        "?x=%0d%0aSet-Cookie:%20a=1",
        "?x=" + "你好",
        "?%00=%ff&&&==;;",
        "?tk=AAAA&tk=BBBB",
        "?q&q&q",
        "?" + "&".join("a" for _ in range(1000)),
    ],
)
def test_odd_queries_change_neither_the_place_nor_the_token(visit, clicks, query):
    link = a_link()

    answer = visit(link, query)

    assert answer.status_code == 302
    assert len(answer.location) < 4000
    assert answer.location.isascii()
    assert "\n" not in answer.location
    tokens = parse_qs(urlsplit(answer.location).query)["tk"]
    assert [token.read(each).link_id for each in tokens] == [link.id]
    assert len(clicks()) == 1


def test_odd_headers_are_no_reason_to_stumble(visit, clicks):
    link = a_link()

    answer = visit(link, Referer="\xff\xfe 你好".encode().decode("latin-1"), Cookie="a=b; =;;")

    assert answer.status_code == 302
    assert clicks()[0].referrer == "ÿþ 你好"


def test_a_paused_link_leads_to_the_shop_without_a_token(visit, clicks):
    link = a_link()
    service.change_link(link, {"paused": True})

    answer = visit(link)

    assert answer.status_code == 302
    assert urlsplit(answer.location).path == "/"
    assert not urlsplit(answer.location).query
    assert clicks() == []


def test_a_paused_link_runs_again(visit):
    link = a_link()
    service.change_link(link, {"paused": True})
    service.change_link(link, {"paused": False})

    assert "tk=" in visit(link).location


def test_an_expired_link_leads_to_the_program_s_fallback(visit, clock):
    merchant = a_merchant()
    shop = a_shop(merchant)
    program = a_program(merchant, fallback_url=f"https://{shop.domain}/sale")
    link = a_link(program, expires_at=time.now() + timedelta(hours=1))
    assert "tk=" in visit(link).location

    clock.move(hours=1)

    assert visit(link).location == f"https://{shop.domain}/sale"


def _suspend_the_promoter(link):
    from affiliate.people import queries

    people.suspend(queries.promoter(link.promoter_id))


def _end_the_enrolment(link):
    member = programs.membership(link.merchant_id, link.program_id, link.promoter_id)
    programs_service.end(member)


def _end_the_program(link):
    program = programs.program(link.merchant_id, link.program_id)
    programs_service.change_program(program, {"ended": True})


@pytest.mark.parametrize("stop", [_suspend_the_promoter, _end_the_enrolment, _end_the_program])
def test_who_no_longer_takes_part_sends_nobody_with_a_token(visit, stop):
    link = a_link()
    assert "tk=" in visit(link).location

    stop(link)

    assert "tk=" not in visit(link).location


def test_a_sold_out_product_leads_to_the_shop_with_the_token(visit, clicks):
    product = a_product(stock=0)
    link = a_link(a_program(_merchant_of(product)), product=product)

    answer = visit(link)

    assert urlsplit(answer.location).path == "/"
    assert "tk=" in answer.location
    assert len(clicks()) == 1


def test_a_product_that_the_shop_has_no_more_leads_to_the_shop(visit):
    product = a_product()
    link = a_link(a_program(_merchant_of(product)), product=product)
    gone = catalog.Gone(product.external_id, shop_version=1)

    catalog.take_products(_shop_of(product), [], [gone])

    assert urlsplit(visit(link).location).path == "/"


def test_a_product_that_moves_takes_its_links_along(visit):
    product = a_product()
    link = a_link(a_program(_merchant_of(product)), product=product)
    shop = _shop_of(product)

    catalog.change_product(shop, product, {"url": f"https://{shop.domain}/new-place"})

    assert urlsplit(visit(link).location).path == "/new-place"


def test_a_known_link_works_while_the_database_is_away(app, client, clicks, monkeypatch):
    link = a_link()
    assert client.get(f"/s/{link.code}").status_code == 302
    monkeypatch.setattr("affiliate.links.lookup.FRESH_SECONDS", -1)
    monkeypatch.setattr("affiliate.links.queries.facts", _away)

    assert "tk=" in client.get(f"/s/{link.code}").location
    assert len(clicks()) == 2


def test_a_link_not_seen_yet_asks_to_come_again_while_the_database_is_away(
    client, clicks, monkeypatch
):
    link = a_link()
    monkeypatch.setattr("affiliate.links.queries.facts", _away)

    for path in (f"/s/{link.code}", f"/s/{link.code}/qr.svg", f"/s/{link.code}/qr.png"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"
    assert clicks() == []


def test_a_link_works_while_valkey_is_away(app, client, monkeypatch):
    from redis import Redis

    link = a_link()
    monkeypatch.setitem(app.extensions, "redis", Redis(port=1))

    assert client.get(f"/s/{link.code}").status_code == 302


def test_a_link_works_while_the_spool_takes_nothing(app, client, monkeypatch):
    link = a_link()
    monkeypatch.setattr(app.extensions["spool"], "append", lambda _: False)

    assert client.get(f"/s/{link.code}").status_code == 302


def test_within_a_second_the_database_is_asked_once(app, client):
    link = a_link()
    client.get(f"/s/{link.code}")
    with _statements() as seen:
        for _ in range(5):
            client.get(f"/s/{link.code}")

    assert seen == []


def test_a_second_later_a_change_made_elsewhere_is_seen(client, monkeypatch):
    link = a_link()
    assert "tk=" in client.get(f"/s/{link.code}").location
    db.session.execute(sa.text("UPDATE links SET paused_at = now()"))
    db.session.commit()
    monkeypatch.setattr("affiliate.links.lookup.FRESH_SECONDS", -1)

    assert "tk=" not in client.get(f"/s/{link.code}").location


def test_a_code_asked_for_before_its_link_works_once_it_is_there(client):
    from affiliate.db import unit_of_work

    program, promoter = a_program(), a_promoter()
    db.session.commit()
    next_id = db.session.scalar(sa.text("SELECT last_value + 1 FROM links_id_seq"))
    assert client.get(f"/s/{service.code_of(next_id)}").status_code == 404

    with unit_of_work():
        link = a_link(program, promoter)

    assert link.id == next_id
    assert client.get(f"/s/{link.code}").status_code == 302


def test_the_memory_of_links_is_bounded(app, client, monkeypatch):
    monkeypatch.setattr("affiliate.links.lookup.LINKS_MAX", 3)
    program, promoter = a_program(), a_promoter()
    for _ in range(5):
        client.get(f"/s/{a_link(program, promoter).code}")

    assert len(app.extensions["links"]._known) == 3


def test_only_reading_is_answered(client):
    link = a_link()

    assert client.post(f"/s/{link.code}").status_code == 405


@contextmanager
def _statements():
    seen = []

    def note(_conn, _cursor, statement, *_):
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def _away(_):
    raise sa.exc.OperationalError("SELECT", {}, Exception("the server is gone"))


def _merchant_of(product):
    from affiliate.people import queries

    return queries.merchant(product.merchant_id)


def _shop_of(product):
    from affiliate.catalog import queries

    return queries.shop(product.merchant_id, product.shop_id)
