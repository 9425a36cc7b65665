"""The finance desk in Chromium when not everything goes well: what people see, and what is stored.

Several people have their own windows. Jobs are done by the test; the books are proven after each.
"""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from affiliate import ids, jobs
from affiliate.audit import Decision
from affiliate.db import db, unit_of_work
from affiliate.ledger import queries as books
from affiliate.ledger import service as ledger
from affiliate.payouts import calling, queries
from affiliate.payouts.models import PayoutEvent
from affiliate.payouts.rails import wire
from affiliate.people.models import Role
from affiliate.settlement.models import Settlement
from tests.browser.conftest import barriers
from tests.factories.people import a_promoter, a_user
from tests.factories.settlement import (
    PLAIN,
    a_code,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)
from tests.payouts.sandbox import owed
from tests.settlement.conftest import (  # noqa: F401 (fixtures)
    checker,
    clean_books,
    maker,
    merchant,
    sandbox,
)

pytestmark = pytest.mark.browser
ELSEWHERE = PLAIN | {"account_holder": "Ana", "account_number": "9999999-0"}


@pytest.fixture
def owing(merchant):  # noqa: F811
    """Payees with these names, an account each, and something to be paid: 10.00, 10.01, …"""

    def make(*names, **fields):
        with unit_of_work():
            found = [a_promoter(name) for name in names]
            for number, payee in enumerate(found):
                own = {"account_number": f"{payee.id:05}-7", "account_holder": payee.name}
                an_account(payee, **(PLAIN | own | fields))
                an_entry(merchant, payee, 1000 + number)
        return found

    return make


@pytest.fixture
def in_review(merchant, maker, owing):  # noqa: F811
    owing("Ana", "Bia", "Clara")
    return a_settlement(merchant, maker)


def page_of(row, more=""):
    if isinstance(row, Settlement):
        return f"/finance/settlements/{ids.encode('stl', row.merchant_id, row.id)}{more}"
    return f"/finance/payouts/{ids.encode('pay', row.merchant_id, row.id)}{more}"


def row_of(page, name):
    return page.locator("tbody tr", has_text=name)


def shows(page, *words):
    for each in words:
        expect(page.locator("#main")).to_contain_text(each)


def told(page, words):
    """In the note that comes after something was done."""
    expect(page.locator("#toasts")).to_contain_text(words)


def say(page, verb, **typed):
    """One of the verbs of a payout, in its dialog."""
    page.get_by_role("link", name=verb).click()
    dialog = page.get_by_role("dialog")
    for label, text in typed.items():
        dialog.get_by_label(label).fill(text)
    dialog.get_by_role("button", name=verb).click()


def fill_in_code(page, user):
    page.get_by_role("link", name="Approve", exact=True).click()
    with unit_of_work():
        page.get_by_label("Code from your authenticator app").fill(a_code(user))


def approve(page):
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()


def hand_over(page):
    page.get_by_role("button", name="Hand over to the bank").click()


def states(settlement):
    return [each.state for each in payouts_of(settlement)]


def available(payee, merchant):  # noqa: F811
    return books.balance(ledger.available(merchant.id, "promoter", payee.id, "BRL"))


def decisions(action):
    return db.session.scalar(sa.select(sa.func.count()).where(Decision.action == action))


