"""Agencies: their share of each line, whose promoter it was when, and money like anybody's."""

import pytest
import sqlalchemy as sa

from affiliate.commissions import service as commissions
from affiliate.commissions.rules import Share
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.ledger import queries as ledger
from affiliate.payouts.models import Payout
from affiliate.people import agencies
from affiliate.people import queries as people
from affiliate.people.models import Role
from affiliate.programs import service as programs
from affiliate.programs.agencies import AgencyRate, Mode
from affiliate.programs.book import Book, Kind, Terms
from affiliate.programs.models import AgencyRate as AgencyRateRow
from affiliate.programs.service import AgencyRateExists
from tests.commissions.engine import (
    BEGINNING,
    BEN,
    SHOP,
    a_line,
    a_rule,
    a_seller,
    an_order,
    pay,
    whole,
)
from tests.commissions.town import Town, clean
from tests.commissions.town import earned as of_everybody
from tests.factories.catalog import a_product
from tests.factories.orders import a_line as told_line
from tests.factories.orders import an_order as told_order
from tests.factories.orders import deliver
from tests.factories.people import a_user, an_agency
from tests.factories.settlement import a_settlement, an_account, approved, executed, with_totp

AGENCY = 77


def a_rate(ppm, mode=Mode.OWN, *, rate_id=1, since=BEGINNING, **about):
    return AgencyRate(rate_id, rate_id * 10, AGENCY, since, mode, ppm, **about)


def a_book(*rates, rate=120_000, ceiling=1_000_000, rules=()):
    return Book([Terms(BEGINNING, rate, ceiling)], list(rules), list(rates))


def share_of(book, *, amount=10_000, agency=AGENCY, line=None, **seller):
    paid = pay(an_order(line or a_line(amount)), book, a_seller(agency=agency, **seller))
    return {role: amount for (_, role, _), amount in paid.items()}


# --- how much ----------------------------------------------------------------------------------


def test_example_10_by_difference():
    assert share_of(a_book(a_rate(150_000, Mode.DIFFERENCE))) == {"direct": 1200, "agency": 300}


@pytest.mark.parametrize(
    ("rate", "agency"),
    [
        (a_rate(50_000), 500),
        (a_rate(100_000, Mode.DIFFERENCE), 0),  # the seller has more: never below zero
        (a_rate(50_000, ended=True), None),
    ],
)
def test_a_rate_of_its_own_stands_beside_the_sellers(rate, agency):
    assert share_of(a_book(rate)).get("agency") == agency


def test_only_the_agency_that_the_seller_was_with():
    book = a_book(a_rate(50_000))

    assert "agency" not in share_of(book, agency=None)
    assert "agency" not in share_of(book, agency=AGENCY + 1)


def test_the_most_particular_rate_counts_also_when_it_is_lower():
    bag = (SHOP, "bag")
    book = a_book(
        a_rate(10_000),
        a_rate(20_000, rate_id=2, product=bag),
        a_rate(30_000, rate_id=3, promoter_id=1),
        a_rate(5_000, rate_id=4, promoter_id=1, product=bag),
        a_rate(900_000, rate_id=5, promoter_id=BEN),
    )
    sold = a_line(10_000, product_external_id="bag")

    assert share_of(book)["agency"] == 300
    assert share_of(book, line=sold)["agency"] == 50


@pytest.mark.parametrize(
    ("rate", "agency"),
    [(a_rate(50_000), 500), (a_rate(150_000, Mode.DIFFERENCE), 1200)],
)
def test_beside_a_seller_who_gets_an_amount(rate, agency):
    rule = a_rule(kind=Kind.PER_UNIT, amount=300, currency="BRL")

    assert share_of(a_book(rate, rules=[rule])) == {"direct": 300, "agency": agency}


def test_the_ceiling_cuts_tiers_first_then_the_agency_then_the_seller():
    def cut(ceiling):
        book = a_book(a_rate(50_000), ceiling=ceiling)
        return share_of(book, tiers=[30_000], uplines=[BEN])

    assert cut(190_000) == {"direct": 1200, "agency": 500, "tier_2": 200}
    assert cut(150_000) == {"direct": 1200, "agency": 300, "tier_2": 0}
    assert cut(120_000) == {"direct": 1200, "agency": 0, "tier_2": 0}


def test_an_agency_is_no_level_of_the_tree():
    found, notes = whole(
        an_order(a_line(10_000)),
        a_book(a_rate(50_000)),
        a_seller(agency=AGENCY, tiers=[30_000], uplines=[BEN]),
    )

    assert Share("tier_2", "promoter", BEN, 30_000) in [each.share for each in found]
    told = [about for code, about in notes if code == "agency_rate"]
    assert told == [{"line": "l1", "agency": AGENCY, "mode": "own", "rate_ppm": 50_000}]
    assert not any(about.get("promoter") == AGENCY for _, about in notes)


# --- booked ------------------------------------------------------------------------------------


@pytest.fixture
def town(app, clock):
    clock.stand("2027-01-10T12:00:00-03:00")
    town = Town(tiers_ppm=[])
    with unit_of_work():
        town.agency = an_agency("Rede Sol", town.ana)
        programs.add_agency_rate(town.program, town.agency.id, mode="difference", ppm=150_000)
    clock.move(minutes=1)
    return town


def earned():
    return {role: amount for (role, _), amount in of_everybody().items()}


