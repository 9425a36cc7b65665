"""The demo that a newcomer meets: what it promises, on books that prove themselves."""

import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import demo, security
from affiliate.attribution import trace
from affiliate.attribution.models import Attribution
from affiliate.catalog.models import Product, Shop
from affiliate.commissions.models import Entry
from affiliate.config import shipped
from affiliate.db import db, unit_of_work
from affiliate.demo import people as log_ins
from affiliate.demo import shopping, story, town
from affiliate.demo.history import SEED
from affiliate.insight.models import OrderDay
from affiliate.intake.models import Event
from affiliate.ledger.verify import verify
from affiliate.links.models import Click, Link, LinkDay
from affiliate.orders.models import Order, Refund
from affiliate.payouts.models import Payout, PayoutAccount
from affiliate.people import queries as people
from affiliate.people import service as people_service
from affiliate.people.models import Promoter, Role
from affiliate.programs.models import Membership
from affiliate.settlement import service as settlements
from affiliate.settlement.models import CarryOver, Settlement


def count(model, *where):
    return db.session.scalar(sa.select(sa.func.count()).select_from(model).where(*where))


def groups(column, *where):
    rows = db.session.execute(
        sa.select(column, sa.func.count()).where(*where).group_by(column).order_by(column)
    )
    return {key: number for key, number in rows}  # noqa: C416


def test_the_story_is_whole_and_its_books_prove_themselves(committed, valkey):
    before = time.now()

    demo.load()

    report = verify()
    assert report.breaches == []
    assert report.checked["transfers"] > 1500
    scene()
    orders(before)
    money()
    log_in_lines()
    somebody_can_approve()
    assert verify().ok


def scene():
    assert groups(Shop.platform) == {"shopify": 1, "standard": 2}
    assert groups(Shop.currency) == {"BRL": 1, "CNY": 1, "MXN": 1}
    assert count(Product) == 18
    assert groups(Membership.state) == {"active": 30, "applied": 2}
    assert count(Promoter) == 30
    assert count(PayoutAccount, PayoutAccount.replaced_at.is_(None)) == 27
    assert depth() == 4
    assert count(Link) == 76
    assert count(Click) == shopping.VISITS
    assert db.session.scalar(sa.select(sa.func.sum(LinkDay.clicks))) == shopping.VISITS
    days = groups(LinkDay.day)
    assert 88 <= len(days) <= 91


def depth():
    up = {each.id: each.sponsor_id for each in db.session.scalars(sa.select(Promoter))}

    def levels(promoter):
        return 1 + levels(up[promoter]) if up[promoter] else 1

    return max(map(levels, up))


def orders(before):
    assert count(Order) == 508
    assert count(Refund) >= 30
    in_reports = db.session.scalar(sa.select(sa.func.sum(OrderDay.orders)))
    assert in_reports == count(Order, ~Order.test)
    for chosen in (Order.test, Order.cancelled_at.is_not(None), Order.paid_at.is_(None)):
        assert count(Order, chosen)
    assert set(groups(Order.status)) == {
        "pending_payment", "paid", "fulfilled", "delivered", "cancelled", "expired",
    }  # fmt: skip
    oldest = db.session.scalar(sa.select(sa.func.min(Order.placed_at)))
    newest = db.session.scalar(sa.select(sa.func.max(Order.placed_at)))
    assert timedelta(days=85) < before - oldest < timedelta(days=91)
    assert before - newest < timedelta(hours=1)
    told = {
        code
        for each in db.session.scalars(sa.select(Attribution))
        for code, _ in trace.steps(each.trace)
    }
    assert {
        "won", "no_winner", "earlier_touch", "token_forged", "outside_window", "suspended",
        "test_order", "self_purchase", "rebate", "tax_not_reported", "share",
    } <= told  # fmt: skip
    assert groups(Event.state)["done"] > 10
    (aside,) = db.session.scalars(sa.select(Event).where(Event.state == "quarantined"))
    assert (aside.error["code"], aside.error["pointer"]) == (
        "too_many_decimals",
        "/data/lines/0/unit_price",
    )


def money():
    past, waiting = db.session.scalars(sa.select(Settlement).order_by(Settlement.id))
    assert (past.state, waiting.state) == ("closed", "review")
    assert past.created_by != past.approved_by
    assert set(past.totals) == set(waiting.totals) == {"BRL", "CNY", "MXN"}
    states = groups(Payout.state, Payout.settlement_id == past.id)
    assert (states.pop("returned"), states.pop("failed")) == (1, 1)
    assert set(states) == {"paid"}
    assert states["paid"] > 15
    assert set(groups(CarryOver.reason)) == {"below_minimum", "no_account"}
    assert set(groups(Entry.state)) == {"estimated", "pending", "available", "reserved", "paid"}


def log_in_lines():
    lines = demo.log_ins()
    assert log_ins.PASSWORD in lines[0]
    roles = set()
    for line in lines[1:-2]:
        email, role, _name = line.split(maxsplit=2)
        user = people.user_by_email(email)
        assert security.password_fits(user.password_hash, log_ins.PASSWORD)
        assert role in {grant.role for grant in people.grants_of(user.id)}
        roles.add(role)
    assert roles == {
        Role.OPERATOR, Role.MERCHANT_OWNER, Role.FINANCE_MAKER, Role.FINANCE_CHECKER,
        Role.PROMOTER, Role.AGENCY,
    }  # fmt: skip
    assert log_ins.TOTP_SECRET in lines[-1]
    assert max(map(len, lines)) < 90


def somebody_can_approve():
    checker = people.user_by_email(log_ins.address("checker"))
    waiting = db.session.scalars(sa.select(Settlement).filter_by(state="review")).one()
    with unit_of_work():
        settlements.approve(
            waiting.merchant_id, waiting.id, by=checker.id, seen=waiting.hash, otp=log_ins.code()
        )
    assert waiting.state == "approved"


def test_the_same_story_is_told_at_whatever_instant():
    def told(now):
        rng = random.Random(SEED)
        place = town.build(rng, now)
        seen = shopping.visits(rng, place)
        bought = shopping.purchases(rng, place, seen)
        db.session.rollback()
        return [
            (each.store.key, each.number, now - each.placed_at, each.paid, each.given_back)
            for each in bought
        ]

    first = told(time.instant("2026-11-22T10:00:00Z"))

    assert first == told(time.instant("2027-03-29T01:30:00Z"))
    assert len(first) == 508


def test_nobody_can_sign_in_where_there_is_no_demo():
    assert demo.log_ins() == []


def test_the_demo_goes_into_an_empty_database_only():
    people_service.create_merchant("Real", country="BR", currency="BRL", timezone="UTC")

    with pytest.raises(town.NotEmpty):
        town.build(random.Random(SEED), time.now())


def test_every_garment_has_a_small_picture_of_its_own():
    garments = {listing.garment for store in story.STORES for listing in store.listings}

    pictures = {each.stem: each for each in (shipped("static") / "demo").glob("*.svg")}

    assert set(pictures) == garments
    assert all(each.stat().st_size < 3000 for each in pictures.values())
    assert all("<script" not in each.read_text() for each in pictures.values())


def test_a_picture_is_served_where_the_product_says(client):
    listing = story.STORES[0].listings[0]

    answer = client.get(f"/static/demo/{listing.garment}.svg", buffered=True)

    assert answer.status_code == 200
    assert answer.mimetype == "image/svg+xml"
