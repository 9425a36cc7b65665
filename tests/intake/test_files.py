"""Files of orders: uploaded again and again, with changes and refunds; what is wrong is shown."""

import io
import re
import zipfile

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.intake import files, queries, service, sheets
from affiliate.intake.models import Event
from affiliate.intake.sheets import BadFile
from affiliate.orders import queries as orders
from tests.factories.catalog import a_shop

HEAD = (
    "order_id,status,created_at,paid_at,line_id,title,quantity,unit_price,tk,"
    "refund_id,refund_amount"
)
ROWS = """\
1001,paid,2026-11-20 10:00,2026-11-20 10:05,a,Camisa,2,199.90,TOKEN,,
1001,paid,2026-11-20 10:00,2026-11-20 10:05,b,Boné,1,50.00,,,
1002,pending_payment,2026-11-21 09:00,,a,Camisa,1,199.90,,,
"""


@pytest.fixture
def shop(app, clock):
    clock.stand("2026-11-22T12:00:00Z")
    with unit_of_work():
        return a_shop(platform="file")


def take(shop, text, zone="America/Sao_Paulo"):
    content = text if isinstance(text, bytes) else f"{HEAD}\n{text}".encode()
    with unit_of_work():
        taken = files.take(shop, content, zone)
    service.drain(shop.merchant_id, shop.id)
    return taken


def facts(shop, key):
    (stored,) = orders.by_external_ids(shop.merchant_id, shop.id, [key]).values()
    db.session.rollback()
    return stored.facts


def errors():
    db.session.expire_all()
    return [(each.error["code"], each.error["pointer"]) for each in queries.quarantined()]


def test_rows_become_orders_in_the_zone_of_the_shop(shop):
    assert take(shop, ROWS) == (2, 2)

    order = facts(shop, "1001")
    assert [(line.external_id, line.quantity, line.amount) for line in order.lines] == [
        ("a", 2, 39980),
        ("b", 1, 5000),
    ]
    assert order.paid_at.isoformat() == "2026-11-20T13:05:00+00:00"
    assert (order.tokens, order.currency) == (("TOKEN",), shop.currency)
    assert facts(shop, "1002").paid_at is None


def test_the_same_file_again_changes_nothing(shop, clock):
    take(shop, ROWS)
    before = facts(shop, "1001")
    clock.move(hours=1)

    assert take(shop, ROWS) == (2, 0)

    assert facts(shop, "1001") == before
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Event)) == 2


def test_changes_and_refunds_come_with_a_later_file_and_may_be_taken_back(shop, clock):
    take(shop, ROWS)
    clock.move(hours=1)
    later = ROWS.replace("50.00,,,", "50.00,,r1,20.00").replace(
        "pending_payment,2026-11-21 09:00,", "paid,2026-11-21 09:00,2026-11-22 08:00"
    )

    assert take(shop, later) == (2, 2)

    assert [each.amount for each in facts(shop, "1001").refunds] == [2000]
    assert facts(shop, "1002").paid_at is not None

    clock.move(hours=1)
    assert take(shop, ROWS) == (2, 2)
    assert facts(shop, "1002").paid_at is None


def test_an_older_file_with_its_own_times_overwrites_nothing_newer(shop, clock):
    head = "order_id,status,created_at,updated_at,total"
    new = f"{head}\n7,paid,2026-11-20,2026-11-22,10.00\n".encode()
    old = f"{head}\n7,pending_payment,2026-11-20,2026-11-21,10.00\n".encode()

    take(shop, new)
    take(shop, old)

    assert facts(shop, "7").status == "paid"


@pytest.mark.parametrize(
    ("row", "code", "pointer"),
    [
        ("1,paid,2026-11-20,,a,x,1,1.999,,,", "too_many_decimals", "/rows/2/unit_price"),
        ("1,paid,2026-11-20,,a,x,1,\"1.234,56\",,,", "not_a_number", "/rows/2/unit_price"),
        ("1,paid,2026-11-20,,a,x,some,1.00,,,", "wrong_type", "/rows/2/quantity"),
        ("1,odd,2026-11-20,,a,x,1,1.00,,,", "unknown_status", "/rows/2"),
        ("1,paid,yesterday,,a,x,1,1.00,,,", "bad_time", "/rows/2"),
        (",paid,2026-11-20,,a,x,1,1.00,,,", "bad_id", "/rows/2/id"),
        ("1,paid,2026-11-20,,a,x,1,1.00,,r1,ten", "not_a_number", "/rows/2/amount"),
    ],
)  # fmt: skip
def test_a_bad_row_is_put_aside_with_its_place_and_holds_up_no_other(shop, row, code, pointer):
    take(shop, f"{row}\n{ROWS}")

    assert errors() == [(code, pointer)]
    assert facts(shop, "1002").number is None


