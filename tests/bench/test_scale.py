"""Filled orders are what the engine would have stored, the planted tree what triggers keep; and
what is asked of it finds its way by indexes.
"""

import json
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from werkzeug.datastructures import Headers

from affiliate import clock
from affiliate.bench import counting, forest, scene
from affiliate.bench.filling import SOURCES, Calendar, Filling
from affiliate.bench.forest import DEEP
from affiliate.cli import main
from affiliate.db import db, table, unit_of_work
from affiliate.intake import service as intake
from affiliate.intake.platforms.interface import Knock
from affiliate.ledger.verify import verify
from affiliate.people import queries
from affiliate.people import service as people
from affiliate.people.models import Promoter, Role, Sponsorship
from affiliate.programs import service as programs
from tests.consoles.promoter_town import statements
from tests.consoles.signed_in import sign_in
from tests.factories.people import a_user
from tests.factories.programs import a_program

SELLERS = 7


@pytest.fixture
def filling(app):
    with clock.moved(-timedelta(days=400)):
        found = scene.set_up(sellers=SELLERS)
    return Filling(found, Calendar.of(5000, days=365))


def tell(filling, made, numbers):
    with unit_of_work():
        for number in numbers:
            body, headers = made(filling.scene, number, filling.calendar.at(number))
            again = headers | {"X-Shopify-Webhook-Id": f"again-{number}"}
            intake.keep(filling.shop, Knock(Headers(again), body))
    return intake.drain(filling.shop.merchant_id, filling.shop.id)


def rows(model):
    """As text, whatever an object of the session remembers."""
    return db.session.scalars(
        sa.text(f"SELECT t::text FROM {table(model).name} t ORDER BY id")
    ).all()


def test_a_filled_order_told_again_changes_nothing(filling):
    filling.up_to(100)
    models = list(SOURCES)[1:]  # without the inbox, where it is told
    before = {model: rows(model) for model in models}

    assert tell(filling, scene.webhook, [SELLERS, 50, 99]) == 3

    assert {model: rows(model) for model in models} == before
    assert len(before[models[0]]) == 100
    assert verify().ok


def test_a_refund_of_a_filled_order_finds_its_money(filling):
    filling.up_to(60)
    filling.up_to(100)

    tell(filling, scene.refunded, [8, 99])

    back = sa.text("SELECT amount, state, reason->>0 FROM entries WHERE amount < 0 ORDER BY id")
    assert [tuple(row) for row in db.session.execute(back)] == [
        (-450, "pending", "reversal"), (-135, "pending", "reversal")
    ] * 2  # fmt: skip
    assert verify().ok


def test_what_is_filled_lies_evenly_in_time_each_with_its_own_buyer(filling):
    filling.up_to(100)

    spread = sa.text(
        "SELECT count(*), count(DISTINCT placed_at), count(DISTINCT customer_email_hash),"
        " count(DISTINCT tokens), max(placed_at) - min(placed_at) FROM orders"
    )
    *counts, span = db.session.execute(spread).one()
    assert counts == [100] * 4
    assert timedelta(days=7) < span < timedelta(days=7.5)


# --- the tree ------------------------------------------------------------------------------------


@pytest.fixture
def tree(app):
    planted = forest.plant(6000)
    db.session.execute(sa.text("ANALYZE promoters, sponsorships"))
    return planted


@contextmanager
def read_whole(*tables):
    """How often these tables were read from end to end meanwhile, also by triggers."""
    found, before = {}, scans_of(tables)
    yield found
    found.update({name: count - before[name] for name, count in scans_of(tables).items()})


def scans_of(tables):
    rows = db.session.execute(
        sa.text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = ANY (:n)"),
        {"n": list(tables)},
    )
    return dict(rows.all())


