"""Making links and changing them."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.links import queries, service
from affiliate.links.models import Link
from affiliate.people import queries as people
from affiliate.people import service as people_service
from affiliate.programs import service as programs
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program, an_enrolment


@pytest.fixture
def room():
    """A merchant with a shop and a program in which Bruna takes part."""
    merchant = a_merchant()
    shop = a_shop(merchant, domain="ana.example.com")
    program = a_program(merchant)
    promoter = a_promoter()
    an_enrolment(program, promoter)
    return merchant, shop, program, promoter


def test_a_code_is_short_and_can_be_read_out(room):
    _, _, program, promoter = room
    codes = {
        service.create_link(program, promoter.id, url="https://ana.example.com/").code
        for _ in range(50)
    }

    assert len(codes) == 50
    assert all(6 <= len(code) <= 8 for code in codes)
    assert not set("".join(codes)) & set("0O1lI")


def test_codes_of_another_instance_are_other_codes(app, monkeypatch):
    here = service.code_of(7)
    monkeypatch.setitem(app.config, "SECRET_KEY", "some other instance's secret key, also long")
    monkeypatch.setitem(app.extensions, "keys", {})

    assert service.code_of(7) != here


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://ana.example.com", "https://ana.example.com/"),
        ("https://ANA.example.com:443/Bolsa", "https://ana.example.com/Bolsa"),
        ("http://www.ana.example.com/p?x=1#y", "http://www.ana.example.com/p?x=1#y"),
        (
            "https://ana.example.com/包?尺=大",
            "https://ana.example.com/%E5%8C%85?%E5%B0%BA=%E5%A4%A7",
        ),
    ],
)
def test_a_link_may_lead_to_any_page_of_the_shop(room, given, kept):
    _, shop, program, promoter = room

    link = service.create_link(program, promoter.id, url=given)

    assert (link.url, link.shop_id) == (kept, shop.id)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/",
        "https://ana.example.com.evil.com/",
        "https://notana.example.com/",
        "https://example.com/",
        "https://ana.example.com:8443/",
    ],
)
def test_a_link_leads_nowhere_else(room, url):
    _, _, program, promoter = room

    with pytest.raises(service.ForeignHost):
        service.create_link(program, promoter.id, url=url)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//ana.example.com/",
        "ftp://ana.example.com/",
        "https://ana.example.com\\@evil.com/",
        "https://evil.com\\.ana.example.com/",
        "https://user@ana.example.com/",
        "https://ana.example.com@evil.com/",
        "https://ana.example.com/\r\nSet-Cookie: x=1",
        "https://ana.example.com/ x",
        "https://ana.example.com:99999/",
        "https://[::1/",
        "https:///path",
        "https://ana.example.com/" + "a" * 3000,
        "https://ana.example.com/\ud800",
        "",
    ],
)
def test_what_is_no_web_address_is_refused(room, url):
    _, _, program, promoter = room

    with pytest.raises(Invalid) as refused:
        service.create_link(program, promoter.id, url=url)

    assert refused.value.errors[0].pointer == "/url"


def test_a_link_to_a_product_leads_to_its_page(room):
    _, shop, program, promoter = room
    product = a_product(shop)

    link = service.create_link(program, promoter.id, product=product)

    assert (link.url, link.product_id) == (product.url, product.id)


def test_a_program_of_some_shops_has_links_to_those_only(room):
    merchant, shop, _, promoter = room
    other = a_shop(merchant, domain="other.example.com")
    program = a_program(merchant, shop_ids=[other.id])
    an_enrolment(program, promoter)

    with pytest.raises(service.ForeignHost):
        service.create_link(program, promoter.id, url=f"https://{shop.domain}/")
    with pytest.raises(Invalid):
        service.create_link(program, promoter.id, product=a_product(shop))
    assert service.create_link(program, promoter.id, url="https://other.example.com/")


def test_another_merchant_s_shop_is_a_foreign_host(room):
    _, _, program, promoter = room
    theirs = a_shop(a_merchant("Casa Berta"))

    with pytest.raises(service.ForeignHost):
        service.create_link(program, promoter.id, url=f"https://{theirs.domain}/")
    with pytest.raises(Invalid):
        service.create_link(program, promoter.id, product=a_product(theirs))


def test_a_target_is_a_product_or_an_address_and_not_both(room):
    _, shop, program, promoter = room

    with pytest.raises(Invalid):
        service.create_link(program, promoter.id)
    with pytest.raises(Invalid):
        service.create_link(
            program, promoter.id, product=a_product(shop), url=f"https://{shop.domain}/"
        )


def _never_came(program, promoter):
    return a_promoter("Carla")


def _left(program, promoter):
    from affiliate.programs import queries as programs_queries

    programs.end(programs_queries.membership(program.merchant_id, program.id, promoter.id))
    return promoter


def _was_stopped(program, promoter):
    people_service.suspend(promoter)
    return promoter


@pytest.mark.parametrize("absent", [_never_came, _left, _was_stopped])
def test_only_who_takes_part_gets_a_link(room, absent):
    _, shop, program, promoter = room
    promoter = absent(program, promoter)

    with pytest.raises(programs.NotEnrolled):
        service.create_link(program, promoter.id, url=f"https://{shop.domain}/")


def test_who_waits_for_approval_gets_no_link_yet(room):
    merchant, shop, _, promoter = room
    program = a_program(merchant, enrolment="approval")
    programs.enrol(program, promoter.id, by_merchant=False)

    with pytest.raises(programs.NotEnrolled):
        service.create_link(program, promoter.id, url=f"https://{shop.domain}/")


def test_a_program_that_ended_has_no_new_links(room):
    _, shop, program, promoter = room
    programs.change_program(program, {"ended": True})

    with pytest.raises(programs.ProgramEnded):
        service.create_link(program, promoter.id, url=f"https://{shop.domain}/")


def test_whether_a_link_was_open_is_known_of_any_instant(clock):
    start = clock.stand("2026-11-01T00:00:00Z")
    link = a_link(expires_at=start + timedelta(days=10))
    clock.move(days=2)
    service.change_link(link, {"paused": True})
    clock.move(days=2)
    service.change_link(link, {"paused": False})
    clock.move(days=2)
    service.change_link(link, {"paused": True})

    open_on = [day for day in range(14) if link.was_open(start + timedelta(days=day, hours=1))]

    assert open_on == [0, 1, 4, 5]


def test_pausing_twice_is_pausing_once(clock):
    clock.stand("2026-11-01T00:00:00Z")
    link = a_link()
    service.change_link(link, {"paused": True})
    first = link.paused_at
    clock.move(days=1)

    service.change_link(link, {"paused": True})

    assert link.paused_at == first
    assert link.version == 3


def test_links_are_found_by_the_ids_in_tokens_whosever_they_are():
    ours, theirs = a_link(), a_link()

    assert queries.by_ids([ours.id, theirs.id, 999_999]) == {ours.id: ours, theirs.id: theirs}


def test_eight_threads_making_links_get_as_many_codes(app, committed):
    with unit_of_work():
        shop = a_shop()
        program = a_program(people.merchant(shop.merchant_id))
        promoter = a_promoter()
        an_enrolment(program, promoter)
    errors = []

    def make():
        try:
            with app.app_context():
                for _ in range(25):
                    with unit_of_work():
                        service.create_link(program, promoter.id, url=f"https://{shop.domain}/")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert errors == []
    codes = db.session.scalars(sa.select(Link.code)).all()
    assert len(codes) == len(set(codes)) == 200


def test_a_link_s_past_is_not_changed_by_a_clock_set_back(clock):
    clock.stand("2026-11-10T00:00:00Z")
    link = a_link()
    service.change_link(link, {"paused": True})
    clock.stand("2026-11-09T00:00:00Z")
    service.change_link(link, {"paused": False})

    assert link.was_open(time.now())
    assert link.was_open(time.now() + timedelta(days=5))
