"""Whatever is asked of the books, in whatever batches, they do what a plain sum would do."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affiliate.db import db
from affiliate.ledger import queries, service
from affiliate.ledger.models import Code, Kind
from affiliate.ledger.rules import SHAPES, balance
from affiliate.ledger.service import Overdrawn
from tests.ledger.books import ANA, BEA, Books, account, assert_books_balance, posting

wishes = st.tuples(st.sampled_from(sorted(Code)), st.integers(1, 30), st.sampled_from([ANA, BEA]))
NEVER_BELOW = {Kind.PENDING, Kind.RESERVED, Kind.TAX}
CLAWS = {Code.REVERSE_AVAILABLE, Code.UNRELEASE}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(wishes, min_size=1, max_size=4), max_size=8))
def test_the_books_are_a_plain_sum(batches):
    savepoint = db.session.begin_nested()
    merchant = Books().merchant
    credits_: Counter = Counter()

    for number, batch in enumerate(batches):
        postings = [
            posting(code, f"wish:{number}.{i}", amount, merchant=merchant, promoter=who)
            for i, (code, amount, who) in enumerate(batch)
        ]
        after, allowed = after_all(credits_, postings)
        try:
            assert service.post(postings) == len(postings)
            assert allowed
            credits_ = after
        except Overdrawn:
            assert not allowed

    for key, amount in credits_.items():
        assert queries.balance(key) == balance(key.kind, 0, amount)
    assert sum(credits_.values()) == 0
    assert_books_balance()
    savepoint.rollback()


def after_all(credits_, postings):
    """Each account's credits less its debits afterwards, and whether the rules allow it."""
    after, clawed = Counter(credits_), Counter()
    for each in postings:
        after[each.source] -= each.amount
        after[each.target] += each.amount
        if each.code in CLAWS:
            clawed[each.source] += each.amount
    allowed = all(
        amount >= 0
        or (key.kind not in NEVER_BELOW
            and (key.kind != Kind.AVAILABLE or credits_[key] - amount <= clawed[key]))
        for key, amount in after.items()
    )  # fmt: skip
    return after, allowed


def test_the_sum_knows_every_code():
    assert set(SHAPES) == set(Code)
    assert {account(kind, 1).kind for kind in Kind} == set(Kind)
