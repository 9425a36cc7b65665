"""Tokens that a web pixel tells of a checkout, joined with the order that comes of it.

Cart attributes are lost where a buyer skips the cart. A pixel in the checkout still sees what the
shop's pages kept, and knows the checkout by a long random name that the shop also writes into the
order. Whoever knows that name is the buyer's browser, so nobody can put tokens on another's order.
Either side may come first: both write the same row, and the second one finds what the first wrote.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import LiteralString

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog.queries import Door
from affiliate.db import among, db, inserting, within
from affiliate.intake.models import Checkout
from affiliate.intake.reading import Node
from affiliate.links import token
from affiliate.orders.facts import Order, RefundNotice, TokenNotice

KEEP = timedelta(days=30)
MOST_TOKENS = 5
TOPIC = "checkout"  # of events that speak of tokens which came after their order
MARK = "tuike_order"

# Of two words of a browser the tokens of both count, up to ten.
HAND_OVER: LiteralString = (
    "INSERT INTO checkouts AS c (merchant_id, shop_id, key, tokens, created_at)"
    " VALUES (%(merchant_id)s, %(shop_id)s, %(key)s, %(tokens)s, %(now)s)"
    " ON CONFLICT (merchant_id, shop_id, key) DO UPDATE"
    "   SET tokens = (ARRAY(SELECT DISTINCT unnest(c.tokens || excluded.tokens)))[:10]"
    " RETURNING order_key"
)


def genuine(text: str) -> list[str]:
    """The tokens of a text that are ours, the last five of them."""
    found = dict.fromkeys(each for each in text.split(".") if token.read(each))
    return list(found)[-MOST_TOKENS:]


def hand_over(shop: Door, checkout: str, tokens: Sequence[str]) -> str | None:
    """Keep what a browser says; the order that came of this checkout, if it came already."""
    row = within(
        HAND_OVER,
        {
            "merchant_id": shop.merchant_id,
            "shop_id": shop.id,
            "key": _key(checkout),
            "tokens": list(tokens),
            "now": clock.now(),
        },
    )
    return row[0] if row else None


def notice(order_key: str, tokens: Sequence[str]) -> bytes:
    """The body of an event that brings an order its tokens later; without any it is only looked at
    once more.
    """
    return json.dumps({MARK: order_key, "tk": sorted(tokens)}).encode()


def read(body: Node) -> list[TokenNotice] | None:
    """The same again; None for what a shop sent."""
    if not isinstance(body.value, dict) or MARK not in body.value:
        return None
    tokens = tuple(each.text() for each in body.get("tk").items())
    return [TokenNotice(body.get(MARK).text(), tokens)]


Reports = list[Order | RefundNotice | TokenNotice]


def join(merchant_id: int, shop_id: int, reports: Reports) -> Reports:
    """The reports with the tokens that browsers told of their checkouts, and the checkouts with
    their orders, for browsers that are slower.
    """
    since = clock.now() - KEEP
    about = {
        _key(each.checkout): each.external_id
        for each in reports
        if isinstance(each, Order) and each.checkout and each.placed_at and each.placed_at > since
    }
    if not about:
        return reports
    tokens = _claimed(merchant_id, shop_id, about)
    return [
        replace(each, tokens=(*each.tokens, *tokens.get(_key(each.checkout), ())))
        if isinstance(each, Order) and each.checkout
        else each
        for each in reports
    ]


def _claimed(merchant_id: int, shop_id: int, about: dict[bytes, str]) -> dict[bytes, list[str]]:
    """The tokens of these checkouts. A checkout stays with the first order that names it."""
    mine = sa.select(Checkout.key, Checkout.order_key, Checkout.tokens).where(
        Checkout.merchant_id == merchant_id,
        Checkout.shop_id == shop_id,
        among(Checkout.key, about),
    )
    known = {key: (order, tokens) for key, order, tokens in db.session.execute(mine)}
    new = [key for key in sorted(about) if known.get(key, (None, []))[0] is None]
    if new:
        rows = [
            {
                "merchant_id": merchant_id,
                "shop_id": shop_id,
                "key": key,
                "order_key": about[key],
                "tokens": [],
                "created_at": clock.now(),
            }
            for key in new
        ]
        write = inserting(Checkout, rows)
        first = sa.func.coalesce(Checkout.order_key, write.excluded.order_key)
        write = write.on_conflict_do_update(
            index_elements=["merchant_id", "shop_id", "key"], set_={"order_key": first}
        )
        written = write.returning(Checkout.key, Checkout.order_key, Checkout.tokens)
        known |= {key: (order, tokens) for key, order, tokens in db.session.execute(written)}
    return {key: tokens for key, (order, tokens) in known.items() if order == about[key]}


def forget() -> int:
    old = sa.delete(Checkout).where(Checkout.created_at < clock.now() - KEEP)
    return int(db.session.execute(old).rowcount)  # type: ignore[attr-defined]


def _key(checkout: str) -> bytes:
    return hashlib.sha256(checkout.encode("utf-8", "surrogatepass")).digest()[:16]
