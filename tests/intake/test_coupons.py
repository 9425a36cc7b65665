"""Coupons in the shops: made once, switched with their promoters, and never somebody else's."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.catalog import service as shops
from affiliate.db import db, unit_of_work
from affiliate.errors import AffiliateError
from affiliate.intake import api
from affiliate.intake.coupons import asking, wishes
from affiliate.intake.coupons.wishes import Terms
from affiliate.intake.models import ShopCoupon
from affiliate.money import Money
from affiliate.people import service as people
from affiliate.programs import service as programs
from tests.factories.catalog import a_shop
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program, an_enrolment
from tests.intake.coupon_standins import (
    COUPON_SHOPS,
    ShopifyCoupons,
    TiendanubeCoupons,
    WooCoupons,
)

TEN = Terms(percent_ppm=100_000)
each_shop = pytest.mark.parametrize("kind", COUPON_SHOPS, ids=lambda kind: kind.platform)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(api.time, "sleep", lambda _: None)


@pytest.fixture(autouse=True)
def _never_inside_a_transaction(monkeypatch):
    """A shop that takes its time may hold nothing of ours."""
    ask = api.Client.once

    def once(self, *given, **named):
        assert not db.session().in_transaction()
        return ask(self, *given, **named)

    monkeypatch.setattr(api.Client, "once", once)


@pytest.fixture
def town(app, monkeypatch, clock):
    """A promoter in a program, and stand-ins of shops that are connected."""
    clock.stand("2026-11-20T12:00:00Z")
    started = []
    with unit_of_work():
        merchant = a_merchant()
        program = a_program(merchant)
        promoter = a_promoter("Ana")
        member = an_enrolment(program, promoter)

    def connect(kind):
        shop = kind().__enter__()
        started.append(shop)
        settings = app.config["SETTINGS"]
        known = {**settings.shop_apis, shop.platform: shop.address}
        changed = settings.model_copy(update={"shop_apis": known})
        monkeypatch.setitem(app.config, "SETTINGS", changed)
        with unit_of_work():
            shop.ours, _ = shops.create_shop(
                merchant.id,
                platform=shop.platform,
                domain="shop.example.com",
                currency="BRL",
                country="BR",
                credentials=shop.credentials,
            )
        return shop

    yield SimpleNamespace(
        merchant=merchant, program=program, promoter=promoter, member=member, connect=connect
    )
    for shop in started:
        shop.__exit__()


def give(town, *of, terms=TEN, code="ANA10"):
    with unit_of_work():
        ids = [each.ours.id for each in of]
        return wishes.create(town.program, town.promoter.id, code, ids, terms)


def work(shop):
    asking.ask(shop.ours.merchant_id, shop.ours.id)
    db.session.rollback()


def wish(what, coupon, shop=None):
    with unit_of_work():
        what(coupon if shop is None else row_of(coupon, shop))


def row_of(coupon, shop):
    find = sa.select(ShopCoupon).where(
        ShopCoupon.coupon_id == coupon.id, ShopCoupon.shop_id == shop.ours.id
    )
    found = find.order_by(ShopCoupon.id.desc()).execution_options(populate_existing=True)
    return db.session.scalars(found).first()


def state(coupon, shop):
    row = row_of(coupon, shop)
    found = row.state if row.error is None else (row.state, row.error["code"])
    db.session.rollback()
    return found


@each_shop
def test_a_code_is_made_switched_and_deleted_in_the_shop(town, kind):
    shop = town.connect(kind)
    coupon = give(town, shop)
    assert state(coupon, shop) == "wanted"

    told = []
    for what in (None, wishes.pause, wishes.resume, wishes.remove):
        if what:
            wish(what, coupon)
        work(shop)
        work(shop)  # twice is as good as once
        told.append((state(coupon, shop), shop.has("ANA10")))

    assert told == [("there", [True]), ("paused", [False]), ("there", [True]), ("removed", [])]
    assert shop.made == 1


BODIES = {
    ShopifyCoupons: lambda body: (
        body["variables"]["coupon"]["customerGets"]["value"],
        body["variables"]["coupon"]["minimumRequirement"],
        body["variables"]["coupon"]["usageLimit"],
        body["variables"]["coupon"]["startsAt"],
        body["variables"]["coupon"]["endsAt"],
    ),
    WooCoupons: lambda body: [
        body[name]
        for name in
        ("discount_type", "amount", "minimum_amount", "usage_limit", "date_expires_gmt")
    ],
    TiendanubeCoupons: lambda body: [
        body[name]
        for name in ("type", "value", "min_price", "max_uses", "start_date", "end_date")
    ],
}  # fmt: skip
PERCENT = {
    ShopifyCoupons: (
        {"percentage": 0.125}, {"subtotal": {"greaterThanOrEqualToSubtotal": "99.90"}}, 50,
        "2026-11-20T12:00:00Z", "2026-12-01T03:00:00Z",
    ),
    WooCoupons: ["percent", "12.50", "99.90", 50, "2026-12-01T03:00:00"],
    TiendanubeCoupons: ["percentage", "12.50", 99.90, 50, "2026-11-20", "2026-11-30"],
}  # fmt: skip
AMOUNT = {
    ShopifyCoupons: {"discountAmount": {"amount": "15.00", "appliesOnEachItem": False}},
    WooCoupons: ["fixed_cart", "15.00"],
    TiendanubeCoupons: ["absolute", "15.00"],
}


@each_shop
def test_the_shop_is_told_what_the_coupon_gives(town, kind):
    shop = town.connect(kind)
    limits = {
        "minimum": Money(99_90, "BRL"), "uses": 50, "starts_at": time.now(),
        # Midnight at the end of the last day in São Paulo.
        "ends_at": time.instant("2026-12-01T03:00:00Z"),
    }  # fmt: skip
    give(town, shop, terms=Terms(percent_ppm=125_000, **limits))
    give(town, shop, code="ANA15", terms=Terms(amount=Money(15_00, "BRL"), **limits))

    work(shop)

    percent, amount = map(BODIES[kind], shop.sent)
    assert percent == PERCENT[kind]
    assert amount[0 if kind is ShopifyCoupons else slice(2)] == AMOUNT[kind]


@each_shop
@pytest.mark.parametrize("how", ["answer lost", "worker killed"])
def test_what_was_made_before_the_answer_came_is_found_and_not_made_again(
    town, kind, how, clock, monkeypatch
):
    shop = town.connect(kind)
    coupon = give(town, shop)
    if how == "answer lost":
        shop.loses_answers = 1
        work(shop)
        assert state(coupon, shop) == ("wanted", "no_answer")
    else:
        with monkeypatch.context() as dying:
            dying.setattr(asking, "_note", _die)
            with pytest.raises(KeyboardInterrupt):
                work(shop)
        work(shop)  # it is leased still
        assert state(coupon, shop) == "wanted"
    assert (shop.made, shop.has("ANA10")) == (1, [True])

    clock.move(minutes=11)
    work(shop)

    assert (shop.made, state(coupon, shop)) == (1, "there")
    wish(wishes.remove, coupon)
    work(shop)
    assert shop.has("ANA10") == []


def _die(*_):
    db.session.rollback()
    raise KeyboardInterrupt


@each_shop
def test_a_code_of_the_shops_own_is_left_alone_and_only_known(town, kind):
    shop = town.connect(kind)
    shop.has_already("ANA10")
    before = dict(shop.with_code("ANA10")[0])
    coupon = give(town, shop)

    work(shop)
    assert state(coupon, shop) == ("failed", "exists")
    for what in (wishes.take_over, wishes.check):
        wish(what, coupon, shop)
        work(shop)
        assert state(coupon, shop) == "there"
    with pytest.raises(AffiliateError), unit_of_work():
        wishes.pause(coupon)
    wish(wishes.remove, coupon)
    work(shop)

    assert state(coupon, shop) == "removed"
    assert (shop.with_code("ANA10"), shop.sent) == ([before], [])


@each_shop
def test_an_access_that_may_not_write_is_told_by_its_name(town, kind):
    shop = town.connect(kind)
    shop.may_write = False
    coupon = give(town, shop)

    work(shop)

    right = {"shopify": "write_discounts", "woocommerce": "read_write"}
    assert state(coupon, shop) == ("failed", "no_right")
    assert right.get(shop.platform, "write_coupons") in row_of(coupon, shop).error["message"]
    shop.may_write = True
    wish(wishes.again, coupon, shop)
    work(shop)
    assert state(coupon, shop) == "there"


@each_shop
def test_a_shop_that_asks_for_patience_gets_it(town, kind, clock):
    shop = town.connect(kind)
    shop.patience = [{"Retry-After": "90"}, {"Retry-After": "1"}]  # the second one is waited out
    coupon = give(town, shop)

    work(shop)
    assert state(coupon, shop) == ("wanted", "no_answer")
    assert row_of(coupon, shop).due_at == time.now() + timedelta(seconds=91)
    clock.move(seconds=91)
    work(shop)

    assert (state(coupon, shop), shop.made) == ("there", 1)


def test_shopifys_own_way_of_asking_for_patience_is_understood(town):
    shop = town.connect(ShopifyCoupons)
    shop.throttled = 2
    coupon = give(town, shop)

    work(shop)

    assert (state(coupon, shop), shop.made) == ("there", 1)


@each_shop
def test_a_code_that_somebody_deleted_there_is_found_and_made_again_when_wanted(town, kind, clock):
    shop = town.connect(kind)
    coupon = give(town, shop)
    work(shop)
    shop.coupons.clear()

    work(shop)  # not yet
    assert state(coupon, shop) == "there"
    clock.move(days=1)
    work(shop)
    assert (state(coupon, shop), shop.made) == (("failed", "gone"), 1)
    wish(wishes.again, coupon, shop)
    work(shop)

    assert (state(coupon, shop), shop.has("ANA10")) == ("there", [True])


@each_shop
def test_a_code_that_somebody_switched_off_there_is_told(town, kind):
    shop = town.connect(kind)
    coupon = give(town, shop)
    work(shop)
    shop.switch_off("ANA10")

    wish(wishes.check, coupon, shop)
    work(shop)
    assert (state(coupon, shop), shop.has("ANA10")) == (("failed", "switched_off"), [False])
    wish(wishes.again, coupon, shop)
    work(shop)

    assert (state(coupon, shop), shop.has("ANA10")) == ("there", [True])


@each_shop
@pytest.mark.parametrize("loses", [0, 1], ids=["answered", "answer lost"])
def test_what_is_wished_while_the_shop_is_asked_comes_true(town, kind, loses, clock, monkeypatch):
    shop = town.connect(kind)
    coupon = give(town, shop)
    shop.loses_answers = loses
    once = api.Client.once

    def answered(self, *given, **named):
        try:
            return once(self, *given, **named)
        finally:
            if shop.made and row_of(coupon, shop).wish == "there":
                db.session.rollback()
                wish(wishes.remove, coupon)
            db.session.rollback()

    monkeypatch.setattr(api.Client, "once", answered)
    work(shop)
    clock.move(minutes=11)
    work(shop)

    assert (state(coupon, shop), shop.has("ANA10"), shop.made) == ("removed", [], 1)


@each_shop
def test_codes_stop_and_go_on_with_their_promoter(town, kind, clock):
    shop = town.connect(kind)
    coupon = give(town, shop)
    work(shop)

    def sweep():
        with unit_of_work():
            asking.sweep()
        work(shop)
        return state(coupon, shop), shop.has("ANA10")

    assert sweep() == ("there", [True])
    with unit_of_work():
        programs.end(town.member)
    assert sweep() == ("paused", [False])
    with unit_of_work():
        programs.enrol(town.program, town.promoter.id, by_merchant=True)
    assert sweep() == ("there", [True])
    with unit_of_work():
        programs.change_program(town.program, {"ended": True})
    assert sweep() == ("paused", [False])
    assert shop.made == 1


def test_a_code_that_was_paused_by_its_merchant_stays_so_when_the_promoter_comes_back(town):
    shop = town.connect(WooCoupons)
    coupon = give(town, shop)
    wish(wishes.pause, coupon)
    for change in (people.suspend, people.resume):
        with unit_of_work():
            change(town.promoter)
        with unit_of_work():
            asking.sweep()
        work(shop)

    assert (state(coupon, shop), shop.made) == ("paused", 0)  # nobody needed it there so far
    wish(wishes.resume, coupon)
    work(shop)
    assert shop.has("ANA10") == [True]


def test_a_woocommerce_that_cannot_make_drafts_pauses_by_an_end_in_the_past(town):
    shop = town.connect(WooCoupons)
    shop.keeps_status = False
    coupon = give(town, shop)

    told = []
    for what in (None, wishes.pause, wishes.resume):
        if what:
            wish(what, coupon)
        work(shop)
        told.append(shop.has("ANA10"))

    assert told == [[True], [False], [True]]
    assert shop.with_code("ANA10")[0]["date_expires_gmt"] is None


def test_a_woocommerce_gets_a_code_when_it_begins(town, clock):
    shop = town.connect(WooCoupons)
    later = time.now() + timedelta(days=2)
    coupon = give(town, shop, terms=Terms(percent_ppm=100_000, starts_at=later))

    work(shop)
    assert (state(coupon, shop), shop.made) == ("wanted", 0)
    clock.move(days=2)
    work(shop)

    assert (state(coupon, shop), shop.made) == ("there", 1)


def test_a_tiendanube_that_does_not_filter_is_looked_through(town, monkeypatch):
    shop = town.connect(TiendanubeCoupons)
    shop.filters = False
    monkeypatch.setattr("affiliate.intake.coupons.tiendanube.PAGE", 3)
    for number in range(7):
        shop.has_already(f"OTHER{number}")
    shop.has_already("ana10")
    coupon = give(town, shop)

    work(shop)

    assert state(coupon, shop) == ("failed", "exists")


def test_what_many_do_at_once_is_done_once(committed, town, app):
    """Two people give the same code, then four workers ask the shop."""
    shop = town.connect(TiendanubeCoupons)

    def give_it(number):
        with app.app_context():
            try:
                give(town, shop, code=f"ANA{number % 4}")
            except AffiliateError as refusal:
                return refusal.code
            return "given"

    def ask(_):
        with app.app_context():
            return asking.ask(shop.ours.merchant_id, shop.ours.id)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(give_it, range(8))) == ["given"] * 4 + ["taken"] * 4
        assert sum(threads.map(ask, range(4))) == 4

    assert (shop.made, len(shop.coupons)) == (4, 4)


def test_a_code_that_is_copied_by_hand_is_seen_with_its_first_order(town, client):
    with unit_of_work():
        own = a_shop(town.merchant)
    shop = SimpleNamespace(ours=own)
    coupon = give(town, shop)
    assert (state(coupon, shop), row_of(coupon, shop).seen_at) == ("by_hand", None)

    deliver(client, own, an_order(coupons=["SUMMER"], id="1"))
    assert row_of(coupon, shop).seen_at is None
    deliver(client, own, an_order(coupons=["ana10 "], id="2"))

    assert row_of(coupon, shop).seen_at == time.now()
    wish(wishes.remove, coupon)
    assert state(coupon, shop) == "removed"


def test_a_shop_without_keys_is_by_hand_until_it_has_them(town):
    with unit_of_work():
        ours, _ = shops.create_shop(
            town.merchant.id, platform="woocommerce", domain="w.example.com", currency="BRL",
            country="BR", credentials={"webhook_secret": "hush"},
        )  # fmt: skip
    shop = SimpleNamespace(ours=ours)
    coupon = give(town, shop)
    assert state(coupon, shop) == "by_hand"
    with pytest.raises(AffiliateError), unit_of_work():
        wishes.again(row_of(coupon, shop))

    with unit_of_work():
        shops.change_shop(ours, credentials=WooCoupons.credentials)
    wish(wishes.again, coupon, shop)

    assert state(coupon, shop) == "wanted"


def test_a_shop_that_forgot_our_keys_is_told_once_for_all_its_codes(town, monkeypatch):
    shop = town.connect(ShopifyCoupons)
    first = give(town, shop)
    work(shop)
    second = give(town, shop, code="ANA20")
    monkeypatch.setattr(ShopifyCoupons, "knows", lambda *_: False)
    wish(wishes.check, first, shop)

    asked = len(shop.asked)
    work(shop)

    assert len(shop.asked) - asked == 1
    assert state(first, shop) == ("there", "unauthorized")  # as far as we know
    assert state(second, shop) == ("failed", "unauthorized")
