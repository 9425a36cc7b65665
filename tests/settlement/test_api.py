"""The desk by API: make, review, approve, execute, mark; and who may do none of it."""

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.ids import decode_pair, encode
from affiliate.ledger.models import Account
from affiliate.money import Money
from affiliate.people import service as people
from affiliate.people.models import Role
from affiliate.settlement import queries, service
from tests.factories.people import a_key, a_merchant, a_promoter, a_user, bearer
from tests.factories.settlement import (
    IBAN,
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
from workers import settlement as jobs

URL = "/api/v1"


@pytest.fixture
def call(client):
    """`call(key, "POST", "/settlements", {…})` → the response."""

    def call(key, method, path, body=None, **headers):
        return client.open(URL + path, method=method, json=body, headers=bearer(key, **headers))

    return call


@pytest.fixture
def keys(maker, checker):
    with unit_of_work():
        return {
            "maker": a_key(Role.FINANCE_MAKER, user=maker),
            "checker": a_key(Role.FINANCE_CHECKER, user=checker),
            "auditor": a_key(Role.FINANCE_AUDITOR),
        }


def mer(merchant):
    return encode("mer", merchant.id)


def prm(promoter):
    return encode("prm", promoter.id)


def pointers(response):
    return {error["pointer"]: error["code"] for error in response.json["errors"]}


@pytest.fixture
def built(merchant, promoter, maker):
    with unit_of_work():
        an_entry(merchant, promoter, 4500)
        an_entry(merchant, a_promoter("Caio"), 700)
    return a_settlement(merchant, maker)


# --- the whole way ---------------------------------------------------------------------------


def test_from_the_request_to_the_bank_file_and_back(call, keys, merchant, promoter, checker, rung):
    with unit_of_work():
        an_entry(merchant, promoter, 4500)
        an_entry(merchant, a_promoter("Caio"), 700)

    made = call(keys["maker"], "POST", "/settlements",
                {"through": "2026-10-31", "merchant": mer(merchant)})  # fmt: skip

    assert made.status_code == 202
    assert made.json["state"] == "building"
    assert made.json["through"] == "2026-11-01T00:00:00Z"
    assert made.json["hash"] is None
    url = f"/settlements/{made.json['id']}"
    ((_, *job),) = rung
    jobs.build(*job)

    seen = call(keys["checker"], "GET", url).json
    assert seen["state"] == "review"
    assert seen["progress"] == {"done": 2, "total": 2}
    brl = {"amount": 4500, "currency": "BRL"}
    nothing = {"amount": 0, "currency": "BRL"}
    assert seen["totals"] == [
        {"currency": "BRL", "payouts": 1, "gross": brl, "withheld": nothing, "net": brl}
    ]
    assert seen["carried_over"] == [
        {"reason": "no_account", "payees": 1, "money": {"amount": 700, "currency": "BRL"}}
    ]
    assert seen["payouts"] == {"awaiting_approval": 1}

    approval = {"hash": seen["hash"], "otp": a_code(checker)}
    db.session.commit()
    assert call(keys["checker"], "POST", f"{url}/approve", approval).json["state"] == "approved"
    rung.clear()
    executing = call(keys["maker"], "POST", f"{url}/execute")
    assert (executing.status_code, executing.json["state"]) == (202, "executing")
    ((_, *job),) = rung
    jobs.execute(*job)

    (file,) = call(keys["maker"], "GET", f"{url}/files").json["data"]
    assert (file["currency"], file["payouts"], file["total"]) == ("BRL", 1, brl)
    content = call(keys["maker"], "GET", f"{url}/files/{file['id']}")
    assert content.content_type == "text/csv; charset=utf-8"
    assert "attachment" in content.headers["Content-Disposition"]
    assert "45.00,BRL,Bruna Souza" in content.text

    (payout,) = call(keys["maker"], "GET", f"/payouts?settlement={made.json['id']}").json["data"]
    assert (payout["state"], payout["net"], payout["payee"]) == ("accepted", brl, prm(promoter))
    assert payout["masked"] == "BR 001 •••• 78-9"
    at = f"/payouts/{payout['id']}"
    paid = call(keys["maker"], "POST", f"{at}/mark-paid", {"reference": "BANK-1"})
    assert paid.json["state"] == "paid"
    back = call(keys["checker"], "POST", f"{at}/mark-returned", {"reason": "closed account"})
    assert (back.status_code, back.json["state"]) == (200, "returned")
    detail = call(keys["auditor"], "GET", at).json
    assert [step["state"] for step in detail["timeline"]][-2:] == ["paid", "returned"]
    assert detail["timeline"][-1]["user"] == encode("usr", checker.id)
    assert [(line["money"], line["live"]) for line in detail["lines"]] == [(brl, False)]
    assert call(keys["auditor"], "GET", f"{at}/lines").json["data"] == detail["lines"]


def test_who_was_left_out_is_listed(call, keys, built):
    url = f"/settlements/{encode('stl', built.merchant_id, built.id)}/carry-overs"

    (row,) = call(keys["auditor"], "GET", url).json["data"]

    assert row["reason"] == "no_account"
    assert row["payee"].startswith("prm_")
    assert row["money"] == {"amount": 700, "currency": "BRL"}


def test_a_refund_since_is_flagged_to_the_approver(call, keys, merchant, promoter, built):
    with unit_of_work():
        an_entry(merchant, promoter, -100)

    seen = call(keys["checker"], "GET", f"/settlements/{encode('stl', merchant.id, built.id)}").json

    (payout,) = payouts_of(built)
    assert seen["flags"] == [
        {
            "code": "reversed_since_built",
            "payout": encode("pay", merchant.id, payout.id),
            "money": {"amount": -100, "currency": "BRL"},
            "detail": {},
        }
    ]


# --- whom it is for --------------------------------------------------------------------------


def test_without_a_merchant_each_with_money_gets_its_own(call, keys, merchant, promoter, rung):
    with unit_of_work():
        other, _ = a_merchant("Other"), a_merchant("Nothing to settle")
        an_entry(merchant, promoter, 100)
        an_entry(other, promoter, 100)

    made = call(keys["maker"], "POST", "/settlements", {"through": "2026-10-31"})

    assert made.status_code == 202
    assert {each["merchant"] for each in made.json["data"]} == {mer(merchant), mer(other)}
    assert len(rung) == 2


def test_who_works_for_one_merchant_gets_the_settlement_itself(call, merchant, rung):
    with unit_of_work():
        theirs = a_user(Role.FINANCE_MAKER, merchant=merchant)
        key = a_key(Role.FINANCE_MAKER, merchant=merchant, user=theirs)

    made = call(key, "POST", "/settlements", {"through": "2026-10-31"})

    assert made.json["merchant"] == mer(merchant)
    assert made.json["state"] == "building"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/through"),
        ({"through": "yesterday"}, "/through"),
        ({"through": "2026-11-22T10:00:00"}, "/through"),
        ({"through": 20261122}, "/through"),
        ({"through": "9999-12-31"}, "/through"),
        ({"through": "2026-10-31", "currencies": ["REAL"]}, "/currencies/0"),
        ({"through": "2026-10-31", "merchant": "mer_x"}, "/merchant"),
        ({"through": "2026-10-31", "amount": 1}, "/amount"),
    ],
)
def test_a_bad_request_is_refused_by_its_pointer(call, keys, body, pointer):
    response = call(keys["maker"], "POST", "/settlements", body)

    assert response.status_code == 422
    assert set(pointers(response)) == {pointer}


