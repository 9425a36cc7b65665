"""The wallet: every stage of the money, payouts on their way, and where they shall go."""

import pytest
import sqlalchemy as sa

from affiliate import ids
from affiliate.db import db, unit_of_work
from affiliate.payouts import service as payouts
from affiliate.payouts.models import PayoutAccount
from affiliate.people.models import Role
from tests.consoles.promoter_town import statements
from tests.consoles.signed_in import fill_in, sign_in
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import (
    a_code,
    a_settlement,
    an_account,
    an_entry,
    payouts_of,
    with_totp,
)
from tests.payouts.sandbox import configured

ACCOUNT = "/promoter/wallet/account"
NUMBER = {
    "kind": "number", "currency": "BRL", "country": "BR", "account_holder": "Bruna Souza",
    "bank_code": "001", "account_number": "12345678-9",
}  # fmt: skip
IBAN = {
    "kind": "iban", "currency": "EUR", "country": "DE", "account_holder": "Bruna Souza",
    "iban": "DE89 3704 0044 0532 0130 00",
}  # fmt: skip


@pytest.fixture
def merchant(app):
    with unit_of_work():
        return a_merchant("Casa Ana")


@pytest.fixture
def bruna(app):
    with unit_of_work():
        return a_promoter("Bruna")


@pytest.fixture
def user(bruna):
    with unit_of_work():
        return a_user(Role.PROMOTER, promoter=bruna)


@pytest.fixture
def maker(app):
    with unit_of_work():
        return a_user(Role.FINANCE_MAKER)


def test_every_stage_stands_apart_and_by_currency(client, merchant, bruna, user, clock):
    clock.stand("2026-11-22T12:00:00Z")
    with unit_of_work():
        an_entry(merchant, bruna, 1100, state="pending", hold_until=clock.move(days=3))
        an_entry(merchant, bruna, 2200)
        an_entry(merchant, bruna, 3300, currency="MXN")
    sign_in(client, user)

    page = client.get("/promoter/wallet/").text

    assert page.count('class="purse"') == 2
    for amount in ("11.00", "22.00", "33.00"):
        assert amount in page
    assert "next on Nov 25" in page
    assert "55.00" not in page


def test_a_payout_is_followed_from_the_settlement_to_the_bank(client, merchant, bruna, user, maker):
    with unit_of_work():
        an_account(bruna)
        an_entry(merchant, bruna, 5000)
    (payout,) = payouts_of(a_settlement(merchant, maker))
    sign_in(client, user)

    wallet = client.get("/promoter/wallet/").text
    with statements() as sent:
        page = client.get(f"/promoter/wallet/payouts/{key(payout)}").text

    assert "50.00" in wallet
    assert "Being prepared" in wallet
    assert payout.reference in page
    assert "Put together" in page
    assert maker.email not in page
    assert "12345678" not in page + wallet
    assert len(sent) <= 15


def test_somebody_elses_payout_is_no_payout_here(client, merchant, bruna, user, maker):
    with unit_of_work():
        other = a_promoter("Other")
        an_account(other)
        an_entry(merchant, other, 5000)
    (payout,) = payouts_of(a_settlement(merchant, maker))
    sign_in(client, user)

    assert client.get(f"/promoter/wallet/payouts/{key(payout)}").status_code == 404
    assert client.get("/promoter/wallet/payouts/pay_nonsense").status_code == 404
    assert payout.reference not in client.get("/promoter/wallet/").text


def key(payout):
    return ids.encode("pay", payout.merchant_id, payout.id)


# --- payout account ----------------------------------------------------------------------------


def live(promoter):
    return db.session.scalars(
        sa.select(PayoutAccount).filter_by(payee_id=promoter.id, replaced_at=None)
    ).all()


def test_an_account_is_kept_and_only_ever_shown_masked(client, bruna, user):
    sign_in(client, user)

    answer = fill_in(client, ACCOUNT, **NUMBER)

    (account,) = live(bruna)
    assert answer.status_code == 303
    assert payouts.open_fields(account.fields)["account_number"] == "12345678-9"
    for page in ("/promoter/wallet/", ACCOUNT):
        shown = client.get(page).text
        assert account.masked in shown
        assert "12345678" not in shown


def test_an_iban_is_taken_as_people_write_it(client, merchant, bruna, user):
    with unit_of_work():
        an_entry(merchant, bruna, 100, currency="EUR")
    sign_in(client, user)

    fill_in(client, f"{ACCOUNT}?kind=iban&currency=EUR", to=ACCOUNT, **IBAN)

    (account,) = live(bruna)
    assert account.masked == "DE •••• 3000"


