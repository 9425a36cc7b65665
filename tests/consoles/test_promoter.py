"""The promoter's console: every page works, belongs to one promoter, and names no stranger."""

import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import ids
from affiliate.attribution import queries as attribution
from affiliate.commissions import service as commissions
from affiliate.commissions.models import Entry
from affiliate.db import db, unit_of_work
from affiliate.links import token
from affiliate.people import joining
from affiliate.people import service as people
from affiliate.people.models import Promoter, Role
from affiliate.settlement.models import Settlement
from tests.consoles.promoter_town import BUYER, Town, key_of_newest, statements
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product
from tests.factories.links import a_link
from tests.factories.orders import a_refund, an_order, deliver
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import an_enrolment

FINANCE = (Role.FINANCE_MAKER, Role.FINANCE_CHECKER)

PAGES = [
    "/promoter/", "/promoter/live", "/promoter/market/", "/promoter/share/", "/promoter/orders/",
    "/promoter/orders/?state=pending", "/promoter/orders/?state=team",
    "/promoter/orders/customers", "/promoter/team/",
    "/promoter/wallet/", "/promoter/wallet/account", "/promoter/wallet/account?kind=iban",
]  # fmt: skip
STATEMENTS_MAX = 16  # of Today 15: test_promoter_today.py


@pytest.fixture
def town(app):
    with unit_of_work():
        return Town("Sol")


@pytest.fixture
def other(app):
    with unit_of_work():
        return Town("Lua", enrolment="invite")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_works_and_names_nobody_elses_things(client, town, other, page):
    town.order(client)
    other.order(client)
    sign_in(client, town.user)

    answer = client.get(page)

    assert answer.status_code == 200
    assert "Lua" not in answer.text
    assert "Eva" not in answer.text
    for secret in ("buyer@example.org", "988887777"):
        assert secret not in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_every_page_works_while_there_is_nothing_yet(client, app, page):
    with unit_of_work():
        user = a_user(Role.PROMOTER, promoter=a_promoter())
    sign_in(client, user)

    assert client.get(page).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_shown_the_way_in(client, page):
    answer = client.get(page)

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("role", [Role.FINANCE_MAKER, Role.OPERATOR, Role.MERCHANT_OWNER])
def test_for_other_roles_the_console_does_not_exist(client, role):
    with unit_of_work():
        merchant = a_merchant() if role is Role.MERCHANT_OWNER else None
        somebody = a_user(role, merchant=merchant)
    sign_in(client, somebody)

    assert client.get("/promoter/").status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_the_database_no_more_for_many_rows_than_for_one(client, town, page):
    with unit_of_work():
        for _ in range(8):
            a_product(town.shop, image_url="https://cdn.example.com/x.jpg")
            a_promoter(sponsor=town.ana)
    for _ in range(4):
        town.order(client)
    sign_in(client, town.user)

    with statements() as sent:
        client.get(page)

    assert 0 < len(sent) <= STATEMENTS_MAX


def test_a_days_figures_keep_estimates_apart_from_what_can_be_taken(client, town):
    town.order(client)
    town.order(client, status="pending_payment", paid_at=None)
    with unit_of_work():
        db.session.execute(sa.update(Entry).where(Entry.state == "pending").values(hold_until=None))
    sign_in(client, town.user)

    page = client.get("/promoter/").text

    assert figures(page) == ["20.00", "20.00", "10.00", "10.00", "0.00"]
    assert 'data-live="' in page


def test_what_is_released_can_be_taken(client, town, clock):
    town.order(client)
    later = clock.move(days=90)
    with unit_of_work():
        commissions.release(town.merchant.id, later)
    sign_in(client, town.user)

    assert figures(client.get("/promoter/").text) == ["0.00", "0.00", "0.00", "0.00", "10.00"]


def test_refunds_lower_what_a_day_brought(client, town):
    told = town.order(client)
    deliver(client, town.shop, told | {"version": 2, "refunds": [a_refund("40.00")]})
    sign_in(client, town.user)

    assert figures(client.get("/promoter/").text)[0] == "6.00"


def test_a_day_begins_at_midnight_where_the_promoter_lives(client, town, clock):
    clock.stand("2027-03-22T02:00:00Z")  # still the 21st in São Paulo
    town.order(client)
    with unit_of_work():
        town.user.timezone = "America/Sao_Paulo"
        db.session.merge(town.user)
    clock.stand("2027-03-22T04:00:00Z")
    sign_in(client, town.user)

    assert figures(client.get("/promoter/").text)[:2] == ["0.00", "10.00"]


