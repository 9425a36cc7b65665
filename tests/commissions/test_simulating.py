"""The simulator asks the engine: what it says of an order is what the order pays."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from flask import current_app

from affiliate import clock as time
from affiliate import ids
from affiliate.commissions import service
from affiliate.commissions.models import CapCounter, Simulation
from affiliate.commissions.service import Draft, simulating
from affiliate.db import db, unit_of_work
from affiliate.orders.facts import Line, Order
from affiliate.orders.models import Status
from affiliate.people.models import Role
from affiliate.programs import service as programs
from affiliate.programs.models import Rule
from affiliate.programs.service import Stated, Target
from tests.commissions.town import Town, clean, earned
from tests.factories.catalog import a_product
from tests.factories.orders import a_line, an_order, deliver
from tests.factories.people import a_key, a_merchant, bearer
from tests.factories.programs import a_program
from workers import commissions as jobs


@pytest.fixture
def town(app):
    found = Town(notice_days=0)
    with unit_of_work():
        found.shirt = a_product(found.shop, external_id="p1", category="Shirts")
        found.mug = a_product(found.shop, external_id="p2")
        programs.add_rule(
            found.program,
            Target("product", product_id=found.shirt.id),
            Stated(rate_ppm=200_000, conditions={"new_customer": True}),
        )
        programs.add_rule(
            found.program,
            Target("category", category="shirts"),
            Stated(kind="per_unit", amount=250, currency="BRL"),
        )
    return found


@pytest.fixture
def ask(client, town):
    key = a_key(Role.MERCHANT_STAFF, merchant=town.merchant)

    def call(body, *, status=200):
        path = f"/api/v1/programs/{own('prg', town.program)}/simulate"
        answer = client.post(path, json=body, headers=bearer(key))
        assert answer.status_code == status, answer.text
        return answer.json

    call.get = lambda path: client.get(f"/api/v1{path}", headers=bearer(key))
    return call


class Killed(Exception):
    """Before the commit."""


def own(prefix, row):
    return ids.encode(prefix, row.merchant_id, row.id)


def brl(amount):
    return {"amount": amount, "currency": "BRL"}


def sells(client, town, number, *, new=True, **facts):
    """An order of two shirts and a mug."""
    lines = [
        a_line("l1", product_id="p1", category="Shirts", quantity=2, unit_price="50.00",
               tax="0.00"),
        a_line("l2", product_id="p2", unit_price="9.99", tax="0.00"),
    ]  # fmt: skip
    customer = {"id": f"c{number}", "new": new}
    facts = {"id": str(number), "customer": customer, "lines": lines} | facts
    deliver(client, town.shop, an_order(town.tk(), **facts))


def rule_of(town):
    """The one for shirts to new customers."""
    return db.session.scalar(sa.select(Rule.id).filter_by(product_id=town.shirt.id))


def replayed(town, draft=None, *, until=None):
    """To the end, as the job does it."""
    with unit_of_work():
        begun = service.begin(
            town.program,
            draft or Draft(),
            since=time.now() - timedelta(days=60),
            until=until or time.now() + timedelta(seconds=1),
        )
        key = (begun.merchant_id, begun.id)
    jobs.simulate(*key)
    return db.session.get_one(Simulation, key, populate_existing=True)


def difference(found, kind):
    sums = found.result.get("by", {}).get(kind, {})
    return {key.removesuffix("/BRL"): amount for key, amount in sums.items() if amount}


# --- an order typed in -------------------------------------------------------------------------


@pytest.mark.parametrize("new", [True, False, None])
def test_an_order_pays_what_the_simulator_said(client, town, ask, clock, new):
    clock.move(minutes=1)
    said = ask(
        {
            "promoter": ids.encode("prm", town.ana.id),
            "new_customer": new,
            "lines": [
                {"product": own("prd", town.shirt), "quantity": 2, "amount": brl(10_000)},
                {"product": own("prd", town.mug), "amount": brl(999)},
            ],
        }
    )
    sells(client, town, 1, new=new)

    names = {ids.encode("prm", each.id): each.name for each in (town.ana, town.bia, town.cida)}
    sums = {}
    for each in said["pays"]:
        key = (each["role"], names[each["payee"]])
        sums[key] = sums.get(key, 0) + each["amount"]["amount"]
    assert sums == earned()
    assert sums["direct", "Ana"] == (2000 if new else 500) + 119
    assert {each["code"] for each in said["trace"]} >= {"rule_chosen"}
    assert all(each["text"] for each in said["trace"])
    clean()


def test_what_a_months_cap_has_left_is_asked(client, town, ask, clock):
    """Also before anything was booked under the cap, when there is no counter yet."""
    clock.move(minutes=1)
    sells(client, town, 1)  # 21.19 for Ana, 3.29 and 1.09 above her
    with unit_of_work():
        spent = sum(earned().values())
        caps = [{"per": "promoter_month", "amount": 3000, "currency": "BRL"},
                {"per": "program_month", "amount": spent + 1000, "currency": "BRL"}]  # fmt: skip
        programs.change_program(town.program, {"caps": caps})
    clock.move(minutes=1)
    order = {"promoter": ids.encode("prm", town.ana.id), "lines": [{"amount": brl(10_000)}]}

    for _ in range(2):
        said = ask(order)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(CapCounter)) == 0
    outcome = service.simulate(
        town.program, town.shop, town.ana.id,
        Order("x", 1, Status.PAID, "BRL", time.now(), time.now(),
              lines=(Line("1", "", 1, 10_000, tax=0),)),
    )  # fmt: skip
    sells(client, town, 2, lines=[a_line("l1", product_id="p9", unit_price="100.00", tax="0.00")])

    pays = [each["amount"]["amount"] for each in said["pays"]]
    assert pays == [3000 - 2119, 1000 - (3000 - 2119), 0]
    assert [each["args"]["per"] for each in said["trace"] if each["code"] == "cap_cut"] == [
        "promoter_month", "program_month", "program_month",
    ]  # fmt: skip
    rooms = {each.payee_id: (each.cap, each.used, each.added, each.left) for each in outcome.rooms}
    assert rooms[0] == (spent + 1000, spent, 1000, 0)
    assert rooms[town.ana.id] == (3000, 2119, 881, 0)
    assert sum(earned().values()) == spent + sum(pays)
    clean()


def test_what_carried_the_link_may_be_said(client, town, ask, clock):
    with unit_of_work():
        programs.add_rule(
            town.program,
            Target("program"),
            Stated(rate_ppm=300_000, conditions={"contents": ["video"]}),
        )
    clock.move(minutes=1)
    order = {"promoter": ids.encode("prm", town.ana.id), "lines": [{"amount": brl(10_000)}]}

    assert ask(order)["pays"][0]["rate_ppm"] == 120_000
    assert ask(order | {"content": "Video"})["pays"][0]["rate_ppm"] == 300_000


def test_while_a_notice_runs_the_simulator_knows_of_it(client, town, ask, clock):
    clock.move(minutes=1)
    with unit_of_work():
        programs.change_program(town.program, {"notice_days": 30})
    clock.move(minutes=1)
    with unit_of_work():
        programs.change_program(town.program, {"default_rate_ppm": 10_000})
    clock.move(minutes=1)

    said = ask({"promoter": ids.encode("prm", town.ana.id), "lines": [{"amount": brl(10_000)}]})

    assert [each["amount"]["amount"] for each in said["pays"]] == [1200, 300, 100]
    assert "rate_locked" in {each["code"] for each in said["trace"]}


def test_a_draft_is_asked_as_if_it_were_published(town, ask, clock):
    clock.move(minutes=1)
    order = {
        "promoter": ids.encode("prm", town.ana.id),
        "lines": [{"category": "Shirts", "amount": brl(10_000)}],
    }
    draft = {
        "terms": {"default_rate_ppm": 50_000, "tiers_ppm": [10_000]},
        "rules": [{"scope": "category", "category": "SHIRTS", "rate_ppm": 70_000, "priority": 9}],
    }

    before = ask(order)
    after = ask(order | {"draft": draft})
    again = ask(order)

    assert [each["amount"]["amount"] for each in before["pays"]] == [250, 300, 100]
    assert [each["amount"]["amount"] for each in after["pays"]] == [700, 100]
    assert again == before, "a draft changes nothing"


def test_what_cannot_be_simulated_is_refused_with_its_place(client, town, ask):
    with unit_of_work():
        other = a_program(a_merchant())
        foreign = programs.add_rule(other, Target("program"), Stated(rate_ppm=1))
    ana = ids.encode("prm", town.ana.id)
    line = {"amount": brl(100)}
    period = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    for body, pointer in [
        ({}, "/lines"),
        ({"lines": [line], "promoter": ana, "replay": period}, "/lines"),
        ({"lines": [line]}, "/promoter"),
        ({"lines": [{"amount": {"amount": 1, "currency": "USD"}}], "promoter": ana},
         "/lines/0/amount"),
        ({"replay": {"from": period["to"], "to": period["from"]}}, "/replay/to"),
        ({"replay": {"from": "2000-01-01T00:00:00Z", "to": period["to"]}}, "/replay/to"),
        ({"replay": period, "draft": {"terms": {"tiers_ppm": [1] * 5}}}, None),
        ({"replay": period, "draft": {"terms": {"max_total_ppm": 10}}},
         "/draft/terms/default_rate_ppm"),
        ({"replay": period, "draft": {"rules": [{"scope": "product", "rate_ppm": 1}]}},
         "/draft/rules/0/product"),
        ({"replay": period,
          "draft": {"terms": {"max_total_ppm": 150_000},
                    "rules": [{"scope": "program", "rate_ppm": 160_000}]}},
         "/draft/rules/0/rate_ppm"),
        ({"replay": period, "draft": {"ended": [own("rul", foreign)]}}, "/draft/ended/0"),
    ]:  # fmt: skip
        refused = ask(body, status=422)
        if pointer:
            assert [each["pointer"] for each in refused["errors"]] == [pointer], refused
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Simulation)) == 0


# --- a past period -----------------------------------------------------------------------------


def test_the_terms_as_they_are_make_no_difference(client, town, clock):
    clock.move(minutes=1)
    for number in range(4):
        sells(client, town, number, new=number % 2 == 0)
    refund = {"id": "r1", "at": time.now().isoformat(), "status": "succeeded", "amount": "50.00",
              "shipping": "0.00",
              "lines": [{"line_id": "l1", "quantity": 1, "amount": "50.00"}]}  # fmt: skip
    sells(client, town, 2, version=2, refunds=[refund])

    found = replayed(town)

    assert (found.state, found.orders_done, found.orders_total) == ("done", 4, 4)
    assert found.result["paid"] == found.result["would"] == {"BRL": sum(earned().values())}
    for kind in ("promoter", "product", "role"):
        assert difference(found, kind) == {}
    clean()


def test_a_draft_tells_the_difference_by_promoter_product_and_role(client, town, clock):
    clock.move(minutes=1)
    sells(client, town, 1)
    sells(client, town, 2)
    with unit_of_work():
        before = earned()

    found = replayed(town, Draft(terms={"default_rate_ppm": 220_000, "tiers_ppm": [30_000]}))

    # Of each order the mug's 9.99 pays 2.19 instead of 1.19, and Cida's 1.00 and 0.09 fall away.
    assert difference(found, "promoter") == {str(town.ana.id): 200, str(town.cida.id): -218}
    assert difference(found, "role") == {"direct": 200, "tier_3": -218}
    shop = town.shop.id
    assert difference(found, "product") == {f"{shop}:p1": -200, f"{shop}:p2": 182}
    assert found.result["would"]["BRL"] - found.result["paid"]["BRL"] == -18
    assert earned() == before, "nothing is booked"


def test_orders_outside_the_period_and_of_other_programs_are_left_out(client, town, clock):
    clock.move(minutes=1)
    sells(client, town, 1)
    border = time.now() + timedelta(seconds=30)
    clock.move(minutes=1)
    sells(client, town, 2, paid_at=time.now().isoformat())

    found = replayed(town, until=border)

    assert found.orders_done == 1


def test_a_period_with_deleted_rules_is_replayed_by_those_that_stand(client, town, clock):
    """The rule that paid has ended since: what it paid is history, what would be paid does
    without it.
    """
    clock.move(minutes=1)
    sells(client, town, 1)
    clock.move(minutes=1)
    with unit_of_work():
        rule = db.session.get_one(Rule, (town.merchant.id, rule_of(town)))
        programs.end_rule(town.program, rule)
    clock.move(minutes=1)

    found = replayed(town)

    assert difference(found, "promoter") == {str(town.ana.id): 500 - 2000}


def test_a_draft_may_end_a_rule(client, town, clock):
    clock.move(minutes=1)
    sells(client, town, 1)

    found = replayed(town, Draft(ended=[rule_of(town)]))

    assert difference(found, "role") == {"direct": 500 - 2000}


def test_orders_that_nobody_is_paid_for_stay_unpaid(client, town, clock):
    clock.move(minutes=1)
    sells(client, town, 1, test=True)
    sells(client, town, 2, customer={"id": "c2", "email": town.ana.email})

    found = replayed(town, Draft(terms={"default_rate_ppm": 500_000}))

    assert (found.orders_done, found.result["paid"], found.result["would"]) == (2, {}, {})


def test_a_replay_goes_on_where_it_was_killed(client, town, clock, monkeypatch):
    clock.move(minutes=1)
    for number in range(5):
        sells(client, town, number)
    monkeypatch.setattr(simulating, "CHUNK", 2)
    with unit_of_work():
        begun = service.begin(
            town.program, Draft(), since=time.now() - timedelta(days=1),
            until=time.now() + timedelta(minutes=1),
        )  # fmt: skip
        key = (begun.merchant_id, begun.id)
    with unit_of_work():
        simulating.work_on(*key)
    with suppress(Killed), unit_of_work():
        simulating.work_on(*key)
        raise Killed
    half = db.session.get_one(Simulation, key, populate_existing=True)
    assert (half.state, half.orders_done, half.orders_total) == ("running", 2, 5)

    clock.move(minutes=5)
    assert simulating.quiet() == [key]
    jobs.simulate(*key)

    done = db.session.get_one(Simulation, key, populate_existing=True)
    assert (done.state, done.orders_done) == ("done", 5)
    assert done.result["paid"] == done.result["would"] == {"BRL": sum(earned().values())}
    assert simulating.quiet() == []
    with unit_of_work():
        assert simulating.work_on(*key) is False, "once done it stays so"


def test_what_always_fails_is_given_up_with_the_reason(client, town, ask, clock):
    """A draft that nobody can read any more, say; what went before it stays."""
    clock.move(minutes=1)
    sells(client, town, 1)
    with unit_of_work():
        begun = service.begin(
            town.program, Draft(rules=[{"conditions": {"moon": "full"}}]),
            since=time.now() - timedelta(days=1), until=time.now() + timedelta(minutes=1),
        )  # fmt: skip
        key = (begun.merchant_id, begun.id)

    for tries in range(1, simulating.TRIES + 1):
        assert db.session.get_one(Simulation, key, populate_existing=True).state == "running"
        with pytest.raises(TypeError):
            jobs.simulate(*key)
        found = db.session.get_one(Simulation, key, populate_existing=True)
        assert found.tries == tries
        assert simulating.quiet() == []  # it was tried just now
        clock.move(minutes=5)

    assert (found.state, found.orders_done) == ("failed", 0)
    assert "moon" in found.error
    assert simulating.quiet() == []
    jobs.simulate(*key)  # a bell that rings late
    shown = ask.get(f"/simulations/{ids.encode('sim', *key)}").json
    assert (shown["state"], shown["error"]) == ("failed", found.error)
    assert shown["ended_at"]


def test_a_chunk_that_works_forgives_tries_before_it(client, town, clock, monkeypatch):
    clock.move(minutes=1)
    for number in range(3):
        sells(client, town, number)
    monkeypatch.setattr(simulating, "CHUNK", 1)
    with unit_of_work():
        begun = service.begin(
            town.program, Draft(), since=time.now() - timedelta(days=1),
            until=time.now() + timedelta(minutes=1),
        )  # fmt: skip
        key = (begun.merchant_id, begun.id)

    with unit_of_work():
        simulating.note_failure(*key, OSError("out of luck\nand more"))
    assert (
        db.session.get_one(Simulation, key, populate_existing=True).error == "OSError: out of luck"
    )
    jobs.simulate(*key)

    found = db.session.get_one(Simulation, key, populate_existing=True)
    assert (found.state, found.tries, found.error, found.orders_done) == ("done", 0, None, 3)


def test_two_workers_at_one_replay_count_each_order_once(client, committed, monkeypatch):
    town = Town()
    for number in range(6):
        sells(client, town, number)
    monkeypatch.setattr(simulating, "CHUNK", 1)
    with unit_of_work():
        begun = service.begin(
            town.program, Draft(), since=time.now() - timedelta(days=1),
            until=time.now() + timedelta(minutes=1),
        )  # fmt: skip
        key = (begun.merchant_id, begun.id)
    app, together = current_app._get_current_object(), Barrier(3)

    def work(_):
        together.wait()
        with app.app_context():
            more = True
            while more:
                with unit_of_work():
                    more = simulating.work_on(*key)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))

    done = db.session.get_one(Simulation, key, populate_existing=True)
    assert (done.state, done.orders_done, done.orders_total) == ("done", 6, 6)
    assert done.result["paid"] == {"BRL": sum(earned().values())}
    assert done.result["would"] == done.result["paid"]


def test_a_replay_over_the_api(client, town, ask, clock):
    clock.move(minutes=1)
    sells(client, town, 1)
    period = {"from": (time.now() - timedelta(days=1)).isoformat(),
              "to": (time.now() + timedelta(minutes=1)).isoformat()}  # fmt: skip
    begun = ask({"replay": period, "draft": {"terms": {"default_rate_ppm": 220_000}}})["replay"]
    assert (begun["state"], begun["orders_done"], begun["orders_total"]) == ("running", 0, 1)
    jobs.simulate(town.merchant.id, ids.decode("sim", begun["id"])[1])

    found = ask.get(f"/simulations/{begun['id']}").json

    assert found["state"] == "done"
    assert found["from"].startswith(period["from"][:19])
    assert found["difference"] == [brl(100)]
    assert found["by_promoter"] == [
        {"promoter": ids.encode("prm", town.ana.id), "difference": brl(100)}
    ]
    assert found["by_product"] == [
        {"shop": own("shp", town.shop), "product": "p2", "difference": brl(100)}
    ]
    assert found["by_role"] == [{"role": "direct", "difference": brl(100)}]
    listed = ask.get(f"/simulations?program={own('prg', town.program)}").json["data"]
    assert [each["id"] for each in listed] == [begun["id"]]