def test_one_of_two_that_share_an_account_is_taken_out(
    visit, merchant, maker, checker, owing  # noqa: F811
):  # fmt: skip
    ana, _bia = owing("Ana", "Bia", account_number="77777-1")
    owing("Clara")
    settlement = a_settlement(merchant, maker)
    desk = visit(page_of(settlement), as_=checker)
    shows(desk, "At 2 payouts something is unusual", "30.01")
    late = visit(page_of(settlement), as_=checker)
    fill_in_code(late, checker)

    desk.get_by_role("link", name="To look at twice").click()
    expect(desk.locator("tbody tr")).to_have_count(2)
    expect(row_of(desk, "Ana")).to_contain_text("Others use this account too")
    assert barriers(desk) == []
    desk.get_by_role("link", name="Ana").click()
    say(desk, "Cancel the payout", Why="same account as Bia")
    told(desk, "The payout is cancelled. Its money is available again.")
    shows(desk, "same account as Bia")
    assert available(ana, merchant) == 1000

    # Who looked at it before approves nothing that they did not see.
    approve(late)
    told(late, "look at it again")
    shows(late, "At 1 payout something is unusual", "20.01")
    fill_in_code(late, checker)
    expect(late.get_by_role("dialog").locator(".sum")).to_contain_text("2 payouts")
    expect(late.get_by_role("dialog").locator(".sum")).to_contain_text("20.01")
    approve(late)
    told(late, "The settlement is approved")
    assert states(settlement) == ["cancelled", "approved", "approved"]

    # After the approval too, and what is to be paid is less by it.
    late.get_by_role("link", name="Bia").click()
    say(late, "Cancel the payout", Why="to be asked first")
    late.get_by_role("link", name="Its settlement").click()
    shows(late, "To be paid in BRL", "10.00")
    expect(late.locator(".figure-row")).not_to_contain_text("20.01")
    assert states(settlement) == ["cancelled", "cancelled", "approved"]
    db.session.refresh(settlement)
    assert settlement.totals["BRL"]["net"] == 2001  # what was approved stays written


def test_of_two_who_approve_at_once_one_does(visit, checker, in_review):  # noqa: F811
    with unit_of_work():
        other = with_totp(a_user(Role.FINANCE_CHECKER))
    people = {user.id: visit(page_of(in_review), as_=user) for user in (checker, other)}
    again = visit(page_of(in_review), as_=checker)
    for user, page in [(checker, again), *((u, people[u.id]) for u in (checker, other))]:
        fill_in_code(page, user)

    with db.engine.connect() as holder, holder.begin():
        # Both wait at the settlement's row, so neither is first by the order of the clicks.
        holder.execute(sa.text("SELECT FROM settlements FOR UPDATE"))
        for page in people.values():
            page.evaluate("document.querySelector('dialog[open] form').requestSubmit()")
        until_they_wait(len(people))
    for page in people.values():
        page.wait_for_url(f"**{page_of(in_review)}")
        shows(page, "Approved, not yet handed over")

    db.session.refresh(in_review)
    done, late = people.pop(in_review.approved_by), *people.values()
    told(done, "The settlement is approved.")
    told(late, "Somebody has already approved this settlement.")
    # The same person's other window, with a code of its own.
    approve(again)
    shows(again, "Approved, not yet handed over")
    assert states(in_review) == ["approved"] * 3
    assert decisions("settlement.approved") == 1
    events = sa.select(sa.func.count()).where(PayoutEvent.state == "approved")
    assert db.session.scalar(events) == 3