def test_a_new_account_takes_the_place_of_the_one_before(client, bruna, user):
    with unit_of_work():
        an_account(bruna)
    sign_in(client, user)

    fill_in(client, ACCOUNT, **NUMBER | {"account_number": "99999999-1"})
    fill_in(client, ACCOUNT, **NUMBER | {"account_number": "99999999-1"})  # a second tap

    (account,) = live(bruna)
    assert payouts.open_fields(account.fields)["account_number"] == "99999999-1"


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"account_number": ""}, "account_number", "This is needed."),
        ({"bank_code": "00?1"}, "bank_code", "Only letters, digits"),
        ({"account_holder": "x" * 200}, "account_holder", "This is too long."),
        ({"country": "XX"}, "country", "Choose the bank"),
        ({"currency": "JPY"}, "currency", "Choose the currency."),
        ({"account_type": "piggy"}, "account_type", "Choose one of the list."),
    ],
)
def test_a_mistake_is_shown_at_its_field_and_nothing_typed_is_lost(
    client, bruna, user, typed, field, words
):
    sign_in(client, user)

    answer = fill_in(client, ACCOUNT, **NUMBER | typed)

    assert answer.status_code == 422
    assert words in answer.text.split(f'id="f-{field}-error"')[1].split("</p>")[0]
    assert "Bruna Souza" in answer.text or "xxx" in answer.text
    assert live(bruna) == []


def test_a_mistyped_iban_is_said_in_the_readers_language(client, merchant, bruna, user):
    with unit_of_work():
        an_entry(merchant, bruna, 100, currency="EUR")
    sign_in(client, user)

    answer = fill_in(
        client,
        f"{ACCOUNT}?kind=iban&lang=zh-Hans",
        to=ACCOUNT,
        **IBAN | {"iban": "DE88370400440532013000"},
    )

    assert answer.status_code == 422
    assert "校验位不符" in answer.text


def test_who_has_a_second_factor_shows_it_before_money_goes_elsewhere(client, bruna, user):
    with unit_of_work():
        with_totp(db.session.merge(user))
    sign_in(client, user)

    without = fill_in(client, ACCOUNT, **NUMBER)
    wrong = fill_in(client, ACCOUNT, **NUMBER | {"otp": "000000"})
    assert (without.status_code, wrong.status_code, live(bruna)) == (422, 422, [])
    assert 'id="f-otp-error"' in wrong.text

    right = fill_in(client, ACCOUNT, **NUMBER | {"otp": a_code(db.session.merge(user))})

    assert right.status_code == 303
    assert len(live(bruna)) == 1


def test_a_stranger_cannot_post_an_account(client, bruna):
    answer = client.post(ACCOUNT, data=NUMBER)

    assert answer.status_code == 303
    assert "/sign-in" in answer.headers["Location"]
    assert live(bruna) == []


# --- ways to be paid -----------------------------------------------------------------------------


def way(client, currency, kind=""):
    return client.get(f"{ACCOUNT}?currency={currency}&kind={kind}").text


def earning(merchant, bruna, currency):
    with unit_of_work():
        an_entry(merchant, bruna, 100, currency=currency)


def test_brazil_is_offered_pix_first(client, bruna, user):
    sign_in(client, user)
    assert 'name="key_type"' in way(client, "BRL")
    assert 'name="bank_code"' in way(client, "BRL", "number")
    assert "CLABE" not in way(client, "BRL")

    answer = fill_in(
        client, ACCOUNT, currency="BRL", country="BR", account_holder="Bruna Souza",
        key_type="cpf", key="390.533.447-05",
    )  # fmt: skip

    (account,) = live(bruna)
    assert answer.status_code == 303
    assert (account.rail, account.masked) == ("pix_qr", "BR Pix •••• 4705")


@pytest.mark.parametrize(
    ("currency", "country", "number", "wrong"),
    [
        ("MXN", "MX", "032180000118359719", "032180000118359710"),
        ("ARS", "AR", "2850590940090418135201", "2850590940090418135202"),
    ],
)
def test_mexico_and_argentina_are_asked_for_one_number(
    client, merchant, bruna, user, currency, country, number, wrong
):
    earning(merchant, bruna, currency)
    sign_in(client, user)
    page = f"{ACCOUNT}?currency={currency}"
    assert 'name="bank_code"' not in client.get(page).text
    typed = {"currency": currency, "country": country, "account_holder": "Bruna Souza"}

    refused = fill_in(client, page, to=ACCOUNT, account_number=wrong, **typed)
    assert refused.status_code == 422
    assert "something is mistyped" in refused.text
    assert fill_in(client, page, to=ACCOUNT, account_number=number, **typed).status_code == 303

    (account,) = live(bruna)
    assert account.masked.endswith(number[-4:])


def test_what_is_not_set_up_is_not_offered(client, app, merchant, bruna, user):
    earning(merchant, bruna, "USD")
    sign_in(client, user)
    assert "PayPal" not in way(client, "USD")

    with configured(app, paypal_client_id="id", paypal_secret="secret"):
        page = f"{ACCOUNT}?currency=USD&kind=paypal"
        assert 'name="email"' in client.get(page).text
        fill_in(client, page, to=ACCOUNT, currency="USD", country="BR",
                account_holder="Bruna Souza", email="bruna@example.com")  # fmt: skip

    (account,) = live(bruna)
    assert (account.rail, account.masked) == ("paypal", "BR PayPal b•••@example.com")


def test_the_wallet_says_when_a_new_account_is_used(client, bruna, user, clock):
    clock.stand("2026-11-30T10:00:00Z")
    with unit_of_work():
        an_account(bruna)
    sign_in(client, user)

    fill_in(client, ACCOUNT, **NUMBER | {"account_number": "99999999-1"})

    page = client.get("/promoter/wallet/").text
    assert "until then the one before" in page
    clock.move(hours=49)
    assert "until then the one before" not in client.get("/promoter/wallet/").text
