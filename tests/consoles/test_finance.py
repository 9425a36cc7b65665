"""The finance console: from the first look at what is owed to the payout that arrived."""

import re
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.ledger.models import Account, Transfer
from affiliate.ledger.verify import verify
from affiliate.people.models import Role
from affiliate.settlement.models import PayIn, Settlement
from tests.consoles.signed_in import sign_in
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import (
    a_code,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)

STATEMENTS = 20


@pytest.fixture
def merchant():
    with unit_of_work():
        return a_merchant()


@pytest.fixture
def promoter(merchant):
    with unit_of_work():
        found = a_promoter("Bruna Souza")
        an_account(found)
        return found


@pytest.fixture
def maker():
    with unit_of_work():
        return a_user(Role.FINANCE_MAKER)


@pytest.fixture
def checker():
    with unit_of_work():
        return with_totp(a_user(Role.FINANCE_CHECKER))


@pytest.fixture
def settlement(merchant, promoter, maker):
    for amount in (3000, 1500, -400):
        an_entry(merchant, promoter, amount)
    return a_settlement(merchant, maker)


@pytest.fixture
def paid(settlement, checker, maker):
    """Handed over: the bank has it."""
    return payouts_of(executed(approved(settlement, checker), maker))[0]


@pytest.fixture
def as_(app):
    """`as_(maker)` is a client of that person."""

    def client(user):
        found = app.test_client()
        sign_in(found, user)
        return found

    return client


@contextmanager
def statements():
    """How often the database is asked inside the block."""
    seen = []
    engine = db.engine

    def count(*call):
        seen.append(call[2])

    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)


def stl(settlement):
    return f"/finance/settlements/{encode('stl', settlement.merchant_id, settlement.id)}"


def pay(payout):
    return f"/finance/payouts/{encode('pay', payout.merchant_id, payout.id)}"


def lac(account):
    return f"/finance/ledger/{encode('lac', account.merchant_id, account.id)}"


def every_page(settlement):
    payout = payouts_of(settlement)[0]
    order_id = db.session.scalar(sa.text("SELECT max(id) FROM orders"))
    return [
        "/finance/",
        "/finance/settlements/",
        stl(settlement),
        f"{stl(settlement)}?state=flagged",
        f"{stl(settlement)}/left",
        "/finance/payouts/",
        pay(payout),
        "/finance/pay-ins/",
        "/finance/ledger/",
        lac(account(settlement, "reserved")),
        f"/finance/orders/{encode('ord', settlement.merchant_id, order_id)}",
    ]


def account(owner, kind):
    merchant_id = getattr(owner, "merchant_id", None) or owner.id
    found = sa.select(Account).filter_by(merchant_id=merchant_id, kind=kind)
    return db.session.scalar(found.execution_options(populate_existing=True))


# --- who sees what ------------------------------------------------------------------------------


def test_every_page_shows_and_asks_the_database_little(as_, settlement, maker, checker):
    for user in (maker, checker):
        client = as_(user)
        for path in every_page(settlement):
            with statements() as asked:
                answer = client.get(path)

            assert answer.status_code == 200, path
            assert len(asked) <= STATEMENTS, f"{path}: {len(asked)}"


def test_a_stranger_is_asked_to_sign_in_on_every_page(client, settlement):
    for path in every_page(settlement):
        answer = client.get(path)

        assert answer.status_code == 303
        assert answer.location.startswith("/sign-in?next=/finance/")


def test_a_merchants_people_have_no_finance_console(as_, merchant, settlement):
    with unit_of_work():
        owner = a_user(Role.MERCHANT_OWNER, merchant=merchant)
    client = as_(owner)

    assert {client.get(path).status_code for path in every_page(settlement)} == {404}


def test_finance_of_another_merchant_finds_nothing(as_, settlement, paid):
    with unit_of_work():
        other = a_merchant("Other")
        client = as_(a_user(Role.FINANCE_MAKER, merchant=other))
    foreign = [path for path in every_page(settlement) if path.count("/") > 3 or "_" in path]

    assert {client.get(path).status_code for path in foreign} == {404}
    assert client.post(f"{stl(settlement)}/execute").status_code == 404
    assert client.post(f"{pay(paid)}/paid").status_code == 404
    for path in ("/finance/", "/finance/settlements/", "/finance/payouts/", "/finance/ledger/"):
        text = client.get(path).text
        assert "Casa Ana" not in text
        assert "Bruna" not in text
    assert (
        client.get(f"/finance/ledger/?merchant={encode('mer', settlement.merchant_id)}").status_code
        == 404
    )


