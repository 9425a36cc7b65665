"""Group buys: who joins is credited as who opened the group, whatever comes first."""

from datetime import timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.attribution import service, trace
from affiliate.attribution.models import Attribution
from affiliate.commissions import service as commissions
from affiliate.db import db, unit_of_work
from affiliate.i18n import LANGUAGES, read_as
from affiliate.intake import queries
from affiliate.intake import service as intake
from affiliate.intake.models import Event
from affiliate.orders.models import Order
from affiliate.people import queries as merchants
from affiliate.people import service as people
from tests.attribution.test_sources import seller_of, story
from tests.commissions.town import Town, clean, earned
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import a_line, a_refund, an_order, deliver, send
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program, an_enrolment


@pytest.fixture
def town(app, clock):
    town = Town(tiers_ppm=[])
    clock.move(minutes=1)
    return town


@pytest.fixture
def bias(town, clock):
    with unit_of_work():
        link = a_link(town.program, town.bia)
    clock.move(minutes=1)
    return link


def a_group(town, clock, tk=None, joiners=2):
    """The order of an opener, and of those who join a minute later each."""
    orders = [an_order(tk or town.tk(), id="open", group_id="G1", number="#7")]
    for number in range(joiners):
        clock.move(minutes=1)
        orders.append(an_order(id=f"join{number}", group_id="G1"))
    return orders


def credit_of(key):
    found = sa.select(Attribution).join(Order, Order.id == Attribution.order_id)
    return db.session.scalars(found.where(Order.external_id == key)).one()


def told_of(key):
    """The trace of an order in words."""
    return [trace.sentence(step, "BRL") for step in trace.steps(credit_of(key).trace)]


def test_who_joins_is_credited_as_who_opened(client, town, clock):
    deliver(client, town.shop, *a_group(town, clock))

    assert earned() == {("direct", "Ana"): 3600}
    opened, joined = credit_of("open"), credit_of("join1")
    assert (opened.source, joined.source) == ("click", "group")
    assert joined.link_id == opened.link_id == town.link.id
    assert joined.program_id == opened.program_id
    assert story("join1") == ["joined_group", "won"]
    assert told_of("join1")[0] == "It joined the group that order #7 opened, which came by a click."
    clean()


def test_whatever_comes_first_leaves_the_same(client, clock):
    """Also in one batch, and by workers that took turns."""
    left = set()
    for batch in (False, True):
        for places in permutations(range(3)):
            town = Town(tiers_ppm=[])
            clock.move(minutes=1)
            orders = a_group(town, clock)
            for place in places:
                send(client, town.shop, orders[place])
                if not batch:
                    intake.drain(town.merchant.id, town.shop.id)
            intake.drain(town.merchant.id, town.shop.id)
            left.add(
                tuple(
                    db.session.execute(
                        sa.text(
                            "SELECT o.external_id, a.source, a.promoter_id = :ana,"
                            "   (SELECT sum(amount)::bigint FROM entries e"
                            "     WHERE e.merchant_id = o.merchant_id AND e.order_id = o.id)"
                            "  FROM orders o JOIN attributions a ON a.merchant_id = o.merchant_id"
                            "   AND a.order_id = o.id WHERE o.merchant_id = :merchant ORDER BY 1"
                        ),
                        {"ana": town.ana.id, "merchant": town.merchant.id},
                    )
                )
            )

    joined = [(f"join{number}", "group", True, 1200) for number in range(2)]
    assert left == {(*joined, ("open", "click", True, 1200))}
    assert queries.counts()["waiting"] == 0
    clean()


def test_what_came_with_an_order_itself_stands_above_its_group(client, town, clock, bias):
    opened, joined, _ = a_group(town, clock)
    with unit_of_work():
        service.add_coupon(town.program, town.cida.id, "CIDA")
    clock.move(minutes=1)
    coupon = an_order(id="coupon", group_id="G1", coupons=["CIDA"])

    deliver(client, town.shop, opened, joined | {"tk": town.tk(bias)}, coupon)

    sellers = [seller_of(key) for key in ("open", "join0", "coupon")]
    assert sellers == ["Ana", "Bia", "Cida"]
    assert story("join0") == ["won"]


def test_a_token_that_comes_later_takes_an_order_out_of_the_credit_of_its_group(
    client, town, clock, bias
):
    opened, joined, _ = a_group(town, clock)
    deliver(client, town.shop, opened, joined)

    late = joined | {"version": 2, "tk": town.tk(bias, before=timedelta(minutes=5))}
    deliver(client, town.shop, late)

    assert earned() == {("direct", "Ana"): 1200, ("direct", "Bia"): 1200}
    clean()


