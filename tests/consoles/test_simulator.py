"""The simulator's pages: the engine's own figures, what was typed is kept, and whose it is."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.commissions import service
from affiliate.commissions.models import Entry, Simulation
from affiliate.commissions.service import Draft
from affiliate.db import db, unit_of_work
from affiliate.people.models import Role
from affiliate.programs import service as programs
from affiliate.programs.models import Rule
from affiliate.programs.service import Stated, Target
from tests.commissions.town import Town, earned
from tests.consoles.signed_in import hidden_in, sign_in
from tests.factories.catalog import a_product, a_shop
from tests.factories.orders import a_line, an_order, deliver
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment
from workers import commissions as jobs

HX = {"HX-Request": "true"}


@pytest.fixture
def town(app):
    found = Town(notice_days=0)
    with unit_of_work():
        found.shirt = a_product(
            found.shop, external_id="p1", title="Camisa", category="Shirts", price=5000
        )
        found.rule = programs.add_rule(
            found.program,
            Target("product", product_id=found.shirt.id),
            Stated(rate_ppm=200_000, conditions={"new_customer": True}),
        )
        programs.add_rule(
            found.program,
            Target("category", category="shirts"),
            Stated(kind="per_unit", amount=250, currency="BRL"),
        )
    found.owner = a_user(Role.MERCHANT_OWNER, merchant=found.merchant)
    found.analyst = a_user(Role.MERCHANT_ANALYST, merchant=found.merchant)
    return found


@pytest.fixture
def ask(client, town, clock):
    """The page with these fields, as its owner reads it."""
    clock.move(minutes=1)
    sign_in(client, town.owner)

    def call(**typed):
        query = urlencode({"promoter": "Ana", "ask": "1"} | typed)
        return client.get(f"/merchant/programs/{town.program.id}/simulator?{query}")

    return call


@pytest.fixture
def replay(client, town, clock):
    """Start one on the page of the last three days, and work it off."""
    clock.move(minutes=1)

    def call(*, work=True, **typed):
        sign_in(client, town.owner)
        here = f"/merchant/programs/{town.program.id}/replays"
        days = {"from": day(-2), "to": day(0), "rate": "12", "tier_2": "3", "tier_3": "1",
                "ceiling": "100", "scope": "none"}  # fmt: skip
        answer = client.post(here, data=hidden_in(client.get(here)) | days | typed)
        if answer.status_code == 303 and work:
            key = db.session.scalars(
                sa.select(Simulation.id).order_by(Simulation.id.desc())
            ).first()
            jobs.simulate(town.merchant.id, key)
            return client.get(answer.location)
        return answer

    return call


def day(ahead):
    return (time.now() + timedelta(days=ahead)).date().isoformat()


def words(page):
    """What can be read, with blanks made one."""
    main = page.text.partition("<main")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def sells(client, town, number, *, new=True):
    lines = [a_line("l1", product_id="p1", category="Shirts", quantity=2, unit_price="50.00",
                    tax="0.00")]  # fmt: skip
    customer = {"id": f"c{number}", "new": new}
    deliver(client, town.shop, an_order(town.tk(), id=str(number), customer=customer, lines=lines))


# --- an order typed in -------------------------------------------------------------------------


def test_the_page_says_what_the_order_then_pays_and_why(client, town, ask):
    page = ask(product_1="camisa", quantity_1="2", customer="new")
    said = words(page)
    sells(client, town, 1)

    assert page.status_code == 200
    assert earned() == {("direct", "Ana"): 2000, ("tier_2", "Bia"): 300, ("tier_3", "Cida"): 100}
    for row in ("Ana seller 20% 20.00 BRL", "Bia level 2 3% 3.00 BRL", "Cida level 3 1% 1.00 BRL"):
        assert row in said
    assert "Paid for the goods 100.00 BRL" in said
    assert "Commissions 24.00 BRL" in said
    assert "Stays with you 76.00 BRL" in said
    assert "the rule for this product counts, 20% of the base." in said
    assert "the rule for this category (2.50 BRL for each piece) comes after it." in said


def test_rules_that_are_passed_over_are_told_with_their_reason(ask):
    said = words(ask(product_1="p1", customer="known"))

    assert "Ana seller a fixed amount 2.50 BRL" in said
    assert "does not count: it asks whether the customer is new." in said


def test_what_the_catalogue_does_not_know_earns_the_programs_rate(ask):
    said = words(ask(product_1="Anything else", price_1="10", discount_1="1"))

    assert "Not in this shop's catalogue" in said
    assert "the program's own rate does: 12%." in said
    assert "Ana seller 12% 1.08 BRL" in said


def test_a_category_may_be_typed_in_the_place_of_a_product(ask):
    said = words(ask(product_1="SHIRTS", price_1="10", quantity_1="3"))

    assert "Anything of this category" in said
    assert "Ana seller a fixed amount 7.50 BRL" in said


def test_a_months_cap_that_cuts_is_told_with_what_it_has_left(client, town, ask, clock):
    with unit_of_work():
        caps = [{"per": "program_month", "amount": 1000, "currency": "BRL"}]
        programs.change_program(town.program, {"caps": caps})
    clock.move(minutes=1)

    small = words(ask(product_1="x", price_1="20"))
    large = words(ask(product_1="x", price_1="100"))

    assert "A cap cuts" not in small
    assert "The whole program 6.80 BRL of 10.00 BRL left" in small
    assert "A cap cuts this order" in large
    assert "The whole program 0.00 BRL of 10.00 BRL left" in large
    assert "Line 1, seller: the program's cap of the month left 10.00 BRL." in large
    assert "Commissions 10.00 BRL" in large


def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_is_kept(ask):
    page = ask(promoter="Nobody", product_1="Mug", quantity_1="none", price_1="1.2.3",
               product_2="Camisa", discount_2="60", coupon="ANA10")  # fmt: skip

    assert page.status_code == 422
    told = dict(re.findall(r'id="f-(\w+)-error">.*?<span>(.*?)</span>', page.text))
    assert told["promoter"] == "Nobody of this name takes part in the program."
    assert told["quantity_1"] == "A whole number, from 1."
    assert "is no number" in told["price_1"]
    assert told["discount_2"] == "More than the line costs."
    for typed in ("Nobody", "Mug", "none", "1.2.3", "Camisa", "60", "ANA10"):
        assert f'value="{typed}"' in page.text
    assert "Who earns what" not in page.text


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({}, "product_1", "At least one line is needed."),
        ({"product_1": "Mug"}, "price_1", "What does one cost?"),
        ({"product_1": "Mug", "price_1": "-1"}, "price_1", "Not below zero."),
        ({"product_1": "Mug", "price_1": "9" * 10, "quantity_1": "10000"}, "price_1", "larger"),
        ({"product_1": "Mug", "price_1": "1", "promoter": ""}, "promoter", "Who would have"),
        ({"product_1": "Mug", "price_1": "1", "quantity_1": "²"}, "quantity_1", "whole number"),
    ],
)
def test_what_is_missing_is_asked_for(ask, typed, field, why):
    page = ask(**typed)

    assert page.status_code == 422
    assert why in dict(re.findall(r'id="f-(\w+)-error">.*?<span>(.*?)</span>', page.text))[field]


def test_where_several_people_fit_one_is_chosen_by_a_link(client, town, ask):
    with unit_of_work():
        for _ in range(2):
            an_enrolment(town.program, a_promoter("Eva Luz"))
        a_promoter("Eva of another program")

    page = ask(promoter="eva", product_1="Mug", price_1="10")
    links = re.findall(r'href="([^"]+)#answer">(Eva Luz · prm_\w+)<', page.text)

    assert page.status_code == 422
    assert len(links) == 2
    assert "Eva of another" not in page.text
    assert "Eva Luz seller 12% 1.20 BRL" in words(client.get(unescape(links[1][0])))


def test_lines_are_added_without_scripts_and_asking_waits(client, town, ask):
    page = ask(ask="", rows="4", product_3="Mug")
    plain = client.get(f"/merchant/programs/{town.program.id}/simulator?rows=4&product_3=Mug")

    assert plain.status_code == 200
    assert 'name="product_4"' in plain.text
    assert 'name="product_5"' not in plain.text
    assert 'value="Mug"' in plain.text
    assert page.status_code == 422  # this one was sent by the button that asks


def test_another_shop_has_its_own_currency_and_products(client, town, ask):
    with unit_of_work():
        other = a_shop(town.merchant, domain="mx.example.com", currency="MXN", country="MX")
        a_product(other, external_id="m1", title="Taza", price=9000)

    said = words(ask(shop=str(other.id), product_1="Taza"))

    assert "Paid for the goods 90.00 MXN" in said
    assert "Not in this shop's catalogue" in words(ask(product_1="Taza", price_1="1"))


def test_a_merchant_without_a_shop_is_led_to_one(client):
    merchant = a_merchant()
    with unit_of_work():
        program = a_program(merchant)
    sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=merchant))

    assert "First a shop" in client.get(f"/merchant/programs/{program.id}/simulator").text


# --- a past period -----------------------------------------------------------------------------


def test_a_replay_is_started_watched_and_read(client, town, replay):
    sells(client, town, 1)
    sells(client, town, 2, new=False)
    before = earned()

    answer = replay(work=False, rate="22", tier_3="")
    made = db.session.scalars(sa.select(Simulation)).one()

    assert answer.status_code == 303
    assert made.draft == {"terms": {"default_rate_ppm": 220_000, "tiers_ppm": [30_000]},
                          "rules": [], "ended": []}  # fmt: skip
    watched = client.get(answer.location)
    assert 'hx-trigger="every 1s"' in watched.text
    part = client.get(f"{answer.location}/progress", headers=HX)
    assert "<html" not in part.text
    assert "0 of 2" in part.text
    assert client.get(f"{answer.location}/progress").status_code == 303  # without scripts

    jobs.simulate(town.merchant.id, made.id)
    done = client.get(f"{answer.location}/progress", headers=HX)
    assert done.headers["HX-Retarget"] == "#main"
    said = words(done)
    paid, would = made_sums(made)
    assert (paid, would) == (sum(before.values()), sum(before.values()) - 200)
    assert f"Was paid {paid / 100:.2f} BRL Would be paid {would / 100:.2f} BRL" in said
    assert "Difference −2.00 BRL" in said
    assert "Cida −2.00 BRL" in said
    assert "level 3 −2.00 BRL" in said
    assert "Camisa" in said
    assert "The seller earns 22%" in said
    assert "Nothing from level 3 on" in said
    assert db.session.scalar(sa.select(sa.func.sum(Entry.amount))) == paid, "nothing is booked"


def made_sums(row):
    db.session.refresh(row)
    return row.result["paid"]["BRL"], row.result["would"]["BRL"]


def test_largest_differences_come_first(client, town, replay):
    sells(client, town, 1, new=False)

    said = words(replay(tier_2="9", tier_3="2", scope="product", which="p1", rule_rate="1"))

    assert re.search(r"Bia \+6\.00 BRL.*Ana −4\.00 BRL.*Cida \+1\.00 BRL", said)
    assert re.search(r"level 2 \+6\.00 BRL.*seller −4\.00 BRL.*level 3 \+1\.00 BRL", said)


def test_rules_may_end_and_one_be_added_and_are_told_in_words(client, town, replay):
    sells(client, town, 1)

    page = replay(ended=str(town.rule.id), scope="category", which="Shirts", rule_rate="5.5")
    row = db.session.scalars(sa.select(Simulation)).one()
    said = words(page)

    assert row.draft["ended"] == [town.rule.id]
    assert [each["rate_ppm"] for each in row.draft["rules"]] == [55_000]
    assert "Without the rule: Camisa · 20% of the base · new customers only" in said
    assert "One rule more: Category shirts · 5.5% of the base" in said
    assert "Ana −14.50 BRL" in said  # 5.50 by the drafted rule, which comes before its like
    listed = words(client.get(f"/merchant/programs/{town.program.id}/replays"))
    assert "−14.50 BRL" in listed
    assert "One rule more: Category shirts" in listed


def test_a_replay_can_be_changed_and_asked_again(client, town, replay):
    replay(rate="15", ceiling="50", ended=str(town.rule.id), scope="product", which="Camisa",
           rule_rate="7")  # fmt: skip
    row = db.session.scalars(sa.select(Simulation)).one()

    page = client.get(f"/merchant/programs/{town.program.id}/replays?like={row.id}").text

    for name, value in {"from": day(-2), "to": day(0), "rate": "15", "ceiling": "50",
                        "tier_2": "3", "which": "p1", "rule_rate": "7"}.items():  # fmt: skip
        assert re.search(rf'name="{name}" [^>]*value="{value}"', page), name
    assert f'value="{town.rule.id}" checked' in page
    assert '<option value="product" selected>' in page


def test_no_difference_and_no_orders_are_told(client, town, replay):
    assert "No paid orders in this period" in words(replay())
    sells(client, town, 1)
    assert "It makes no difference" in words(replay())


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({"from": "x"}, "from", "Choose a day."),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "to", "before the first"),
        ({"from": "2020-02-02"}, "to", "Three years"),
        ({"rate": "much"}, "rate", "is no number"),
        ({"rate": "30", "ceiling": "20"}, "rate", "above the ceiling"),
        ({"tier_2": "101"}, "tier_2", "between 0 and 100"),
        ({"scope": "product", "rule_rate": "5"}, "which", "Say which one."),
        ({"scope": "product", "which": "Mug", "rule_rate": "5"}, "which", "no such product"),
        ({"scope": "group", "which": "Best", "rule_rate": "5"}, "which", "no such group"),
        ({"scope": "category", "which": "Mugs"}, "rule_rate", "is no number"),
        ({"scope": "category", "which": "Mugs", "rule_rate": "60", "ceiling": "50"},
         "rule_rate", "above the program"),
    ],
)  # fmt: skip
def test_a_draft_that_cannot_be_is_refused_at_its_field(client, town, replay, typed, field, why):
    page = replay(**typed)

    assert page.status_code == 422
    told = dict(re.findall(r'id="f-(\w+)-error">.*?<span>(.*?)</span>', page.text))
    assert why in told[field]
    assert all(f'value="{value}"' in page.text for value in typed.values())
    assert db.session.scalars(sa.select(Simulation)).all() == []


def test_a_replay_that_failed_says_why(client, town, clock):
    clock.move(minutes=1)
    sells(client, town, 1)
    with unit_of_work():
        made = service.begin(
            town.program, Draft(rules=[{"conditions": {"moon": "full"}}]),
            since=time.now() - timedelta(days=1), until=time.now() + timedelta(minutes=1),
        )  # fmt: skip
    for _ in range(5):
        with pytest.raises(TypeError):
            jobs.simulate(made.merchant_id, made.id)
    sign_in(client, town.owner)

    page = client.get(f"/merchant/programs/{town.program.id}/replays/{made.id}")
    said = words(page)

    assert "This simulation failed" in said
    assert "It was tried 5 times" in said
    assert "unexpected keyword argument" in said
    assert "every 1s" not in page.text
    assert "Failed" in words(client.get(f"/merchant/programs/{town.program.id}/replays"))


# --- whose -------------------------------------------------------------------------------------


def test_who_only_reads_asks_about_orders_and_starts_nothing(client, town, ask, replay):
    replay(work=False)
    made = db.session.scalars(sa.select(Simulation)).one()
    sign_in(client, town.analyst)
    here = f"/merchant/programs/{town.program.id}/replays"

    assert "Who earns what" in ask_as(client, town)
    assert 'method="post" action="' + here not in client.get(here).text
    assert client.get(f"{here}/{made.id}").status_code == 200
    assert client.post(here, data={}).status_code == 403
    assert len(db.session.scalars(sa.select(Simulation)).all()) == 1


def ask_as(client, town):
    query = urlencode({"promoter": "Ana", "product_1": "p1", "ask": "1"})
    return client.get(f"/merchant/programs/{town.program.id}/simulator?{query}").text


def test_another_merchants_program_and_replay_are_none(client, town, replay):
    replay(work=False)
    made = db.session.scalars(sa.select(Simulation)).one()
    with unit_of_work():
        sibling = a_program(town.merchant, name="Another")
        other = a_merchant()
    sign_in(client, town.owner)
    assert client.get(f"/merchant/programs/{sibling.id}/replays/{made.id}").status_code == 404
    assert client.get(f"/merchant/programs/{sibling.id}/replays?like={made.id}").status_code == 404
    sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=other))

    for path in ("simulator", "replays", f"replays/{made.id}", f"replays/{made.id}/progress"):
        assert client.get(f"/merchant/programs/{town.program.id}/{path}").status_code == 404
    assert client.post(f"/merchant/programs/{town.program.id}/replays").status_code == 404
    assert db.session.scalars(sa.select(Rule.merchant_id).distinct()).all() == [town.merchant.id]