def test_made_up_ids_lead_nowhere(as_, maker, settlement):
    client = as_(maker)

    for path in ("/finance/settlements/stl_x", "/finance/payouts/pay_x", "/finance/ledger/lac_x"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("payouts/?q=%00", 400), ("ledger/?q=a%00&currency=%00", 400), ("payouts/?q=%25_%5C", 200),
     ("payouts/?cursor=x", 422), ("settlements/?merchant=x", 404), ("ledger/?before=x", 200),
     ("settlements/?state=%F0%9F%8C%BF", 200)],
)  # fmt: skip
def test_an_address_that_was_tampered_with_breaks_nothing(as_, maker, merchant, path, status):
    assert as_(maker).get(f"/finance/{path}").status_code == status


def test_an_auditor_reads_everything_and_does_nothing(as_, settlement, paid):
    with unit_of_work():
        client = as_(a_user(Role.FINANCE_AUDITOR))

    for path in every_page(settlement):
        assert client.get(path).status_code == 200
    done = [
        ("/finance/settlements/new", {"through": "2026-10-31"}),
        (f"{stl(settlement)}/approve", {"hash": settlement.hash, "otp": "123456"}),
        (f"{stl(settlement)}/discard", {}),
        (f"{stl(settlement)}/execute", {}),
        (f"{pay(paid)}/paid", {}),
        (f"{pay(paid)}/failed", {"reason": "x"}),
        ("/finance/pay-ins/new", {"amount": "1", "currency": "BRL", "reference": "x"}),
    ]
    assert {path: client.post(path, data=data).status_code for path, data in done} == {
        path: 403 for path, _ in done
    }
    text = client.get(pay(paid)).text
    assert "Mark as paid" not in text
    assert client.get("/finance/settlements/new").status_code == 403


def test_a_maker_cannot_approve_and_a_checker_cannot_make(
    as_, merchant, settlement, maker, checker
):
    other = as_(maker).post(f"{stl(settlement)}/approve", data={"hash": settlement.hash})
    made = as_(checker).post("/finance/settlements/new", data={"through": "2026-10-31"})

    assert (other.status_code, made.status_code) == (403, 403)
    assert "Your role does not allow this." in made.text


# --- liabilities --------------------------------------------------------------------------------


def test_the_first_page_shows_what_is_owed_by_stage(as_, merchant, promoter, maker, settlement):
    an_entry(merchant, promoter, 777, state="pending")
    an_entry(merchant, promoter, 55)

    text = as_(maker).get("/finance/").text

    for amount in ("7.77", "0.55", "41.00", "49.32"):  # pending, available, reserved, owed
        assert f">{amount} <" in text
    assert "To review" in text
    assert stl(settlement) in text


def test_whoever_made_a_settlement_is_told_that_another_person_decides(as_, merchant, checker):
    a_settlement(merchant, checker)

    assert "somebody else has to approve it" in as_(checker).get("/finance/").text


# --- making -------------------------------------------------------------------------------------


def test_the_form_offers_yesterday_in_utc(as_, maker, clock, merchant):
    clock.stand("2026-11-22T01:30:00Z")

    assert 'value="2026-11-21"' in as_(maker).get("/finance/settlements/new").text


def test_made_once_however_often_the_form_is_sent(as_, maker, merchant, promoter, rung):
    an_entry(merchant, promoter, 1000)
    client = as_(maker)
    typed = {"merchant": encode("mer", merchant.id), "through": "2026-10-31", "note": "October"}

    first = client.post("/finance/settlements/new", data=typed)
    second = client.post("/finance/settlements/new", data=typed)

    (row,) = db.session.scalars(sa.select(Settlement))
    assert (first.status_code, first.location) == (303, stl(row))
    assert second.location == first.location
    assert row.through == time.instant("2026-11-01T00:00:00Z")
    assert row.note == "October"
    assert len([call for call in rung if "build" in str(call[0])]) == 1


def test_without_a_merchant_each_that_has_money_gets_one(as_, maker, merchant, promoter):
    with unit_of_work():
        idle = a_merchant("Idle")
    an_entry(merchant, promoter, 1000)

    answer = as_(maker).post("/finance/settlements/new", data={"through": "2026-10-31"})

    (row,) = db.session.scalars(sa.select(Settlement))
    assert row.merchant_id != idle.id
    assert answer.location == stl(row)


