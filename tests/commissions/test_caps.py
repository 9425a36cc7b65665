"""Caps: per order, per promoter and month, per program and month; exact, whoever books at once."""

import os
import subprocess
import sys
from collections import Counter
from itertools import permutations
from time import sleep

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import ids
from affiliate.attribution import queries
from affiliate.attribution import service as attribution
from affiliate.commissions import service as commissions
from affiliate.commissions.models import CapCounter, Commission
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.links import token
from affiliate.people.models import Role
from affiliate.programs import service as programs
from tests.commissions.engine import a_book, a_line, a_seller, an_order, pay, whole
from tests.commissions.town import Town, balance, clean, earned
from tests.factories.links import a_link
from tests.factories.orders import a_line as told_line
from tests.factories.orders import an_order as told_order
from tests.factories.orders import deliver, send
from tests.factories.people import a_key, a_user, bearer


def a_cap(per, amount, currency="BRL"):
    return {"per": per, "amount": amount, "currency": currency}


def a_town(*caps, **terms):
    return Town(**{"tiers_ppm": [], "caps": caps} | terms)


def used():
    rows = db.session.execute(
        sa.select(CapCounter.payee_id, CapCounter.used).order_by(CapCounter.payee_id)
    )
    return [tuple(row) for row in rows]


def counters_are_right():
    """Each counter is the sum over its entries."""
    wrong = db.session.execute(
        sa.text(
            "SELECT n.id, n.used, sum(e.amount) FROM cap_counters n"
            " LEFT JOIN commissions c ON c.merchant_id = n.merchant_id"
            "  AND c.program_id = n.program_id AND c.month = n.month AND c.currency = n.currency"
            "  AND c.payee_kind = 'promoter' AND n.payee_id IN (0, c.payee_id)"
            " LEFT JOIN entries e ON e.merchant_id = c.merchant_id AND e.commission_id = c.id"
            "  AND e.state <> 'estimated'"
            " GROUP BY 1, 2 HAVING n.used <> coalesce(sum(e.amount), 0)"
        )
    ).all()
    assert wrong == []


# --- per order ---------------------------------------------------------------------------------


def test_the_cap_of_an_order_cuts_the_highest_tier_first_and_later_lines():
    lines = [a_line(10_000, "l1"), a_line(10_000, "l2")]
    seller = a_seller(1, tiers=[50_000], uplines=[2])

    paid = pay(an_order(*lines), a_book(100_000), seller, caps={"order": 2300})

    assert paid == {
        ("l1", "direct", 1): 1000, ("l2", "direct", 1): 1000,
        ("l1", "tier_2", 2): 300, ("l2", "tier_2", 2): 0,
    }  # fmt: skip


def test_a_cap_says_what_it_left():
    _, notes = whole(an_order(a_line(10_000)), None, caps={"order": 300})

    assert ("cap_cut", {"line": "l1", "role": "direct", "promoter": 1, "per": "order",
                        "amount": 300}) in notes  # fmt: skip


# --- per month ---------------------------------------------------------------------------------


def test_example_15_what_was_allowed_stays_when_half_comes_back(client):
    town = a_town(a_cap("promoter_month", 500), default_rate_ppm=200_000)
    order = told_order(town.tk())
    deliver(client, town.shop, order)
    assert earned() == {("direct", "Ana"): 500}

    half = [{"id": "r1", "status": "succeeded", "amount": "50.00"}]
    deliver(client, town.shop, order | {"version": 2, "refunds": half})

    assert earned() == {("direct", "Ana"): 500}
    counters_are_right()
    clean()


def test_room_that_a_refund_gives_back_serves_later_orders(client):
    town = a_town(a_cap("program_month", 1500))
    first = told_order(town.tk(), id="first")
    deliver(client, town.shop, first, told_order(town.tk(), id="second"))
    assert earned() == {("direct", "Ana"): 1500}

    gone = {"version": 2, "status": "cancelled", "cancelled_at": time.now().isoformat()}
    deliver(client, town.shop, first | gone)
    assert earned() == {("direct", "Ana"): 300}  # the second keeps what it was allowed
    deliver(client, town.shop, told_order(town.tk(), id="third"))

    assert earned() == {("direct", "Ana"): 1500}
    assert used() == [(0, 1500), (town.ana.id, 1500)]
    counters_are_right()
    clean()


def test_a_promoters_cap_leaves_the_others_alone(client):
    town = a_town(a_cap("promoter_month", 1500))
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    for number in range(2):
        deliver(client, town.shop, told_order(town.tk(), id=f"a{number}"))
        deliver(client, town.shop, told_order(town.tk(bias), id=f"b{number}"))

    assert earned() == {("direct", "Ana"): 1500, ("direct", "Bia"): 1500}
    counters_are_right()