def test_a_merchant_that_is_not_there_is_not_found(call, keys):
    body = {"through": "2026-10-31", "merchant": encode("mer", 10**9)}

    assert call(keys["maker"], "POST", "/settlements", body).status_code == 404


# --- who may not -----------------------------------------------------------------------------


def test_service_keys_neither_make_nor_approve(call, built):
    with unit_of_work():
        maker, checker = a_key(Role.FINANCE_MAKER), a_key(Role.FINANCE_CHECKER)
    url = f"/settlements/{encode('stl', built.merchant_id, built.id)}/approve"

    assert call(maker, "POST", "/settlements", {"through": "2026-10-31"}).status_code == 403
    approval = {"hash": built.hash, "otp": "123456"}
    assert call(checker, "POST", url, approval).status_code == 403


def test_another_key_of_the_same_person_does_not_make_four_eyes(call, merchant, promoter, maker):
    with unit_of_work():
        people.grant(maker, Role.FINANCE_CHECKER)
        with_totp(maker)
        an_entry(merchant, promoter, 100)
        makes = a_key(Role.FINANCE_MAKER, user=maker)
        checks = a_key(Role.FINANCE_CHECKER, user=maker)
    made = call(makes, "POST", "/settlements", {"through": "2026-10-31", "merchant": mer(merchant)})
    jobs.build(*decode_pair("stl", made.json["id"]))
    url = f"/settlements/{made.json['id']}"
    approval = {"hash": call(checks, "GET", url).json["hash"], "otp": a_code(maker)}
    db.session.commit()

    response = call(checks, "POST", f"{url}/approve", approval)

    assert (response.status_code, response.json["type"]) == (403, "/problems/self_approval")