def test_for_a_maker_of_one_merchant_it_is_that_one(as_, merchant, promoter):
    with unit_of_work():
        client = as_(a_user(Role.FINANCE_MAKER, merchant=merchant))

    client.post("/finance/settlements/new", data={"through": "2026-10-31"})

    assert db.session.scalar(sa.select(Settlement.merchant_id)) == merchant.id


@pytest.mark.parametrize("through", ["", "yesterday", "2026-02-30", "0001-01-01", "9999-12-31"])
def test_what_is_no_day_is_refused_on_the_form(as_, maker, merchant, through):
    answer = as_(maker).post("/finance/settlements/new", data={"through": through})

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.scalar(sa.select(Settlement.id)) is None


def test_the_future_is_refused_with_words(as_, maker, merchant, app, monkeypatch):
    settings = app.config["SETTINGS"].model_copy(update={"allow_future": False})
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    typed = {"merchant": encode("mer", merchant.id), "through": "2099-01-01"}

    answer = as_(maker).post("/finance/settlements/new", data=typed)

    assert answer.status_code == 422
    assert "A settlement cannot run through the future." in answer.text


# --- while it is built --------------------------------------------------------------------------


def test_the_page_asks_again_while_it_is_built_and_is_exchanged_afterwards(
    as_, maker, merchant, promoter
):
    with unit_of_work():
        row = Settlement(
            merchant_id=merchant.id, through=time.now(), state="building", created_by=maker.id,
            payees_done=3, payees_total=9,
        )  # fmt: skip
        db.session.add(row)
    client = as_(maker)

    page = client.get(stl(row)).text
    part = client.get(f"{stl(row)}/progress", headers={"HX-Request": "true"})
    row.state, row.hash = "review", "0" * 64
    db.session.flush()
    done = client.get(f"{stl(row)}/progress", headers={"HX-Request": "true"})

    assert 'hx-trigger="every 1s"' in page
    assert "3 of 9" in part.text
    assert "<html" not in part.text
    assert done.headers["HX-Retarget"] == done.headers["HX-Reselect"] == "#main"
    assert 'hx-trigger="every 1s"' not in done.text
    assert client.get(f"{stl(row)}/progress").location == stl(row)


def test_the_review_shows_who_gets_what_and_what_to_look_at_twice(
    as_, merchant, promoter, settlement, checker
):
    an_entry(merchant, promoter, -250)

    text = as_(checker).get(stl(settlement)).text

    assert "Bruna Souza" in text
    assert "BR 001 •••• 78-9" in text
    assert "4.00\xa0BRL less, taken back after release" in text
    assert "2.50\xa0BRL taken back since it was built" in text
    assert settlement.hash in text
    assert "Bruna" in as_(checker).get(f"{stl(settlement)}?state=flagged").text


def test_what_is_left_for_later_has_its_reason_in_words(as_, merchant, maker):
    with unit_of_work():
        without = a_promoter("Nobody's account")
    an_entry(merchant, without, 900)
    settlement = a_settlement(merchant, maker)

    client = as_(maker)

    assert "No payout account in this currency" in client.get(stl(settlement)).text
    left = client.get(f"{stl(settlement)}/left?reason=no_account").text
    assert "Nobody&#39;s account" in left
    assert "9.00" in left


# --- deciding -----------------------------------------------------------------------------------


def approval(settlement, checker, **typed):
    return {"hash": settlement.hash, "otp": a_code(checker)} | typed


def test_a_second_person_approves_with_a_code_and_the_books_hold(as_, settlement, maker, checker):
    answer = as_(checker).post(f"{stl(settlement)}/approve", data=approval(settlement, checker))

    db.session.refresh(settlement)
    assert (answer.status_code, answer.location) == (303, stl(settlement))
    assert (settlement.state, settlement.approved_by) == ("approved", checker.id)
    assert as_(maker).post(f"{stl(settlement)}/execute").status_code == 303
    db.session.refresh(settlement)
    assert (settlement.state, settlement.executed_by) == ("executing", maker.id)
    assert verify().breaches == []


def test_approving_twice_changes_nothing_and_says_so_calmly(as_, settlement, checker):
    client = as_(checker)
    typed = approval(settlement, checker)
    client.post(f"{stl(settlement)}/approve", data=typed)

    again = client.post(f"{stl(settlement)}/approve", data=typed)

    assert (again.status_code, again.location) == (303, stl(settlement))
    assert "already approved" not in client.get(again.location).text