def test_each_month_of_the_merchant_and_each_currency_counts_apart(client, clock):
    town = a_town(a_cap("program_month", 1500), a_cap("program_month", 5, "USD"))
    clock.stand("2027-01-31T23:59:00-03:00")  # São Paulo: the last minute of January
    deliver(client, town.shop, told_order(town.tk(), id="january"))
    clock.move(minutes=2)
    deliver(client, town.shop, told_order(town.tk(), id="february"))

    assert earned() == {("direct", "Ana"): 2400}
    months = db.session.scalars(sa.select(Commission.month).order_by(Commission.id)).all()
    assert [each.isoformat() for each in months] == ["2027-01-01", "2027-02-01"]


def test_a_raise_asks_for_more_room_and_gets_what_there_is(client):
    town = a_town(a_cap("program_month", 1500))
    order = told_order(town.tk())
    deliver(client, town.shop, order)
    assert earned() == {("direct", "Ana"): 1200}

    deliver(client, town.shop, order | {"version": 2, "lines": [told_line(price="200.00")]})
    assert earned() == {("direct", "Ana"): 1500}
    deliver(client, town.shop, order | {"version": 3, "lines": [told_line(price="50.00")]})

    assert earned() == {("direct", "Ana"): 600}
    counters_are_right()
    clean()


def test_reports_in_any_order_end_alike_under_a_cap(client):
    ends = set()
    for number, sequence in enumerate(permutations(range(3))):
        town = a_town(a_cap("program_month", 1000))
        order = told_order(town.tk(), id=f"o{number}")
        half = [{"id": "r1", "status": "succeeded", "amount": "50.00"}]
        reports = [
            order,
            order | {"version": 2, "lines": [told_line(price="150.00")]},
            order | {"version": 3, "lines": [told_line(price="150.00")], "refunds": half},
        ]
        deliver(client, town.shop, *(reports[each] for each in sequence))
        ends.add(balance(town.ana, "pending"))

    assert ends == {1000}
    counters_are_right()


def test_sellers_are_served_before_those_above_them(client):
    town = a_town(a_cap("program_month", 1300), tiers_ppm=[30_000])

    deliver(client, town.shop, told_order(town.tk()))

    assert earned() == {("direct", "Ana"): 1200, ("tier_2", "Bia"): 100}


def test_a_cap_that_comes_in_the_middle_of_a_month_counts_what_was_earned(client, clock):
    town = a_town(notice_days=0)
    clock.move(minutes=1)
    deliver(client, town.shop, told_order(town.tk(), id="before"))
    clock.move(minutes=1)
    with unit_of_work():
        programs.change_program(town.program, {"caps": [a_cap("program_month", 2000)]})
    clock.move(minutes=1)

    deliver(client, town.shop, told_order(town.tk(), id="after"))

    assert earned() == {("direct", "Ana"): 2000}
    counters_are_right()


def test_an_order_that_is_not_paid_takes_no_room(client):
    town = a_town(a_cap("program_month", 1500))
    unpaid = {"status": "pending_payment", "paid_at": None}
    deliver(client, town.shop, told_order(town.tk(), id="maybe", **unpaid))
    deliver(client, town.shop, told_order(town.tk(), id="sure"))

    assert (0, 1200) in used()
    counters_are_right()


def test_a_claim_moves_the_room_with_the_credit(client):
    town = a_town(a_cap("program_month", 1200))
    deliver(client, town.shop, told_order(town.tk(), number="77"))
    boss = a_user()
    with unit_of_work():
        claim = attribution.claim(town.program, town.bia.id, town.shop, "77", "mine")
    with unit_of_work():
        commissions.accept_claim(queries.claim(claim.merchant_id, claim.id), by=boss.id)

    assert earned() == {("direct", "Ana"): 0, ("direct", "Bia"): 1200}
    assert used() == [(0, 1200), (town.bia.id, 1200), (town.ana.id, 0)] or used() == [
        (0, 1200), (town.ana.id, 0), (town.bia.id, 1200),
    ]  # fmt: skip
    counters_are_right()
    clean()


@pytest.mark.parametrize(
    "caps",
    [
        [{"per": "week", "amount": 5, "currency": "BRL"}],
        [a_cap("order", -1)],
        [a_cap("order", 5, "XYZ")],
        [a_cap("order", 5), a_cap("order", 6)],
    ],
)
def test_a_cap_that_cannot_be_is_refused(app, caps):
    with pytest.raises(Invalid):
        Town(caps=caps)


# --- many at once ------------------------------------------------------------------------------

