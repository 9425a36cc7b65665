"""Pages about the books: statements, closed months, what was decided."""

import csv
import io
import re
from pathlib import Path

import pytest

from affiliate import audit, exports
from affiliate.consoles import audit_log
from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.money import Money
from affiliate.people import service as people
from affiliate.people.models import Role
from affiliate.settlement import closing, service, statements
from tests.consoles.signed_in import fill_in, sign_in
from tests.factories.people import a_merchant, a_promoter, a_user, an_agency
from tests.factories.settlement import a_commission, an_entry


@pytest.fixture(autouse=True)
def now(clock):
    return clock.stand("2026-11-20T12:00:00Z")


@pytest.fixture
def merchant():
    with unit_of_work():
        return a_merchant()


@pytest.fixture
def promoter(merchant):
    with unit_of_work():
        found = a_promoter("Ana")
        an_entry(merchant, found, 5000)
        return found


@pytest.fixture
def maker(client, merchant):
    with unit_of_work():
        found = a_user(Role.FINANCE_MAKER, merchant=merchant)
    sign_in(client, found)
    return found


def rows_of(answer):
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True))))


def actions():
    with unit_of_work():
        return [each.action for each in db.session.scalars(audit.chosen(None, of_instance=True))]


def test_a_promoter_reads_and_saves_a_statement(client, promoter, merchant):
    with unit_of_work():
        person = a_user(Role.PROMOTER, promoter=promoter)
    sign_in(client, person)

    page = client.get("/promoter/wallet/statement?lang=en").text
    file = client.get("/promoter/wallet/statement.csv")

    assert "November 2026" in page
    assert "Thing" in page
    assert [row[9] for row in rows_of(file)[1:4]] == ["0.00", "50.00", "50.00"]
    assert actions()[-1] == "statement.exported"
    assert client.get("/promoter/wallet/statement?of=mer_xxxxxxxx.BRL").status_code == 404
    assert client.get("/promoter/wallet/statement?month=soon").status_code == 404


def test_an_agency_and_a_merchant_read_theirs(client, promoter, merchant):
    with unit_of_work():
        agency = an_agency("Rede Lua", promoter)
        an_entry(merchant, agency, 300, commission=a_commission(merchant, agency, via=promoter))
        boss = a_user(Role.AGENCY, agency=agency)
        owner = a_user(Role.MERCHANT_OWNER, merchant=merchant)
    sign_in(client, boss)
    assert ">3.00 <" in client.get("/agency/statement?lang=en").text
    sign_in(client, owner)
    assert ">53.00 <" in client.get("/merchant/statement/?lang=en").text


def test_finance_reads_those_of_the_payees_it_owes(client, maker, promoter, merchant):
    with unit_of_work():
        stranger = a_promoter("Bea")
        an_entry(a_merchant(), stranger, 100)

    own = client.get(f"/finance/statements/?payee={encode('prm', promoter.id)}&lang=en")
    others = client.get(f"/finance/statements/?payee={encode('prm', stranger.id)}")

    assert "Ana" in own.text
    assert "Bea" not in others.text
    assert others.status_code == 404
    assert client.get("/finance/statements.csv?payee=xyz_1").status_code == 404


def test_a_long_statement_shows_its_beginning_and_says_so(
    client, maker, promoter, merchant, monkeypatch
):
    monkeypatch.setattr(statements, "PAGE", 2)
    with unit_of_work():
        for amount in (1, 2, 3):
            an_entry(merchant, promoter, amount)

    page = client.get("/finance/statements/?lang=en").text

    assert "first 2 of 4" in page
    assert len(rows_of(client.get("/finance/statements.csv"))) == 1 + 1 + 4 + 1 + 1


def test_a_file_is_read_in_pieces(client, maker, promoter, merchant, monkeypatch):
    monkeypatch.setattr(exports, "ROWS", 2)
    monkeypatch.setattr(statements, "CHUNK", 2)
    with unit_of_work():
        for amount in range(1, 10):
            an_entry(merchant, promoter, amount)

    answer = client.get("/finance/statements.csv", buffered=False)
    pieces = list(answer.iter_encoded())

    assert len(pieces) > 4
    assert rows_of(client.get("/finance/statements.csv"))[-2][9] == "50.45"


