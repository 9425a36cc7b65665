"""What was decided stands in one chain: without gaps, forks, edits, and what was undone."""

import threading
from functools import partial

import pytest
import sqlalchemy as sa

from affiliate import audit
from affiliate.db import db, unit_of_work
from affiliate.errors import Conflict
from affiliate.ledger import verify
from affiliate.people import service as people
from affiliate.people.models import Role, User
from tests.factories.people import a_merchant, a_user
from tests.ledger.books import at_once, triggers_off


def rows():
    return db.session.scalars(sa.select(audit.Decision).order_by(audit.Decision.id)).all()


def decide(*subjects: str, **detail):
    with unit_of_work():
        for each in subjects:
            audit.record("thing.decided", subject=each, by=1, **detail)


def broken():
    return [f"{each.row}: {each.wrong}" for each in verify.check("audit")]


def test_decisions_are_numbered_and_chained():
    decide("prm:1", "prm:2", amount=5)
    decide("prm:3")

    assert [(each.id, each.subject) for each in rows()] == [
        (1, "prm:1"), (2, "prm:2"), (3, "prm:3")
    ]  # fmt: skip
    assert rows()[0].detail == {"amount": 5}
    assert len({each.hash for each in rows()}) == 3
    assert broken() == []


def test_what_is_rolled_back_was_not_decided():
    def refused():
        with unit_of_work():
            audit.record("thing.decided", subject="prm:1", by=1)
            raise Conflict("no")

    with pytest.raises(Conflict):
        refused()
    decide("prm:2")

    assert [each.subject for each in rows()] == ["prm:2"]


def test_nor_what_is_rolled_back_to_a_savepoint():
    with unit_of_work():
        audit.record("thing.decided", subject="prm:1", by=1)
        with db.session.begin_nested() as outer:
            with db.session.begin_nested():
                audit.record("thing.decided", subject="prm:2", by=1)
            outer.rollback()
        with db.session.begin_nested():
            audit.record("thing.decided", subject="prm:3", by=1)

    assert [each.subject for each in rows()] == ["prm:1", "prm:3"]


def test_a_row_says_who_acted_and_by_which_key(client):
    with unit_of_work():
        operator = a_user(Role.OPERATOR)
        key, text = people.create_key("k", Role.OPERATOR, user=operator)
    answer = client.post(
        "/api/v1/merchants",
        json={"name": "Loja", "country": "BR", "currency": "BRL", "timezone": "UTC"},
        headers={"Authorization": f"Bearer {text}"},
    )

    assert answer.status_code == 201
    made = rows()[-1]
    assert (made.action, made.user_id, made.key_id) == ("merchant.made", operator.id, key.id)
    assert audit.public(made.subject, made.merchant_id) == answer.json["id"]


def test_terms_of_money_are_written_with_before_and_after():
    with unit_of_work():
        merchant = a_merchant()
    with unit_of_work():
        people.change_merchant(merchant, {"name": "Other", "platform_fee_ppm": 10_000})
    with unit_of_work():
        people.change_merchant(merchant, {"name": "Another"})

    assert [(each.action, each.detail) for each in rows()][1:] == [
        ("merchant.changed", {"platform_fee_ppm": [0, 10_000]})
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET user_id = 2 WHERE id = 1",
        "DELETE FROM audit_log WHERE id = 1",
        "TRUNCATE audit_log",
    ],
)
def test_the_database_refuses_edits(statement):
    decide("prm:1")

    with pytest.raises(sa.exc.IntegrityError, match="stays as it was written"):
        db.session.execute(sa.text(statement))


@pytest.mark.parametrize(
    ("tampering", "wrong"),
    [
        ("UPDATE audit_log SET user_id = 2 WHERE id = 2", "decision 2: it was changed, or the one"),
        ("UPDATE audit_log SET detail = '{}' WHERE id = 2", "decision 2: it was changed, or"),
        ("UPDATE audit_log SET happened_at = now() WHERE id = 2", "decision 2: it was changed, or"),
        ("UPDATE audit_log SET hash = sha256('') WHERE id = 2", "decision 3: it was changed, or"),
        ("DELETE FROM audit_log WHERE id = 2", "decision 3: one before it is missing"),
        (
            "UPDATE audit_log SET id = 5 - id WHERE id IN (2, 3)",
            "decision 2: it was changed, or the one before it",
        ),
    ],
)
def test_who_turns_the_triggers_off_shows(tampering, wrong):
    decide("prm:1", "prm:2", "prm:3", amount=1)
    assert broken() == []

    with triggers_off():
        # Swapping two numbers is done in two steps, as the key allows no two of one.
        if "5 - id" in tampering:
            db.session.execute(sa.text("UPDATE audit_log SET id = -id WHERE id IN (2, 3)"))
            tampering = "UPDATE audit_log SET id = 5 + id WHERE id < 0"
        db.session.execute(sa.text(tampering))

    assert any(each.startswith(wrong) for each in broken()), broken()


def test_many_at_once_make_one_chain_and_never_wait_for_each_other(app, committed):
    """Each holds rows that the others want; so whoever took the chain first would deadlock."""
    with unit_of_work():
        users = [a_user(Role.OPERATOR) for _ in range(2)]

    def act(turn):
        for user in sorted(users, key=lambda each: each.id, reverse=bool(turn % 2))[:1]:
            audit.record("thing.decided", subject=f"usr:{user.id}", by=user.id)
        # Always in one order, after the first decision is recorded.
        for user in users:
            db.session.execute(
                sa.update(User).where(User.id == user.id).values(name=f"Turn {turn}")
            )
            audit.record("user.renamed", subject=f"usr:{user.id}", by=user.id, turn=turn)

    answers = at_once(app, [partial(act, turn) for turn in range(16)])

    assert answers == [None] * 16
    numbers = [each.id for each in rows()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(each.action == "user.renamed" for each in rows()) == 32
    assert broken() == []


def test_a_reader_is_not_kept_waiting_by_a_decision_under_way(app, committed):
    decide("prm:1")
    began, go_on = threading.Event(), threading.Event()

    def slow():
        with app.app_context(), unit_of_work():
            audit.record("thing.decided", subject="prm:2", by=1)
            began.set()
            go_on.wait(20)

    thread = threading.Thread(target=slow)
    thread.start()
    began.wait(20)
    decide("prm:3")  # while the other is still under way, and is not held up by it
    go_on.set()
    thread.join()

    assert [each.subject for each in rows()] == ["prm:1", "prm:3", "prm:2"]
    assert broken() == []