def test_the_tree_is_as_triggers_keep_it(tree):
    open_now = sa.select(Sponsorship.promoter_id, Sponsorship.sponsor_id, Sponsorship.since)
    history = db.session.execute(open_now.where(Sponsorship.until.is_(None))).all()
    stated = db.session.execute(
        sa.select(Promoter.id, Promoter.sponsor_id, Promoter.sponsor_since).where(
            Promoter.sponsor_id.is_not(None)
        )
    ).all()
    assert sorted(history) == sorted(stated)
    assert len(stated) == 6000 - 1
    over = db.session.scalars(sa.select(Sponsorship).where(Sponsorship.until.is_not(None))).all()
    assert 50 < len(over) <= 6000 // forest.MOVED_EVERY
    assert all(each.promoter_id % forest.MOVED_EVERY == 0 for each in over)


def test_the_tree_is_twenty_deep_and_the_same_each_time(tree):
    asked = [(promoter_id, clock.now()) for promoter_id in tree.end]
    depths = [len(path) for path in queries.uplines(asked, 64).values()]

    assert max(depths) == DEEP
    assert depths.count(DEEP) > len(depths) / 2
    assert depths.count(forest.STAR + 1) > len(depths) / 10, "who the star brought"
    assert [level[-1] - level[0] + 1 for level in tree.ids][-3:] == [750, 1500, 3001]


def test_many_paths_up_are_one_statement_by_indexes(tree):
    asked = [(promoter_id, clock.now()) for promoter_id in tree.end[-25:]]

    with read_whole("promoters", "sponsorships") as scans, statements() as told:
        queries.uplines(asked, 64)

    assert len([each for each in told if "WITH RECURSIVE" in each]) == 1
    assert scans == {"promoters": 0, "sponsorships": 0}


def test_a_move_of_a_large_branch_reads_the_way_up_only(tree):
    with read_whole("promoters", "sponsorships") as scans:
        star = db.session.get_one(Promoter, tree.star)
        people.move_sponsor(star, tree.ids[1][0])

    assert scans == {"promoters": 0, "sponsorships": 0}


def test_enrolling_reads_nothing_whole(tree):
    with unit_of_work():
        program = a_program()
    with read_whole("promoters", "sponsorships", "enrolments") as scans:
        joined = people.create_promoter("New", email="new@example.com", sponsor_id=tree.end[-1])
        programs.enrol(program, joined.id, by_merchant=True)

    assert scans["promoters"] == scans["sponsorships"] == 0


def test_the_team_page_does_not_walk_the_tree(tree, client):
    with unit_of_work():
        star, end = (
            a_user(Role.PROMOTER, promoter=db.session.get_one(Promoter, who))
            for who in (tree.star, tree.end[-1])
        )
    counts = []
    for user in (end, star):
        sign_in(client, user)
        client.get("/promoter/team/")  # what is looked up once
        with statements() as told:
            assert client.get("/promoter/team/").status_code == 200
        counts.append(len(told))

    assert counts[1] <= counts[0] + 2, "however many there are below"


# --- the bench -----------------------------------------------------------------------------------


def read_to_book(filling, numbers):
    """Pages per fresh order."""
    with unit_of_work():
        db.session.execute(sa.text("ANALYZE"))
    with counting.pages() as seen:
        assert tell(filling, lambda of, number, _: scene.webhook(of, number), numbers) == len(
            numbers
        )
    return seen.pages / len(numbers)


def test_ten_times_the_orders_are_not_more_to_read(committed, filling, rung):
    fresh = range(6000, 6100)
    filling.up_to(500)
    few = read_to_book(filling, fresh)
    filling.up_to(5000)

    assert read_to_book(filling, [number + 100 for number in fresh]) < 1.5 * few


@pytest.mark.long
@pytest.mark.parametrize("orders", [5000, 100_000])
def test_the_bench_of_scale_measures_what_it_says(orders):
    given = ["--orders", str(orders), "--promoters", str(orders), "--json"]
    done = CliRunner().invoke(main, ["bench", "scale", *given])

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    smaller, larger = found["flat"][-2:]
    assert (smaller["stored"], larger["stored"]) == (orders // 10, orders)
    for name in ("booked_pages", "refunded_pages"):
        assert larger[name] < 1.5 * smaller[name], name
    assert found["tree"]["promoters"] == orders
    assert found["tree"]["below"] > orders / 10
