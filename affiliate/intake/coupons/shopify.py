"""Shopify: code discounts of the Admin GraphQL API; price rules of the REST API are legacy.

Facts: https://shopify.dev/docs/api/admin-graphql/2026-07, `discountCodeBasicCreate` and its kin.
An error is told in an answer 200: `errors` where nothing was done, `userErrors` for what was sent.
Whether a discount runs follows from its dates: switching it off ends it now, switching it on takes
the end away, so that its dates are written again with it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from affiliate import clock
from affiliate.intake.api import Client, Refused
from affiliate.intake.catalogue.shopify import API
from affiliate.intake.coupons.interface import Coupons, Exists, Found, Offer, lacks_right, no_right
from affiliate.intake.reading import Node
from affiliate.money import PPM

PATH = f"{API}/graphql.json"
RIGHT = "write_discounts"

_SHOWN = """
  id codeDiscount { __typename ... on DiscountCodeBasic {
    title status codes(first: 10) { nodes { code } } } }
"""
FIND = f"query($code: String!) {{ found: codeDiscountNodeByCode(code: $code) {{ {_SHOWN} }} }}"
READ = f"query($id: ID!) {{ found: codeDiscountNode(id: $id) {{ {_SHOWN} }} }}"
_FAULTS = "userErrors { field code message }"
CREATE = f"""
mutation($coupon: DiscountCodeBasicInput!) {{
  done: discountCodeBasicCreate(basicCodeDiscount: $coupon) {{
    codeDiscountNode {{ id }} {_FAULTS} }}
}}"""
PAUSE = f"mutation($id: ID!) {{ done: discountCodeDeactivate(id: $id) {{ {_FAULTS} }} }}"
RESUME = f"""
mutation($id: ID!, $coupon: DiscountCodeBasicInput!) {{
  done: discountCodeActivate(id: $id) {{ {_FAULTS} }}
  dated: discountCodeBasicUpdate(id: $id, basicCodeDiscount: $coupon) {{ {_FAULTS} }}
}}"""
REMOVE = f"mutation($id: ID!) {{ done: discountCodeDelete(id: $id) {{ {_FAULTS} }} }}"


def find(client: Client, offer: Offer) -> Found | None:
    return _found(_told(client, FIND, {"code": offer.code}), offer)


def read(client: Client, offer: Offer, id_: str) -> Found | None:
    return _found(_told(client, READ, {"id": id_}), offer)


def create(client: Client, offer: Offer) -> str:
    done = _told(client, CREATE, {"coupon": _input(offer)}, is_change=True)
    return done.get("done").get("codeDiscountNode").get("id").key()


def pause(client: Client, _offer: Offer, id_: str) -> None:
    _told(client, PAUSE, {"id": id_}, is_change=True)


def resume(client: Client, offer: Offer, id_: str) -> None:
    _told(client, RESUME, {"id": id_, "coupon": _dates(offer)}, is_change=True)


def remove(client: Client, id_: str) -> None:
    _told(client, REMOVE, {"id": id_}, is_change=True)


def _found(data: Node, offer: Offer) -> Found | None:
    node = data.get("found")
    if not node:
        return None
    discount = node.get("codeDiscount")
    if discount.get("__typename").text() != "DiscountCodeBasic":
        # Free shipping, "buy one, get one", or an app's: the code is taken all the same.
        return Found(node.get("id").key(), offer.code, runs=True, is_ours=False)
    codes = [each.get("code").text() for each in discount.get("codes").get("nodes").items()]
    ours = [each for each in codes if each.casefold() == offer.code.casefold()]
    return Found(
        id=node.get("id").key(),
        code=next(iter(ours or codes), ""),  # the shop may have given it others beside
        runs=discount.get("status").text() != "EXPIRED",
        is_ours=discount.get("title").text_or_none() == _title(offer),
    )


def _title(offer: Offer) -> str:
    """What staff read beside the code in the shop's list."""
    return f"Tuike {offer.mark}"


def _input(offer: Offer) -> dict[str, Any]:
    value: dict[str, Any] = {"percentage": Decimal(offer.percent_ppm or 0) / PPM}
    if offer.amount is not None:
        money = offer.money(offer.amount)
        value = {"discountAmount": {"amount": money, "appliesOnEachItem": False}}
    least: dict[str, Any] = {}
    if offer.minimum is not None:
        subtotal = {"greaterThanOrEqualToSubtotal": offer.money(offer.minimum)}
        least = {"minimumRequirement": {"subtotal": subtotal}}
    return {
        "title": _title(offer),
        "code": offer.code,
        "context": {"all": "ALL"},
        "customerGets": {"value": value, "items": {"all": True}},
        "usageLimit": offer.uses,
        "appliesOncePerCustomer": False,
        **least,
        **_dates(offer),
    }


def _dates(offer: Offer) -> dict[str, str | None]:
    return {
        "startsAt": _time(offer.starts_at or clock.now()),
        "endsAt": _time(offer.ends_at) if offer.ends_at else None,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _told(
    client: Client, query: str, variables: Mapping[str, Any], *, is_change: bool = False
) -> Node:
    asked = {"query": query, "variables": dict(variables)}
    try:
        if is_change:
            body = client.change("POST", PATH, asked).body
        else:
            body = client.post(PATH, asked).body
    except Refused as refusal:
        if lacks_right(refusal) and refusal.code != "unauthorized":
            raise no_right(RIGHT) from None
        raise
    for error in body.get("errors").items():
        if _code(error) == "ACCESS_DENIED":
            raise no_right(RIGHT)
        raise Refused("refused", error.get("message").text()[:300])
    data = body.get("data")
    for name in ("done", "dated"):
        for fault in data.get(name).get("userErrors").items() if data.get(name) else ():
            _refuse(fault)
    return data


def _refuse(fault: Node) -> None:
    code = fault.get("code").text_or_none()
    field = [str(each.value) for each in fault.get("field").items()]
    if code in ("TAKEN", "DUPLICATE") and field[-1:] == ["code"]:
        raise Exists
    raise Refused("refused", fault.get("message").text()[:300])


def _code(error: Node) -> str | None:
    extensions = error.get("extensions")
    return extensions.get("code").text_or_none() if extensions else None


COUPONS = Coupons(
    right=RIGHT,
    find=find,
    read=read,
    create=create,
    pause=pause,
    resume=resume,
    remove=remove,
)
