"""Shopify's products: whole by webhook and by the REST Admin API, version 2026-07.

A deleted one is only an id. Bodies carry no address, but the handle that makes it. Since 2024-10
webhooks do not tell whether a variant is counted; the API does.
"""

import re
from collections.abc import Sequence

from affiliate.catalog.service import Keys, ProductFacts, VariantFacts
from affiliate.intake import reading
from affiliate.intake.api import Client, Page, Refused, Window, next_cursor
from affiliate.intake.catalogue import parts
from affiliate.intake.catalogue.interface import Catalogue, Ground
from affiliate.intake.catalogue.parts import Price
from affiliate.intake.reading import Node

API = "/admin/api/2026-07"
PAGE = 100
SMALLER = (25, 5, 1)  # when a page of products with many variants is too large
HANDLE = re.compile(r"[^\s/?#\\%]{1,255}")
DELETED = {"products/delete"}
ARCHIVED = ("draft", "archived")


def of(body: Node, topic: str) -> Node | None:
    if body.get("variants") and body.get("handle"):
        return body.get("id")
    return body.get("id") if topic in DELETED and parts.is_only_an_id(body) else None


def thin(keys: Keys, body: Node) -> bool:
    """Without the field that says so, 0 pieces may be none, or not counted."""
    variants, _all = parts.some(body.get("variants"))
    return keys.has(("api_token",)) and any(
        "inventory_management" not in each.value for each in variants
    )


def read(body: Node, ground: Ground) -> ProductFacts:
    product_id = body.get("id").key()
    nodes, all_told = parts.some(body.get("variants"))
    variants = parts.distinct(_variant(each, ground) for each in nodes)
    price = parts.cheapest(_price(each, ground) for each in nodes)
    first, others = parts.pictures(parts.fields(body.get("images"), "src"))
    return ProductFacts(
        external_id=product_id,
        title=parts.title(body.get("title").value, product_id),
        url=_page(body.get("handle"), ground),
        image_url=first,
        images=others,
        description=parts.paragraphs(body.get("body_html").value),
        category=parts.line(body.get("product_type").value),
        price=price.now,
        list_price=price.otherwise,
        stock=parts.together(variants, all_told=all_told),
        variants=variants,
        gone=_is_gone(body),
        shop_version=_version(body, nodes),
    )


def _is_gone(body: Node) -> bool:
    """A draft, archived, or not in the online shop."""
    return body.get("published_at").value is None or body.get("status").value in ARCHIVED


def _page(handle: Node, ground: Ground) -> str:
    if not HANDLE.fullmatch(handle.text()):
        raise handle.refuse("bad_url", "this handle makes no address")
    return parts.page(handle, f"https://{ground.domain}/products/{handle.text()}", ground)


def _variant(node: Node, ground: Ground) -> VariantFacts:
    title = parts.line(node.get("title").value)
    return VariantFacts(
        external_id=node.get("id").key(),
        title="" if title in (None, "Default Title") else title or "",
        sku=parts.line(node.get("sku").value),
        price=_price(node, ground).now,
        stock=_stock(node),
    )


def _price(node: Node, ground: Ground) -> Price:
    now = parts.price(node.get("price"), ground)
    return parts.reduced(now, parts.price(node.get("compare_at_price"), ground))


def _stock(node: Node) -> int | None:
    if node.get("inventory_policy").value == "continue":
        return None
    found = parts.level(node.get("inventory_quantity"))
    if "inventory_management" in node.value:
        return found if node.get("inventory_management") else None
    return found if found and found > 0 else None


def _version(body: Node, variants: Sequence[Node]) -> int:
    """Microseconds. Stock moves on the time of its variant, not always that of the product."""
    told = [each.get("updated_at").time_or_none() for each in (body, *variants)]
    times = [at for at in told if at] or [body.get("created_at").time()]
    return int(max(times).timestamp() * 1_000_000)


# --- its API -----------------------------------------------------------------------------------


def fetch(client: Client, product_id: str) -> Sequence[bytes]:
    answer = client.get(f"{API}/products/{product_id}.json")
    return [reading.dump(answer.body.get("product").value)]


def pull(client: Client, window: Window | None, cursor: str) -> Page:
    """Also what is not on sale now: so it is known to be gone, and to come back."""
    given: dict[str, object] = {}
    if window is not None:
        given["updated_at_min"] = window.since.isoformat(timespec="seconds")
        given["updated_at_max"] = window.until.isoformat(timespec="seconds")
    total = None
    if not cursor:
        total = client.get(f"{API}/products/count.json", given).body.get("count").whole()
    asked: dict[str, object] = {"page_info": cursor} if cursor else given
    for size in (PAGE, *SMALLER):
        try:
            answer = client.get(f"{API}/products.json", {**asked, "limit": size})
            break
        except Refused as refusal:
            if refusal.code != "too_large" or size == SMALLER[-1]:
                raise
    bodies = [reading.dump(each.value) for each in answer.body.get("products").items()]
    return Page(bodies, next_cursor(answer), total)


CATALOGUE = Catalogue(of=of, read=read, thin=thin, fetch=fetch, pull=pull)
