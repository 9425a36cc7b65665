"""Who takes part in a settlement: a payer, a payee with an account, a maker and a checker."""

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.ledger.models import Transfer
from affiliate.ledger.verify import verify
from affiliate.people.models import Role
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import an_account, with_totp
from tests.payouts.sandbox import Sandbox, offered


@pytest.fixture(autouse=True)
def clean_books(request, database):
    """Whatever money a test moved, the books prove themselves afterwards."""
    if "committed" in request.fixturenames:
        request.getfixturevalue("committed")
    yield
    if db.session.scalar(sa.select(Transfer.id).limit(1)):
        assert verify().breaches == []


@pytest.fixture
def merchant(clean_books):
    with unit_of_work():
        return a_merchant()


@pytest.fixture
def maker(clean_books):
    with unit_of_work():
        return a_user(Role.FINANCE_MAKER)


@pytest.fixture
def checker(clean_books):
    with unit_of_work():
        return with_totp(a_user(Role.FINANCE_CHECKER))


@pytest.fixture
def promoter(clean_books):
    with unit_of_work():
        found = a_promoter()
        an_account(found)
        return found


@pytest.fixture
def sandbox(app, clean_books, tmp_path):
    """The provider, running, and its rail offered."""
    found = Sandbox(tmp_path / "sandbox.jsonl")
    found.start()
    with offered(app, found.url):
        yield found
    found.stop()
