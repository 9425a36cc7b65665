"""The agency's console, the link by which promoters come along, and the operator's agencies."""

import pytest
import sqlalchemy as sa

from affiliate.commissions import service as commissions
from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.payouts.models import PayoutAccount
from affiliate.people import agencies
from affiliate.people import queries as people
from affiliate.people.models import Agency, AgencyMember, Grant, Role, User
from affiliate.programs import service as programs
from tests.consoles.promoter_town import Town
from tests.consoles.signed_in import fill_in, sign_in
from tests.consoles.test_finance import STATEMENTS, statements
from tests.factories.people import a_promoter, a_user, an_agency
from tests.factories.settlement import PLAIN, a_settlement, an_account

PAGES = ("/agency/", "/agency/promoters/", "/agency/orders", "/agency/shares", "/agency/account")


@pytest.fixture
def town(app):
    with unit_of_work():
        town = Town("Sol")
        town.agency = an_agency("Rede Sol", town.ana)
        town.boss = a_user(Role.AGENCY, agency=town.agency)
        programs.add_agency_rate(town.program, town.agency.id, mode="difference", ppm=150_000)
        return town


@pytest.fixture
def desk(client, town):
    sign_in(client, town.boss)
    return client


def test_what_a_promoter_sold_stands_on_every_page_and_the_buyer_on_none(client, town, desk):
    town.order(client)

    assert "5.00" in desk.get("/agency/?lang=en").text  # 15% less the 10% of the seller
    orders = desk.get("/agency/orders?lang=en").text
    assert "Ana Sol" in orders
    assert "10.00" in orders
    assert "5.00" in orders
    assert "buyer@" not in orders
    shares = desk.get("/agency/shares?lang=en").text
    assert "15% less what the seller gets" in shares
    assert "5.00" in desk.get("/agency/promoters/?lang=en").text


def test_pages_ask_the_database_little_however_much_was_sold(client, town, desk):
    asked = {}
    for _ in range(2):
        for path in PAGES:
            with statements() as sent:
                assert desk.get(path).status_code == 200, path
            asked.setdefault(path, []).append(len(sent))
        for _ in range(3):
            town.order(client)
        with unit_of_work():
            for number in range(3):
                agencies.join(town.agency, a_promoter(f"Nina {number}"))

    assert all(first <= STATEMENTS for first, _ in asked.values()), asked
    assert all(then <= first + 3 for first, then in asked.values()), asked  # what was empty


def test_another_agency_sees_nothing_of_it(client, town):
    town.order(client)
    with unit_of_work():
        sign_in(client, a_user(Role.AGENCY, agency=an_agency("Rede Lua")))

    for path in PAGES:
        assert "Ana Sol" not in client.get(path).text
    key = encode("prm", town.ana.id)
    assert client.post(f"/agency/promoters/{key}/unbind").status_code == 404
    assert people.agencies_of(town.ana.id) != []


def test_a_promoter_comes_along_by_the_link_and_leaves_again(client, town):
    link = f"/promoter/agency/{encode('agn', town.agency.id)}"
    with unit_of_work():
        sign_in(client, a_user(Role.PROMOTER, promoter=town.bia))
    assert "Rede Sol" in client.get(link).text

    fill_in(client, link)
    fill_in(client, link)

    ((member, agency),) = people.agencies_of(town.bia.id)
    assert member.since is not None
    assert agency.id == town.agency.id
    assert "Rede Sol" in client.get("/promoter/team/").text
    client.post(f"{link}/leave")
    client.post(f"{link}/leave")
    assert people.agencies_of(town.bia.id) == []
    assert client.get("/promoter/agency/agn_nonsense").status_code == 404


def test_who_is_with_another_agency_is_told_to_leave_it_first(client, town):
    with unit_of_work():
        other = an_agency("Rede Lua")
    link = f"/promoter/agency/{encode('agn', other.id)}"
    sign_in(client, town.user)
    assert "Rede Sol" in client.get(link).text

    answer = client.post(link)

    assert answer.status_code == 409
    ((_, agency),) = people.agencies_of(town.ana.id)
    assert agency.name == "Rede Sol"


def test_the_agency_lets_somebody_go(desk, town):
    key = encode("prm", town.ana.id)

    desk.post(f"/agency/promoters/{key}/unbind")
    again = desk.post(f"/agency/promoters/{key}/unbind")

    assert again.status_code == 404
    assert db.session.scalars(sa.select(AgencyMember.ended_by)).all() == ["agency"]


def test_the_agency_says_where_its_money_goes(desk, town):
    answer = fill_in(desk, "/agency/account", currency="USD", country="BR", **PLAIN)

    assert answer.location == "/agency/"
    page = desk.get("/agency/").text
    assert db.session.scalars(sa.select(PayoutAccount.masked)).one() in page
    assert PLAIN["account_number"] not in page


def test_the_operator_makes_an_agency_lets_somebody_in_and_closes_it(client, town):
    with unit_of_work():
        sign_in(client, a_user(Role.OPERATOR))
    refused = client.post("/operator/agencies/new", data={"name": "", "country": "BR"})
    assert refused.status_code == 422
    client.post("/operator/agencies/new", data={"name": "Rede Mar", "country": "br"})
    made = db.session.scalars(sa.select(Agency).filter_by(name="Rede Mar")).one()
    key = encode("agn", made.id)

    client.post("/operator/users/new", data={"email": "x@example.com", "role": "agency"})
    assert db.session.scalar(sa.select(User.id).filter_by(email="x@example.com")) is None
    client.post(
        "/operator/users/new", data={"email": "x@example.com", "role": "agency", "agency": key}
    )
    held = db.session.scalars(sa.select(Grant.agency_id).filter_by(agency_id=made.id)).all()
    assert held == [made.id]
    client.post(f"/operator/agencies/{key}/close")

    db.session.refresh(made)
    assert made.closed_at is not None
    assert "Rede Mar" in client.get("/operator/agencies/").text


def test_finance_finds_an_agencys_payout_by_its_name(client, town, clock):
    town.order(client)
    with unit_of_work():
        an_account(town.agency)
        maker = a_user(Role.FINANCE_MAKER)
    clock.move(days=40)
    with unit_of_work():
        commissions.release(town.merchant.id, clock.move())
    a_settlement(town.merchant, maker, through=clock.move())
    sign_in(client, maker)

    assert "Rede Sol" in client.get("/finance/payouts/?q=rede").text
    assert "Rede Sol" not in client.get("/finance/payouts/?q=lua").text
