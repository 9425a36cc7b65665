"""PayPal, WeChat Pay and Mercado Pago through the sandbox, which speaks their formats: a payout is
sent once, whatever happens on the way.
"""

import time as real
from datetime import timedelta
from decimal import Decimal

import pytest

from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.ledger import queries as books
from affiliate.ledger import service as ledger
from affiliate.ledger.models import Kind
from affiliate.money import Money
from affiliate.payouts import calling, queries, service
from affiliate.payouts.rails import RAILS
from affiliate.people.models import Role
from tests.factories.people import a_key, a_promoter, bearer
from tests.factories.settlement import a_settlement, an_entry, approved, executed, payouts_of
from tests.payouts.sandbox import configured
from tests.settlement.conftest import (  # noqa: F401 (fixtures)
    checker,
    clean_books,
    maker,
    merchant,
    sandbox,
)

CURRENCY = {"paypal": "USD", "wechat": "CNY", "mercadopago": "BRL"}
EVERY = pytest.mark.parametrize("rail", list(CURRENCY))


@pytest.fixture
def providers(app, sandbox):  # noqa: F811
    """All three set up at the sandbox."""
    keys = sandbox.keys
    with configured(
        app,
        sandbox_url=sandbox.url,
        paypal_url=f"{sandbox.url}/paypal", paypal_client_id="id", paypal_secret="secret",
        wechat_url=f"{sandbox.url}/wechat", wechat_mchid="1900000001", wechat_appid="wx1",
        wechat_serial="5157F09E", wechat_key=keys.merchant_pem,
        wechat_public_key=keys.public_pem, wechat_public_key_id=keys.number,
        mercadopago_url=f"{sandbox.url}/mercadopago", mercadopago_token="TEST-1",
    ):  # fmt: skip
        yield sandbox


def fields(rail, account):
    holder = {"account_holder": "Bruna Souza"}
    if rail == "wechat":
        return holder | {"openid": account.ljust(24, "-")}
    address = f"{account}@example.com"
    if rail == "paypal":
        return holder | {"email": address}
    return holder | {"key_type": "email", "key": address, "tax_id": "390.533.447-05"}


@pytest.fixture
def handed_over(merchant, maker, checker, providers):  # noqa: F811
    def run(rail, *accounts, amount=1000):
        with unit_of_work():
            for account in accounts:
                promoter = a_promoter()
                service.add_account(
                    "promoter", promoter.id, rail=rail, country="BR", currency=CURRENCY[rail],
                    fields=fields(rail, account),
                )  # fmt: skip
                an_entry(merchant, promoter, amount, currency=CURRENCY[rail])
        return payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))

    return run


def seen(payouts):
    for each in payouts:
        db.session.refresh(each)
    return [each.state for each in payouts]


def until(payouts, states, seconds=8):
    ends = real.monotonic() + seconds
    while True:
        for each in payouts:
            calling.ask(each.merchant_id, each.id)
        if (found := seen(payouts)) == states:
            return
        assert real.monotonic() < ends, (found, [queries.call(each).detail for each in payouts])
        real.sleep(0.1)


@EVERY
def test_an_ordinary_payout_is_accepted_and_paid(handed_over, providers, rail):
    (payout,) = handed_over(rail, "ordinary")
    assert payout.state == "accepted", queries.call(payout).detail

    until([payout], ["paid"])

    transfer = providers.transfers()[payout.reference]
    assert (transfer["amount"], transfer["currency"]) == (1000, CURRENCY[rail])
    assert payout.provider_reference == transfer["number"]
    assert providers.calls("sent") == {payout.reference: 1}


@EVERY
@pytest.mark.parametrize("account", ["error-after", "cut-after", "nonsense"])
def test_when_the_answer_is_lost_it_is_still_one_transfer(
    handed_over, providers, clock, rail, account
):
    (payout,) = handed_over(rail, account)
    assert payout.state == "unknown"

    clock.move(seconds=5)
    list(calling.ask_due())
    until([payout], ["paid"])

    assert list(providers.transfers()) == [payout.reference]


@EVERY
@pytest.mark.parametrize("account", ["error-before", "cut-before"])
def test_what_never_arrived_is_sent_again_under_its_reference(
    handed_over, providers, clock, rail, account
):
    (payout,) = handed_over(rail, account)
    assert (payout.state, providers.transfers()) == ("unknown", {})

    clock.move(seconds=5)
    list(calling.ask_due())

    assert seen([payout]) == ["accepted"], queries.call(payout).detail
    assert providers.calls("sent") == {payout.reference: 2}
    assert list(providers.transfers()) == [payout.reference]


@EVERY
def test_what_fails_and_what_lapses_is_available_again(
    handed_over, merchant, maker, rail  # noqa: F811
):  # fmt: skip
    payouts = handed_over(rail, "refused", "fails", "expires")

    until(payouts, ["failed"] * 3)

    assert len(payouts_of(a_settlement(merchant, maker))) == 3


@pytest.mark.parametrize("rail", ["paypal", "mercadopago"])
def test_what_is_refunded_comes_back(handed_over, rail):
    (payout,) = handed_over(rail, "returned")
    until([payout], ["returned"])  # about a second after it was paid

    assert payout.paid_at is not None


@EVERY
def test_a_rail_that_is_down_keeps_its_payout(handed_over, providers, app, rail):
    url = {f"{rail}_url": "http://127.0.0.1:9"}
    with configured(app, **url):
        (payout,) = handed_over(rail, "ordinary")

    assert payout.state == "submitting"
    assert queries.attempts(payout)[0].said == "unreachable"
    assert providers.transfers() == {}


