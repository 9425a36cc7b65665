"""`POST /rails/<rail>/hook`: a hint rings, and moves nothing by itself."""

import pytest

from affiliate.payouts import queries
from tests.factories.settlement import a_settlement, approved, executed, payouts_of
from tests.payouts.sandbox import owed
from tests.settlement.conftest import (  # noqa: F401 (fixtures)
    checker,
    clean_books,
    maker,
    merchant,
    sandbox,
)


@pytest.fixture
def payout(merchant, maker, checker, sandbox):  # noqa: F811
    owed(merchant, "at-once")
    return payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))[0]


def knock(client, told, rail="sandbox"):
    return client.post(f"/rails/{rail}/hook", json=told)


def test_a_hint_rings_and_changes_nothing(client, payout, rung):
    rung.clear()

    answer = knock(client, {"reference": payout.reference, "state": "failed"})

    assert answer.status_code == 202
    assert rung == [("workers.settlement.ask_provider", payout.merchant_id, payout.id)]
    assert queries.find(payout.merchant_id, payout.id).state == "paid"


@pytest.mark.parametrize("reference", ["TKNOBODY", "", "x" * 5000, "'; DROP TABLE payouts"])
def test_a_reference_that_is_not_ours_is_taken_calmly(client, payout, rung, reference):
    rung.clear()

    assert knock(client, {"reference": reference}).status_code == 202
    assert rung == []


@pytest.mark.parametrize("told", [{}, [], None, "x", 5])
def test_nonsense_is_refused(client, app, told):
    assert knock(client, told).status_code == 422


def test_other_rails_have_no_hook(client, app, payout):
    assert knock(client, {"reference": payout.reference}, rail="file").status_code == 404
    assert knock(client, {"reference": payout.reference}, rail="none").status_code == 404


def test_the_job_asks(payout, sandbox):  # noqa: F811
    from workers import settlement as jobs

    asked = sandbox.calls("asked").total()
    jobs.ask_provider(payout.merchant_id, payout.id)

    assert sandbox.calls("asked").total() == asked + 1
