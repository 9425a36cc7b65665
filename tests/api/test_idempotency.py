"""The same POST under one Idempotency-Key is done once and answered alike."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from affiliate.api import idempotency, merchants
from affiliate.api.models import Answer
from affiliate.db import db, unit_of_work
from affiliate.people import service
from affiliate.people.models import Merchant, Role
from tests.factories.people import a_key, a_user, bearer

MERCHANT = {"name": "Casa Ana", "country": "BR", "currency": "BRL", "timezone": "America/Bahia"}


@pytest.fixture
def key():
    return a_key()


@pytest.fixture
def post(client, key):
    def post(name="abc", body=MERCHANT, url="/api/v1/merchants", key=key):
        return client.post(url, json=body, headers=bearer(key, **{"Idempotency-Key": name}))

    return post


def how_many(model=Merchant):
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


def test_the_first_answer_comes_again(post):
    first, second = post(), post()

    assert first.status_code == second.status_code == 201
    assert second.data == first.data
    for header in ("Content-Type", "Location", "ETag"):
        assert second.headers[header] == first.headers[header]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert how_many() == 1


def test_another_body_under_the_same_key_is_refused(post):
    post()

    other = post(body={**MERCHANT, "name": "Casa Bia"})

    assert (other.status_code, other.json["type"]) == (422, "/problems/idempotency_mismatch")
    assert how_many() == 1


def test_another_address_under_the_same_key_is_refused(post):
    post()

    assert post(url="/api/v1/promoters", body={"name": "Bruna"}).status_code == 422


def test_another_key_is_another_request(post):
    assert post("one").json["id"] != post("two").json["id"]


def test_keys_of_different_users_do_not_meet(post):
    assert post().json["id"] != post(key=a_key()).json["id"]


def test_two_api_keys_of_one_user_share_their_answers(post):
    user = a_user()
    keys = [service.create_key(name, Role.OPERATOR, user=user)[1] for name in "ab"]

    first, second = (post(key=key) for key in keys)

    assert second.data == first.data


def test_a_refused_request_leaves_nothing_and_its_key_is_free(post):
    refused = post(body={**MERCHANT, "country": "XX"})
    taken = post(body=MERCHANT)

    assert refused.status_code == 422
    assert taken.status_code == 201


def test_a_request_that_broke_leaves_nothing_either(post, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(merchants, "show", lambda _: 1 / 0)
        assert post().status_code == 500
    assert how_many() == 0

    assert post().status_code == 201


def test_an_answer_is_kept_two_days(post, clock):
    clock.stand("2026-11-22T10:00:00Z")
    first = post()
    clock.move(days=2)
    assert post().json["id"] == first.json["id"]

    clock.move(seconds=1)

    assert post().json["id"] != first.json["id"]
    assert how_many(Answer) == 1


def test_old_answers_are_forgotten(post, clock):
    clock.stand("2026-11-22T10:00:00Z")
    post("one")
    clock.move(days=2, seconds=1)
    post("two")

    assert idempotency.forget_old() == 1

    assert db.session.scalars(sa.select(Answer.key)).all() == ["two"]


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "é"])
def test_a_key_has_bounds(post, name):
    assert post(name).status_code == 400


def test_a_new_secret_is_repeated_but_not_stored_in_clear(post):
    body = {"name": "robot", "role": "operator"}
    first = post(url="/api/v1/keys", body=body)
    second = post(url="/api/v1/keys", body=body)

    assert second.json["secret"] == first.json["secret"]
    stored = db.session.scalar(sa.select(Answer.body))
    assert first.json["secret"].encode() not in stored


def test_eight_at_once_do_the_work_once(app, committed, monkeypatch):
    with unit_of_work():
        key = a_key()
    create = service.create_merchant

    def slowly(*args, **fields):
        time.sleep(0.2)
        return create(*args, **fields)

    monkeypatch.setattr(merchants.service, "create_merchant", slowly)

    def post(_):
        return app.test_client().post(
            "/api/v1/merchants", json=MERCHANT, headers=bearer(key, **{"Idempotency-Key": "abc"})
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 201
    assert set(statuses[1:]) <= {201, 409}
    assert 409 in statuses
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json["type"] == "/problems/idempotency_in_flight"
            assert answer.headers["Retry-After"] == "1"
    assert len({answer.data for answer in answers if answer.status_code == 201}) == 1
    assert how_many() == 1
    assert post(0).status_code == 201
    assert how_many() == 1


def test_eight_that_try_again_until_answered_all_get_the_same(app, committed):
    with unit_of_work():
        key = a_key()

    def insist(_):
        client = app.test_client()
        for _ in range(200):
            answer = client.post(
                "/api/v1/merchants", data=json.dumps(MERCHANT), content_type="application/json",
                headers=bearer(key, **{"Idempotency-Key": "abc"}),
            )  # fmt: skip
            if answer.status_code != 409:
                return answer.data
            time.sleep(0.02)
        return None

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(insist, range(8)))

    assert len(answers) == 1
    assert how_many() == 1