def test_rows_that_contradict_each_other_are_no_fact(shop):
    take(
        shop,
        ROWS.replace(
            "1001,paid,2026-11-20 10:00,2026-11-20 10:05,b", "1001,paid,2026-11-20 11:00,,b"
        ),
    )

    assert errors() == [("unknown_status", "/rows/3")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"order_id,status\n",
        b"order_id,order_id\n1,2\n",
        b"order_id,colour\n1,red\n",
        "order_id,title\n1,caf\u00e9\n".encode("latin-1"),
        b"PK\x03\x04 not a zip",
        b"\x00\x01\x02",
    ],
    ids=str,
)
def test_what_is_wrong_with_the_file_is_refused_at_once(shop, content):
    with pytest.raises(BadFile), unit_of_work():
        files.take(shop, content, "UTC")


def test_only_a_shop_without_a_door_of_its_own_takes_files(app):
    with unit_of_work():
        other = a_shop()

    with pytest.raises(BadFile), unit_of_work():
        files.take(other, f"{HEAD}\n{ROWS}".encode(), "UTC")


def test_nobody_can_knock_at_a_shop_of_files(shop, client):
    from tests.factories.orders import hook

    assert client.post(hook(shop), data=b"{}").status_code == 401


# --- XLSX --------------------------------------------------------------------------------------

SHEET = """<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>"""


def xlsx(rows, strings=(), extra=""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
        book.writestr("xl/sharedStrings.xml", f"<sst>{shared}</sst>")
        book.writestr("xl/worksheets/sheet1.xml", extra + SHEET % rows)
    return out.getvalue()


def a_row(number, *cells):
    return f'<row r="{number}">{"".join(cells)}</row>'


def text(place, value):
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def number(place, value):
    return f'<c r="{place}"><v>{value}</v></c>'


def test_a_spreadsheet_with_its_binary_fractions_and_day_numbers(shop):
    content = xlsx(
        a_row(1, text("A1", "order_id"), text("B1", "status"), text("C1", "created_at"),
              text("D1", "paid_at"), text("E1", "total"))
        + a_row(3, number("A3", 77), '<c r="B3" t="s"><v>0</v></c>', number("C3", "46346.5"),
                number("D3", "46346.75"), number("E3", "19.989999999999998")),
        strings=["paid"],
    )  # fmt: skip

    take(shop, content, zone="UTC")

    order = facts(shop, "77")
    assert order.lines[0].amount == 1999
    assert order.placed_at.isoformat() == "2026-11-20T12:00:00+00:00"
    assert order.paid_at.isoformat() == "2026-11-20T18:00:00+00:00"


def test_entities_and_bombs_in_a_spreadsheet_are_refused(monkeypatch):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    head = a_row(1, text("A1", "order_id")) + a_row(2, text("A2", "1"))
    with pytest.raises(BadFile):
        list(sheets.rows(xlsx(head, extra=bomb)))

    monkeypatch.setattr(sheets, "LARGEST_PART", 1000)
    with pytest.raises(BadFile):
        list(sheets.rows(xlsx(head + " " * 5000)))


def test_a_damaged_a_locked_and_a_strangely_packed_spreadsheet_is_a_bad_file():
    whole = xlsx(a_row(1, text("A1", "order_id")) + a_row(2, text("A2", "1")), strings=["x"])
    assert list(sheets.rows(whole)) == [(2, {"order_id": "1"})]
    locked = _in_every_header(whole, local=6, central=8, value=1)
    strange = [_in_every_header(whole, local=8, central=10, value=way) for way in (12, 14, 99)]
    damaged = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(len(whole))]

    for content in (locked, *strange):
        with pytest.raises(BadFile):
            list(sheets.rows(content))
    refused = 0
    for content in damaged:
        try:  # a changed date in a header harms nobody
            list(sheets.rows(content))
        except BadFile:
            refused += 1
    assert refused > len(whole) // 3


def _in_every_header(content, local, central, value):
    """With two bytes changed where an archive says how a part is kept."""
    changed = bytearray(content)
    for sign, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        for found in re.finditer(re.escape(sign), content):
            at = found.start() + place
            changed[at : at + 2] = value.to_bytes(2, "little")
    return bytes(changed)