def until_they_wait(count):
    """Until so many other connections wait for a lock."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    engine = db.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as watcher:
        for _ in range(1000):
            if watcher.execute(waiting).scalar() == count:
                return
            watcher.execute(sa.text("SELECT pg_sleep(0.01)"))
    raise AssertionError("they do not wait")


def test_a_statement_is_printed_black_on_white_at_night_too(visit, maker, in_review):  # noqa: F811
    page = visit("/finance/statements/?month=2026-10", as_=maker, theme="night")
    page.emulate_media(media="print")

    expect(page.locator(".figure").first).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator(".figure .value").first).to_have_css("color", "rgb(0, 0, 0)")
    assert barriers(page) == []


@pytest.fixture
def in_steps(monkeypatch, run_jobs):
    """Jobs run beside the pages, and each batch of two calls waits to be let go."""
    steps, call = threading.Semaphore(0), calling.Office.call

    def stepped(office, wanted):
        assert steps.acquire(timeout=20)
        return call(office, wanted)

    monkeypatch.setattr(calling, "BATCH", 2)
    monkeypatch.setattr(calling.Office, "call", stepped)
    with ThreadPoolExecutor(1) as beside:
        running = []
        steps.begin = lambda: running.append(beside.submit(run_jobs))
        yield steps
        steps.release(100)
    assert [each.result() for each in running]


def test_a_provider_that_misbehaves(
    visit, merchant, maker, checker, sandbox, owing, in_steps, run_jobs, clock, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr(wire, "SECONDS", 0.3)
    clock.move(seconds=0)
    owing("By file")
    owed(merchant, "at-once", "refused", "error-after", "hang-after", "other-amount", amount=2000)
    settlement = approved(a_settlement(merchant, maker), checker)
    desk = visit(page_of(settlement), as_=maker)

    hand_over(desk)
    shows(desk, "Being handed over", "0 of 6")
    in_steps.begin()
    for done in ("1 of 6", "3 of 6", "5 of 6"):
        shows(desk, done)
        in_steps.release()
    expect(desk.get_by_text("Being handed over")).to_have_count(0)
    shows(desk, "Closed")
    assert states(settlement) == ["accepted", "paid", "failed", *["unknown"] * 3]
    for payout, words in zip(
        payouts_of(settlement),
        ["With the bank", "Paid", "Failed", "Unclear", "Unclear", "Unclear"],
        strict=True,
    ):
        expect(row_of(desk, payout.reference)).to_contain_text(words)
    expect(row_of(desk, "20.01")).to_contain_text("the account cannot receive")

    # Asked again, the provider tells of two of them; of the last it names other money.
    clock.move(seconds=5)
    with unit_of_work():
        jobs.ring(jobs.Job.ASK_PROVIDERS)
    in_steps.release(100)
    run_jobs()
    desk.reload()
    assert states(settlement) == ["accepted", "paid", "failed", "paid", "paid", "unknown"]
    lost = payouts_of(settlement)[-1]
    assert sandbox.calls("sent") == {each.reference: 1 for each in payouts_of(settlement)[1:]}

    # Nobody's word alone ends it: one states it with a proof, another confirms.
    desk.get_by_role("navigation", name="States").get_by_role("link", name="Unclear").click()
    row_of(desk, lost.reference).get_by_role("link").click()
    shows(desk, "Nobody knows whether this arrived", "names another amount: 20.05")
    expect(desk.get_by_role("link", name="Mark as paid")).to_have_count(0)
    desk.get_by_role("link", name="Say what became of it").click()
    desk.get_by_label("It was paid.").check()
    desk.get_by_label("Proof").fill("statement of November, page 3")
    desk.get_by_role("button", name="State it").click()
    shows(desk, "What was paid has a reference of the bank.")
    assert barriers(desk) == []
    desk.get_by_label("Reference of the bank").fill("BANK-77")
    desk.get_by_role("button", name="State it").click()
    told(desk, "That is noted.")
    desk.get_by_role("link", name="Somebody stated what became of it").click()
    shows(desk, "another person has to confirm it")
    expect(desk.get_by_role("button", name="Confirm")).to_have_count(0)
    assert queries.find(lost.merchant_id, lost.id).state == "unknown"

    other = visit(page_of(lost, "/outcome"), as_=checker)
    shows(other, "statement of November, page 3", "BANK-77")
    assert barriers(other) == []
    other.get_by_role("button", name="Confirm").click()
    told(other, "That is noted.")
    shows(other, "Paid", "BANK-77")
    (_, *last) = payouts_of(settlement)
    assert (last[-1].state, last[-1].provider_reference) == ("paid", "BANK-77")


def test_results_of_the_bank(visit, merchant, maker, checker, in_review):  # noqa: F811
    settlement = executed(approved(in_review, checker), maker)
    a, b, c = (each.reference for each in payouts_of(settlement))
    desk = visit(page_of(settlement), as_=maker)
    desk.get_by_role("link", name="Results of the bank").click()

    def upload(*rows):
        lines = ["reference;result;amount;bank_reference;reason", *rows, ""]
        content = ("\ufeff" + "\r\n".join(lines)).encode()
        file = {"name": "results.csv", "mimeType": "text/csv", "buffer": content}
        desk.get_by_label("File").set_input_files(file)
        desk.get_by_role("button", name="Look at it first").click()

    right = [f"{a};paid;10.00;BK-1;", f"{b};failed;10.01;;account closed"]
    upload(*right, f"{c};paid;99.99;BK-3;")
    shows(desk, "Nothing of this file was taken", "Line 4", "We sent 10.02.")
    expect(desk.get_by_text("Line 2")).to_have_count(0)
    expect(desk.get_by_role("button", name="Take these results")).to_have_count(0)
    assert barriers(desk) == []
    assert states(settlement) == ["accepted"] * 3

    upload(*right)
    shows(desk, "Nothing is changed yet", "2 lines")
    for row, words in ((a, ["Ana", "Paid", "BK-1"]), (b, ["Bia", "Failed", "account closed"])):
        for each in words:
            expect(row_of(desk, row)).to_contain_text(each)
    assert barriers(desk) == []
    assert states(settlement) == ["accepted"] * 3

    desk.get_by_role("button", name="Take these results").click()
    told(desk, "2 payouts have their result.")
    expect(row_of(desk, "Bia")).to_contain_text("account closed")
    assert states(settlement) == ["paid", "failed", "accepted"]
    assert payouts_of(settlement)[0].provider_reference == "BK-1"

    desk.get_by_role("link", name="Results of the bank").click()
    upload(*right)
    shows(desk, "2 told before")
    expect(desk.get_by_role("button", name="Take these results")).to_have_count(0)
    desk.get_by_role("link", name="Choose another file").click()
    expect(desk.get_by_label("File")).to_be_visible()


def test_what_came_back_is_paid_again_to_the_new_account(
    visit, merchant, maker, checker, owing, run_jobs, clock  # noqa: F811
):  # fmt: skip
    (ana,) = owing("Ana")
    first = executed(approved(a_settlement(merchant, maker), checker), maker)
    desk = visit(page_of(payouts_of(first)[0]), as_=maker)
    say(desk, "Mark as paid", **{"Reference of the bank": "BANK-1"})
    told(desk, "The payout is marked as paid.")
    assert available(ana, merchant) == 0

    say(desk, "Mark as returned", Why="account closed")
    told(desk, "The payout is marked as returned.")
    shows(
        desk, "This money did not arrive", "the next settlement pays it", "free for another payout"
    )
    shows(desk, "account closed")
    assert barriers(desk) == []
    assert (states(first), available(ana, merchant)) == (["returned"], 1000)

    with unit_of_work():
        an_account(ana, **ELSEWHERE)
    clock.move(hours=49)
    desk = visit("/finance/settlements/new", as_=maker)
    desk.get_by_label("Through").fill(clock.move(days=0).date().isoformat())
    desk.get_by_role("button", name="Build").click()
    run_jobs()
    expect(row_of(desk, "Ana")).to_contain_text("•••• 99-0")

    other = visit(re.sub(r"https?://[^/]+", "", desk.url), as_=checker)
    fill_in_code(other, checker)
    approve(other)
    hand_over(other)
    run_jobs()
    other.get_by_role("link", name="Ana").click()
    say(other, "Mark as paid", **{"Reference of the bank": "BANK-2"})
    told(other, "The payout is marked as paid.")
    second = db.session.scalars(sa.select(Settlement).order_by(Settlement.id.desc())).first()
    assert (states(second), available(ana, merchant)) == (["paid"], 0)
    # The first one leads to what became of its money.
    other.goto(page_of(payouts_of(first)[0]))
    shows(other, "It is in another payout by now")
    expect(other.get_by_text("free for another payout")).to_have_count(0)
    other.get_by_role("link", name=payouts_of(second)[0].reference).click()
    shows(other, "BANK-2")


def test_an_account_changed_after_the_approval_is_for_later(
    visit, merchant, maker, checker, owing, run_jobs  # noqa: F811
):  # fmt: skip
    (ana,) = owing("Ana")
    settlement = approved(a_settlement(merchant, maker), checker)
    (payout,) = payouts_of(settlement)
    with unit_of_work():
        an_account(ana, **ELSEWHERE)
    desk = visit(page_of(payout), as_=checker)

    shows(desk, "replaced since", "This payout still goes to the account it was made for")
    expect(desk.get_by_role("link", name="Cancel the payout")).to_be_visible()
    desk.get_by_role("link", name="Its settlement").click()
    hand_over(desk)
    run_jobs()
    with desk.expect_download() as download:
        desk.get_by_role("link", name="Download").click()
    sent = download.value.path().read_text()
    assert f"{ana.id:05}-7" in sent
    assert "9999999-0" not in sent
    desk.get_by_role("link", name="Ana").click()
    shows(desk, "With the bank")
    expect(desk.get_by_role("link", name="Cancel the payout")).to_have_count(0)
    expect(desk.get_by_text("The payee has given another account")).to_have_count(0)
    assert states(settlement) == ["accepted"]
