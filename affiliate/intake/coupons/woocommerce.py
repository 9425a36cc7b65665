"""WooCommerce: `/wp-json/wc/v3/coupons`, with keys that may write.

Facts: woocommerce/woocommerce, the v3 coupons controller. A draft is a paused coupon; before 10.4
the API could not write that status, so what comes back is looked at, and where it is published
still, an end in the past does the same. A look-up by code sees published ones only. There is no
beginning: a coupon is made when it begins.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from affiliate import clock
from affiliate.intake.api import Client, Refused
from affiliate.intake.coupons.interface import Coupons, Exists, Found, Offer, lacks_right, no_right
from affiliate.intake.reading import Node

PATH = "/wp-json/wc/v3/coupons"
RIGHT = "read_write"  # the permission of a key: "Read/Write"
MARK = "_tuike_coupon"


def find(client: Client, offer: Offer) -> Found | None:
    for each in client.get(PATH, {"code": offer.code}).body.items():
        found = _found(each, offer)
        if found.code.casefold() == offer.code.casefold():
            return found
    return None


def read(client: Client, offer: Offer, id_: str) -> Found | None:
    try:
        body = client.get(f"{PATH}/{id_}").body
    except Refused as refusal:
        if refusal.code == "not_found":
            return None
        raise
    return None if body.get("status").text_or_none() == "trash" else _found(body, offer)


def create(client: Client, offer: Offer) -> str:
    return _change(client, "POST", PATH, _body(offer)).get("id").key()


def pause(client: Client, _offer: Offer, id_: str) -> None:
    body = _change(client, "PUT", f"{PATH}/{id_}", {"status": "draft"})
    if body.get("status").text_or_none() != "draft":
        over = _time(clock.now() - timedelta(days=1))
        _change(client, "PUT", f"{PATH}/{id_}", {"date_expires_gmt": over})


def resume(client: Client, offer: Offer, id_: str) -> None:
    other = find(client, offer)
    if other is not None and other.id != id_:
        raise Exists
    sent = {"status": "publish", "date_expires_gmt": _end(offer)}
    _change(client, "PUT", f"{PATH}/{id_}", sent)


def remove(client: Client, id_: str) -> None:
    try:
        _change(client, "DELETE", f"{PATH}/{id_}", None, {"force": "true"})
    except Refused as refusal:
        if refusal.code != "not_found":
            raise


def _found(node: Node, offer: Offer) -> Found:
    ends = node.get("date_expires_gmt").utc_or_none()
    is_over = ends is not None and ends <= clock.now()
    # Old versions tell no status: what they show is published.
    is_published = node.get("status").text_or_none() in (None, "publish")
    marks = [pair.get("value").value for pair in node.get("meta_data").items()
             if pair.get("key").value == MARK]  # fmt: skip
    return Found(
        id=node.get("id").key(),
        code=node.get("code").text(),
        runs=is_published and not is_over,
        is_ours=offer.mark in marks,
    )


def _body(offer: Offer) -> dict[str, Any]:
    amount = offer.percent if offer.amount is None else offer.money(offer.amount)
    return {
        "code": offer.code,
        "discount_type": "percent" if offer.amount is None else "fixed_cart",
        "amount": amount,
        "date_expires_gmt": _end(offer),
        "usage_limit": offer.uses,
        "minimum_amount": offer.money(offer.minimum) if offer.minimum else "",
        "description": f"Tuike {offer.mark}",
        "meta_data": [{"key": MARK, "value": offer.mark}],
    }


def _end(offer: Offer) -> str | None:
    return _time(offer.ends_at) if offer.ends_at else None


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")[:19]


def _change(
    client: Client, method: str, path: str, body: object, query: dict[str, object] | None = None
) -> Node:
    try:
        return client.change(method, path, body, query).body
    except Refused as refusal:
        # It was just read with the same key, so it is the right to write that is missing.
        if lacks_right(refusal):
            raise no_right(RIGHT) from None
        said = refusal.answer.body if refusal.answer else Node({})
        if said.get("code").value == "woocommerce_rest_coupon_code_already_exists":
            raise Exists from None
        words = said.get("message").value
        if refusal.code == "refused" and isinstance(words, str):
            raise Refused("refused", words[:300]) from None
        raise


COUPONS = Coupons(
    right=RIGHT,
    find=find,
    read=read,
    create=create,
    pause=pause,
    resume=resume,
    remove=remove,
    has_start=False,
)