def test_of_two_approvers_the_slower_one_is_told(as_, settlement, checker):
    with unit_of_work():
        other = with_totp(a_user(Role.FINANCE_CHECKER))
    as_(checker).post(f"{stl(settlement)}/approve", data=approval(settlement, checker))
    client = as_(other)

    answer = client.post(f"{stl(settlement)}/approve", data=approval(settlement, other))

    assert answer.location == stl(settlement)
    assert "Somebody has already approved this settlement." in client.get(answer.location).text
    db.session.refresh(settlement)
    assert settlement.approved_by == checker.id


def test_ones_own_settlement_is_refused_with_words(as_, merchant, promoter, checker):
    an_entry(merchant, promoter, 1000)
    settlement = a_settlement(merchant, checker)
    client = as_(checker)

    page = client.get(stl(settlement)).text
    answer = client.post(f"{stl(settlement)}/approve", data=approval(settlement, checker))

    assert "You made this settlement, so somebody else has to approve it." in page
    assert f'href="{stl(settlement)}/approve"' not in page
    assert answer.status_code == 403
    assert "You made this settlement yourself" in answer.text
    db.session.refresh(settlement)
    assert settlement.state == "review"


def test_a_wrong_code_ten_times_is_slowed_down_and_approves_nothing(as_, settlement, checker):
    client = as_(checker)
    wrong = approval(settlement, checker, otp="000000")

    answers = [client.post(f"{stl(settlement)}/approve", data=wrong) for _ in range(10)]

    assert [each.status_code for each in answers] == [422] * 5 + [429] * 5
    assert "This code is wrong, too old, or was used before." in answers[0].text
    assert 'aria-invalid="true"' in answers[0].text
    assert "Too many wrong codes. Wait five minutes." in answers[-1].text
    right = client.post(f"{stl(settlement)}/approve", data=approval(settlement, checker))
    assert right.status_code == 429
    db.session.refresh(settlement)
    assert settlement.state == "review"


def test_what_changed_since_it_was_looked_at_must_be_looked_at_again(as_, settlement, checker):
    client = as_(checker)
    seen = approval(settlement, checker, hash="0" * 64)

    answer = client.post(f"{stl(settlement)}/approve", data=seen)

    assert answer.location == stl(settlement)
    assert "look at it again" in client.get(answer.location).text
    db.session.refresh(settlement)
    assert settlement.state == "review"


def test_without_a_second_factor_one_is_led_to_set_it_up(as_, settlement):
    with unit_of_work():
        client = as_(a_user(Role.FINANCE_CHECKER))

    assert "/account/" in client.get(f"{stl(settlement)}/approve").text
    answer = client.post(f"{stl(settlement)}/approve", data={"hash": settlement.hash, "otp": "1"})
    assert answer.status_code == 403


def test_discarded_before_approval_and_harmless_again(as_, settlement, maker):
    client = as_(maker)

    answers = [client.post(f"{stl(settlement)}/discard") for _ in range(2)]

    db.session.refresh(settlement)
    assert [each.status_code for each in answers] == [303, 303]
    assert settlement.state == "discarded"
    assert verify().breaches == []


def test_an_approved_one_cannot_be_discarded(as_, settlement, maker, checker):
    approved(settlement, checker)
    client = as_(maker)

    answer = client.post(f"{stl(settlement)}/discard")

    db.session.refresh(settlement)
    assert settlement.state == "approved"
    assert "It moved on meanwhile" in client.get(answer.location).text


def test_handing_over_twice_is_once_and_before_the_approval_never(
    as_, settlement, maker, checker, rung
):
    client = as_(maker)
    client.post(f"{stl(settlement)}/execute")
    db.session.refresh(settlement)
    assert settlement.state == "review"

    approved(settlement, checker)
    for _ in range(2):
        assert client.post(f"{stl(settlement)}/execute").location == stl(settlement)
    assert len([call for call in rung if "execute" in str(call[0])]) == 1


def test_the_file_for_the_bank_is_for_those_who_hand_it_over(as_, settlement, paid, maker):
    page = as_(maker).get(stl(settlement)).text
    address = re.search(r'href="([^"]+/files/[^"]+)"', page)[1]
    with unit_of_work():
        auditor = as_(a_user(Role.FINANCE_AUDITOR))

    file = as_(maker).get(address)

    assert file.mimetype == "text/csv"
    assert "12345678-9" in file.text
    assert file.headers["Cache-Control"] == "no-store"
    assert auditor.get(address).status_code == 403
    assert "12345678-9" not in auditor.get(stl(settlement)).text
    assert address not in auditor.get(stl(settlement)).text


