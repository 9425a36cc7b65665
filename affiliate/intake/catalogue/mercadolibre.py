"""Mercado Libre's products, which it calls items: notices that name one, which is then fetched.

Facts: developers.mercadolibre.com, items and searches (2026-11). What changed since a time cannot
be asked for, so all items are read again some times a day. Descriptions are a request each and are
left out.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from affiliate.catalog.service import Keys, ProductFacts, VariantFacts
from affiliate.intake import reading
from affiliate.intake.api import Client, Page, Refused, Window
from affiliate.intake.catalogue import parts
from affiliate.intake.catalogue.interface import Catalogue, Ground
from affiliate.intake.catalogue.parts import Price
from affiliate.intake.reading import Node

PAGE = 100
TOGETHER = 20  # ids in one request


def of(body: Node, topic: str) -> Node | None:
    if _is_item(body):
        return body.get("id")
    if body.get("topic").value != "items":
        return None
    head, _, item = body.get("resource").text().rpartition("/")
    named = head == "/items" and item.isascii() and item.isalnum()
    return Node(item, body, "resource") if named else None


def thin(keys: Keys, body: Node) -> bool:
    return bool(body.get("topic").value == "items")


def _is_item(body: Node) -> bool:
    return bool(body.get("permalink")) and bool(body.get("seller_id"))


def read(body: Node, ground: Ground) -> ProductFacts | None:
    if not _is_item(body):
        return None
    if body.get("currency_id").value != ground.currency:
        raise body.get("currency_id").refuse(
            "currency_mismatch", f"this shop sells in {ground.currency}"
        )
    product_id = body.get("id").key()
    nodes, all_told = parts.some(body.get("variations"))
    variants = parts.distinct(_variant(each, ground) for each in nodes)
    price = _price(body, ground)
    stock = parts.together(variants, all_told=all_told) if variants else _stock(body)
    first, others = parts.pictures(_pictures(body.get("pictures")))
    return ProductFacts(
        external_id=product_id,
        title=parts.title(body.get("title").value, product_id),
        url=parts.page(body.get("permalink"), body.get("permalink").text(), ground),
        image_url=first,
        images=others,
        category=parts.line(body.get("category_id").value),
        price=price.now,
        list_price=price.otherwise,
        stock=0 if _is_sold_out(body) else stock,
        sold=parts.level(body.get("sold_quantity")),
        variants=variants,
        gone=body.get("status").value != "active" and not _is_sold_out(body),
        shop_version=int(body.get("last_updated").time().timestamp() * 1_000_000),
    )


def _is_sold_out(body: Node) -> bool:
    """Paused by the marketplace itself until there is some again."""
    reasons = body.get("sub_status").value
    paused = body.get("status").value == "paused"
    return paused and isinstance(reasons, list) and "out_of_stock" in reasons


def _pictures(node: Node) -> Iterator[object]:
    safe, plain = (list(parts.fields(node, name)) for name in ("secure_url", "url"))
    for first, second in zip(safe, plain, strict=True):
        yield first or second


def _variant(node: Node, ground: Ground) -> VariantFacts:
    told = parts.fields(node.get("attribute_combinations"), "value_name")
    options = [parts.line(each) for each in told]
    return VariantFacts(
        external_id=node.get("id").key(),
        title=" / ".join(each for each in options if each)[: parts.TITLE],
        sku=parts.line(node.get("seller_custom_field").value),
        price=parts.price(node.get("price"), ground),
        stock=_stock(node),
    )


def _price(node: Node, ground: Ground) -> Price:
    now = parts.price(node.get("price"), ground)
    return parts.reduced(now, parts.price(node.get("original_price"), ground))


def _stock(node: Node) -> int | None:
    return parts.level(node.get("available_quantity"))


# --- its API -----------------------------------------------------------------------------------


def fetch(client: Client, product_id: str) -> Sequence[bytes]:
    item = client.get(f"/items/{product_id}").body
    if item.get("seller_id").key() != client.keys.get("store_id"):
        raise Refused("not_found", "this item is of another seller")
    return [reading.dump(item.value)]


def pull(client: Client, window: Window | None, cursor: str) -> Page:
    """The cursor is the marketplace's and lives for some minutes; after that we begin anew."""
    given: dict[str, object] = {"search_type": "scan", "limit": PAGE}
    try:
        found = client.get(
            f"/users/{client.keys.get('store_id')}/items/search",
            given | ({"scroll_id": cursor} if cursor else {}),
        ).body
    except Refused as refusal:
        if cursor and refusal.code in ("refused", "not_found"):
            raise Refused("bad_cursor", refusal.message) from None
        raise
    ids = [each.key() for each in found.get("results").items()]
    bodies = [
        body
        for start in range(0, len(ids), TOGETHER)
        for body in _several(client, ids[start : start + TOGETHER])
    ]
    following = found.get("scroll_id").text_or_none() or ""
    return Page(bodies, following if ids else "", found.get("paging").get("total").whole())


def _several(client: Client, ids: Sequence[str]) -> Iterator[bytes]:
    told = client.get("/items", {"ids": ",".join(ids)}).body
    for asked, answer in zip(ids, told.items(), strict=False):
        item, code = answer.get("body"), answer.get("code").value
        if code == 200 and item.get("seller_id").key() == client.keys.get("store_id"):
            yield reading.dump(item.value)
        elif code in (403, 404, 410):
            yield parts.left(asked)


CATALOGUE = Catalogue(
    of=of,
    read=read,
    thin=thin,
    fetch=fetch,
    pull=pull,
    tells_changes=False,
    whole_every=timedelta(hours=6),
)
