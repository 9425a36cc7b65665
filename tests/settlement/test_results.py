"""A bank's answer to a whole file: taken as a whole, or not at all."""

import csv
import io

import pytest

from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.payouts import queries, service
from tests.factories.people import a_merchant, a_promoter
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
)
from tests.payouts.sandbox import owed

PAYEES = 4


@pytest.fixture
def settlement(merchant, maker, checker):
    return with_the_bank(merchant, maker, checker)


def with_the_bank(merchant, maker, checker):
    with unit_of_work():
        for number in range(PAYEES):
            promoter = a_promoter()
            an_account(promoter)
            an_entry(merchant, promoter, 1000 + number)
    return executed(approved(a_settlement(merchant, maker), checker), maker)


def written(rows, *columns):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["reference", "result", *columns])
    writer.writerows(rows)
    return text.getvalue()


def taken(settlement, content, maker, **options):
    with unit_of_work():
        return service.take_results(
            settlement.merchant_id, settlement.id, content, by=maker.id, **options
        )


def refused(settlement, content, maker):
    """By line, why nothing was taken."""
    before = states(settlement)
    with pytest.raises(Invalid) as refusal:
        taken(settlement, content, maker)
    db.session.rollback()
    assert states(settlement) == before
    return {error.pointer: error.code for error in refusal.value.errors}


def states(settlement):
    return [each.state for each in payouts_of(settlement)]


@pytest.fixture
def mixed(settlement):
    """One of each result, with all there is to say."""
    a, b, c, _d = payouts_of(settlement)
    return written(
        [
            [a.reference, "paid", "10.00", "BRL", "BK1", "2026-11-02", ""],
            [b.reference, "failed", "10.01", "BRL", "", "", "closed account"],
            [c.reference, "returned", "", "", "BK3", "", "moved"],
        ],
        "amount", "currency", "bank_reference", "date", "reason",
    )  # fmt: skip


def test_each_payout_ends_as_the_bank_says(settlement, mixed, maker):
    report = taken(settlement, mixed, maker)

    assert report.counts == {"paid": 1, "failed": 1, "returned": 1}
    assert states(settlement) == ["paid", "failed", "returned", "accepted"]
    a, b, c, _d = payouts_of(settlement)
    assert (a.provider_reference, a.paid_at.isoformat()) == ("BK1", "2026-11-02T00:00:00+00:00")
    assert (b.reason, c.reason) == ("closed account", "moved")
    assert queries.timeline(a)[-1].user_id == maker.id


def test_a_preview_changes_nothing(settlement, mixed, maker):
    report = taken(settlement, mixed, maker, dry_run=True)

    assert report.counts == {"paid": 1, "failed": 1, "returned": 1}
    assert states(settlement) == ["accepted"] * PAYEES


def test_the_same_file_twice_changes_nothing(settlement, mixed, maker):
    taken(settlement, mixed, maker)
    versions = [each.version for each in payouts_of(settlement)]

    report = taken(settlement, mixed, maker)

    assert (report.unchanged, report.changes) == (3, [])
    assert [each.version for each in payouts_of(settlement)] == versions


def test_a_file_of_another_settlement_is_refused_as_a_whole(settlement, merchant, maker, checker):
    other = with_the_bank(merchant, maker, checker)
    rows = [[payouts_of(each)[0].reference, "paid"] for each in (settlement, other)]

    assert refused(settlement, written(rows), maker) == {"/content/3": "other_settlement"}


def test_references_of_another_merchant_do_not_exist(settlement, maker, checker):
    with unit_of_work():
        stranger = a_merchant()
    theirs = with_the_bank(stranger, maker, checker)
    rows = [[payouts_of(theirs)[0].reference, "paid"], ["TKNOBODY", "paid"]]

    assert refused(settlement, written(rows), maker) == {
        "/content/2": "unknown_reference",
        "/content/3": "unknown_reference",
    }


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("amount", "10.01", "wrong_amount"),
        ("amount", "=10", "wrong_amount"),
        ("amount", "NaN", "wrong_amount"),
        ("currency", "USD", "wrong_currency"),
        ("date", "22/11/2026", "bad_date"),
        ("date", "2199-01-01", "in_the_future"),
    ],
)
def test_a_line_that_does_not_fit_is_named(settlement, maker, column, value, code):
    content = written([[payouts_of(settlement)[0].reference, "paid", value]], column)

    assert refused(settlement, content, maker) == {"/content/2": code}


def test_other_results_are_refused(settlement, maker):
    a, b, *_ = payouts_of(settlement)
    content = written([[a.reference, "done"], [b.reference, "paid"], [b.reference, "failed"]])

    assert refused(settlement, content, maker) == {
        "/content/2": "unknown_result",
        "/content/4": "reference_twice",
    }


def test_a_line_that_stands_twice_counts_once(settlement, maker):
    line = [payouts_of(settlement)[0].reference, "paid"]

    report = taken(settlement, written([line, line]), maker)

    assert (report.counts["paid"], report.unchanged) == (1, 1)


@pytest.mark.parametrize(
    "later", [["failed", "", ""], ["paid", "BK2", ""], ["paid", "", "2026-11-03"]]
)
def test_what_was_told_is_not_told_otherwise(settlement, maker, later):
    reference = payouts_of(settlement)[0].reference
    columns = ("bank_reference", "date")
    taken(settlement, written([[reference, "paid", "BK1", "2026-11-02"]], *columns), maker)

    code = refused(settlement, written([[reference, *later]], *columns), maker)["/content/2"]
    assert code in {"wrong_state", "told_otherwise"}


def test_what_a_provider_carries_out_is_not_in_files(merchant, maker, checker, sandbox):
    owed(merchant, "never")
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    content = written([[payouts_of(settlement)[0].reference, "paid"]])

    assert refused(settlement, content, maker) == {"/content/2": "provider_says"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "missing_columns"),
        ("reference;status\r\n", "missing_columns"),
        ('reference,result\r\n"x,paid', "no_csv"),
        ("reference,result\r\n" + "x,paid\r\n" * 20_001, "too_many_rows"),
        ("\0\x01", "missing_columns"),
    ],
)
def test_what_is_no_file_of_results_is_refused(settlement, maker, content, code):
    assert set(refused(settlement, content, maker).values()) == {code}


def test_semicolons_a_mark_at_the_beginning_and_our_own_columns_do_no_harm(settlement, maker):
    reference = payouts_of(settlement)[0].reference
    content = f"\ufeffReference;account_holder;RESULT\n{reference};Bruna;Paid\n\n"

    assert taken(settlement, content, maker).counts["paid"] == 1


def test_formulas_are_only_text(settlement, maker):
    a, b, *_ = payouts_of(settlement)
    rows = [[a.reference, "failed", "=1+1"], [b.reference, "failed", "'=cmd|' /C calc'!A0\n"]]

    taken(settlement, written(rows, "reason"), maker)

    assert [each.reason for each in payouts_of(settlement)[:2]] == ["=1+1", "=cmd|' /C calc'!A0"]