def figures(page):
    """Today, this month, estimated, pending, can be withdrawn."""
    purse = page[page.index('class="purse"') :].partition("</section>")[0]
    return [part.split(" <span")[0] for part in purse.split('<span class="money">')[1:]]


# --- orders ------------------------------------------------------------------------------------


def test_an_order_says_what_it_brings_when_and_why(client, town):
    told = town.order(client)
    deliver(client, town.shop, told | {"version": 2, "refunds": [a_refund("40.00")]})
    sign_in(client, town.user)

    page = client.get(f"/promoter/orders/{key_of_newest()}").text

    assert "Group buy" not in page
    assert "6.00" in page
    assert "4.00" in page  # taken back
    assert "10%" in page
    assert f"/s/{town.link.code} won" in page
    assert "Line Camisa" in page
    assert "level 2" not in page  # Eva's share is hers alone


def test_an_order_says_about_when_it_is_paid_where_the_merchant_has_a_rhythm(client, clock):
    clock.stand("2026-11-22T12:00:00Z")
    with unit_of_work():
        town = Town("Sol")
    town.order(client)
    sign_in(client, town.user)
    path = f"/promoter/orders/{key_of_newest()}"
    before = client.get(path).text
    with unit_of_work():
        maker, checker = (a_user(role, merchant=town.merchant) for role in FINANCE)
        db.session.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no triggers
        for day in (1, 8, 15):
            at = datetime(2026, 11, day, tzinfo=UTC)
            db.session.add(
                Settlement(
                    merchant_id=town.merchant.id, through=at, state="closed", created_by=maker.id,
                    approved_by=checker.id, approved_at=at, executed_by=maker.id, executed_at=at,
                    ended_at=at, hash="h",
                )
            )  # fmt: skip
        db.session.flush()
        db.session.execute(sa.text("SET LOCAL session_replication_role = origin"))

    page = client.get(path).text

    assert "Dec 22, 2026" in page  # when it is released
    assert "about Dec 27, 2026" in page
    assert "with the merchant's next settlement" in before


def test_bound_customers_are_listed_once_without_anything_of_theirs(client, town, clock):
    with unit_of_work():
        bound = Town("Mar", binding_days=30, protection_days=7)
    for _ in range(2):
        bound.order(client)
    bound.order(client, customer={"email": "other@example.org"})
    sign_in(client, bound.user)

    page = client.get("/promoter/orders/customers").text
    clock.move(days=10)
    later = client.get("/promoter/orders/customers").text
    clock.move(days=30)
    sign_in(client, bound.user)

    assert page.count("Customer ••") == 2
    assert page.count("30 days left") == page.count("protected for 7 days") == 2
    assert not re.search("buyer|example.org|98888", page)
    assert later.count("20 days left") == 2
    assert "protected for" not in later
    assert "No customers yet" in client.get("/promoter/orders/customers").text


def test_an_order_of_a_group_is_marked_and_says_which_order_opened_it(client, town):
    told = town.order(client) | {"version": 2, "group_id": "G1"}
    joined = told | {"id": "joined", "tk": None, "customer": None}
    deliver(client, town.shop, joined, told)
    sign_in(client, town.user)

    page = client.get(f"/promoter/orders/{key_of_newest()}").text

    assert "Group buy" in page
    assert f"It joined the group that order {told['number']} opened, which came by a click." in page
    assert "buyer@example.org" not in page


def test_who_stands_above_sees_their_own_part_and_not_who_sold(client, town):
    town.order(client)
    with unit_of_work():
        eva = a_user(Role.PROMOTER, promoter=town.eva)
    sign_in(client, eva)

    for page in ("/promoter/orders/", f"/promoter/orders/{key_of_newest()}"):
        shown = client.get(page).text
        assert "level 2" in shown
        assert "3.00" in shown
        assert "10.00" not in shown
        assert town.link.code not in shown


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"customer": {"email": "ana@example.com"}}, "The promoter is the buyer"),
        ({"test": True}, "Test orders earn nothing"),
        (
            {"status": "cancelled", "cancelled_at": "2030-01-01T00:00:00Z"},
            "The order was cancelled",
        ),
        ({"refunds": [a_refund("100.00")]}, "Nothing of it is left after refunds"),
    ],
)
def test_an_order_that_earns_nothing_says_why(client, town, facts, reason):
    with unit_of_work():
        ana = db.session.get_one(Promoter, town.ana.id)
        people.change_promoter(ana, {"email": "ana@example.com"})
    told = town.order(client)
    deliver(client, town.shop, told | {"version": 2} | facts)
    sign_in(client, town.user)

    assert reason in client.get("/promoter/orders/").text
    assert reason in client.get(f"/promoter/orders/{key_of_newest()}").text


