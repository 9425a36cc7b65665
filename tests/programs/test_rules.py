"""Stating rules: versions, what is refused, and what a cut means for who shares already."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid, NotFound
from affiliate.events import Event
from affiliate.links import service as links
from affiliate.notices import queries as notices
from affiliate.people.models import Role
from affiliate.programs import queries, service
from affiliate.programs.book import Scope
from affiliate.programs.service import OverlappingVersions, Stated, Target
from tests.commissions.town import Town, clean, earned
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program

WHOLE = Target(Scope.PROGRAM)


@pytest.fixture
def town(app, clock):
    clock.move(minutes=0)
    return Town(tiers_ppm=[])


def cuts():
    return db.session.scalar(
        sa.select(sa.func.count()).select_from(Event).where(Event.name == "rate.cut")
    )


def test_a_rule_has_versions_and_an_order_the_one_of_its_payment(client, town, clock):
    clock.move(minutes=1)
    with unit_of_work():
        rule = service.add_rule(town.program, WHOLE, Stated(rate_ppm=200_000))
    order = an_order(town.tk())
    clock.move(days=1)
    with unit_of_work():
        service.change_rule(town.program, rule, {"rate_ppm": 300_000})
    clock.move(days=1)

    deliver(client, town.shop, order, an_order(town.tk(), id="late"))

    assert earned() == {("direct", "Ana"): 2000 + 3000}
    clean()


@pytest.mark.parametrize(
    ("target", "stated", "pointer"),
    [
        (Target(Scope.PRODUCT), Stated(rate_ppm=1), "/product"),
        (Target(Scope.PROMOTER, promoter_id=999_999), Stated(rate_ppm=1), "/promoter"),
        (Target(Scope.PROGRAM, category="x"), Stated(rate_ppm=1), "/category"),
        (Target("everything"), Stated(rate_ppm=1), "/scope"),
        (WHOLE, Stated(rate_ppm=300_001), "/rate_ppm"),
        (WHOLE, Stated(rate_ppm=-1), "/rate_ppm"),
        (WHOLE, Stated(kind="per_unit", amount=5), "/currency"),
        (WHOLE, Stated(kind="per_unit", amount=0, currency="BRL"), "/amount"),
        (WHOLE, Stated(kind="per_order", amount=5, currency="XYZ"), "/currency"),
        (WHOLE, Stated(rate_ppm=1, amount=5, currency="BRL"), "/amount"),
        (WHOLE, Stated(kind="gift", rate_ppm=1), "/kind"),
        (WHOLE, Stated(rate_ppm=1, conditions={"min_order_amount": 5}),
         "/conditions/min_order_amount"),
        (WHOLE, Stated(rate_ppm=1, conditions={"since": "2026-11-02T00:00:00+00:00",
                                               "until": "2026-11-02T00:00:00+00:00"}),
         "/conditions/until"),
    ],
)  # fmt: skip
def test_what_cannot_be_stated_is_refused_at_the_field(app, target, stated, pointer):
    program = a_program(max_total_ppm=300_000)

    with pytest.raises(Invalid) as refused:
        service.add_rule(program, target, stated)

    assert next(each.pointer for each in refused.value.errors) == pointer


def test_versions_do_not_overlap_and_never_begin_in_the_past(town, clock):
    later = time.now() + timedelta(days=5)
    rule = service.add_rule(town.program, WHOLE, Stated(rate_ppm=1), effective_from=later)

    with pytest.raises(OverlappingVersions):
        service.change_rule(town.program, rule, {"rate_ppm": 2}, effective_from=later)
    with pytest.raises(OverlappingVersions):
        service.change_rule(town.program, rule, {"rate_ppm": 2})
    with pytest.raises(Invalid, match="begins now or later"):
        service.add_rule(
            town.program, WHOLE, Stated(rate_ppm=1),
            effective_from=time.now() - timedelta(seconds=1),
        )  # fmt: skip
    service.change_rule(
        town.program, rule, {"rate_ppm": 2}, effective_from=later + timedelta(days=1)
    )


def test_a_rule_that_has_ended_is_not_changed(town):
    rule = service.add_rule(town.program, WHOLE, Stated(rate_ppm=1))
    service.end_rule(town.program, rule)
    service.end_rule(town.program, rule)

    with pytest.raises(service.RuleEnded):
        service.change_rule(town.program, rule, {"rate_ppm": 2})


def test_the_database_refuses_to_edit_a_version(town):
    service.add_rule(town.program, WHOLE, Stated(rate_ppm=1))

    with pytest.raises(sa.exc.DBAPIError, match="never edited"), db.session.begin_nested():
        db.session.execute(sa.text("UPDATE rule_versions SET rate_ppm = 2"))
    with pytest.raises(sa.exc.DBAPIError, match="never edited"), db.session.begin_nested():
        db.session.execute(sa.text("DELETE FROM rule_versions"))


def test_a_product_of_another_merchant_has_no_rule_here(town):
    foreign = a_product(a_shop(a_merchant("Other")))

    with pytest.raises(NotFound):
        service.add_rule(
            town.program, Target(Scope.PRODUCT, product_id=foreign.id), Stated(rate_ppm=1)
        )


# --- the notice of a cut -----------------------------------------------------------------------


def cut(town, to=50_000):
    with unit_of_work():
        service.change_program(town.program, {"default_rate_ppm": to})


def test_a_cut_is_told_and_waits_for_those_who_share_already(client, town, clock):
    clock.move(days=1)
    cut(town)
    clock.move(days=29)
    deliver(client, town.shop, an_order(town.tk(), id="within"))
    clock.move(days=2)
    deliver(client, town.shop, an_order(town.tk(), id="after"))

    assert earned() == {("direct", "Ana"): 1200 + 500}
    assert cuts() == 1
    clean()


def test_a_raise_counts_at_once_and_is_no_cut(client, town, clock):
    clock.move(days=1)
    cut(town, to=200_000)
    clock.move(days=1)

    deliver(client, town.shop, an_order(town.tk()))

    assert earned() == {("direct", "Ana"): 2000}
    assert cuts() == 0


def test_who_begins_to_share_after_the_cut_gets_the_new_rate(client, town, clock):
    clock.move(days=1)
    cut(town)
    clock.move(days=1)
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk(bias)))

    assert earned() == {("direct", "Bia"): 500}


def test_a_paused_link_is_no_live_one(client, town, clock):
    clock.move(days=1)
    with unit_of_work():
        links.change_link(town.link, {"paused": True})
    clock.move(days=1)
    cut(town)
    clock.move(days=1)
    with unit_of_work():
        links.change_link(town.link, {"paused": False})
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk()))

    assert earned() == {("direct", "Ana"): 500}


def test_refunds_inside_and_after_the_notice_use_the_same_rate(client, town, clock):
    clock.move(days=1)
    cut(town)
    clock.move(days=1)
    order = an_order(town.tk())
    deliver(client, town.shop, order)
    clock.move(days=60)

    back = [{"id": "r1", "status": "succeeded", "amount": "50.00"}]
    deliver(client, town.shop, order | {"version": 2, "refunds": back})

    assert earned() == {("direct", "Ana"): 600}
    clean()


def test_a_product_rate_that_ends_is_a_cut_too(client, town, clock):
    clock.move(minutes=1)
    with unit_of_work():
        shirt = a_product(town.shop, external_id="p1")
        service.set_product_rate(town.program, shirt.id, 300_000)
    clock.move(days=1)
    with unit_of_work():
        service.set_product_rate(town.program, shirt.id, None)
    clock.move(days=1)
    line = {"id": "l1", "product_id": "p1", "title": "x", "quantity": 1, "unit_price": "100.00"}

    deliver(client, town.shop, an_order(town.tk(), lines=[line]))

    assert earned() == {("direct", "Ana"): 3000}
    assert queries.inline_rates(town.merchant.id, [shirt.id]) == {}
    assert cuts() == 1


def test_everybody_who_shares_gets_a_letter(town, app):
    with unit_of_work():
        user = a_user(Role.PROMOTER, promoter=town.ana)
    cut(town)
    event = db.session.scalars(sa.select(Event).where(Event.name == "rate.cut")).one()

    assert [each.id for each in notices.readers_of(event)] == [user.id]