def test_a_wrong_hash_and_a_wrong_code_are_told_apart(call, keys, built, checker):
    url = f"/settlements/{encode('stl', built.merchant_id, built.id)}/approve"

    wrong = call(keys["checker"], "POST", url, {"hash": "0" * 64, "otp": "123456"})
    assert (wrong.status_code, wrong.json["type"]) == (409, "/problems/hash_mismatch")
    wrong = call(keys["checker"], "POST", url, {"hash": built.hash, "otp": "000000"})
    assert (wrong.status_code, pointers(wrong)) == (422, {"/otp": "wrong_code"})
    wrong = call(keys["checker"], "POST", url, {"hash": "abc", "otp": ""})
    assert set(pointers(wrong)) == {"/hash", "/otp"}


def test_what_was_approved_is_not_approved_again(call, keys, built, checker):
    approved(built, checker)
    url = f"/settlements/{encode('stl', built.merchant_id, built.id)}"

    with unit_of_work():
        other = with_totp(a_user(Role.FINANCE_CHECKER))
        key = a_key(Role.FINANCE_CHECKER, user=other)
        approval = {"hash": built.hash, "otp": a_code(other)}
    again = call(key, "POST", f"{url}/approve", approval)
    assert (again.status_code, again.json["type"]) == (409, "/problems/already_approved")
    late = call(keys["maker"], "POST", f"{url}/discard")
    assert (late.status_code, late.json["type"]) == (409, "/problems/wrong_settlement_state")


def test_strangers_see_nothing(call, built, merchant, maker, checker):
    """Finance of another merchant, its owner, an uninvolved promoter: as if it were not there."""
    executed(approved(built, checker), maker)
    (payout,) = payouts_of(built)
    (file,) = queries.files(merchant.id, built.id)
    stl, pay = encode("stl", merchant.id, built.id), encode("pay", merchant.id, payout.id)
    fil = encode("fil", merchant.id, file.id)
    with unit_of_work():
        other, nobody = a_merchant("Other"), a_promoter("Nobody")
        pin = encode("pin", merchant.id, _pay_in(merchant, maker).id)
        strangers = {
            role: a_key(role, user=a_user(role, **given), **given)
            for role, given in [
                (Role.FINANCE_MAKER, {"merchant": other}),
                (Role.FINANCE_CHECKER, {"merchant": other}),
                (Role.MERCHANT_OWNER, {"merchant": other}),
                (Role.PROMOTER, {"promoter": nobody}),
            ]
        }
    paths = [
        ("GET", f"/settlements/{stl}", None),
        ("PATCH", f"/settlements/{stl}", {"note": "x"}),
        ("POST", f"/settlements/{stl}/approve", {"hash": built.hash, "otp": "123456"}),
        ("POST", f"/settlements/{stl}/execute", None),
        ("POST", f"/settlements/{stl}/discard", None),
        ("GET", f"/settlements/{stl}/carry-overs", None),
        ("GET", f"/settlements/{stl}/files", None),
        ("GET", f"/settlements/{stl}/files/{fil}", None),
        ("GET", f"/payouts/{pay}", None),
        ("GET", f"/payouts/{pay}/lines", None),
        ("POST", f"/payouts/{pay}/cancel", {"reason": "x"}),
        ("POST", f"/payouts/{pay}/mark-paid", {}),
        ("POST", f"/payouts/{pay}/mark-failed", {"reason": "x"}),
        ("POST", f"/payouts/{pay}/mark-returned", {"reason": "x"}),
        ("GET", f"/pay-ins/{pin}", None),
        ("PATCH", f"/pay-ins/{pin}", {"note": "x"}),
    ]
    for role, key in strangers.items():
        reads = role != Role.PROMOTER
        for method, path, body in paths:
            answer = call(key, method, path, body, **{"If-Match": "*"})
            assert answer.status_code in {403, 404}, (role, method, path)
            # Either the role never opens this door, or there is nothing behind it for them.
            assert "files" in path or method != "GET" or answer.status_code == 404 or not reads
        for path in ("/settlements", "/payouts", "/pay-ins"):
            answer = call(key, "GET", path)
            assert answer.status_code == 403 or answer.json["data"] == [], (role, path)
    assert payouts_of(built)[0].state == "accepted"


def _pay_in(merchant, maker):
    return service.record_pay_in(merchant.id, Money(100, "BRL"), reference="R", by=maker.id)


