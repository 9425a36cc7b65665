"""The bench runs on servers of its own, books all it sends, and proves the books."""

import json

import pytest
from click.testing import CliRunner

from affiliate.bench.knocking import request
from affiliate.cli import main


@pytest.mark.long
def test_the_bench_of_intake_measures_what_it_says():
    done = CliRunner().invoke(main, ["bench", "intake", "--orders", "1000", "--json"])

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found["booked"]) == {"1", "2"}
    assert found["webhooks"]["answers"] == {"200": 600}
    assert found["rows_per_order"]["orders"] == 1
    assert found["rows_per_order"]["commissions"] == found["rows_per_order"]["entries"] == 2
    assert found["rows_per_order"]["ledger_transfers"] == 2
    assert all(rate > 0 for rate in (*found["booked"].values(), found["floor"], found["replayed"]))


def test_a_request_as_it_goes_over_the_wire():
    wire = request("/hooks/x", b"{}", {"X-Topic": "orders/paid"})

    head, _, body = wire.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /hooks/x HTTP/1.1", b"Host: 127.0.0.1", b"Content-Length: 2",
        b"X-Topic: orders/paid",
    ]  # fmt: skip
    assert body == b"{}"
