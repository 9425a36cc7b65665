"""Tokens of shops: renewed once however many ask, and begun anew with a new consent."""

import threading
from datetime import timedelta

import pytest

from affiliate import clock as time
from affiliate.catalog.service import Keys
from affiliate.db import db, unit_of_work
from affiliate.intake import tokens
from affiliate.intake.api import Refused, Token
from affiliate.intake.models import ShopToken
from affiliate.intake.tokens import ShopTokens
from tests.factories.catalog import a_shop

KEYS = Keys((), {"app_id": "1", "refresh_token": "first"})


def a_token(number):
    return Token(f"access-{number}", f"refresh-{number}", time.now() + timedelta(hours=6))


def test_of_many_at_once_one_asks_and_all_have_the_new_one(app, committed, monkeypatch):
    monkeypatch.setattr(tokens, "PAUSE", 0.02)
    with unit_of_work():
        shop = a_shop()
        place = (shop.merchant_id, shop.id)
    asked, found, go = [], [], threading.Barrier(6)

    def renew(old):
        asked.append(old)
        return a_token(len(asked))

    def work():
        with app.app_context():
            go.wait(20)
            found.append(ShopTokens(*place, KEYS).renewed(None, renew))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert asked == [None]
    assert {each.access for each in found} == {"access-1"}


def test_a_token_is_kept_sealed_and_its_refresh_token_is_used_next(app):
    with unit_of_work():
        shop = a_shop()
    place = (shop.merchant_id, shop.id)
    ShopTokens(*place, KEYS).renewed(None, lambda _: a_token(1))

    known = ShopTokens(*place, KEYS).current()
    assert known.access == "access-1"
    with unit_of_work():
        row = db.session.query(ShopToken).one()
        assert b"access-1" not in row.token

    given = []
    ShopTokens(*place, KEYS).renewed(known, lambda old: given.append(old.refresh) or a_token(2))
    assert given == ["refresh-1"]


def test_a_renewal_that_fails_lets_the_next_one_try_and_a_new_consent_begins_anew(app):
    with unit_of_work():
        shop = a_shop()
    place = (shop.merchant_id, shop.id)

    def refuse(_):
        raise Refused("consent_lost", "no")

    with pytest.raises(Refused):
        ShopTokens(*place, KEYS).renewed(None, refuse)
    assert ShopTokens(*place, KEYS).renewed(None, lambda _: a_token(1)).access == "access-1"

    again = Keys((), {"app_id": "1", "refresh_token": "second"})
    assert ShopTokens(*place, again).current() is None
