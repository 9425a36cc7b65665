"""Tiendanube / Nuvemshop: `/coupons` of the store, with the scope `write_coupons`.

Facts: TiendaNube/api-docs `resources/coupon.md`. Codes have letters and digits only, dates are days
of the store, and `valid` switches. Nothing of ours can be kept with a coupon, so it is known again
by being just what was sent. Lists are filtered by `code` where the API knows that, and looked
through in any case.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from affiliate.intake.api import Client, Refused
from affiliate.intake.coupons.interface import Coupons, Exists, Found, Offer, lacks_right, no_right
from affiliate.intake.reading import Node

RIGHT = "write_coupons"
PAGE, PAGES = 200, 50


def find(client: Client, offer: Offer) -> Found | None:
    for page in range(1, PAGES + 1):
        given = {"code": offer.code, "per_page": PAGE, "page": page}
        try:
            answer = client.get(_path(client), given)
        except Refused as refusal:
            if refusal.code == "not_found":  # how it says that there is no such page
                return None
            raise _told(refusal) from None
        rows = list(answer.body.items())
        for each in rows:
            if each.get("code").text().casefold() == offer.code.casefold() and _is_there(each):
                return _found(each, offer)
        if len(rows) < PAGE:
            return None
    return None


def read(client: Client, offer: Offer, id_: str) -> Found | None:
    try:
        body = client.get(_path(client, id_)).body
    except Refused as refusal:
        if refusal.code == "not_found":
            return None
        raise _told(refusal) from None
    return _found(body, offer) if _is_there(body) else None


def create(client: Client, offer: Offer) -> str:
    return _change(client, "POST", _path(client), _body(offer)).get("id").key()


def pause(client: Client, _offer: Offer, id_: str) -> None:
    _change(client, "PUT", _path(client, id_), {"valid": False})


def resume(client: Client, _offer: Offer, id_: str) -> None:
    _change(client, "PUT", _path(client, id_), {"valid": True})


def remove(client: Client, id_: str) -> None:
    try:
        _change(client, "DELETE", _path(client, id_), None)
    except Refused as refusal:
        if refusal.code != "not_found":
            raise


def _path(client: Client, coupon: str = "") -> str:
    return f"/v1/{client.keys.get('store_id')}/coupons{coupon and '/'}{coupon}"


def _is_there(node: Node) -> bool:
    return not node.get("deleted_at")


def _found(node: Node, offer: Offer) -> Found:
    return Found(
        id=node.get("id").key(),
        code=node.get("code").text(),
        runs=node.get("valid").flag(default=True),
        is_ours=_is_as_sent(node, _body(offer)),
    )


def _is_as_sent(node: Node, sent: dict[str, Any]) -> bool:
    """Numbers come back as numbers or as text; what was left out as null or 0."""
    return node.get("type").value == sent["type"] and all(
        _same(node.get(name).value if node.get(name) else None, sent[name])
        for name in ("value", "min_price", "max_uses", "start_date", "end_date")
    )


def _same(told: Any, sent: Any) -> bool:
    if isinstance(told, str) and isinstance(sent, str) and "-" in sent:
        return told[:10] == sent
    try:
        return Decimal(str(told or 0)) == Decimal(str(sent or 0))
    except InvalidOperation:
        return False


def _body(offer: Offer) -> dict[str, Any]:
    return {
        "code": offer.code,
        "type": "percentage" if offer.amount is None else "absolute",
        "value": offer.percent if offer.amount is None else offer.money(offer.amount),
        "min_price": Decimal(offer.money(offer.minimum)) if offer.minimum else None,
        "max_uses": offer.uses,
        "start_date": _day(offer.starts_at, offer.zone),
        # The last day, on which it is good still.
        "end_date": _day(offer.ends_at and offer.ends_at - timedelta(microseconds=1), offer.zone),
    }


def _day(at: datetime | None, zone: str) -> str | None:
    return at.astimezone(ZoneInfo(zone)).date().isoformat() if at else None


def _change(client: Client, method: str, path: str, body: object) -> Node:
    try:
        return client.change(method, path, body).body
    except Refused as refusal:
        raise _told(refusal) from None


def _told(refusal: Refused) -> Exception:
    """A fault of a field stands under its name: `{"code": ["…"]}`, beside the status as `code`."""
    if lacks_right(refusal) and refusal.code != "unauthorized":
        return no_right(RIGHT)
    if refusal.answer is None or refusal.answer.status != 422:
        return refusal
    said = refusal.answer.body.value
    faults = {
        name: str(words[0])
        for name, words in (said.items() if isinstance(said, dict) else ())
        if isinstance(words, list) and words
    }
    if "code" in faults:
        return Exists(faults["code"])
    told = "; ".join(f"{name}: {words}" for name, words in faults.items())
    return Refused("refused", (told or refusal.message)[:300], refusal.answer)


COUPONS = Coupons(
    right=RIGHT,
    letters=re.compile(r"[A-Za-z0-9]{1,100}"),
    find=find,
    read=read,
    create=create,
    pause=pause,
    resume=resume,
    remove=remove,
    has_marks=False,
)