# --- payouts ------------------------------------------------------------------------------------


def test_a_payout_tells_its_story_down_to_the_order(as_, paid, maker, checker):
    text = as_(maker).get(pay(paid)).text

    for words in (
        "With the bank",
        "Being sent",
        "Approved",
        "To approve",
        checker.name,
        maker.name,
    ):
        assert words in text
    assert text.count("/finance/orders/ord_") == 3
    assert "Mark as paid" in text
    assert "Mark as returned" not in text
    order = re.search(r"/finance/orders/ord_\w+", text)[0]
    assert paid.reference in as_(maker).get(order).text


def test_marked_as_paid_once_with_the_banks_reference(as_, paid, maker):
    client = as_(maker)
    typed = {"reference": "BANK-7", "paid_on": "2026-11-02"}

    answers = [client.post(f"{pay(paid)}/paid", data=typed) for _ in range(2)]

    db.session.refresh(paid)
    assert {(each.status_code, each.location) for each in answers} == {(303, pay(paid))}
    assert (paid.state, paid.provider_reference) == ("paid", "BANK-7")
    assert db.session.scalar(sa.select(sa.func.count()).where(Transfer.code == "pay")) == 1
    assert "BANK-7" in client.get("/finance/payouts/?q=BANK-7").text
    other = client.post(f"{pay(paid)}/paid", data={"reference": "BANK-8"})
    assert "It moved on meanwhile" in client.get(other.location).text
    db.session.refresh(paid)
    assert paid.provider_reference == "BANK-7"
    assert verify().breaches == []


@pytest.mark.parametrize("typed", [{"paid_on": "soon"}, {"paid_on": "2999-01-01"}])
def test_a_day_that_cannot_be_is_refused_where_it_was_typed(as_, paid, maker, typed):
    answer = as_(maker).post(f"{pay(paid)}/paid", data=typed)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text


def test_a_reason_is_asked_for_and_kept(as_, paid, maker):
    client = as_(maker)
    assert client.post(f"{pay(paid)}/failed", data={"reason": " "}).status_code == 422

    for _ in range(2):
        client.post(f"{pay(paid)}/failed", data={"reason": "no such account"})

    assert client.post(f"{pay(paid)}/failed", data={"reason": "a\0b"}).status_code == 400
    db.session.refresh(paid)
    assert (paid.state, paid.reason) == ("failed", "no such account")
    text = client.get(pay(paid)).text
    assert "no such account" in text
    assert "This money did not arrive" in text
    assert verify().breaches == []


def test_what_was_paid_may_come_back(as_, paid, maker):
    client = as_(maker)
    client.post(f"{pay(paid)}/paid", data={})
    assert "Mark as returned" in client.get(pay(paid)).text

    client.post(f"{pay(paid)}/returned", data={"reason": "closed"})

    db.session.refresh(paid)
    assert paid.state == "returned"
    assert "1 payout came back" in client.get("/finance/").text


def test_a_payout_is_taken_out_before_it_is_handed_over(as_, settlement, checker):
    (payout,) = payouts_of(settlement)
    client = as_(checker)

    client.post(f"{pay(payout)}/cancel", data={"reason": "asked by the payee"})

    db.session.refresh(payout)
    assert payout.state == "cancelled"
    assert verify().breaches == []


def test_after_it_is_handed_over_it_cannot_be_taken_out(as_, paid, maker):
    client = as_(maker)

    answer = client.post(f"{pay(paid)}/cancel", data={"reason": "too late"})

    db.session.refresh(paid)
    assert paid.state == "accepted"
    assert paid.reason is None
    assert "It moved on meanwhile" in client.get(answer.location).text


# --- the ledger ---------------------------------------------------------------------------------


def shown_amounts(text):
    """Amount and balance of each row of an account, in minor units."""
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.S)[1:]
    cells = [re.findall(r'class="money[^"]*">([^<]+) <', row) for row in rows]
    return [[int(re.sub(r"[^\d−]", "", each).replace("−", "-")) for each in row] for row in cells]


def test_the_balance_of_an_account_is_the_sum_of_its_rows(as_, merchant, paid, maker):
    for kind in ("available", "reserved", "receivable", "clearing"):
        row = account(merchant, kind)
        if row is None:
            continue
        rows = shown_amounts(as_(maker).get(lac(row)).text)
        balance = row.debits - row.credits if kind == "receivable" else row.credits - row.debits

        assert sum(amount for amount, _ in rows) == balance
        assert rows[0][1] == balance
        assert rows[-1][0] == rows[-1][1]