@pytest.mark.parametrize(
    "end",
    [
        {"status": "cancelled", "cancelled_at": "2026-12-01T10:00:00Z"},
        {"refunds": [a_refund("100.00")]},
    ],
    ids=["cancelled", "refunded"],
)
def test_joiners_keep_theirs_when_the_opener_goes(client, town, clock, end):
    opened, joined, after = a_group(town, clock)
    deliver(client, town.shop, opened, joined, opened | {"version": 2} | end, after)

    assert [seller_of("join0"), seller_of("join1")] == ["Ana", "Ana"]
    assert earned() == {("direct", "Ana"): 2400}
    clean()


def test_a_group_of_another_shop_or_merchant_is_another_group(client, town, clock):
    with unit_of_work():
        second = a_shop(town.merchant)
        elsewhere = a_shop(a_merchant("Other"))
        program = a_program(merchants.merchant(elsewhere.merchant_id), default_rate_ppm=100_000)
        an_enrolment(program, town.ana)
    clock.move(minutes=1)
    opened, joined, _ = a_group(town, clock)

    deliver(client, town.shop, opened)
    deliver(client, second, joined)
    deliver(client, elsewhere, joined | {"id": "foreign"})

    assert [seller_of("open"), seller_of("join0"), seller_of("foreign")] == ["Ana", None, None]


def test_nobody_joins_before_the_group_was_opened_or_long_after(client, town, clock):
    early = an_order(id="early", group_id="G1")
    clock.move(minutes=30)
    opened = an_order(town.tk(), id="open", group_id="G1")
    clock.move(days=31)
    late = an_order(id="late", group_id="G1")

    deliver(client, town.shop, early, opened, late)

    assert [seller_of("early"), seller_of("open"), seller_of("late")] == [None, "Ana", None]
    assert story("late") == ["outside_window", "no_winner"]


def test_an_unpaid_order_opens_no_group_until_it_is_paid(client, town, clock):
    opened, joined, _ = a_group(town, clock)
    unpaid = opened | {"status": "pending_payment", "paid_at": None}
    deliver(client, town.shop, unpaid, joined)
    assert seller_of("join0") is None

    deliver(client, town.shop, opened | {"version": 2})

    assert seller_of("join0") == "Ana"
    assert earned() == {("direct", "Ana"): 2400}


def test_the_earliest_that_came_by_a_link_is_the_opener(client, town, clock, bias):
    """Of two who came by links the earlier, though it arrives last."""
    opened, joined, after = a_group(town, clock)

    deliver(client, town.shop, joined | {"tk": town.tk(bias)}, after)
    assert seller_of("join1") == "Bia"
    deliver(client, town.shop, opened)

    assert [seller_of(key) for key in ("open", "join0", "join1")] == ["Ana", "Bia", "Ana"]
    assert earned() == {("direct", "Ana"): 2400, ("direct", "Bia"): 1200}
    clean()


def test_a_promoter_who_joins_the_own_group_is_not_paid_for_that(client, town, clock):
    opened, joined, after = a_group(town, clock)

    deliver(client, town.shop, opened, joined | {"customer": {"email": town.ana.email}}, after)

    assert credit_of("join0").refusal == "self_purchase"
    assert story("join0") == ["joined_group", "won", "self_purchase"]
    assert earned() == {("direct", "Ana"): 2400}


def test_joining_is_judged_as_of_its_own_instant(client, town, clock):
    opened, joined, _ = a_group(town, clock)
    clock.move(minutes=1)
    with unit_of_work():
        people.suspend(town.ana)
    clock.move(minutes=1)
    after = an_order(id="after", group_id="G1")

    deliver(client, town.shop, opened, joined, after)

    assert [seller_of("join0"), seller_of("after")] == ["Ana", None]
    assert story("after") == ["suspended", "no_winner"]


def test_a_renewal_joins_nobody_and_a_test_order_earns_nothing(client, town, clock):
    opened, joined, after = a_group(town, clock)

    deliver(client, town.shop, opened, joined | {"renewal": True}, after | {"test": True})

    assert story("join0") == ["renewal_needs_binding", "no_winner"]
    assert credit_of("join1").refusal == "test_order"
    assert earned() == {("direct", "Ana"): 1200}


def test_several_who_share_the_opener_share_who_joins(client, clock):
    town = Town(tiers_ppm=[], model="linear")
    clock.move(minutes=1)
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    clock.move(minutes=1)
    opened, joined, _ = a_group(town, clock, tk=f"{town.tk()}.{town.tk(bias)}")

    deliver(client, town.shop, joined, opened)

    assert earned() == {("direct", "Ana"): 1200, ("direct", "Bia"): 1200}
    assert story("join0") == ["joined_group", "joined_group", "won_part", "won_part"]
    clean()


