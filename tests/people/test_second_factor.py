"""The second factor: a code is good once, and guessing is stopped."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.people import service
from affiliate.people.models import User
from affiliate.people.service import SecondFactorMissing, TooManyCodes, WrongCode
from tests.factories.people import a_user


def code(uri: str, *, steps: int = 0) -> str:
    return pyotp.parse_uri(uri).at(time.now() + timedelta(seconds=30 * steps))


def test_a_right_code_is_good_once(clock):
    clock.stand("2026-11-22T10:00:00Z")
    user = a_user()
    uri = service.set_up_totp(user)

    service.check_totp(user, code(uri))

    with pytest.raises(WrongCode):
        service.check_totp(user, code(uri))
    with pytest.raises(WrongCode):
        service.check_totp(user, code(uri, steps=-1))
    service.check_totp(user, code(uri, steps=1))


def test_the_secret_is_not_in_the_database_in_clear():
    user = a_user()
    uri = service.set_up_totp(user)

    assert pyotp.parse_uri(uri).secret.encode() not in user.totp_secret


def test_the_uri_names_the_user_and_the_issuer():
    uri = service.set_up_totp(a_user(email="ana@example.com"))

    assert uri.startswith("otpauth://totp/Tuike:ana%40example.com?secret=")


def test_without_a_second_factor_nothing_passes():
    with pytest.raises(SecondFactorMissing):
        service.check_totp(a_user(), "123456")


def test_five_wrong_codes_lock_also_the_right_one(clock):
    clock.stand("2026-11-22T10:00:00Z")
    user = a_user()
    uri = service.set_up_totp(user)
    wrong = f"{(int(code(uri)) + 1) % 10**6:06d}"

    for _ in range(5):
        with pytest.raises(WrongCode):
            service.check_totp(user, wrong)

    with pytest.raises(TooManyCodes):
        service.check_totp(user, code(uri))


def test_a_right_code_forgets_the_wrong_ones_before_it(clock):
    clock.stand("2026-11-22T10:00:00Z")
    user = a_user()
    uri = service.set_up_totp(user)
    for step in range(3):
        for _ in range(4):
            with pytest.raises(WrongCode):
                service.check_totp(user, "no code")
        clock.move(seconds=30 * (step + 1))
        service.check_totp(user, code(uri))


def test_the_lock_ends_after_five_minutes(valkey):
    user = a_user()
    uri = service.set_up_totp(user)
    for _ in range(6):
        with pytest.raises((WrongCode, TooManyCodes)):
            service.check_totp(user, "no code")

    (key,) = valkey.keys("totp:*")
    assert 290 < valkey.ttl(key) <= 300
    valkey.delete(key)  # five minutes later

    service.check_totp(user, code(uri))


def test_wrong_codes_are_counted_although_their_transaction_is_rolled_back(committed):
    with unit_of_work():
        user = a_user()
        service.set_up_totp(user)

    for _ in range(5):
        with pytest.raises(WrongCode), unit_of_work():
            service.check_totp(db.session.get_one(User, user.id), "no code")

    with pytest.raises(TooManyCodes), unit_of_work():
        service.check_totp(db.session.get_one(User, user.id), "no code")


def test_of_eight_at_once_with_one_code_one_gets_through(app, committed, clock):
    clock.stand("2026-11-22T10:00:00Z")
    with unit_of_work():
        user_id = a_user().id
        uri = service.set_up_totp(db.session.get_one(User, user_id))
    right = code(uri)

    def use(_: int) -> bool:
        with app.app_context():
            try:
                with unit_of_work():
                    service.check_totp(db.session.get_one(User, user_id), right)
            except (WrongCode, TooManyCodes):
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


def test_when_valkey_is_gone_no_code_passes(app, monkeypatch):
    user = a_user()
    uri = service.set_up_totp(user)
    nobody = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)

    with pytest.raises(service.SecondFactorUnavailable):
        service.check_totp(user, code(uri))
    nobody.close()
