"""The floor of the bench of settlement writes the rows that our code writes, and its books hold."""

import json

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from affiliate.bench import scene, settlement
from affiliate.cli import main
from affiliate.db import db
from affiliate.ledger.verify import verify
from affiliate.settlement.models import State
from tests.factories.people import a_user

ROWS = {
    "entries": "SELECT e.id - :first_entry, e.payee_id - :first_payee, e.amount, e.state,"
    " e.released_at IS NOT NULL FROM entries e WHERE e.id BETWEEN :first_entry AND :last_entry",
    "accounts": "SELECT owner_id - :first_payee, kind, debits, credits, clawed"
    " FROM ledger_accounts WHERE owner_kind = 'promoter'"
    " AND owner_id BETWEEN :first_payee AND :last_payee",
    "transfers": "SELECT t.code, a.owner_id - :first_payee, t.amount FROM ledger_transfers t"
    " JOIN ledger_accounts a ON a.merchant_id = t.merchant_id AND a.id = t.target_id"
    " WHERE a.owner_kind = 'promoter' AND a.owner_id BETWEEN :first_payee AND :last_payee",
    "payouts": "SELECT payee_id - :first_payee, gross, withheld, net, rail, state, version"
    " FROM payouts WHERE payee_id BETWEEN :first_payee AND :last_payee",
    "lines": "SELECT p.payee_id - :first_payee, l.entry_id - :first_entry, l.amount, l.live"
    " FROM payout_lines l JOIN payouts p ON p.merchant_id = l.merchant_id AND p.id = l.payout_id"
    " WHERE p.payee_id BETWEEN :first_payee AND :last_payee",
}


def written(side):
    return {
        name: sorted(map(tuple, db.session.execute(sa.text(query), side.given())))
        for name, query in ROWS.items()
    }


def test_ours_and_the_floor_write_the_same_rows(app):
    filling = settlement.Filling(scene.set_up(sellers=1))
    floor, ours = (filling.side(60, 6) for _ in range(2))
    maker = a_user().id

    settlement.release_plainly(floor)
    assert settlement.release(ours) == 60
    assert written(ours) == written(floor)
    assert verify().ok

    settlement.pay_out_plainly(floor, maker)
    built = settlement.pay_out(ours, maker)
    assert built.state == State.REVIEW
    assert built.totals["BRL"]["payouts"] == 6
    rows = written(ours)
    assert rows == written(floor)
    counts = {name: len(found) for name, found in rows.items()}
    assert counts == {"entries": 60, "accounts": 18, "transfers": 126, "payouts": 6, "lines": 60}
    assert verify().ok


@pytest.mark.long
def test_the_bench_of_settlement_measures_what_it_says():
    done = CliRunner().invoke(main, ["bench", "settlement", "--entries", "2000", "--json"])

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [level["entries"] for level in found["levels"]] == [200, 2000]
    assert found["checked"]["payout_lines"] == 2 * 2200
    assert found["checked"]["transfers"] == 2 * (2 * 2200 + 220) + 2
    assert all(ratio > 0 for ratios in found["ratios"].values() for ratio in ratios)