def test_with_credit_by_product_the_group_earns_the_openers_products(client, clock):
    town = Town(tiers_ppm=[], credit="product")
    with unit_of_work():
        shirt = a_product(town.shop, external_id="p1")
        anas = a_link(town.program, town.ana, product=shirt)
    clock.move(minutes=1)
    lines = [a_line(key, product_id=f"p{n}", tax="0.00") for n, key in enumerate("ab", start=1)]
    opened, joined, _ = a_group(town, clock, tk=town.tk(anas))

    deliver(client, town.shop, opened | {"lines": lines}, joined | {"lines": lines})

    assert earned() == {("direct", "Ana"): 2400}


def test_a_group_binds_its_customers_like_any_order_but_opens_nothing(client, town, clock):
    """A bound customer who opens a group earns for who bound them; the group is nobody's."""
    opened, joined, _ = a_group(town, clock)
    deliver(client, town.shop, opened, joined | {"customer": {"id": "c1"}})
    clock.move(minutes=1)
    again = an_order(id="again", group_id="G2", customer={"id": "c1"})
    clock.move(minutes=1)

    deliver(client, town.shop, again, an_order(id="after", group_id="G2"))

    assert credit_of("again").source == "binding"
    assert [seller_of("again"), seller_of("after")] == ["Ana", None]


def test_an_accepted_claim_moves_the_group_but_not_what_was_released(client, town, clock):
    opened, joined, after = a_group(town, clock)
    deliver(client, town.shop, opened, joined)
    clock.move(days=40)
    with unit_of_work():
        commissions.release(town.merchant.id, time.now())
    deliver(client, town.shop, after)

    with unit_of_work():
        claim = service.claim(town.program, town.bia.id, town.shop, "open", "mine")
        commissions.accept_claim(claim, by=a_user().id, look=intake.look)
    intake.drain(town.merchant.id, town.shop.id)

    assert [seller_of(key) for key in ("open", "join0", "join1")] == ["Bia", "Ana", "Bia"]
    assert earned() == {("direct", "Ana"): 1200, ("direct", "Bia"): 2400}
    clean()


def test_the_same_webhooks_a_hundred_times_change_nothing(client, town, clock):
    orders = a_group(town, clock)
    deliver(client, town.shop, *reversed(orders))
    before = db.session.execute(sa.text("SELECT id, amount FROM entries ORDER BY id")).all()
    events = db.session.scalar(sa.select(sa.func.count()).select_from(Event))

    for _ in range(100):
        for order in orders:
            send(client, town.shop, order)
    intake.drain(town.merchant.id, town.shop.id)

    assert db.session.execute(sa.text("SELECT id, amount FROM entries ORDER BY id")).all() == before
    now = db.session.scalar(sa.select(sa.func.count()).select_from(Event))
    assert now == events + 300, "nobody was asked to look again"
    clean()


@pytest.mark.parametrize("told", ["x" * 10_000, "G\x071", "G\u202e1", {"id": 1}, True])
def test_what_is_no_id_of_a_group_is_put_aside_with_its_place(client, town, told):
    deliver(client, town.shop, an_order(town.tk(), group_id=told))

    (event,) = queries.quarantined()
    assert event.error["pointer"] == "/data/group_id"


@pytest.mark.parametrize(
    ("told", "kept"), [("", None), ("  ", None), (None, None), (77, "77"), (" 团 ", "团")]
)
def test_an_empty_id_is_none_and_a_number_is_text(client, town, told, kept):
    deliver(client, town.shop, an_order(town.tk(), group_id=told))

    assert db.session.scalars(sa.select(Order.group_id)).one() == kept


def test_a_group_told_once_goes_on_counting(client, town, clock):
    opened, joined, _ = a_group(town, clock)
    without = {name: value for name, value in joined.items() if name != "group_id"}

    deliver(client, town.shop, opened, joined, without | {"version": 2})

    assert seller_of("join0") == "Ana"


def test_a_hold_for_what_could_not_be_read_outlasts_the_look_again(client, town, clock):
    opened, joined, _ = a_group(town, clock)
    deliver(client, town.shop, joined, joined | {"version": 2, "status": "unheard of"})

    deliver(client, town.shop, opened)

    assert seller_of("join0") == "Ana"
    held = "SELECT e.on_hold FROM entries e JOIN orders o ON o.id = e.order_id"
    assert db.session.scalars(sa.text(f"{held} WHERE o.external_id = 'join0'")).all() == ["unread"]


def test_every_reader_has_words_and_a_promoter_reads_only_the_own(client, town, clock):
    deliver(client, town.shop, *a_group(town, clock))

    words = set()
    for tag in LANGUAGES:
        with read_as(tag):
            words.add(told_of("join0")[0])

    assert len(words) == len(LANGUAGES)
    assert all("#7" in each for each in words)


def test_orders_without_a_group_are_asked_nothing_more(client, town):
    asked = []

    def note(_connection, _cursor, statement, *_others):
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    deliver(client, town.shop, an_order(town.tk()))
    sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert asked
    assert not [each for each in asked if "group_id = g.group_id" in each or "split_part" in each]