def test_an_auditor_looks_and_touches_nothing(call, keys, built):
    url = f"/settlements/{encode('stl', built.merchant_id, built.id)}"

    assert call(keys["auditor"], "GET", url).status_code == 200
    for path in ("/execute", "/discard"):
        assert call(keys["auditor"], "POST", url + path).status_code == 403
    assert call(keys["auditor"], "GET", f"{url}/files").status_code == 403


def test_a_promoter_sees_the_own_payouts_without_names(call, built, promoter):
    with unit_of_work():
        key = a_key(Role.PROMOTER, promoter=promoter)

    (payout,) = call(key, "GET", "/payouts").json["data"]

    detail = call(key, "GET", f"/payouts/{payout['id']}").json
    assert detail["gross"] == {"amount": 4500, "currency": "BRL"}
    assert {step["user"] for step in detail["timeline"]} == {None}


# --- settlements, payouts: the rest ----------------------------------------------------------


def test_lists_filter(call, keys, built, merchant, promoter):
    def listed(path):
        return len(call(keys["auditor"], "GET", path).json["data"])

    assert listed(f"/settlements?merchant={mer(merchant)}&state=review") == 1
    assert listed("/settlements?state=closed") == 0
    assert listed(f"/payouts?promoter={prm(promoter)}&state=awaiting_approval") == 1
    assert listed(f"/payouts?merchant={mer(merchant)}&state=paid") == 0


def test_the_note_changes_with_its_version(call, keys, built):
    url = f"/settlements/{encode('stl', built.merchant_id, built.id)}"
    etag = call(keys["maker"], "GET", url).headers["ETag"]

    changed = call(keys["maker"], "PATCH", url, {"note": "October"}, **{"If-Match": etag})
    assert (changed.status_code, changed.json["note"]) == (200, "October")
    stale = call(keys["maker"], "PATCH", url, {"note": "x"}, **{"If-Match": etag})
    assert stale.status_code == 412


def test_cancelling_by_api_needs_a_reason(call, keys, built):
    (payout,) = payouts_of(built)
    url = f"/payouts/{encode('pay', built.merchant_id, payout.id)}/cancel"

    assert set(pointers(call(keys["maker"], "POST", url, {}))) == {"/reason"}
    cancelled = call(keys["maker"], "POST", url, {"reason": "wrong person"})
    assert (cancelled.json["state"], cancelled.json["reason"]) == ("cancelled", "wrong person")


def test_what_is_cancelled_after_the_approval_is_no_longer_to_be_paid(
    call, keys, merchant, promoter, maker, checker
):
    with unit_of_work():
        caio = a_promoter("Caio")
        an_account(caio)
        an_entry(merchant, promoter, 4500)
        an_entry(merchant, caio, 700)
    settlement = approved(a_settlement(merchant, maker), checker)
    payout = payouts_of(settlement)[0]
    call(keys["maker"], "POST", f"/payouts/{encode('pay', merchant.id, payout.id)}/cancel",
         {"reason": "wrong person"})  # fmt: skip

    key = encode("stl", merchant.id, settlement.id)
    for shown in (
        call(keys["auditor"], "GET", f"/settlements/{key}").json,
        call(keys["auditor"], "GET", "/settlements").json["data"][0],
    ):
        ((payouts, net),) = [(each["payouts"], each["net"]["amount"]) for each in shown["totals"]]
        assert (payouts, net) == (1, 700)
    db.session.refresh(settlement)
    assert settlement.totals["BRL"]["net"] == 5200  # what was approved stays written


# --- payout accounts -------------------------------------------------------------------------


def account_body(**changes):
    return {"rail": "file", "country": "BR", "currency": "BRL", "fields": PLAIN} | changes