def test_refunds_take_back_the_agencys_part_too(client, town):
    order = told_order(town.tk())
    deliver(client, town.shop, order)
    assert earned() == {"direct": 1200, "agency": 300}
    half = [{"id": "r1", "status": "succeeded", "amount": "50.00"}]
    deliver(client, town.shop, order | {"version": 2, "refunds": half})
    assert earned() == {"direct": 600, "agency": 150}

    deliver(client, town.shop, order | {"version": 3, "status": "cancelled",
                                        "cancelled_at": order["paid_at"]})  # fmt: skip

    assert earned() == {"direct": 0, "agency": 0}
    clean()


def test_an_agency_left_in_mid_month_keeps_what_was_paid_before(client, town, clock):
    before = told_order(town.tk(), id="before")
    clock.move(days=5)
    with unit_of_work():
        member = people.agency_member(town.agency.id, town.ana.id, lock=True)
        agencies.unbind(member, by="promoter")
        agencies.unbind(member, by="agency")
    clock.move(days=1)
    deliver(client, town.shop, told_order(town.tk(), id="after"), before)
    assert earned() == {"direct": 2400, "agency": 300}

    # Also what is edited later follows the day of the payment.
    deliver(client, town.shop, before | {"version": 2, "lines": [told_line(price="200.00")]})

    assert earned() == {"direct": 3600, "agency": 600}
    assert member.ended_by == "promoter"
    clean()


def test_who_changes_the_agency_brings_the_next_one_its_share(client, town, clock):
    with unit_of_work():
        other = an_agency("Rede Lua")
        programs.add_agency_rate(town.program, other.id, mode="own", ppm=10_000)
        asked = agencies.invite(other, town.ana)
        with pytest.raises(agencies.WithAnother):
            agencies.accept(asked)
        agencies.unbind(people.agency_member(town.agency.id, town.ana.id), by="agency")
        agencies.accept(asked)
    clock.move(minutes=1)

    deliver(client, town.shop, told_order(town.tk()))

    assert earned() == {"direct": 1200, "agency": 100}
    assert ledger.balances_of("agency", town.agency.id) == []


def test_a_changed_rate_counts_from_now_on_and_an_old_order_keeps_its_own(client, town, clock):
    before = told_order(town.tk(), id="before")
    clock.move(days=1)
    rate = db.session.scalars(sa.select(AgencyRateRow)).one()
    with unit_of_work():
        programs.change_agency_rate(town.program, rate, mode="own", ppm=10_000)
    clock.move(days=1)
    after = told_order(town.tk(), id="after")
    clock.move(minutes=1)
    with unit_of_work():
        programs.end_agency_rate(rate)
        programs.end_agency_rate(rate)
    clock.move(days=1)

    deliver(client, town.shop, told_order(town.tk(), id="none"), after, before)

    assert earned() == {"direct": 3600, "agency": 300 + 100}


def test_an_agency_is_settled_and_paid_like_a_promoter(client, town, clock):
    deliver(client, town.shop, told_order(town.tk()))
    with unit_of_work():
        an_account(town.ana)
        an_account(town.agency)
        maker, checker = a_user(Role.FINANCE_MAKER), with_totp(a_user(Role.FINANCE_CHECKER))
    clock.move(days=40)
    with unit_of_work():
        commissions.release(town.merchant.id, clock.move())
    run = a_settlement(town.merchant, maker, through=clock.move())
    executed(approved(run, checker), maker)

    paid = db.session.scalars(sa.select(Payout).filter_by(settlement_id=run.id))
    assert {(each.payee_kind, each.gross) for each in paid} == {("promoter", 1200), ("agency", 300)}
    clean()


def test_what_cannot_be_stated(town):
    with unit_of_work():
        product = a_product(town.shop)
        programs.add_agency_rate(
            town.program, town.agency.id, mode="own", ppm=1, product_id=product.id
        )
    with pytest.raises(AgencyRateExists), unit_of_work():
        programs.add_agency_rate(town.program, town.agency.id, mode="own", ppm=1)
    for wrong, pointer in (
        ({"mode": "half", "ppm": 1}, "/mode"),
        ({"mode": "own", "ppm": 1_000_001}, "/ppm"),
        ({"mode": "own", "ppm": 1, "promoter_id": 999_999}, "/promoter"),
    ):
        with pytest.raises(Invalid) as refused, unit_of_work():
            programs.add_agency_rate(town.program, town.agency.id, **wrong)
        assert refused.value.errors[0].pointer == pointer
    with pytest.raises(Invalid) as refused, unit_of_work():
        programs.add_agency_rate(town.program, 999_999, mode="own", ppm=1)
    assert refused.value.errors[0].pointer == "/agency"


def test_a_closed_agency_has_nobody_and_invites_nobody(client, town, clock):
    with unit_of_work():
        agencies.invite(town.agency, town.bia)
        agencies.close(town.agency)
        agencies.close(town.agency)
        with pytest.raises(agencies.AgencyClosed):
            agencies.invite(town.agency, town.cida)
    clock.move(minutes=1)

    deliver(client, town.shop, told_order(town.tk()))

    assert earned() == {"direct": 1200}
    assert people.agencies_of(town.bia.id) == []


def test_an_amount_per_order_is_set_against_all_its_lines_whichever_comes_first():
    rule = a_rule(kind=Kind.PER_ORDER, amount=1000, currency="BRL")
    book = a_book(a_rate(150_000, Mode.DIFFERENCE), rules=[rule])

    def agencys(*amounts):
        lines = [a_line(amount, f"l{number}") for number, amount in enumerate(amounts)]
        paid = pay(an_order(*lines), book, a_seller(agency=AGENCY))
        return sum(amount for (_, role, _), amount in paid.items() if role == "agency")

    assert agencys(2000, 8000) == agencys(8000, 2000) == 500
