"""WooCommerce's products: whole by webhook, their variations by the REST API wc/v3.

Facts: woocommerce-rest-api-docs `wp-api-v3/_products.md`, `_product-variations.md`. A webhook of a
product names its variations only, one of a variation only itself, and one of a deleted product only
its id: with keys we ask for the rest.
"""

from collections.abc import Sequence

from affiliate.catalog.service import Keys, ProductFacts, VariantFacts
from affiliate.intake import reading
from affiliate.intake.api import Client, Page, Window
from affiliate.intake.catalogue import parts
from affiliate.intake.catalogue.interface import Catalogue, Ground
from affiliate.intake.catalogue.parts import Price
from affiliate.intake.reading import Node

API = "/wp-json/wc/v3/products"
PAGE = 100
DELETED = {"product.deleted"}


def of(body: Node, topic: str) -> Node | None:
    if body.get("permalink") and body.get("stock_status"):
        return body.get("parent_id") if _is_variation(body) else body.get("id")
    return body.get("id") if topic in DELETED and parts.is_only_an_id(body) else None


def thin(keys: Keys, body: Node) -> bool:
    return keys.has(("consumer_key", "consumer_secret")) and (
        parts.is_only_an_id(body) or _is_variation(body) or _names_variations(body)
    )


def _is_variation(body: Node) -> bool:
    return bool(body.get("type").value == "variation")


def _names_variations(body: Node) -> bool:
    told = body.get("variations").value
    return isinstance(told, list) and any(isinstance(each, int) for each in told)


def read(body: Node, ground: Ground) -> ProductFacts | None:
    if _is_variation(body):
        return None
    product_id = body.get("id").key()
    nodes, all_told = parts.some(body.get("variations"))
    variants = parts.distinct(_variant(each, ground) for each in nodes)
    price = parts.cheapest(_price(each, ground) for each in nodes) if nodes else Price()
    price = price if price.now is not None else _price(body, ground)
    stock = _stock(body)
    if variants and body.get("manage_stock").value is not True:
        stock = parts.together(variants, all_told=all_told)
    first, others = parts.pictures(parts.fields(body.get("images"), "src"))
    return ProductFacts(
        external_id=product_id,
        title=parts.title(body.get("name").value, product_id),
        url=parts.page(body.get("permalink"), body.get("permalink").text(), ground),
        image_url=first,
        images=others,
        description=parts.paragraphs(body.get("description").value)
        or parts.paragraphs(body.get("short_description").value),
        category=next(
            filter(None, map(parts.line, parts.fields(body.get("categories"), "name"))), None
        ),
        price=price.now,
        list_price=price.otherwise,
        price_until=price.until,
        stock=stock,
        sold=parts.level(body.get("total_sales")) or None,
        variants=variants,
        gone=body.get("status").value != "publish",
        shop_version=_version(body, nodes),
    )


def _variant(node: Node, ground: Ground) -> VariantFacts:
    options = [parts.line(each) for each in parts.fields(node.get("attributes"), "option")]
    return VariantFacts(
        external_id=node.get("id").key(),
        title=" / ".join(each for each in options if each)[: parts.TITLE],
        sku=parts.line(node.get("sku").value),
        price=_price(node, ground).now,
        stock=_stock(node),
    )


def _price(node: Node, ground: Ground) -> Price:
    now = parts.price(node.get("price"), ground)
    if not node.get("on_sale").value:
        return Price(now)
    until = node.get("date_on_sale_to_gmt").utc_or_none()
    return parts.reduced(now, parts.price(node.get("regular_price"), ground), until)


def _stock(node: Node) -> int | None:
    if node.get("manage_stock").value is True:
        in_advance = node.get("backorders").value in ("yes", "notify")
        return None if in_advance else parts.level(node.get("stock_quantity"))
    return 0 if node.get("stock_status").value == "outofstock" else None


def _version(body: Node, variations: Sequence[Node]) -> int:
    """Microseconds of the last change of the product or of one of its variations."""
    told = [each.get("date_modified_gmt").utc_or_none() for each in (body, *variations)]
    times = [at for at in told if at] or [body.get("date_created_gmt").utc()]
    return int(max(times).timestamp() * 1_000_000)


# --- its API -----------------------------------------------------------------------------------


def fetch(client: Client, product_id: str) -> Sequence[bytes]:
    return [_whole(client, client.get(f"{API}/{product_id}").body.value)]


def _whole(client: Client, product: dict[str, object]) -> bytes:
    """With its variations, as many as are kept."""
    if not product.get("variations"):
        return reading.dump(product)
    found: list[object] = []
    for page in range(1, parts.VARIANTS_MAX // PAGE + 1):
        path = f"{API}/{product['id']}/variations"
        told = client.get(path, {"per_page": PAGE, "page": page}).body
        some = [each.value for each in told.items()]
        found += some
        if len(some) < PAGE:
            break
    return reading.dump(product | {"variations": found})


def pull(client: Client, window: Window | None, cursor: str) -> Page:
    page = int(cursor or 1)
    given: dict[str, object] = {"orderby": "id"}
    if window is not None:
        given = {
            "modified_after": window.since.isoformat(timespec="seconds"),
            "modified_before": window.until.isoformat(timespec="seconds"),
            "dates_are_gmt": "true",
            "orderby": "modified",
        }
    given |= {"order": "asc", "status": "any", "per_page": PAGE, "page": page}
    answer = client.get(API, given)
    total, pages = (int(answer.headers.get(f"X-WP-Total{name}", 0)) for name in ("", "Pages"))
    bodies = [_whole(client, each.value) for each in answer.body.items()]
    return Page(bodies, str(page + 1) if page < pages else "", total)


CATALOGUE = Catalogue(of=of, read=read, thin=thin, fetch=fetch, pull=pull)