def test_a_month_is_closed_on_its_page(client, maker, promoter, merchant):
    with unit_of_work():
        db.session.refresh(merchant)
    before = client.get("/finance/closes/?lang=en").text
    assert "Close this month" not in before, "November is not over"

    done = client.post(
        "/finance/closes/",
        data={"merchant": encode("mer", merchant.id), "month": "2026-10"},
        follow_redirects=True,
    )

    assert "2026" in done.text
    assert [f"{each.month:%Y-%m}" for each in closing.of_merchant(merchant.id)] == ["2026-10"]
    assert actions()[-1] == "books.closed"


def test_the_page_offers_the_next_month(client, clock, maker, promoter, merchant):
    clock.stand("2027-01-05T12:00:00Z")
    sign_in(client, maker)
    fill_in(client, "/finance/closes/", month="2026-11")

    page = client.get("/finance/closes/?lang=en").text
    again = fill_in(client, "/finance/closes/")

    assert "Close December 2026" in page
    assert re.search(r"Owed by the merchant: <span class=.money.>50\.00", page)
    assert again.status_code == 303
    assert len(closing.of_merchant(merchant.id)) == 2
    refused = client.post(
        "/finance/closes/", data={"merchant": encode("mer", merchant.id), "month": "2027-01"}
    )
    assert refused.status_code == 422


def decide(merchant, user, reference, amount=100):
    with unit_of_work():
        service.record_pay_in(merchant.id, Money(amount, "BRL"), reference=reference, by=user.id)


def test_finance_reads_what_was_decided_about_its_merchants_alone(client, maker, merchant):
    with unit_of_work():
        other = a_merchant()
        operator = a_user(Role.OPERATOR)
    decide(merchant, maker, "TED 1", 123)
    decide(other, operator, "TED 2")
    with unit_of_work():
        people.disable_user(a_user(Role.MERCHANT_STAFF, merchant=other))

    page = client.get("/finance/decided/?lang=en").text
    file = client.get("/finance/decided.csv")

    assert "amount: 1.23 BRL" in page
    assert "TED 2" not in page + file.text
    assert "User shut out" not in page
    sign_in(client, operator)
    page = client.get("/operator/decided/?lang=en").text
    assert "TED 1" in page
    assert "TED 2" in page
    assert "User shut out" in page


def test_what_was_decided_is_searched(client, maker, merchant):
    decide(merchant, maker, "TED 1")
    with unit_of_work():
        other = a_user(Role.FINANCE_MAKER, merchant=merchant)
        other.name = "Xu Nian"
    decide(merchant, other, "TED 2")
    (first, *_rest) = rows_of(client.get("/finance/decided.csv?about=pay_in"))[1:]

    def shown(query):
        page = client.get(f"/finance/decided/?lang=en&{query}").text
        return [each for each in ("TED 1", "TED 2") if each in page]

    assert shown("q=nian") == ["TED 2"]
    assert shown(f"q={first[3]}") == ["TED 1"]
    assert shown("about=settlement") == []
    assert shown("from=2026-11-20&to=2026-11-20") == ["TED 1", "TED 2"]
    assert shown("from=2026-11-21") == []
    assert shown("to=2026-11-19") == []
    assert shown("endpoint=x&_external=1") == ["TED 1", "TED 2"]


def test_formulas_in_what_was_decided_do_no_harm(client, maker, merchant):
    decide(merchant, maker, "=1+1")
    with unit_of_work():
        maker.name = "=HYPERLINK(1)"

    found = rows_of(client.get("/finance/decided.csv?about=pay_in"))

    assert found[0] == list(audit_log.HEAD)
    assert found[1][5] == "'=HYPERLINK(1)"
    assert not [each for row in found for each in row if each.startswith(("=", "+", "-", "@"))]


def test_every_action_has_its_words():
    """Whatever `audit.record` is called with somewhere has a name for people."""
    sources = Path(audit.__file__).parent.rglob("*.py")
    found = {
        name
        for path in sources
        for name in re.findall(r'audit\.record\(\s*"([a-z_]+\.[a-z_]+)"', path.read_text())
    }

    assert found <= audit_log.WORDS.keys()
    assert {each.partition(".")[0] for each in audit_log.WORDS} == audit_log.ABOUT.keys()