def test_somebody_elses_order_is_no_order_here(client, town, other):
    other.order(client)
    sign_in(client, town.user)

    assert client.get(f"/promoter/orders/{key_of_newest()}").status_code == 404
    assert client.get("/promoter/orders/ord_nonsense").status_code == 404


def test_orders_are_found_by_state_and_read_in_pages(client, town):
    for _ in range(31):
        town.order(client)
    sign_in(client, town.user)

    first = client.get("/promoter/orders/?state=pending")
    address = first.text.split('href="/promoter/orders/?state=pending&amp;cursor=')[1].split('"')[0]
    second = client.get(f"/promoter/orders/?state=pending&cursor={address}")

    assert first.text.count('class="whole"') == 30
    assert second.text.count('class="whole"') == 1
    assert client.get("/promoter/orders/?state=paid").text.count('class="whole"') == 0


def test_bound_customers_are_found_by_an_index(town):
    db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
    given = {"promoter": town.ana.id, "now": time.now(), "most": 9, "rows": 9}

    plan = db.session.scalars(sa.text(f"EXPLAIN {attribution.BOUND.text}"), given).all()

    assert "bindings_promoter_idx" in "\n".join(plan)


def test_orders_of_the_team_are_shown_also_where_they_earn_nothing(client, town, other):
    """Cora stands two below Ana; only one level is paid."""
    with unit_of_work():
        cora = a_promoter("Cora", sponsor=town.bia)
        an_enrolment(town.program, cora)
        link = a_link(town.program, cora)
    town.order(client, link)
    path = f"/promoter/orders/{key_of_newest()}"
    sign_in(client, town.user)

    listed, page = client.get("/promoter/orders/?state=team").text, client.get(path).text

    for each in (listed, page):
        assert "Your level earns nothing of it." in each
        assert BUYER["email"] not in each
    assert "By your team" in listed
    for place in ("/promoter/", "/promoter/orders/", "/promoter/orders/?state=pending"):
        assert path not in client.get(place).text
    sign_in(client, other.user)
    assert path not in client.get("/promoter/orders/?state=team").text
    assert client.get(path).status_code == 404


def test_an_order_that_several_share_is_each_ones_own(client):
    with unit_of_work():
        town = Town("Mar", model="linear")
        other = a_user(Role.PROMOTER, promoter=town.bia)
        links = [town.link, a_link(town.program, town.bia)]
    tk = ".".join(token.make(each.id, time.now(), b"abc") for each in links)
    deliver(client, town.shop, an_order(tk, total="100.00"))

    for user in (town.user, other):
        sign_in(client, user)
        page = client.get("/promoter/orders/").text
        assert key_of_newest() in page
        assert "By your team" not in page


# --- team --------------------------------------------------------------------------------------


def test_the_invitation_leads_below_this_promoter(client, town):
    sign_in(client, town.user)

    page = client.get("/promoter/team/").text

    assert f"/join/{joining.invite_code(town.ana.id)}" in page
    assert client.get("/promoter/team/invitation.svg").data.startswith(b"<svg")


def test_the_team_is_opened_level_by_level(client, town):
    with unit_of_work():
        cora = a_promoter("Cora", sponsor=town.bia)
        a_promoter("Duda", sponsor=cora)
    sign_in(client, town.user)

    page = client.get("/promoter/team/").text
    below = client.get(member(town.bia), headers={"HX-Request": "true"}).text

    assert "Bia Sol" in page
    assert "Cora" not in page
    assert "Cora" in below
    assert "<html" not in below
    assert "Duda" in client.get(member(cora)).text


def test_people_above_beside_and_elsewhere_are_no_team(client, town, other):
    with unit_of_work():
        beside = a_promoter("Beside", sponsor=town.eva)
    sign_in(client, town.user)

    for stranger in (town.ana, town.eva, beside, other.bia):
        assert client.get(member(stranger)).status_code == 404
    assert client.get("/promoter/team/prm_nonsense").status_code == 404


def test_what_the_team_brought_is_what_this_promoter_earned_by_it(client, town):
    town.order(client)
    with unit_of_work():
        eva = a_user(Role.PROMOTER, promoter=town.eva)
    sign_in(client, eva)

    page = client.get("/promoter/team/").text

    assert "3.00 BRL" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "10.00" not in page


def member(promoter):
    return f"/promoter/team/{ids.encode('prm', promoter.id)}"
