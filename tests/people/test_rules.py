"""Rights, and how one person is recognised however they write themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate.errors import Forbidden, NotFound
from affiliate.people import rules
from affiliate.people.models import Role
from affiliate.people.rules import HOLDERS, Caller, Held, Right


def caller(*held: Held, is_service: bool = False) -> Caller:
    return Caller(1, held, is_service=is_service)


def test_every_right_has_holders_and_the_operator_lacks_only_what_is_somebodys():
    operators = {right for right, roles in HOLDERS.items() if Role.OPERATOR in roles}

    assert set(Right) - operators == {Right.APPROVE_SETTLEMENTS, Right.PROMOTE, Right.RUN_AGENCY}
    assert all(HOLDERS[right] for right in Right)


def test_only_a_checker_approves():
    assert HOLDERS[Right.APPROVE_SETTLEMENTS] == {Role.FINANCE_CHECKER}


@pytest.mark.parametrize("role", [Role.FINANCE_MAKER, Role.FINANCE_CHECKER, Role.OPERATOR])
def test_a_service_neither_makes_nor_approves_settlements(role):
    service = caller(Held(role), is_service=True)

    assert not service.may(Right.MAKE_SETTLEMENTS, Right.APPROVE_SETTLEMENTS)
    assert service.may(Right.READ_MONEY)
    with pytest.raises(Forbidden):
        service.require(Right.MAKE_SETTLEMENTS, 7)


def test_a_role_for_one_merchant_ends_there():
    owner = caller(Held(Role.MERCHANT_OWNER, merchant_id=7))

    owner.require(Right.OWN_MERCHANT, 7)

    assert owner.scope(Right.OWN_MERCHANT) == {7}
    assert owner.scope(Right.ADMINISTER) == frozenset()
    with pytest.raises(NotFound):
        owner.require(Right.READ_MERCHANT, 8)


def test_finance_without_a_merchant_is_for_the_whole_instance():
    maker = caller(Held(Role.FINANCE_MAKER))

    maker.require(Right.MAKE_SETTLEMENTS, 8)

    assert maker.scope(Right.MAKE_SETTLEMENTS) is None


def test_what_is_seen_but_not_allowed_is_forbidden_and_what_is_not_seen_is_not_there():
    both = caller(Held(Role.MERCHANT_OWNER, 7), Held(Role.MERCHANT_ANALYST, 8))

    with pytest.raises(Forbidden):
        both.require(Right.RUN_MERCHANT, 8)
    with pytest.raises(NotFound):
        both.require(Right.RUN_MERCHANT, 9)


def test_a_promoter_is_only_themselves():
    bruna = caller(Held(Role.PROMOTER, promoter_id=5))

    bruna.require_promoter(5)

    assert bruna.promoter_ids == {5}
    with pytest.raises(NotFound):
        bruna.require_promoter(6)
    with pytest.raises(NotFound):
        bruna.require(Right.READ_MERCHANT, 7)


@pytest.mark.parametrize(
    "written",
    ["ana.b@gmail.com", " Ana.B@Gmail.com ", "anab+shop@gmail.com", "a.n.a.b@googlemail.com"],
)
def test_one_gmail_box_has_one_hash(written):
    assert rules.buyer_email_hash(written) == rules.buyer_email_hash("anab@gmail.com")


def test_dots_count_elsewhere_but_tags_do_not():
    plain = rules.buyer_email_hash("ana.b@example.com")

    assert rules.buyer_email_hash("ANA.B+x@example.com") == plain
    assert rules.buyer_email_hash("anab@example.com") != plain


@pytest.mark.parametrize(
    ("written", "country"),
    [
        ("+52 1 55 1234 5678", None),
        ("+525512345678", None),
        ("55 1234 5678", "MX"),
        ("5215512345678", "MX"),
        ("1 55 1234 5678", "MX"),
    ],
)
def test_one_mexican_number_has_one_hash(written, country):
    assert rules.normal_phone(written, country) == "+525512345678"
    assert rules.buyer_phone_hash(written, country) == rules.buyer_phone_hash("+525512345678")


@pytest.mark.parametrize("text", [None, "", "   ", "not a phone", "+", "123", "5512345678", "☎️"])
def test_a_number_that_cannot_be_read_is_unknown(text):
    assert rules.buyer_phone_hash(text) is None


@pytest.mark.parametrize("text", [None, "", "nobody", "a@", "@b.com", "a b@c.com", "a@b..com"])
def test_an_address_that_is_none_is_unknown(text):
    assert rules.buyer_email_hash(text) is None


def test_mail_and_phone_hashes_do_not_show_what_they_stand_for():
    assert b"ana" not in (rules.buyer_email_hash("ana@example.com") or b"")
    assert len(rules.buyer_phone_hash("+525512345678") or b"") == 16


# RFC 6238, appendix B, SHA-1: the last six of the eight digits it lists.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.mark.parametrize(
    ("second", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(second, code):
    assert rules.matching_step(RFC_SECRET, code, second) == second // 30


@pytest.mark.parametrize(("late", "fits"), [(-31, False), (-29, True), (0, True), (31, True),
                                            (59, True), (60, False)])  # fmt: skip
def test_a_code_is_good_one_step_either_way(late, fits):
    begin_of_step = 1111111080

    assert (rules.matching_step(RFC_SECRET, "081804", begin_of_step + late) is not None) is fits


@pytest.mark.parametrize("code", ["", "0", "abcdef", "０８１８０４", "0818040", "08180४"])
def test_what_is_no_code_does_not_fit(code):
    assert rules.matching_step(RFC_SECRET, code, 1111111109) is None


HOSTS = (
    "example.com EXAMPLE.com gmail.com b\u00fccher.de xn--bcher-kva.de shop.test localhost a..com"
    " .com com. -a.com a_b.com 1.2.3.4 [1.2.3.4] example.c x@y.com"
).split()


@given(st.one_of(st.emails(), st.text("abzAZ09._+-@ \"'(é中", max_size=70)), st.data())
def test_a_plain_mailbox_is_judged_as_any_other(text, data):
    """The short way, by what is known of the host, says what the library would say."""
    for email in (text, f"{text}@{data.draw(st.sampled_from(['', *HOSTS]))}"):
        assert rules.normal_email(email) == rules._validated(email)
