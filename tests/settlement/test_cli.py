"""`affiliate settle`: made and built from the shell, with one line for each fact."""

import pytest
from click.testing import CliRunner

from affiliate.cli import main
from affiliate.db import unit_of_work
from affiliate.ids import decode_pair, encode
from affiliate.people.models import Role
from affiliate.settlement import queries
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import an_entry


@pytest.fixture
def settle():
    def run(*arguments):
        return CliRunner().invoke(main, ["settle", *arguments])

    return run


def test_it_builds_at_once_and_says_what_came_out(settle, merchant, promoter, maker, rung):
    with unit_of_work():
        an_entry(merchant, promoter, 4500)
        an_entry(merchant, a_promoter(), 700)

    result = settle("--through", "2026-10-31", "--as", maker.email)

    assert result.exit_code == 0, result.output
    first, total, carried, hashed = result.stdout.splitlines()
    shown, state, _, through = first.split()
    settlement = queries.find(*decode_pair("stl", shown))
    assert (state, through) == ("review", "2026-11-01T00:00:00+00:00")
    assert total.split() == ["BRL", "45.00", "net", "in", "1", "payouts"]
    assert carried.split() == ["BRL", "7.00", "of", "1", "carried", "over:", "no_account"]
    assert hashed.split() == ["hash", settlement.hash]
    assert "2 of 2 payees" in result.stderr
    assert rung == []


def test_one_merchant_or_each_apart(settle, merchant, promoter, maker):
    with unit_of_work():
        other = a_merchant("Other")
        for each in (merchant, other):
            an_entry(each, promoter, 100)

    one = settle("--through", "2026-10-31", "--as", maker.email,
                 "--merchant", encode("mer", other.id))  # fmt: skip
    rest = settle("--through", "2026-10-31", "--as", maker.email)

    ids = [line.split()[0] for line in (one.stdout + rest.stdout).splitlines() if "through" in line]
    assert [decode_pair("stl", each)[0] for each in ids] == [other.id, merchant.id]


def test_with_nothing_to_settle_it_says_so(settle, maker):
    result = settle("--through", "2026-10-31", "--as", maker.email)

    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nobody has anything" in result.stderr


@pytest.mark.parametrize(
    "through", ["yesterday", "2026-13-01", "2026-10-31T00:00:00", "9999-12-31"]
)
def test_a_wrong_date_is_wrong_use(settle, maker, through):
    result = settle("--through", through, "--as", maker.email)

    assert result.exit_code == 2


def test_who_may_not_make_settlements_is_told_who_may(settle, merchant):
    with unit_of_work():
        checker = a_user(Role.FINANCE_CHECKER)

    for email in (checker.email, "nobody@example.com"):
        result = settle("--through", "2026-10-31", "--as", email)
        assert result.exit_code == 1
        assert result.stderr.startswith("affiliate: ")
        assert result.stderr.count("\n") == 1


def test_who_works_for_another_merchant_does_not_find_this_one(settle, merchant):
    with unit_of_work():
        other = a_merchant("Other")
        maker = a_user(Role.FINANCE_MAKER, merchant=other)

    result = settle("--through", "2026-10-31", "--as", maker.email,
                    "--merchant", encode("mer", merchant.id))  # fmt: skip

    assert result.exit_code == 1


def test_an_unknown_currency_is_refused(settle, merchant, promoter, maker):
    with unit_of_work():
        an_entry(merchant, promoter, 100)

    result = settle("--through", "2026-10-31", "--as", maker.email, "--currency", "REAL")

    assert result.exit_code == 1
    assert "REAL" in result.stderr
