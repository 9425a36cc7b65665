"""Access tokens of shops: kept sealed, renewed by one worker at a time, outside transactions."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import clock, security
from affiliate.catalog.service import Keys
from affiliate.db import db, unit_of_work
from affiliate.intake.api import NotNow, Token
from affiliate.intake.models import ShopToken

PLACE = "shop_tokens.token"
LEASE = timedelta(seconds=60)  # in which a worker asks for a new one
PAUSE, PATIENCE = 0.2, 100  # seconds between looks at what another one does, and how many


class ShopTokens:
    """The token of one shop."""

    def __init__(self, merchant_id: int, shop_id: int, keys: Keys) -> None:
        self._merchant_id = merchant_id
        self._shop_id = shop_id
        self._consent = _consent(keys)

    def current(self) -> Token | None:
        with unit_of_work():
            row = self._row()
            return self._token(row)

    def renewed(self, old: Token | None, renew: Callable[[Token | None], Token]) -> Token:
        """Refresh tokens are often good for one use, so only one worker may ask."""
        for _ in range(PATIENCE):
            with unit_of_work():
                row = self._row(lock=True)
                known = self._token(row)
                if known is not None and known != old and known.is_fresh:
                    return known
                mine = row.renewing_until is None or row.renewing_until < clock.now()
                if mine:
                    row.renewing_until = clock.now() + LEASE
            if mine:
                return self._renew(known, renew)
            time.sleep(PAUSE)
        raise NotNow("somebody else is renewing the token")

    def _renew(self, known: Token | None, renew: Callable[[Token | None], Token]) -> Token:
        token: Token | None = None
        try:
            token = renew(known)
            return token
        finally:
            with unit_of_work():
                row = self._row(lock=True)
                row.renewing_until = None
                if token is not None:
                    row.token, row.consent = _sealed(token), self._consent

    def _row(self, *, lock: bool = False) -> ShopToken:
        """Made at the first need."""
        key = {"merchant_id": self._merchant_id, "shop_id": self._shop_id}
        found = sa.select(ShopToken).filter_by(**key).execution_options(populate_existing=True)
        row = db.session.scalar(found.with_for_update() if lock else found)
        if row is None:
            made = key | {"consent": self._consent, "created_at": clock.now()}
            db.session.execute(insert(ShopToken).values(made).on_conflict_do_nothing())
            row = db.session.scalars(found.with_for_update()).one()
        return row

    def _token(self, row: ShopToken) -> Token | None:
        """None where it came from a consent that was replaced since."""
        if row.token is None or row.consent != self._consent:
            return None
        told = json.loads(security.unseal(row.token, place=PLACE))
        until = told["until"] and datetime.fromisoformat(told["until"])
        return Token(told["access"], told["refresh"], until)


def _sealed(token: Token) -> bytes:
    told = token._asdict() | {"until": token.until and token.until.isoformat()}
    return security.seal(json.dumps(told).encode(), place=PLACE)


def _consent(keys: Keys) -> bytes:
    names = ("app_id", "app_secret", "refresh_token")
    return hashlib.sha256("\n".join(map(keys.get, names)).encode()).digest()[:16]
