"""Users, roles, passwords, one-time links, keys."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from affiliate import security
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid, NotFound
from affiliate.people import queries, service
from affiliate.people.models import Grant, Role, User
from affiliate.people.service import EmailTaken, PasswordTooWeak, RoleNotHeld
from tests.factories.people import a_merchant, a_promoter, a_user


def test_an_address_belongs_to_one_user_however_it_is_written():
    a_user(email="Ana@Example.com")

    with pytest.raises(EmailTaken):
        a_user(email=" ana@example.COM".strip())

    assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 1


def test_of_two_at_once_with_one_address_one_is_made(app, committed):
    def create(_: int) -> bool:
        with app.app_context():
            try:
                with unit_of_work():
                    service.create_user("ana@example.com")
            except EmailTaken:
                return False
            return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(create, range(4))) == 1


@pytest.mark.parametrize(
    "text", ["", "ana", "ana@", "ana@example..com", "a" * 300 + "@example.com"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(Invalid) as refusal:
        service.create_user(text)

    assert refusal.value.errors[0].pointer == "/email"


def test_a_password_is_kept_as_argon2():
    user = a_user(password="correct horse battery")

    assert user.password_hash.startswith("$argon2id$")
    assert security.password_fits(user.password_hash, "correct horse battery")
    assert not security.password_fits(user.password_hash, "correct horse")


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_a_password_has_bounds(password):
    with pytest.raises(PasswordTooWeak):
        service.set_password(a_user(), password)


def test_giving_a_role_twice_gives_it_once():
    user = a_user(Role.OPERATOR)

    service.grant(user, Role.OPERATOR)

    assert [held.role for held in queries.grants_of(user.id)] == ["operator"]


@pytest.mark.parametrize(
    ("role", "with_merchant", "with_promoter"),
    [
        (Role.MERCHANT_OWNER, False, False),
        (Role.OPERATOR, True, False),
        (Role.PROMOTER, False, False),
        (Role.FINANCE_MAKER, False, True),
    ],
)
def test_a_role_is_given_where_it_belongs(role, with_merchant, with_promoter):
    where = {
        "merchant_id": a_merchant().id if with_merchant else None,
        "promoter_id": a_promoter().id if with_promoter else None,
    }
    user = a_user(None)

    with pytest.raises(Invalid):
        service.grant(user, role, **where)
    db.session.add(Grant(user_id=user.id, role=role, **where))
    with pytest.raises(sa.exc.IntegrityError, match="scope_fits_role"):
        db.session.flush()


def test_a_link_sets_one_password():
    user = a_user()
    secret = service.create_link(user)

    service.use_link(secret, "correct horse battery")

    assert security.password_fits(user.password_hash, "correct horse battery")
    with pytest.raises(NotFound):
        service.use_link(secret, "another horse battery")
    assert queries.user_of_link(secret) is None


def test_a_weak_password_leaves_the_link_good():
    secret = service.create_link(a_user())

    with pytest.raises(PasswordTooWeak):
        service.use_link(secret, "short")

    service.use_link(secret, "correct horse battery")


def test_a_link_is_good_for_a_week(clock):
    clock.stand("2026-11-22T10:00:00Z")
    secret = service.create_link(a_user())

    clock.move(days=7)

    with pytest.raises(NotFound):
        service.use_link(secret, "correct horse battery")


def test_a_key_without_a_user_gets_a_service_of_its_own():
    key, text = service.create_key("robot", Role.FINANCE_MAKER)

    caller = queries.caller_of(queries.key_of(text))

    assert caller.is_service
    assert caller.user_id == key.user_id
    assert text.startswith("aff_live_")


def test_a_key_brings_one_role_of_its_user_not_all():
    user = a_user(Role.OPERATOR)
    service.grant(user, Role.FINANCE_CHECKER)

    _, text = service.create_key("checker", Role.FINANCE_CHECKER, user=user)

    caller = queries.caller_of(queries.key_of(text))
    assert [held.role for held in caller.held] == [Role.FINANCE_CHECKER]


def test_a_key_brings_no_role_its_user_does_not_hold():
    with pytest.raises(RoleNotHeld):
        service.create_key("mine", Role.FINANCE_CHECKER, user=a_user(Role.OPERATOR))


def test_the_text_of_a_key_is_not_kept():
    key, text = service.create_key("robot", Role.OPERATOR)
    secret = text.split("_", 3)[3]

    assert secret.encode() not in key.secret_hash
    assert key.hint == text[-4:]
    assert queries.key_of(text) is key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace("aff_live_", "aff_test_"),
        lambda text: text.rpartition("_")[0],
        lambda text: "aff_live_" + text,
        lambda text: "x" + text,
        lambda text: "aff_live__" + text.split("_", 3)[3],
        lambda text: "aff_live_é_\x00",
        lambda text: "",
    ],
)
def test_a_spoilt_key_opens_nothing(spoil):
    _, text = service.create_key("robot", Role.OPERATOR)

    assert queries.key_of(spoil(text)) is None


def test_a_revoked_key_and_one_of_a_disabled_user_open_nothing(clock):
    key, text = service.create_key("robot", Role.OPERATOR)
    other, other_text = service.create_key("robot", Role.OPERATOR)

    service.revoke_key(key)
    db.session.get_one(User, other.user_id).disabled_at = clock.stand("2026-11-22T10:00:00Z")

    assert queries.key_of(text) is None
    assert queries.key_of(other_text) is None
