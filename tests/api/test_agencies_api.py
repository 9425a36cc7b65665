"""Agencies and grades over the API: who may say what of whom, and what they read back."""

import pytest
import sqlalchemy as sa

from affiliate import ids
from affiliate.db import db, unit_of_work
from affiliate.events import Event
from affiliate.people.models import Role
from tests.api.test_engine_api import caller, own, prm, rules_of
from tests.commissions.town import Town, earned
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_key, an_agency


def agn(agency):
    return ids.encode("agn", agency.id)


@pytest.fixture
def town(app, clock):
    clock.stand("2027-01-10T12:00:00-03:00")
    town = Town(tiers_ppm=[])
    with unit_of_work():
        town.agency, town.other = an_agency("Rede Sol"), an_agency("Rede Lua")
    return town


@pytest.fixture
def calls(client, town):
    with unit_of_work():
        return {
            "staff": caller(client, a_key(Role.MERCHANT_STAFF, merchant=town.merchant)),
            "sol": caller(client, a_key(Role.AGENCY, agency=town.agency)),
            "lua": caller(client, a_key(Role.AGENCY, agency=town.other)),
            "ana": caller(client, a_key(Role.PROMOTER, promoter=town.ana)),
            "bia": caller(client, a_key(Role.PROMOTER, promoter=town.bia)),
            "operator": caller(client, a_key(Role.OPERATOR)),
        }


def test_from_an_invitation_to_an_agencys_own_commission(client, town, calls, clock):
    members = f"/agencies/{agn(town.agency)}/members"
    invited = calls["sol"]("POST", members, {"promoter": prm(town.ana)})
    again = calls["sol"]("POST", members, {"promoter": prm(town.ana)})
    assert (invited.status_code, invited.json["since"]) == (200, None)
    assert again.json == invited.json
    yes = f"/promoters/{prm(town.ana)}/agencies/{agn(town.agency)}/accept"
    assert calls["bia"]("POST", yes).status_code == 404
    assert calls["sol"]("POST", yes).status_code == 403
    assert calls["ana"]("POST", yes).json["since"] is not None
    rates = f"/programs/{own('prg', town.program)}/agency-rates"
    rate = calls["staff"]("POST", rates, {"agency": agn(town.agency), "mode": "own", "ppm": 50_000})
    assert rate.status_code == 201
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk()))

    (mine,) = calls["sol"]("GET", "/commissions").json["data"]
    assert (mine["role"], mine["agency"], mine["net"]["amount"]) == (
        "agency",
        agn(town.agency),
        500,
    )
    assert mine["via"] == prm(town.ana)
    assert calls["lua"]("GET", "/commissions").json["data"] == []
    (purse,) = calls["sol"]("GET", f"/agencies/{agn(town.agency)}/balances").json["data"]
    assert purse["pending"]["amount"] == 500
    assert calls["lua"]("GET", f"/agencies/{agn(town.agency)}/balances").status_code == 404


def test_a_rate_is_stated_anew_with_its_etag_and_ended(town, calls):
    rates = f"/programs/{own('prg', town.program)}/agency-rates"
    sent = {"agency": agn(town.agency), "mode": "difference", "ppm": 150_000}
    made = calls["staff"]("POST", rates, sent)
    assert calls["staff"]("POST", rates, sent).status_code == 409
    here = f"{rates}/{made.json['id']}"

    stale = calls["staff"]("PATCH", here, {"ppm": 1}, **{"If-Match": '"99"'})
    anew = calls["staff"]("PATCH", here, {"ppm": 200_000}, **{"If-Match": made.headers["ETag"]})
    ended = calls["staff"]("PATCH", here, {"ended": True}, **{"If-Match": anew.headers["ETag"]})

    assert stale.status_code == 412
    assert (anew.json["mode"], anew.json["ppm"]) == ("difference", 200_000)
    assert ended.json["ended"]
    assert calls["staff"]("GET", here).json == ended.json


def test_a_withdrawn_invitation_is_no_letter_and_letting_go_is_one(town, calls):
    members = f"/agencies/{agn(town.agency)}/members"
    calls["sol"]("POST", members, {"promoter": prm(town.ana)})
    here = f"{members}/{prm(town.ana)}/unbind"
    assert calls["lua"]("POST", here).status_code == 404
    calls["sol"]("POST", here)
    assert left() == 0
    calls["sol"]("POST", members, {"promoter": prm(town.ana)})
    calls["ana"]("POST", f"/promoters/{prm(town.ana)}/agencies/{agn(town.agency)}/accept")

    assert calls["operator"]("POST", here).json["until"] is not None

    assert left() == 1
    assert calls["sol"]("POST", here).status_code == 404


def left():
    return db.session.scalar(sa.select(sa.func.count()).where(Event.name == "agency.left"))


def test_only_the_operator_closes_an_agency(town, calls):
    here = f"/agencies/{agn(town.agency)}"

    refused = calls["sol"]("PATCH", here, {"closed": True}, **{"If-Match": "*"})
    renamed = calls["sol"]("PATCH", here, {"name": "Rede Céu"}, **{"If-Match": "*"})
    closed = calls["operator"]("PATCH", here, {"closed": True}, **{"If-Match": "*"})

    assert refused.status_code == 403
    assert renamed.json["name"] == "Rede Céu"
    assert closed.json["closed_at"] is not None
    assert calls["lua"]("PATCH", here, {"name": "x"}, **{"If-Match": "*"}).status_code == 404


def test_a_grade_is_stated_given_asked_for_and_remembered(client, town, calls, clock):
    staff = calls["staff"]
    merchant = ids.encode("mer", town.merchant.id)
    needs = [[{"measure": "sales", "at_least": 5_000, "currency": "BRL"}]]
    made = staff(
        "POST", "/grades", {"merchant": merchant, "name": "Gold", "rank": 1, "needs": needs}
    )
    assert made.json["needs"] == needs
    gold = made.json["id"]
    rule = {
        "scope": "program", "rate_ppm": 300_000,
        "conditions": {"grades": [gold], "volume": {"measure": "orders", "at_least": 0}},
    }  # fmt: skip
    stated = staff("POST", rules_of(town), rule)
    assert stated.json["conditions"]["grades"] == [gold]
    assert stated.json["conditions"]["volume"]["period"] == "month"
    staff("POST", f"/grades/{gold}/promoters", {"promoter": prm(town.ana)})
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk()))

    assert earned() == {("direct", "Ana"): 3000}
    (standing,) = staff("GET", f"/grade-standings?promoter={prm(town.ana)}").json["data"]
    assert (standing["grade"], standing["period"]) == (gold, None)
    clock.stand("2027-02-10T12:00:00-03:00")
    assert staff("POST", "/grades/evaluate", {"merchant": merchant}).json == {"changed": 0}
    renamed = staff("PATCH", f"/grades/{gold}", {"name": "Ouro"}, **{"If-Match": "*"})
    assert (renamed.json["name"], renamed.json["needs"]) == ("Ouro", needs)
    assert (
        staff("PATCH", f"/grades/{gold}", {"ended": True}, **{"If-Match": "*"}).status_code == 409
    )
