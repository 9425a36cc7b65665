"""Tiendanube's products: notices that name one, which is then fetched.

Facts: TiendaNube/api-docs `resources/product.md` and `product_variant.md`, API v1. Names, texts and
handles are told in each language of the shop.
"""

from collections.abc import Sequence
from typing import Any

from affiliate.catalog.service import Keys, ProductFacts, VariantFacts
from affiliate.intake import reading
from affiliate.intake.api import Client, Page, Refused, Window
from affiliate.intake.catalogue import parts
from affiliate.intake.catalogue.interface import Catalogue, Ground
from affiliate.intake.catalogue.parts import Price
from affiliate.intake.reading import Node

PAGE = 200
OPTIONS = 3  # of a variant: size, colour …
# Under which a shop shows its products, by language.
FOLDERS = {"es": "productos", "pt": "produtos", "en": "products"}


def of(body: Node, topic: str) -> Node | None:
    return body.get("id") if _is_notice(body) or _is_product(body) else None


def thin(keys: Keys, body: Node) -> bool:
    return _is_notice(body)


def _is_notice(body: Node) -> bool:
    event = body.get("event").value
    return isinstance(event, str) and event.startswith("product/")


def _is_product(body: Node) -> bool:
    return bool(body.get("variants")) and bool(body.get("handle"))


def read(body: Node, ground: Ground) -> ProductFacts | None:
    if not _is_product(body):
        return None
    product_id = body.get("id").key()
    nodes, all_told = parts.some(body.get("variants"))
    variants = parts.distinct(_variant(each, ground) for each in nodes)
    price = parts.cheapest(_price(each, ground) for each in nodes)
    first, others = parts.pictures(parts.fields(body.get("images"), "src"))
    return ProductFacts(
        external_id=product_id,
        title=parts.title(_told(body.get("name").value, ground)[1], product_id),
        url=_page(body, ground),
        image_url=first,
        images=others,
        description=parts.paragraphs(_told(body.get("description").value, ground)[1]),
        category=next(
            (
                name
                for each in parts.fields(body.get("categories"), "name")
                if (name := parts.line(_told(each, ground)[1]))
            ),
            None,
        ),
        price=price.now,
        list_price=price.otherwise,
        stock=parts.together(variants, all_told=all_told),
        variants=variants,
        gone=body.get("published").value is False,
        shop_version=_version(body, nodes),
    )


def _told(value: Any, ground: Ground) -> tuple[str, Any]:
    """What is told in the language of the shop's country, else in another one; and which."""
    if not isinstance(value, dict):
        return "es", value
    own = "pt" if ground.country == "BR" else "es"
    languages = [own, *(each for each in FOLDERS if each != own), *value]
    return next(((each, value[each]) for each in languages if value.get(each)), (own, None))


def _page(body: Node, ground: Ground) -> str:
    told = body.get("canonical_url")
    if isinstance(told.value, str):
        try:
            return parts.page(told, told.value, ground)
        except reading.Unreadable:
            pass  # on another domain of the shop's; on this one it has the same path
    language, handle = _told(body.get("handle").value, ground)
    if not isinstance(handle, str) or not handle:
        raise body.get("handle").refuse("bad_url", "this handle makes no address")
    folder = FOLDERS.get(language, FOLDERS["es"])
    return parts.page(body.get("handle"), f"https://{ground.domain}/{folder}/{handle}/", ground)


def _variant(node: Node, ground: Ground) -> VariantFacts:
    values = node.get("values").value
    told = values[:OPTIONS] if isinstance(values, list) else []
    options = [parts.line(_told(each, ground)[1]) for each in told]
    counted = node.get("stock_management").value is not False
    return VariantFacts(
        external_id=node.get("id").key(),
        title=" / ".join(each for each in options if each)[: parts.TITLE],
        sku=parts.line(node.get("sku").value),
        price=_price(node, ground).now,
        stock=parts.level(node.get("stock")) if counted else None,
    )


def _price(node: Node, ground: Ground) -> Price:
    price = parts.price(node.get("price"), ground)
    promotional = parts.price(node.get("promotional_price"), ground)
    return parts.reduced(promotional, price) if promotional else Price(price)


def _version(body: Node, variants: Sequence[Node]) -> int:
    """Microseconds of the last change of the product or of one of its variants."""
    told = [each.get("updated_at").time_or_none() for each in (body, *variants)]
    times = [at for at in told if at] or [body.get("created_at").time()]
    return int(max(times).timestamp() * 1_000_000)


# --- its API -----------------------------------------------------------------------------------


def _path(client: Client, product: str = "") -> str:
    return f"/v1/{client.keys.get('store_id')}/products{product and '/'}{product}"


def fetch(client: Client, product_id: str) -> Sequence[bytes]:
    return [reading.dump(client.get(_path(client, product_id)).body.value)]


def pull(client: Client, window: Window | None, cursor: str) -> Page:
    page = int(cursor or 1)
    given: dict[str, object] = {"sort_by": "created-at-ascending"}
    if window is not None:
        given["updated_at_min"] = window.since.isoformat(timespec="seconds")
        given["updated_at_max"] = window.until.isoformat(timespec="seconds")
    try:
        answer = client.get(_path(client), given | {"per_page": PAGE, "page": page})
    except Refused as refusal:
        if refusal.code == "not_found":  # how it says that there is no such page
            return Page([], "", 0 if page == 1 else None)
        raise
    total = int(answer.headers.get("X-Total-Count", 0))
    bodies = [reading.dump(each.value) for each in answer.body.items()]
    return Page(bodies, str(page + 1) if page * PAGE < total else "", total)


CATALOGUE = Catalogue(of=of, read=read, thin=thin, fetch=fetch, pull=pull)
