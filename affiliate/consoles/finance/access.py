"""Whose money a page may show, and who may move it."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from flask import abort, request

from affiliate import ids
from affiliate.consoles.session import current_caller, current_scope
from affiliate.db import db
from affiliate.errors import AffiliateError, Forbidden, NotFound
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.people.queries import within
from affiliate.people.rules import Right, Scope

# Who hands over what was approved, and who stops it before.
HANDLERS = (Right.HANDLE_MONEY, Right.APPROVE_SETTLEMENTS)
DECIDERS = (Right.MAKE_SETTLEMENTS, Right.APPROVE_SETTLEMENTS)
MOST_MERCHANTS = 500  # in a field to choose from


def key_of(prefix: str, text: str) -> tuple[int, int]:
    """The keys of something whose money may be read; another tenant's is not there."""
    try:
        merchant_id, row_id = ids.decode_pair(prefix, text)
        current_caller().require(Right.READ_MONEY, merchant_id)
    except NotFound:
        abort(404)
    return merchant_id, row_id


def require(rights: Sequence[Right], merchant_id: int) -> None:
    """Any of these rights for this merchant; refused as `Caller.require` does."""
    current_caller().require(next(filter(current_caller().may, rights), rights[0]), merchant_id)


def only(right: Right) -> None:
    """Before a merchant is chosen: whoever has the right for some. Asked before any `merchant`
    is looked at, which `asked_merchant` keeps to the place, and so to that right.
    """
    if not may(right):
        raise Forbidden(_("Your role does not allow this."))


def may(*rights: Right) -> bool:
    """What the pages offer. A place has one role for one merchant or for all, so asking for the
    right alone is enough: a page shows nothing of other merchants.
    """
    return current_caller().may(*rights)


def merchants(right: Right = Right.READ_MONEY) -> list[Merchant]:
    """To choose from, by name."""
    mine = within(Merchant.id, current_scope(right))
    return list(
        db.session.scalars(
            sa.select(Merchant).where(mine).order_by(Merchant.name).limit(MOST_MERCHANTS)
        )
    )


def asked_merchant(text: str | None = None) -> int | None:
    """`?merchant=`, if it is one whose money may be read."""
    text = text or request.args.get("merchant")
    if not text:
        return None
    try:
        merchant_id = people.merchant(ids.decode_one("mer", text)).id
        current_caller().require(Right.READ_MONEY, merchant_id)
    except NotFound:
        abort(404)
    return merchant_id


def asked_scope() -> Scope:
    """`?merchant=` alone, or all whose money may be read."""
    merchant_id = asked_merchant()
    return current_scope(Right.READ_MONEY) if merchant_id is None else frozenset({merchant_id})


def refused(act: Callable[[], object]) -> AffiliateError | None:
    """Does all of it or nothing; why it was refused, for a page that says so."""
    try:
        with db.session.begin_nested():
            act()
    except AffiliateError as refusal:
        return refusal
    return None
