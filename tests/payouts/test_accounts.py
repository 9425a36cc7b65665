"""Payout accounts: sealed, masked, one live for each payee and currency; replaced ones stay."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from affiliate.db import db
from affiliate.errors import Invalid, NotFound
from affiliate.events import Event
from affiliate.payouts import queries, service
from affiliate.payouts.models import PayoutAccount
from tests.factories.people import a_promoter
from tests.factories.settlement import IBAN, an_account


def all_of(promoter):
    found = sa.select(PayoutAccount).filter_by(payee_id=promoter.id).order_by(PayoutAccount.id)
    return db.session.scalars(found).all()


def test_an_account_is_kept_sealed_and_shown_masked(app):
    account = an_account(a_promoter(), **IBAN)

    assert account.masked == "DE •••• 3000"
    assert b"3704" not in account.fields
    assert service.open_fields(account.fields)["iban"] == "DE89370400440532013000"


def test_a_sealed_value_opens_nowhere_else(app):
    from affiliate import security

    account = an_account(a_promoter())

    with pytest.raises(security.Sealed):
        security.unseal(account.fields, place="shops.credentials")


def test_a_new_account_replaces_the_one_of_its_currency(app):
    promoter = a_promoter()
    first, other = an_account(promoter), an_account(promoter, currency="CLP")

    second = an_account(promoter, account_holder="B", bank_code="2", account_number="777777")

    assert all_of(promoter) == [first, other, second]
    db.session.refresh(first)
    assert first.replaced_at is not None
    assert (other.replaced_at, second.replaced_at) == (None, None)


def test_the_same_account_of_two_people_has_one_fingerprint(app):
    mine, theirs = an_account(a_promoter()), an_account(a_promoter())
    other = an_account(a_promoter(), account_holder="B", bank_code="2", account_number="777777")

    assert mine.fingerprint == theirs.fingerprint
    assert mine.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"currency": "XXX"}, "/currency"), ({"currency": "brl"}, "/currency")],
)
def test_an_unknown_currency_is_refused(app, changes, pointer):
    with pytest.raises(Invalid) as refused:
        an_account(a_promoter(), **changes)

    assert refused.value.errors[0].pointer == pointer


def test_an_account_of_somebody_else_does_not_exist(app):
    account = an_account(a_promoter())

    with pytest.raises(NotFound):
        queries.account_of("promoter", a_promoter().id, account.id)


def test_the_label_can_be_changed_and_nothing_else(app):
    account = service.label_account(an_account(a_promoter()), "my bank")

    assert (account.label, account.version) == ("my bank", 2)
    for change in ("fields = ''", "payee_id = 0", "currency = 'USD'", "fingerprint = ''"):
        with pytest.raises(DBAPIError, match="another account"), db.session.begin_nested():
            db.session.execute(sa.text(f"UPDATE payout_accounts SET {change}"))


def test_a_replaced_account_does_not_come_back(app):
    promoter = a_promoter()
    an_account(promoter)
    an_account(promoter)

    with pytest.raises(DBAPIError, match="another account"), db.session.begin_nested():
        db.session.execute(sa.text("UPDATE payout_accounts SET replaced_at = NULL"))


# --- cooling off ---------------------------------------------------------------------------------


def another(promoter, number="777777"):
    return an_account(promoter, account_holder="Bruna Souza", bank_code="2", account_number=number)


def in_use(promoter):
    return queries.account_in_use("promoter", promoter.id, "BRL")


def told(name="payout_account.changed"):
    return db.session.scalars(sa.select(Event).filter_by(name=name).order_by(Event.id)).all()


def test_a_first_account_is_used_at_once_and_nobody_is_warned(app):
    promoter = a_promoter()
    first = an_account(promoter)

    assert in_use(promoter) == first
    assert told() == []


def test_a_new_account_is_used_two_days_later_and_its_owner_is_told(app, clock):
    clock.stand("2026-11-30T10:00:00Z")
    promoter = a_promoter()
    first = an_account(promoter)
    clock.move(hours=1)
    second = another(promoter)

    assert in_use(promoter) == first
    (event,) = told()
    assert event.promoter_id == promoter.id
    assert event.payload["used_from"] == "2026-12-02T11:00:00+00:00"
    assert "777777" not in str(event.payload)
    clock.move(hours=47, minutes=59)
    assert in_use(promoter) == first
    clock.move(minutes=1)
    assert in_use(promoter) == second


def test_one_that_was_replaced_while_it_cooled_is_never_used(app, clock):
    clock.stand("2026-11-30T10:00:00Z")
    promoter = a_promoter()
    first = an_account(promoter)
    clock.move(hours=1)
    stolen = another(promoter)
    clock.move(hours=1)
    again = an_account(promoter)  # the same as the first: at once

    assert in_use(promoter) == again
    clock.move(days=30)
    assert in_use(promoter) == again
    db.session.refresh(stolen)
    assert stolen.used_from > stolen.replaced_at
    assert again.fingerprint == first.fingerprint


def test_neither_when_it_is_used_nor_the_name_can_be_changed_later(app):
    an_account(a_promoter())
    for change in ("used_from = now() + interval '1 day'", "name_differs = true"):
        with pytest.raises(DBAPIError, match="another account"), db.session.begin_nested():
            db.session.execute(sa.text(f"UPDATE payout_accounts SET {change}"))


@pytest.mark.parametrize(
    ("holder", "name", "differs"),
    [
        ("Bruna Souza", "Bruna", False),
        ("SOUZA, BRUNA", "Bruna Souza", False),
        ("Bruna Souza", "Ana Díaz", True),
        ("Díaz Ana María", "Ana Diaz", False),
        ("张伟", "Zhang Wei", False),
        ("张 伟", "张伟", False),
        ("张伟", "李娜", True),
        ("☃", "Ana", False),
    ],
)
def test_a_holder_of_another_name_is_marked_and_not_refused(app, holder, name, differs):
    account = an_account(a_promoter(name), account_holder=holder, bank_code="1",
                         account_number="777777")  # fmt: skip

    assert account.name_differs == differs
