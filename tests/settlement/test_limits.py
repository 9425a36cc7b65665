"""Who may approve how much: limits, somebody who stands in, one person by exception."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from affiliate import clock, ids
from affiliate.db import db, unit_of_work
from affiliate.errors import Conflict, Invalid
from affiliate.people import delegations, queries
from affiliate.people import service as people
from affiliate.people.delegations import NotYours
from affiliate.people.models import Role
from affiliate.people.rules import Right
from affiliate.settlement import service
from affiliate.settlement.models import Settlement
from affiliate.settlement.service.deciding import OverLimit, SelfApproval
from tests.factories.people import a_key, a_merchant, a_user
from tests.factories.settlement import a_code, a_settlement, an_account, an_entry, with_totp

DAY = timedelta(days=1)


@pytest.fixture
def settlement(merchant, promoter, maker):
    with unit_of_work():
        an_entry(merchant, promoter, 1000)
    return a_settlement(merchant, maker)


def approve(settlement, by):
    with unit_of_work():
        return service.approve(
            settlement.merchant_id, settlement.id, by=by.id, seen=settlement.hash, otp=a_code(by)
        )


def limit(user, amount, currency="BRL"):
    with unit_of_work():
        return delegations.set_limit(user.id, currency, amount)


def stand_in(giver, since=-DAY, until=DAY, merchant=None):
    now = clock.now()
    with unit_of_work():
        taker = with_totp(a_user(Role.FINANCE_AUDITOR))
        given = delegations.delegate(
            giver.id, taker.id, since=now + since, until=now + until,
            merchant_id=merchant and merchant.id,
        )  # fmt: skip
    return taker, given


def test_nobody_approves_more_than_their_limit(settlement, checker):
    limit(checker, 999)
    with pytest.raises(OverLimit, match=r"10\.00 BRL"):
        approve(settlement, checker)

    limit(checker, 1000)
    assert approve(settlement, checker).approved_by == checker.id


def test_a_limit_in_one_currency_allows_nothing_in_others(settlement, checker):
    limit(checker, 10**9, "EUR")

    with pytest.raises(OverLimit):
        approve(settlement, checker)


def test_every_currency_of_a_settlement_counts(merchant, promoter, maker, checker):
    with unit_of_work():
        an_account(promoter, currency="EUR", iban="DE89370400440532013000", account_holder="A")
        an_entry(merchant, promoter, 1000)
        an_entry(merchant, promoter, 2000, currency="EUR")
    settlement = a_settlement(merchant, maker)
    limit(checker, 5000)
    limit(checker, 1999, "EUR")

    with pytest.raises(OverLimit, match=r"20\.00 EUR"):
        approve(settlement, checker)


def test_who_stands_in_approves_in_that_place_and_within_its_limit(settlement, checker):
    taker, _ = stand_in(checker)
    limit(checker, 999)
    with pytest.raises(OverLimit):
        approve(settlement, taker)

    limit(checker, 1000)
    approve(settlement, taker)

    assert (settlement.approved_by, settlement.approved_for) == (taker.id, checker.id)
    with pytest.raises(DBAPIError, match="stays"), db.session.begin_nested():
        db.session.execute(sa.update(Settlement).values(approved_for=None))


@pytest.mark.parametrize(("since", "until"), [(DAY, 2 * DAY), (-2 * DAY, timedelta(seconds=1))])
def test_only_between_the_dates(settlement, checker, clock, since, until):
    taker, _ = stand_in(checker, since, until)
    clock.move(seconds=2)

    assert queries.grants_of(taker.id)[0].role == Role.FINANCE_AUDITOR
    assert len(queries.grants_of(taker.id)) == 1
    with pytest.raises(SelfApproval):
        approve(settlement, taker)


def test_ended_it_is_over_at_once_also_for_its_key(settlement, checker):
    taker, given = stand_in(checker)
    key, _secret = people.create_key("key", Role.FINANCE_AUDITOR, user=taker)
    key.grant_id = given.id
    db.session.flush()
    assert queries.caller_of(key).may(Right.APPROVE_SETTLEMENTS)

    with unit_of_work():
        delegations.end(delegations.find(given.id))

    assert not queries.caller_of(key).may(Right.APPROVE_SETTLEMENTS)
    with pytest.raises(SelfApproval):
        approve(settlement, taker)


def test_the_maker_cannot_approve_through_a_stand_in(merchant, promoter, checker):
    """Neither in the place of who made it, nor made by who stands in."""
    with unit_of_work():
        both = a_user(Role.FINANCE_CHECKER)
        people.grant(both, Role.FINANCE_MAKER)
        an_entry(merchant, promoter, 1000)
    settlement = a_settlement(merchant, both)
    taker, _ = stand_in(both)

    with pytest.raises(SelfApproval):
        approve(settlement, taker)
    with pytest.raises(DBAPIError, match="four_eyes"), db.session.begin_nested():
        db.session.execute(
            sa.update(Settlement).values(
                state="approved", approved_by=taker.id, approved_for=both.id,
                approved_at=sa.func.now(),
            )
        )  # fmt: skip


def test_what_cannot_be_delegated(merchant, checker, maker):
    now = clock.now()
    other = a_merchant()
    with unit_of_work():
        small = a_user(Role.FINANCE_CHECKER, merchant=merchant)
        taker = a_user(Role.FINANCE_AUDITOR)

    def give(by, to, since=now, until=now + DAY, merchant_id=None):
        delegations.delegate(by.id, to.id, since=since, until=until, merchant_id=merchant_id)

    with pytest.raises(Invalid):
        give(checker, checker)
    with pytest.raises(Invalid):
        give(checker, taker, until=now - DAY)
    with pytest.raises(Invalid):
        give(checker, taker, until=now + timedelta(days=400))
    with pytest.raises(NotYours):
        give(maker, taker)
    with pytest.raises(NotYours):
        give(small, taker)
    with pytest.raises(NotYours):
        give(small, taker, merchant_id=other.id)
    give(small, taker, merchant_id=merchant.id)
    with pytest.raises(NotYours):  # not passed on
        give(taker, maker, merchant_id=merchant.id)


def exception(merchant, by, amount=1000, until=DAY):
    with unit_of_work():
        return service.record_exception(
            merchant.id, reason="One person", limits={"BRL": amount}, by=by.id,
            until=clock.now() + until,
        )  # fmt: skip


@pytest.fixture
def alone(merchant, promoter):
    """Who made it and would approve it."""
    with unit_of_work():
        person = with_totp(a_user(Role.FINANCE_CHECKER))
        people.grant(person, Role.FINANCE_MAKER)
        an_entry(merchant, promoter, 1000)
    return person


def test_one_person_by_exception_and_it_stands_on_the_settlement(merchant, alone):
    settlement = a_settlement(merchant, alone)
    with pytest.raises(SelfApproval):
        approve(settlement, alone)
    recorded = exception(merchant, a_user(Role.OPERATOR))

    approve(settlement, alone)

    assert (settlement.approved_by, settlement.exception_id) == (alone.id, recorded.id)


def test_beyond_its_limit_or_after_its_end_two_people_are_needed(merchant, alone):
    settlement, operator = a_settlement(merchant, alone), a_user(Role.OPERATOR)
    recorded = exception(merchant, operator, 999)
    with pytest.raises(OverLimit):
        approve(settlement, alone)
    with pytest.raises(Conflict):
        exception(merchant, operator)
    with unit_of_work():
        service.end_exception(service.exception(merchant.id, recorded.id))
    with pytest.raises(SelfApproval):
        approve(settlement, alone)


@pytest.mark.parametrize("ended", [True, False])
def test_the_database_looks_at_the_exception_too(merchant, alone, ended):
    settlement = a_settlement(merchant, alone)
    recorded = exception(merchant, a_user(Role.OPERATOR), 1000 if ended else 999)
    if ended:
        with unit_of_work():
            service.end_exception(service.exception(merchant.id, recorded.id))

    with pytest.raises(DBAPIError, match="does not cover"), db.session.begin_nested():
        db.session.execute(
            sa.update(Settlement).where(Settlement.id == settlement.id).values(
                state="approved", approved_by=alone.id, approved_at=sa.func.now(),
                exception_id=recorded.id,
            )
        )  # fmt: skip


def test_limits_delegations_and_exceptions_by_the_api(client, merchant, checker, maker, alone):
    person = a_user(Role.OPERATOR)
    operator = {"Authorization": f"Bearer {a_key(Role.OPERATOR, user=person)}"}
    approver = {"Authorization": f"Bearer {a_key(Role.FINANCE_CHECKER, user=checker)}"}
    user, mer = ids.encode("usr", checker.id), ids.encode("mer", merchant.id)
    made = client.post(
        "/api/v1/approval-limits", headers=operator,
        json={"user": user, "most": {"amount": 5, "currency": "BRL"}},
    )  # fmt: skip
    assert made.status_code == 201
    path = f"/api/v1/approval-limits/{made.json['id']}"
    changed = client.patch(
        path, headers=operator | {"If-Match": "*"}, json={"most": {"amount": 9, "currency": "BRL"}}
    )
    assert changed.json["most"] == {"amount": 9, "currency": "BRL"}
    assert client.delete(path, headers=operator).status_code == 204
    assert client.get(path, headers=operator).status_code == 404

    body = {"to": ids.encode("usr", maker.id), "since": "2026-01-01T00:00:00Z"}
    late = client.post(
        "/api/v1/delegations", headers=approver, json=body | {"until": "2026-01-02T00:00:00Z"}
    )
    assert (late.status_code, late.json["errors"][0]["pointer"]) == (422, "/until")
    until = (clock.now() + DAY).isoformat()
    given = client.post(
        "/api/v1/delegations", headers=approver,
        json=body | {"since": clock.now().isoformat(), "until": until},
    )  # fmt: skip
    assert given.status_code == 201
    ended = client.post(f"/api/v1/delegations/{given.json['id']}/end", headers=approver)
    assert ended.json["until"] < until

    recorded = client.post(
        "/api/v1/approval-exceptions", headers=operator,
        json={"merchant": mer, "reason": "One person", "until": until,
              "limits": [{"amount": 1, "currency": "BRL"}]},
    )  # fmt: skip
    assert recorded.status_code == 201
    path = f"/api/v1/approval-exceptions/{recorded.json['id']}"
    over = client.patch(path, headers=operator | {"If-Match": "*"}, json={"ended": True})
    assert over.json["ended_at"] is not None