def test_older_rows_go_on_with_their_own_balance(as_, merchant, promoter, maker, monkeypatch):
    monkeypatch.setattr("affiliate.consoles.lists.ROWS", 2)
    for amount in (100, 200, 300, 400, 500):
        an_entry(merchant, promoter, amount)
    client = as_(maker)
    row = account(merchant, "available")

    seen, path = [], lac(row)
    while path:
        text = client.get(path).text
        seen += shown_amounts(text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following and following[1]

    assert seen == [[500, 1500], [400, 1000], [300, 600], [200, 300], [100, 100]]


def test_causes_lead_to_their_order_and_payout(as_, merchant, paid, maker):
    client = as_(maker)
    text = client.get(lac(account(merchant, "reserved"))).text

    assert paid.reference in text
    assert pay(paid) in text
    assert "/finance/orders/ord_" in client.get(lac(account(merchant, "available"))).text


def test_accounts_are_narrowed_down(as_, merchant, paid, maker):
    client = as_(maker)

    one = client.get("/finance/ledger/?kind=available&owner=promoter&currency=brl&q=brun").text
    none = client.get("/finance/ledger/?q=nobody").text

    assert one.count("/finance/ledger/lac_") == 1
    assert "Bruna Souza" in one
    assert "No such account" in none


def test_the_books_are_proven_on_request(as_, merchant, paid, maker):
    client = as_(maker)

    page = client.post("/finance/ledger/verify").text
    part = client.post("/finance/ledger/verify", headers={"HX-Request": "true"}).text
    db.session.execute(sa.text("ALTER TABLE ledger_accounts DISABLE TRIGGER USER"))
    db.session.execute(
        sa.text("UPDATE ledger_accounts SET debits = debits + 1 WHERE kind = 'receivable'")
    )
    off = client.post("/finance/ledger/verify").text

    assert "The books prove themselves" in page
    assert "<html" not in part
    assert "Transfers" in part
    assert "Something is off in the books" in off
    assert "debits" in off


def test_who_sees_one_merchant_is_told_no_counts_of_others(as_, merchant, paid):
    with unit_of_work():
        client = as_(a_user(Role.FINANCE_AUDITOR, merchant=merchant))

    text = client.post("/finance/ledger/verify").text

    assert "The books prove themselves" in text
    assert "Counted again" not in text


# --- pay-ins ------------------------------------------------------------------------------------


def pay_in(of, **typed):
    return {
        "merchant": encode("mer", of.id), "amount": "1234.56", "currency": "brl",
        "reference": "IN-1",
    } | typed  # fmt: skip


def test_a_pay_in_is_booked_once_however_often_the_form_is_sent(as_, merchant, maker):
    client = as_(maker)

    answers = [client.post("/finance/pay-ins/new", data=pay_in(merchant)) for _ in range(2)]

    assert [each.status_code for each in answers] == [303, 303]
    (row,) = db.session.scalars(sa.select(PayIn))
    assert (row.amount, row.currency, row.created_by) == (123456, "BRL", maker.id)
    assert "1,234.56" in client.get("/finance/pay-ins/").text
    assert verify().breaches == []


def test_the_same_reference_with_other_money_is_refused(as_, merchant, maker):
    client = as_(maker)
    client.post("/finance/pay-ins/new", data=pay_in(merchant))

    answer = client.post("/finance/pay-ins/new", data=pay_in(merchant, amount="9"))

    assert answer.status_code == 409
    assert "A pay-in of this merchant with this reference is booked already." in answer.text
    assert 'value="9"' in answer.text


@pytest.mark.parametrize(
    "wrong",
    [{"amount": "x"}, {"amount": "0"}, {"amount": "-5"}, {"amount": "1.234"}, {"currency": "XXQ"},
     {"reference": " "}, {"merchant": ""}],
)  # fmt: skip
def test_a_pay_in_that_cannot_be_is_refused_where_it_was_typed(as_, merchant, maker, wrong):
    answer = as_(maker).post("/finance/pay-ins/new", data=pay_in(merchant, **wrong))

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.scalar(sa.select(PayIn.id)) is None


def test_a_pay_in_for_another_tenants_merchant_is_for_nobody(as_, merchant):
    with unit_of_work():
        client = as_(a_user(Role.FINANCE_MAKER, merchant=a_merchant("Other")))

    assert client.post("/finance/pay-ins/new", data=pay_in(merchant)).status_code == 404
    assert db.session.scalar(sa.select(PayIn.id)) is None