WORKER = """
import sys
from affiliate import create_app
from affiliate.intake import service
app = create_app()
with app.app_context():
    for shop in sys.argv[2:]:
        service.drain(int(sys.argv[1]), int(shop), batch=5)
"""


def test_four_processes_at_once_keep_a_cap_exactly(client, committed):
    """And somebody lowers the cap while they run."""
    town = a_town(a_cap("program_month", 30_000), a_cap("promoter_month", 25_000))
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    for number in range(120):
        link = (town.link, bias)[number % 2]
        tk = token.make(link.id, time.now(), b"abc")
        send(client, town.shop, told_order(tk, id=f"o{number}"))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(town.merchant.id), str(town.shop.id)],
            env=os.environ | committed.environment,
        )
        for _ in range(4)
    ]
    sleep(1.1)  # terms hold from the second after: the orders keep the cap of their payment
    with unit_of_work():
        program = db.session.merge(town.program)
        db.session.refresh(program, with_for_update=True)
        programs.change_program(
            program,
            {"caps": [a_cap("program_month", 29_000), a_cap("promoter_month", 25_000)]},
        )

    assert [worker.wait(120) for worker in workers] == [0] * 4

    total = sum(earned().values())
    assert total == 30_000  # orders were paid before the cap was lowered: theirs is the old one
    assert max(earned().values()) <= 25_000
    counters_are_right()
    clean()


KEEP_DRAINING = """
import select, sys
from affiliate import create_app
from affiliate.intake import service
app = create_app()
over = False
while not over:
    over = bool(select.select([sys.stdin], [], [], 0.01)[0])
    with app.app_context():
        service.drain(int(sys.argv[1]), int(sys.argv[2]), batch=5)
"""


def to_the_next_second():
    """Orders are judged as of the end of their second: none is paid in that of an edit."""
    sleep(1.05 - time.now().microsecond / 1e6)


def test_a_cap_that_is_edited_while_orders_run_holds_for_those_paid_under_it(client, committed):
    """Two processes book, the merchant goes up and down, some orders are told late."""
    caps = [6_000, 24_000, 12_000, 48_000, 30_000]
    town = a_town(a_cap("program_month", caps[0]), a_cap("promoter_month", 20_000), notice_days=0)
    with unit_of_work():
        bias = a_link(town.program, town.bia)
        key = a_key(Role.MERCHANT_STAFF, merchant=town.merchant)
    path = f"/api/v1/programs/{ids.encode('prg', town.merchant.id, town.program.id)}"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", KEEP_DRAINING, str(town.merchant.id), str(town.shop.id)],
            env=os.environ | committed.environment,
            stdin=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    paid_under, late = {}, []
    for number, cap in enumerate(caps):
        to_the_next_second()
        if number:
            changed = client.patch(
                path,
                json={"caps": [in_money("program_month", cap), in_money("promoter_month", 20_000)]},
                headers=bearer(key, **{"If-Match": "*"}),
            )
            assert changed.status_code == 200, changed.text
            to_the_next_second()
        told, late = late, []
        for each in range(24):
            tk = token.make((town.link, bias)[each % 2].id, time.now(), b"abc")
            order = told_order(tk, id=f"o{number}-{each}")
            paid_under[order["id"]] = cap
            (late if each % 4 == 0 else told).append(order)
        for order in told:
            send(client, town.shop, order)
    for order in late:
        send(client, town.shop, order)
    for worker in workers:
        worker.stdin.close()
    assert [worker.wait(120) for worker in workers] == [0] * 2

    granted, expected = as_they_were_booked(paid_under, own=20_000)
    assert granted == expected
    assert len(granted) == len(paid_under)
    assert 0 < granted.count(0) < len(granted)
    counters_are_right()
    clean()


def in_money(per, amount):
    return {"per": per, "money": {"amount": amount, "currency": "BRL"}}


def as_they_were_booked(paid_under, *, own):
    """What each order got, and what the caps of its payment had left of 12.00 just then.

    Who books holds the counters, so commissions are numbered as they were granted.
    """
    rows = db.session.execute(
        sa.text(
            "SELECT o.external_id, c.payee_id, coalesce(sum(e.amount), 0)::bigint"
            " FROM commissions c JOIN orders o ON o.id = c.order_id"
            " LEFT JOIN entries e ON e.commission_id = c.id"
            " GROUP BY 1, 2, c.id ORDER BY c.id"
        )
    )
    granted, expected, used = [], [], Counter()
    for order, payee, amount in rows:
        rooms = (paid_under[order] - used.total(), own - used[payee])
        expected.append(min(1200, *(max(0, room) for room in rooms)))
        granted.append(amount)
        used[payee] += amount
    return granted, expected