def test_a_promoter_adds_reads_and_replaces_the_own_account(call):
    with unit_of_work():
        promoter = a_promoter()
        key = a_key(Role.PROMOTER, promoter=promoter)
    url = f"/promoters/{prm(promoter)}/payout-accounts"

    first = call(key, "POST", url, account_body(label="savings"))
    assert first.status_code == 201
    assert first.json["masked"] == "BR 001 •••• 78-9"
    assert "12345678" not in first.text
    second = call(key, "POST", url, account_body(country="DE", fields=IBAN))
    assert second.json["masked"] == "DE •••• 3000"

    assert [each["id"] for each in call(key, "GET", f"{url}?live=true").json["data"]] == [
        second.json["id"]
    ]
    listed = call(key, "GET", url).json["data"]
    assert [bool(each["replaced_at"]) for each in listed] == [False, True]
    one = call(key, "GET", f"{url}/{first.json['id']}")
    assert one.json["label"] == "savings"
    changed = call(key, "PATCH", f"{url}/{first.json['id']}", {"label": None},
                   **{"If-Match": one.headers["ETag"]})  # fmt: skip
    assert changed.json["label"] is None


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"fields": IBAN}, "/fields/iban"),
        ({"fields": IBAN | {"account_holder": 7}, "country": "DE"}, "/fields/account_holder"),
        ({"fields": {}}, "/fields/account_holder"),
        ({"fields": PLAIN | {"swift": "x"}}, "/fields/swift"),
        ({"fields": "iban"}, "/fields"),
        ({"country": "XX"}, "/country"),
        ({"currency": "XXX"}, "/currency"),
    ],
)
def test_a_wrong_account_is_refused_by_its_pointer(call, changes, pointer):
    with unit_of_work():
        promoter = a_promoter()
        key = a_key(Role.PROMOTER, promoter=promoter)

    response = call(key, "POST", f"/promoters/{prm(promoter)}/payout-accounts",
                    account_body(**changes))  # fmt: skip

    assert response.status_code == 422
    assert pointer in pointers(response)


def test_an_unknown_rail_is_refused(call):
    with unit_of_work():
        promoter = a_promoter()
        key = a_key(Role.PROMOTER, promoter=promoter)

    response = call(key, "POST", f"/promoters/{prm(promoter)}/payout-accounts",
                    account_body(rail="pix"))  # fmt: skip

    assert (response.status_code, response.json["type"]) == (422, "/problems/unknown_rail")


def test_nobody_else_sees_or_sets_where_a_promoter_is_paid(call, keys, merchant, promoter):
    with unit_of_work():
        account = an_account(promoter)
        others = [
            a_key(Role.PROMOTER, promoter=a_promoter("Other")),
            a_key(Role.MERCHANT_OWNER, merchant=merchant),
            keys["maker"],
        ]
    url = f"/promoters/{prm(promoter)}/payout-accounts"
    for key in others:
        for method, path in (("GET", url), ("GET", f"{url}/{encode('acc', account.id)}")):
            assert call(key, method, path).status_code in {403, 404}
        assert call(key, "POST", url, account_body()).status_code in {403, 404}


# --- pay-ins ---------------------------------------------------------------------------------


def pay_in_body(merchant, **changes):
    money = {"amount": 5000, "currency": "BRL"}
    return {"merchant": mer(merchant), "money": money, "reference": "WIRE-1"} | changes


def test_a_pay_in_covers_what_the_merchant_owes(call, keys, merchant, promoter):
    with unit_of_work():
        an_entry(merchant, promoter, 8000)

    made = call(keys["maker"], "POST", "/pay-ins", pay_in_body(merchant))

    assert made.status_code == 201
    owed = db.session.scalar(
        sa.select(Account.debits - Account.credits).filter_by(kind="receivable")
    )
    assert owed == 3000
    assert call(keys["auditor"], "GET", f"/pay-ins/{made.json['id']}").json == made.json
    assert len(call(keys["auditor"], "GET", f"/pay-ins?merchant={mer(merchant)}").json["data"]) == 1
    changed = call(keys["maker"], "PATCH", f"/pay-ins/{made.json['id']}", {"note": "October"},
                   **{"If-Match": made.headers["ETag"]})  # fmt: skip
    assert changed.json["note"] == "October"


def test_a_reference_is_good_once_for_each_merchant(call, keys, merchant):
    with unit_of_work():
        other = a_merchant("Other")
    assert call(keys["maker"], "POST", "/pay-ins", pay_in_body(merchant)).status_code == 201

    again = call(keys["maker"], "POST", "/pay-ins", pay_in_body(merchant))

    assert (again.status_code, pointers(again)) == (409, {"/reference": "reference_taken"})
    assert call(keys["maker"], "POST", "/pay-ins", pay_in_body(other)).status_code == 201


@pytest.mark.parametrize("amount", [0, -1, 9 * 10**12 + 1, 1.5, "5000", None])
def test_a_pay_in_is_a_believable_positive_amount(call, keys, merchant, amount):
    body = pay_in_body(merchant, money={"amount": amount, "currency": "BRL"})

    response = call(keys["maker"], "POST", "/pay-ins", body)

    assert response.status_code == 422
    assert set(pointers(response)) == {"/money/amount"}


def test_merchants_do_not_book_their_own_pay_ins(call, merchant):
    with unit_of_work():
        key = a_key(Role.MERCHANT_OWNER, merchant=merchant)

    assert call(key, "POST", "/pay-ins", pay_in_body(merchant)).status_code == 403