@EVERY
def test_other_money_is_not_believed(handed_over, rail):
    (payout,) = handed_over(rail, "other-amount")

    calling.ask(payout.merchant_id, payout.id)

    if rail != "paypal":  # whose first answer names no amount
        assert seen([payout]) == ["unknown"]
    assert "another amount" in queries.call(payout).detail


def test_another_currency_is_not_believed(handed_over):
    """Only PayPal's answers name one."""
    (payout,) = handed_over("paypal", "other-currency")

    calling.ask(payout.merchant_id, payout.id)
    assert seen([payout]) == ["accepted"]
    assert "another amount: 10.00 EUR" in queries.call(payout).detail
    until([payout], ["paid"])


# --- what each has of its own --------------------------------------------------------------------


def test_who_has_no_paypal_yet_has_thirty_days_to_claim(handed_over, clock):
    (payout,) = handed_over("paypal", "waits")
    until([payout], ["action_required"])

    left = queries.call(payout).until - payout.created_at
    assert abs(left - timedelta(days=30)) < timedelta(minutes=1)


def test_a_fee_is_booked_as_a_cost_and_clearing_comes_to_nothing(
    handed_over, merchant, maker  # noqa: F811
):  # fmt: skip
    from affiliate.settlement import service as settlements

    (payout,) = handed_over("paypal", "ordinary")
    until([payout], ["paid"])

    assert stands(merchant, "USD")[Kind.RAIL_COSTS] == 20
    assert stands(merchant, "USD")[Kind.CLEARING] == 1020

    with unit_of_work():
        money = Money(1020, "USD")
        settlements.record_pay_in(merchant.id, money, reference="wire", by=maker.id)

    after = stands(merchant, "USD")
    assert (after[Kind.CLEARING], after[Kind.RAIL_COSTS]) == (0, 20)
    calling.ask(payout.merchant_id, payout.id)  # told again, booked once
    assert stands(merchant, "USD") == after


def stands(merchant, currency):  # noqa: F811
    return {
        Kind.CLEARING: books.balance(ledger.clearing(merchant.id, currency)),
        Kind.RAIL_COSTS: books.balance(ledger.rail_costs(merchant.id, currency)),
    }


def test_wechat_asks_the_payee_and_its_app_gets_the_package(handed_over):
    (payout,) = handed_over("wechat", "expires")

    call = queries.call(payout)
    assert payout.state == "action_required"
    assert call.action == f"package-{payout.provider_reference}"
    assert (call.until - call.said_at).total_seconds() == pytest.approx(24 * 3600, abs=10)


def test_the_payees_app_reads_the_package_over_the_api(handed_over, client):
    (payout,) = handed_over("wechat", "expires")
    answer = client.get(
        f"/api/v1/payouts/{encode('pay', payout.merchant_id, payout.id)}",
        headers=bearer(a_key(Role.OPERATOR)),
    )

    assert answer.json["confirm"]["package"] == queries.call(payout).action


def test_a_package_whose_answer_was_lost_is_had_by_sending_the_same_again(
    handed_over, providers, clock, monkeypatch
):
    from affiliate.payouts.sandbox import behaviour

    slow = behaviour.Behaviour(((0, "waiting"), (60, "expired")), faults=("500 after",))
    monkeypatch.setattr(behaviour, "BEHAVIOURS", {"lost": slow})
    (payout,) = handed_over("wechat", "lost")
    assert payout.state == "unknown"

    clock.move(seconds=5)
    list(calling.ask_due())

    assert seen([payout]) == ["action_required"]
    assert queries.call(payout).action.startswith("package-")
    assert providers.calls("sent") == {payout.reference: 2}
    assert len(providers.transfers()) == 1


def test_wechat_gets_the_real_name_from_two_thousand_yuan_on(handed_over):
    """The sandbox opens it with WeChat Pay's key, and refuses the bill where it cannot."""
    (payout,) = handed_over("wechat", "ordinary", amount=200_000)

    assert payout.state == "accepted", queries.call(payout).detail


def test_wechat_sends_no_less_than_ten_fen(handed_over, providers):
    (payout,) = handed_over("wechat", "ordinary", amount=9)

    assert payout.state == "failed"
    assert providers.rows("sent") == []


def test_an_answer_that_wechat_pay_did_not_sign_is_no_answer(handed_over, providers, app):
    from affiliate.payouts.sandbox.keys import Keys

    other = Keys(providers.log.with_suffix(".other")).public_pem
    with configured(app, wechat_public_key=other):
        (payout,) = handed_over("wechat", "ordinary")

    assert payout.state == "unknown"
    assert "without their signature" in queries.attempts(payout)[0].detail
    until([payout], ["paid"])


def test_mercado_pago_gets_amounts_as_exact_numbers():
    import json

    from affiliate.payouts.rails import mercadopago
    from affiliate.payouts.rails.interface import Instruction

    found = Instruction("TK1", 19990, "BRL", "BR", {
        "key_type": "cpf", "key": "39053344705", "tax_id": "39053344705"})  # fmt: skip
    body = json.loads(mercadopago._body(found), parse_float=Decimal)

    assert body["transaction"]["total_amount"] == Decimal("199.90")


def test_all_rails_have_names_of_their_own():
    assert all(name == rail.name for name, rail in RAILS.items())
