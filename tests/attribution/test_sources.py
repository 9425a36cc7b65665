"""Coupons, sharers, bindings and claims: through the real intake, to money."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.attribution import queries, service
from affiliate.attribution.models import Binding, Claim
from affiliate.commissions import service as commissions
from affiliate.commissions.service import ConfirmationNeeded
from affiliate.db import db, unit_of_work
from affiliate.intake import service as intake
from affiliate.links import token
from affiliate.people.models import Role
from affiliate.programs import service as programs
from tests.commissions.town import Town, clean, codes, earned, refusal
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import a_line, an_order, deliver, send
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment
from tests.factories.settlement import a_settlement, an_account, approved, executed, with_totp


@pytest.fixture
def town(app):
    return Town(tiers_ppm=[])


def story(key):
    trace = db.session.scalar(
        sa.text(
            "SELECT a.trace FROM attributions a JOIN orders o ON o.id = a.order_id"
            " WHERE o.external_id = :key"
        ),
        {"key": key},
    )
    return [code for code, _ in trace["choice"]]


def buyer(key="c1", **facts):
    return {"customer": {"id": key, **facts}}


def seller_of(key):
    return db.session.scalar(
        sa.text(
            "SELECT p.name FROM attributions a JOIN orders o ON o.id = a.order_id"
            " LEFT JOIN promoters p ON p.id = a.promoter_id WHERE o.external_id = :key"
        ),
        {"key": key},
    )


def bindings():
    rows = db.session.execute(sa.select(Binding.promoter_id, Binding.order_id).distinct())
    return len(rows.all())


# --- coupons and sharers -------------------------------------------------------------------------


def test_a_coupon_stands_before_a_click(client, town):
    with unit_of_work():
        service.add_coupon(town.program, town.bia.id, "Bia10")

    deliver(client, town.shop, an_order(town.tk(), coupons=["BIA10 ", "SUMMER"]))

    assert earned() == {("direct", "Bia"): 1200}
    assert codes() == ["coupon_of_nobody", "lower_source", "won"]
    clean()


def test_a_coupon_is_whose_it_was_when_the_order_was_placed(client, town, clock):
    clock.move(minutes=1)
    with unit_of_work():
        coupon = service.add_coupon(town.program, town.bia.id, "GO")
    early = an_order(coupons=["GO"], id="early")
    clock.move(days=1)
    with unit_of_work():
        service.end_coupon(coupon)
    clock.move(days=1)
    with unit_of_work():
        service.add_coupon(town.program, town.ana.id, "go")

    deliver(client, town.shop, early, an_order(coupons=["GO"], id="late"))

    assert [seller_of("early"), seller_of("late")] == ["Bia", "Ana"]


def test_a_code_has_one_owner_at_a_time(town):
    with unit_of_work():
        service.add_coupon(town.program, town.bia.id, "GO")

    with pytest.raises(service.Taken), unit_of_work():
        service.add_coupon(town.program, town.ana.id, " go ")


def test_a_coupon_of_an_ended_program_earns_nothing(client, town, clock):
    clock.move(minutes=1)
    with unit_of_work():
        service.add_coupon(town.program, town.bia.id, "GO")
        programs.change_program(town.program, {"ended": True})
    clock.move(days=1)

    deliver(client, town.shop, an_order(coupons=["GO"]))

    assert codes() == ["program_not_running", "no_winner"]


def test_a_coupon_of_another_merchant_is_nobodys_here(client, town):
    with unit_of_work():
        other = a_program(a_merchant("Other"))
        an_enrolment(other, town.bia)
        service.add_coupon(other, town.bia.id, "GO")

    deliver(client, town.shop, an_order(coupons=["GO"]))

    assert codes() == ["coupon_of_nobody", "no_winner"]


def test_a_platforms_own_sharer_earns(client, town):
    with unit_of_work():
        service.add_sharer(town.program, town.bia.id, town.shop, "finder-7")

    deliver(client, town.shop, an_order(sharer="finder-7"))

    assert earned() == {("direct", "Bia"): 1200}


# --- bindings --------------------------------------------------------------------------------


def test_a_customer_stays_with_who_brought_them(client, town, clock):
    clock.move(minutes=1)
    deliver(client, town.shop, an_order(town.tk(), id="first", **buyer(email="eva@example.com")))
    clock.move(days=10)
    deliver(client, town.shop, an_order(id="second", **buyer("c2", email="Eva@example.com")))
    clock.move(days=31)
    deliver(client, town.shop, an_order(id="third", **buyer("c3", email="eva@example.com")))

    assert [seller_of(key) for key in ("first", "second", "third")] == ["Ana", "Ana", None]


def test_an_id_of_the_shop_binds_only_inside_that_shop(client, town, clock):
    with unit_of_work():
        other = a_shop(town.merchant)
    deliver(client, town.shop, an_order(town.tk(), id="first", **buyer("c1")))
    clock.move(minutes=1)
    deliver(client, other, an_order(id="elsewhere", **buyer("c1")))
    deliver(client, town.shop, an_order(id="here", **buyer("c1")))

    assert [seller_of("elsewhere"), seller_of("here")] == [None, "Ana"]


def test_protection_keeps_a_customer_from_anothers_click(client, clock):
    town = Town(tiers_ppm=[], protection_days=10)
    clock.move(minutes=0)
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    deliver(client, town.shop, an_order(town.tk(), id="first", **buyer()))
    clock.move(days=5)
    deliver(client, town.shop, an_order(town.tk(bias), id="inside", **buyer()))
    clock.move(days=16)
    deliver(client, town.shop, an_order(town.tk(bias), id="after", **buyer()))
    clock.move(days=1)
    deliver(client, town.shop, an_order(id="bound", **buyer()))

    # The order inside the protection extended it to day 15; after that Bia's click binds.
    assert [seller_of(k) for k in ("first", "inside", "after", "bound")] == [
        "Ana", "Ana", "Bia", "Bia",
    ]  # fmt: skip
    assert story("inside") == ["lower_source", "won"]


def test_a_renewal_follows_its_customer_and_no_click(client, town, clock):
    clock.move(minutes=0)
    deliver(client, town.shop, an_order(town.tk(), id="first", **buyer()))
    clock.move(days=20)
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    deliver(client, town.shop, an_order(town.tk(bias), id="renewal", renewal=True, **buyer()))
    clock.move(days=20)
    deliver(client, town.shop, an_order(id="next", renewal=True, **buyer()))

    assert [seller_of("renewal"), seller_of("next")] == ["Ana", "Ana"]
    assert story("renewal") == ["renewal_needs_binding", "won"]


def test_orders_of_one_batch_see_what_those_before_them_bound(client, town, clock):
    clock.move(minutes=0)
    first = an_order(town.tk(), id="z-first", **buyer())
    clock.move(minutes=1)
    second = an_order(id="a-second", **buyer())
    for order in (second, first):
        send(client, town.shop, order)

    intake.drain(town.merchant.id, town.shop.id)

    assert seller_of("a-second") == "Ana"


def test_an_order_is_not_bound_by_itself_and_comes_out_the_same_again(client, town):
    order = an_order(town.tk(), id="o", **buyer())
    deliver(client, town.shop, order)
    before = story("o")

    deliver(client, town.shop, order | {"version": 2, "coupons": ["NEW"]})

    assert story("o") == ["coupon_of_nobody", *before]
    assert bindings() == 1


def test_an_order_that_is_not_paid_any_more_binds_nobody(client, town):
    order = an_order(town.tk(), id="o", **buyer())
    deliver(client, town.shop, order)
    assert bindings() == 1

    unpaid = {"version": 2, "status": "pending_payment", "paid_at": None}
    deliver(client, town.shop, order | unpaid)

    assert bindings() == 0


# --- models ------------------------------------------------------------------------------------


def test_linear_shares_an_order_between_all_who_brought_the_buyer(client, clock):
    town = Town(tiers_ppm=[], model="linear")
    clock.move(minutes=0)
    with unit_of_work():
        links = [a_link(town.program, who) for who in (town.bia, town.cida)]
    tokens = [town.tk(link) for link in (town.link, *links)]
    clock.move(minutes=1)

    order = an_order(".".join(tokens), lines=[a_line(price="99.99", tax="0.00")])
    deliver(client, town.shop, order)
    assert earned() == {("direct", name): 399 for name in ("Ana", "Bia", "Cida")}  # example 11
    assert codes() == ["won_part"] * 3

    deliver(client, town.shop, order | {"version": 2, "status": "cancelled",
                                        "cancelled_at": time.now().isoformat()})  # fmt: skip
    assert set(earned().values()) == {0}
    clean()


def test_nobody_is_paid_when_one_of_several_is_the_buyer(client, clock):
    town = Town(tiers_ppm=[], model="linear")
    clock.move(minutes=0)
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    clock.move(minutes=1)
    tk = f"{town.tk()}.{town.tk(bias)}"

    deliver(client, town.shop, an_order(tk, **buyer(email=town.bia.email)))

    assert refusal() == "self_purchase"
    assert earned() == {}


def test_with_credit_by_product_each_link_earns_its_own(client, clock):
    town = Town(tiers_ppm=[], credit="product")
    clock.move(minutes=0)
    with unit_of_work():
        shirt = a_product(town.shop, external_id="p1")
        shoes = a_product(town.shop, external_id="p2")
        anas = a_link(town.program, town.ana, product=shirt)
        bias = a_link(town.program, town.bia, product=shoes)
    clock.move(minutes=1)
    lines = [a_line(key, product_id=f"p{n}", tax="0.00") for n, key in enumerate("abc", start=1)]

    deliver(client, town.shop, an_order(f"{town.tk(anas)}.{town.tk(bias)}", lines=lines))

    assert earned() == {("direct", "Ana"): 1200, ("direct", "Bia"): 1200}
    clean()


def test_an_exclusive_program_stands_above_a_higher_priority(client, town, clock):
    with unit_of_work():
        special = a_program(
            town.merchant, name="Only Bia", default_rate_ppm=200_000, plan_type="exclusive"
        )
        programs.invite(special, promoter_ids=[town.bia.id])
        an_enrolment(special, town.bia)
        bias = a_link(special, town.bia)
        programs.change_program(town.program, {"priority": 5})
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(f"{town.tk(bias)}.{town.tk()}"))

    assert earned() == {("direct", "Bia"): 2000}


def test_who_is_not_named_any_more_earns_nothing_in_a_targeted_program(client, town, clock):
    clock.move(minutes=1)
    with unit_of_work():
        special = a_program(town.merchant, name="Friends", plan_type="targeted")
        group = programs.create_group(town.merchant.id, "Friends")
        programs.add_to_group(group, [town.bia.id])
        programs.invite(special, group_ids=[group.id])
        an_enrolment(special, town.bia)
        bias = a_link(special, town.bia)
    clock.move(days=1)
    early = an_order(town.tk(bias), id="early")
    clock.move(minutes=1)
    with unit_of_work():
        programs.take_from_group(group, [town.bia.id])
    clock.move(days=1)

    deliver(client, town.shop, an_order(town.tk(bias), id="late"), early)

    assert [seller_of("early"), seller_of("late")] == ["Bia", None]
    assert story("late") == ["not_invited", "no_winner"]


def test_nobody_joins_a_targeted_program_by_themselves(town):
    with unit_of_work():
        special = a_program(town.merchant, plan_type="targeted", name="Friends")
        programs.invite(special, promoter_ids=[town.bia.id])

    with pytest.raises(programs.InviteOnly):
        programs.enrol(special, town.ana.id, by_merchant=False)
    assert programs.enrol(special, town.bia.id, by_merchant=False).state == "active"


# --- claims --------------------------------------------------------------------------------------


def a_claim(town, who, number):
    with unit_of_work():
        return service.claim(town.program, who.id, town.shop, number, "She told me so.")


def test_an_accepted_claim_moves_the_money_of_every_level(client, clock):
    town = Town()
    with unit_of_work():
        dora = a_promoter("Dora", sponsor=town.cida)
        an_enrolment(town.program, dora)
    deliver(client, town.shop, an_order(town.tk(), number="#77"))
    claim = a_claim(town, dora, " 77 ")
    boss = a_user()

    with unit_of_work():
        commissions.accept_claim(queries.claim(claim.merchant_id, claim.id, lock=True), by=boss.id)

    assert earned() == {
        ("direct", "Ana"): 0, ("tier_2", "Bia"): 0, ("tier_3", "Cida"): 0,
        ("direct", "Dora"): 1200, ("tier_2", "Cida"): 300,
    }  # fmt: skip
    assert codes() == ["claim_above", "won"]
    clean()


def test_after_a_payout_a_claim_asks_first_and_then_takes_back(client, town):
    deliver(client, town.shop, an_order(town.tk(), id="o", number="77",
                                        delivered_at=time.now().isoformat()))  # fmt: skip
    boss, maker, checker = a_user(), a_user(), with_totp(a_user(Role.FINANCE_CHECKER))
    with unit_of_work():
        an_account(town.ana)
    through = time.now() + timedelta(days=40)
    paid = a_settlement(town.merchant, maker, through=through)
    executed(approved(paid, checker), maker)
    claim = a_claim(town, town.bia, "77")

    with pytest.raises(ConfirmationNeeded), unit_of_work():
        commissions.accept_claim(queries.claim(claim.merchant_id, claim.id, lock=True), by=boss.id)
    assert earned() == {("direct", "Ana"): 1200}

    with unit_of_work():
        commissions.accept_claim(
            queries.claim(claim.merchant_id, claim.id, lock=True), by=boss.id, confirmed=True
        )
    assert earned() == {("direct", "Ana"): 0, ("direct", "Bia"): 1200}
    clean()


def test_a_claim_of_an_unknown_order_waits_until_it_comes(client, town):
    claim = a_claim(town, town.bia, "77")
    with pytest.raises(service.OrderNotFound), unit_of_work():
        commissions.accept_claim(queries.claim(claim.merchant_id, claim.id), by=a_user().id)

    deliver(client, town.shop, an_order(id="77"))
    boss = a_user()
    with unit_of_work():
        commissions.accept_claim(queries.claim(claim.merchant_id, claim.id), by=boss.id)

    assert earned() == {("direct", "Bia"): 1200}


def test_a_claim_is_decided_once_and_a_second_one_may_take_its_place(client, town):
    deliver(client, town.shop, an_order(id="77"))
    boss = a_user()
    for who in (town.ana, town.bia):
        claim = a_claim(town, who, "77")
        with unit_of_work():
            commissions.accept_claim(queries.claim(claim.merchant_id, claim.id), by=boss.id)
    with pytest.raises(service.ClaimDecided):
        service.refuse(queries.claim(claim.merchant_id, claim.id), by=boss.id, reason=None)

    assert earned() == {("direct", "Ana"): 0, ("direct", "Bia"): 1200}
    states = db.session.scalars(sa.select(Claim.state).order_by(Claim.id)).all()
    assert states == ["refused", "accepted"]
    clean()


def test_who_never_took_part_cannot_claim(town):
    stranger = a_promoter("Eva")

    with pytest.raises(programs.NotEnrolled):
        a_claim(town, stranger, "77")


def test_the_token_of_a_minute_too_late_does_not_count(client, town, clock):
    placed_at = clock.move(minutes=1)
    late = token.make(town.link.id, placed_at + timedelta(minutes=11), b"abc")

    deliver(client, town.shop, an_order(late))

    assert codes() == ["touch_after_order", "no_winner"]
