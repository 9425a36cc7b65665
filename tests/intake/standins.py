"""Shops that speak the platforms' read APIs over real HTTP, made of the platforms' own samples.

They page as the platforms do, change while they are read, ask for patience, forget tokens, and lose
one webhook in twenty.
"""

import base64
import json
import threading
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, parse_qsl, urlsplit

from affiliate import clock
from affiliate.intake.platforms import (
    shopee,
    shopify,
    stripe,
    tiendanube,
    tiktok,
    wechat,
    woocommerce,
)

SAMPLES = Path(__file__).parent / "samples"


def sample(name):
    return json.loads((SAMPLES / name).read_text())


def decimal(minor):
    return f"{minor // 100}.{minor % 100:02}"


class StandIn:
    """A shop with orders and products, and a server that tells them."""

    platform = ""
    credentials: ClassVar[dict[str, str]] = {}
    page = 7
    needs_token = False

    def __init__(self) -> None:
        self.orders: dict[str, dict] = {}  # id, at, updated, amount, refunded
        self.products: dict[str, dict] = {}  # id, updated, title, price, was, stock, on
        self.made = 0  # products, also those that are gone
        self.asked: list[str] = []
        self.between_pages: Callable[[], None] = lambda: None
        self.busy_every = 0
        self.token = "access-1"
        self.refresh = self.credentials.get("refresh_token", "")
        self.renewals = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def place(self, count, hours=30):
        """Orders over the last hours, the first of them oldest."""
        for number in range(count):
            at = clock.now() - timedelta(hours=hours) * (count - number) / count
            key = self.key(len(self.orders) + 1)
            at = at.replace(microsecond=0)
            self.orders[key] = {
                "id": key, "at": at, "updated": at, "amount": 100_00 + number, "refunded": 0,
            }  # fmt: skip

    def put_on_shelves(self, count, **facts):
        """Products, each changed a second after the one before, the last one an hour ago."""
        now = clock.now().replace(microsecond=0)
        for number in range(count):
            self.made += 1
            key = self.product_key(self.made)
            self.products[key] = {
                "id": key, "updated": now - timedelta(seconds=3600 + count - number),
                "title": f"Bolsa {number}", "price": 100_00 + number, "was": None, "stock": 5,
                "on": True,
            } | facts  # fmt: skip

    def change(self, key, **facts):
        self.products[key] |= {"updated": clock.now().replace(microsecond=0)} | facts

    def give_back(self, key, minor):
        self.orders[key]["refunded"] += minor
        self.orders[key]["updated"] = clock.now().replace(microsecond=0)

    def key(self, number):
        return str(450789000 + number)

    def product_key(self, number):
        return str(632910000 + number)

    def stocked(self, query, since, until):
        """The products of a window, oldest change first; without a window all, by id."""
        if since not in query:
            return sorted(self.products.values(), key=lambda each: each["id"])
        begin, end = (datetime.fromisoformat(query[name]) for name in (since, until))
        begin, end = (at if at.tzinfo else at.replace(tzinfo=UTC) for at in (begin, end))
        found = [each for each in self.products.values() if begin <= each["updated"] <= end]
        return sorted(found, key=lambda each: (each["updated"], each["id"]))

    def forget_token(self):
        self.token = f"access-{self.renewals + 2}-not-told"

    def changed(self, since, until):
        found = [each for each in self.orders.values() if since <= each["updated"] <= until]
        return sorted(found, key=lambda each: (each["updated"], each["id"]))

    # What a subclass says of itself; those that tell of products say the same of a product, and
    # have `told_product`, `product_webhook` and `answer_products`.

    def told(self, order):
        """The order as its API tells it."""
        raise NotImplementedError

    def webhook(self, order):
        """Headers, body and query of a webhook about it."""
        raise NotImplementedError

    def answer(self, method, path, query, headers, body):
        """Status, headers and what is told."""
        raise NotImplementedError

    def busy(self):
        return 429, {"Retry-After": "0"}, {"error": "busy"}

    def _handler(self):
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self):
                address = urlsplit(self.path)
                size = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(size)
                shop.asked.append(f"{self.command} {address.path}")
                if shop.busy_every and len(shop.asked) % shop.busy_every == 0:
                    status, headers, told = shop.busy()
                else:
                    query = dict(parse_qsl(address.query, keep_blank_values=True))
                    status, headers, told = shop.answer(
                        self.command, address.path, query, self.headers, body
                    )
                content = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _do  # noqa: N815

            def log_message(self, *_):
                pass

        return Handler


def iso(at):
    return at.isoformat(timespec="seconds")


class Shopify(StandIn):
    platform = "shopify"
    credentials: ClassVar = {"webhook_secret": "hush", "api_token": "shpat_1"}

    def told(self, order):
        found = sample("shopify/order.rest-2026-07.eur-taxlines.json")
        line = found["line_items"][0] | {"quantity": 1, "price": decimal(order["amount"])}
        line = {key: value for key, value in line.items() if key != "price_set"}
        line |= {"tax_lines": [], "discount_allocations": []}
        refund = {
            "id": int(order["id"]) + 1, "refund_line_items": [], "order_adjustments": [],
            "created_at": iso(order["updated"]),
            "transactions": [{"kind": "refund", "status": "success", "currency": "EUR",
                              "amount": decimal(order["refunded"])}],
        }  # fmt: skip
        return found | {
            "id": int(order["id"]),
            "created_at": iso(order["at"]), "processed_at": iso(order["at"]),
            "updated_at": iso(order["updated"]), "line_items": [line], "total_tax": "0.00",
            "refunds": [refund] if order["refunded"] else [],
            "financial_status": "partially_refunded" if order["refunded"] else "paid",
        }  # fmt: skip

    def webhook(self, order):
        body = json.dumps(self.told(order)).encode()
        return {"X-Shopify-Hmac-Sha256": shopify.sign("hush", body)}, body, {}

    def answer(self, method, path, query, headers, body):
        if headers["X-Shopify-Access-Token"] != "shpat_1":
            return 401, {}, {"errors": "no"}
        if "/products" in path:
            return self.answer_products(path, query)
        if "page_info" in query:
            # The cursor holds the window and the last row that was told: rows push no other away.
            since, until, at, key = json.loads(base64.urlsafe_b64decode(query["page_info"]))
        else:
            since, until, at, key = query["updated_at_min"], query["updated_at_max"], "", ""
        found = self.changed(datetime.fromisoformat(since), datetime.fromisoformat(until))
        if path.endswith("/count.json"):
            return 200, {}, {"count": len(found)}
        rest = [each for each in found if (iso(each["updated"]), each["id"]) > (at, key)]
        shown, links = rest[: self.page], {}
        if len(rest) > self.page:
            last = [since, until, iso(shown[-1]["updated"]), shown[-1]["id"]]
            cursor = base64.urlsafe_b64encode(json.dumps(last).encode()).decode()
            links["Link"] = f'<{self.address}{path}?limit=7&page_info={cursor}>; rel="next"'
        told = [self.told(each) for each in shown]
        self.between_pages()
        return 200, links, {"orders": told}

    def told_product(self, product):
        found = sample("shopify/product.rest-2026-07.ipod-nano.json")
        variant = found["variants"][0] | {
            "id": int(product["id"]) + 10**6, "price": decimal(product["price"]),
            "compare_at_price": decimal(product["was"]) if product["was"] else None,
            "inventory_quantity": product["stock"], "inventory_policy": "deny",
            "updated_at": iso(product["updated"]), "title": "Default Title",
        }  # fmt: skip
        return found | {
            "id": int(product["id"]), "title": product["title"], "handle": f"p{product['id']}",
            "updated_at": iso(product["updated"]), "variants": [variant],
            "status": "active" if product["on"] else "draft",
        }  # fmt: skip

    def product_webhook(self, product):
        gone = product["id"] not in self.products
        told = {"id": int(product["id"])} if gone else self.told_product(product)
        body = json.dumps(told).encode()
        topic = f"products/{'delete' if gone else 'update'}"
        return {
            "X-Shopify-Hmac-Sha256": shopify.sign("hush", body), "X-Shopify-Topic": topic,
        }, body, {}  # fmt: skip

    def answer_products(self, path, query):
        one = path.rpartition("/")[2].removesuffix(".json")
        if one in self.products:
            return 200, {}, {"product": self.told_product(self.products[one])}
        if one.isdigit():
            return 404, {}, {"errors": "Not Found"}
        asked, at, size = query, 0, self.page
        if "page_info" in query:
            asked, at = json.loads(base64.urlsafe_b64decode(query["page_info"]))
        found = self.stocked(asked, "updated_at_min", "updated_at_max")
        if one == "count":
            return 200, {}, {"count": len(found)}
        links = {}
        if at + size < len(found):
            cursor = base64.urlsafe_b64encode(json.dumps([asked, at + size]).encode()).decode()
            links["Link"] = f'<{self.address}{path}?limit=7&page_info={cursor}>; rel="next"'
        told = [self.told_product(each) for each in found[at : at + size]]
        self.between_pages()
        return 200, links, {"products": told}


class WooCommerce(StandIn):
    platform = "woocommerce"
    credentials: ClassVar = {
        "webhook_secret": "hush",
        "consumer_key": "ck_1",
        "consumer_secret": "cs_1",
    }

    def told(self, order, *, detailed=False):
        found = sample("woocommerce/order.updated.docs-727-completed.json")
        line = found["line_items"][0] | {"quantity": 1, "total_tax": "0.00"}
        line |= {"subtotal": decimal(order["amount"]), "total": decimal(order["amount"])}
        at, updated = iso(order["at"])[:19], iso(order["updated"])[:19]
        refund = {"id": int(order["id"]) + 1, "total": f"-{decimal(order['refunded'])}"}
        if detailed:
            refund = sample("woocommerce/refund.docs-726.json") | {
                "id": int(order["id"]) + 1, "amount": decimal(order["refunded"]),
                "date_created_gmt": updated,
            }  # fmt: skip
        return found | {
            "id": int(order["id"]), "number": order["id"], "date_created_gmt": at,
            "date_paid_gmt": at, "date_completed_gmt": at, "date_modified_gmt": updated,
            "line_items": [line], "refunds": [refund] if order["refunded"] else [],
        }  # fmt: skip

    def webhook(self, order):
        body = json.dumps(self.told(order)).encode()
        return {"X-WC-Webhook-Signature": woocommerce.sign("hush", body)}, body, {}

    def answer(self, method, path, query, headers, body):
        if headers["Authorization"] != f"Basic {base64.b64encode(b'ck_1:cs_1').decode()}":
            return 401, {}, {"code": "woocommerce_rest_cannot_view"}
        if path.startswith("/wp-json/wc/v3/products"):
            return self.answer_products(path, query)
        parts = path.removeprefix("/wp-json/wc/v3/orders").strip("/").split("/")
        if parts[0]:
            order = self.orders.get(parts[0])
            if order is None:
                return 404, {}, {"code": "woocommerce_rest_shop_order_invalid_id"}
            detailed = self.told(order, detailed=True)["refunds"]
            return 200, {}, detailed if parts[1:] == ["refunds"] else self.told(order)
        found = self.changed(
            datetime.fromisoformat(query["modified_after"]),
            datetime.fromisoformat(query["modified_before"]),
        )
        page, size = int(query["page"]), self.page
        told = [self.told(each) for each in found[(page - 1) * size : page * size]]
        count = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // size))}
        self.between_pages()
        return 200, count, told

    def told_product(self, product):
        """One with variations names them only."""
        return sample("woocommerce/product.updated.hookdeck-wc7.4.json") | {
            "id": int(product["id"]), "name": product["title"],
            "permalink": f"https://shop.example.com/product/{product['id']}/",
            "status": "publish" if product["on"] else "draft",
            "price": decimal(product["price"]), "on_sale": bool(product["was"]),
            "regular_price": decimal(product["was"] or product["price"]),
            "date_modified_gmt": iso(product["updated"])[:19],
            "manage_stock": product["stock"] is not None, "stock_quantity": product["stock"],
            "variations": [int(product["id"]) + 10**6] if product.get("sizes") else [],
        }  # fmt: skip

    def told_variation(self, product):
        return sample("woocommerce/product-variation.docs-732.json") | {
            "id": int(product["id"]) + 10**6, "price": decimal(product["price"]),
            "date_modified_gmt": iso(product["updated"])[:19],
        }  # fmt: skip

    def product_webhook(self, product):
        gone = product["id"] not in self.products
        told = {"id": int(product["id"])} if gone else self.told_product(product)
        body = json.dumps(told).encode()
        topic = f"product.{'deleted' if gone else 'updated'}"
        return {
            "X-WC-Webhook-Signature": woocommerce.sign("hush", body), "X-WC-Webhook-Topic": topic,
        }, body, {}  # fmt: skip

    def answer_products(self, path, query):
        parts = path.removeprefix("/wp-json/wc/v3/products").strip("/").split("/")
        if parts[0]:
            product = self.products.get(parts[0])
            if product is None:
                return 404, {}, {"code": "woocommerce_rest_product_invalid_id"}
            whole = self.told_product(product)
            return 200, {}, [self.told_variation(product)] if parts[1:] else whole
        found = self.stocked(query, "modified_after", "modified_before")
        page, size = int(query["page"]), self.page
        told = [self.told_product(each) for each in found[(page - 1) * size : page * size]]
        count = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // size))}
        self.between_pages()
        return 200, count, told


class Tiendanube(StandIn):
    platform = "tiendanube"
    credentials: ClassVar = {"webhook_secret": "hush", "store_id": "271146", "api_token": "t1"}

    def told(self, order):
        found = sample("tiendanube/order.resource.docs-450789469.json")
        product = found["products"][0] | {"price": decimal(order["amount"])}
        at, updated = (iso(order[name]).replace("+00:00", "+0000") for name in ("at", "updated"))
        return found | {
            "id": int(order["id"]), "created_at": at, "paid_at": at, "updated_at": updated,
            "products": [product],
            "payment_status": "partially_refunded" if order["refunded"] else "paid",
        }  # fmt: skip

    def webhook(self, order):
        told = {"store_id": 271146, "event": "order/updated", "id": int(order["id"])}
        body = json.dumps(told).encode()
        return {"x-linkedstore-hmac-sha256": tiendanube.sign("hush", body)}, body, {}

    def busy(self):
        return 429, {"X-Rate-Limit-Reset": "0", "Retry-After": "0"}, {"code": 429}

    def answer(self, method, path, query, headers, body):
        if headers["Authentication"] != "bearer t1" or "Tuike" not in headers["User-Agent"]:
            return 401, {}, {"code": 401}
        if path.startswith("/v1/271146/products"):
            return self.answer_products(path, query)
        parts = path.removeprefix("/v1/271146/orders").strip("/").split("/")
        if parts[0]:
            order = self.orders.get(parts[0])
            if order is None:
                return 404, {}, {"code": 404}
            money = {"value": decimal(order["refunded"]), "currency": "USD"}
            transactions = [{"id": f"t{order['id']}", "refunded_amount": money}]
            return 200, {}, transactions if parts[1:] else self.told(order)
        found = self.changed(
            datetime.fromisoformat(query["updated_at_min"]),
            datetime.fromisoformat(query["updated_at_max"]),
        )
        page, size = int(query["page"]), self.page
        shown = found[(page - 1) * size : page * size]
        if not shown:
            return 404, {}, {"code": 404, "description": "Last page is 0"}
        told = [self.told(each) for each in shown]
        self.between_pages()
        return 200, {"X-Total-Count": str(len(found))}, told

    def told_product(self, product):
        found = sample("tiendanube/product.resource.docs-1234.json")
        updated = iso(product["updated"]).replace("+00:00", "+0000")
        variant = found["variants"][0] | {
            "id": int(product["id"]) + 10**6, "stock": product["stock"], "updated_at": updated,
            "price": decimal(product["was"] or product["price"]),
            "promotional_price": decimal(product["price"]) if product["was"] else None,
        }  # fmt: skip
        return found | {
            "id": int(product["id"]), "name": {"pt": product["title"]}, "updated_at": updated,
            "published": product["on"], "variants": [variant],
        }  # fmt: skip

    def product_webhook(self, product):
        event = "updated" if product["id"] in self.products else "deleted"
        told = sample("tiendanube/webhook.product-created.docs.json") | {
            "store_id": 271146, "event": f"product/{event}", "id": int(product["id"]),
        }  # fmt: skip
        body = json.dumps(told).encode()
        return {"x-linkedstore-hmac-sha256": tiendanube.sign("hush", body)}, body, {}

    def answer_products(self, path, query):
        one = path.removeprefix("/v1/271146/products").strip("/")
        if one:
            found = self.products.get(one)
            return (200, {}, self.told_product(found)) if found else (404, {}, {"code": 404})
        found = self.stocked(query, "updated_at_min", "updated_at_max")
        page, size = int(query["page"]), self.page
        shown = found[(page - 1) * size : page * size]
        if not shown:
            return 404, {}, {"code": 404, "description": "Last page is 0"}
        told = [self.told_product(each) for each in shown]
        self.between_pages()
        return 200, {"X-Total-Count": str(len(found))}, told


class WithTokens(StandIn):
    """Refresh tokens are good for one use; an access token can be forgotten by the server."""

    def renewed(self, refresh):
        if refresh != self.refresh:
            return None
        self.renewals += 1
        self.token, self.refresh = f"access-{self.renewals + 1}", f"refresh-{self.renewals + 1}"
        return self.token, self.refresh


class MercadoLibre(WithTokens):
    platform = "mercadolibre"
    credentials: ClassVar = {
        "store_id": "123456789", "app_id": "89745685555", "app_secret": "hush",
        "refresh_token": "refresh-1",
    }  # fmt: skip

    def told(self, order):
        found = sample("mercadolibre/order.resource.docs-768570754-paid.json")
        item = found["order_items"][0] | {"unit_price": order["amount"] / 100}
        payment = found["payments"][0] | {
            "transaction_amount": order["amount"] / 100, "date_approved": iso(order["at"]),
            "transaction_amount_refunded": order["refunded"] / 100,
        }  # fmt: skip
        return found | {
            "id": int(order["id"]), "date_created": iso(order["at"]),
            "date_closed": iso(order["at"]), "date_last_updated": iso(order["updated"]),
            "order_items": [item], "payments": [payment],
        }  # fmt: skip

    def webhook(self, order):
        told = sample("mercadolibre/notification.orders_v2.example.json")
        told |= {"resource": f"/orders/{order['id']}", "sent": clock.now().isoformat()}
        return {}, json.dumps(told).encode(), {}

    def answer(self, method, path, query, headers, body):
        if path == "/oauth/token":
            given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            new = self.renewed(given["refresh_token"])
            if new is None or given["client_secret"] != "hush":
                return 400, {}, {"error": "invalid_grant"}
            return 200, {}, {"access_token": new[0], "refresh_token": new[1], "expires_in": 21600}
        if headers["Authorization"] != f"Bearer {self.token}":
            return 401, {}, {"message": "invalid access token"}
        if "/items" in path:
            return self.answer_products(path, query)
        if path != "/orders/search":
            order = self.orders.get(path.removeprefix("/orders/"))
            return (200, {}, self.told(order)) if order else (404, {}, {"error": "not_found"})
        found = self.changed(
            datetime.fromisoformat(query["order.date_last_updated.from"]),
            datetime.fromisoformat(query["order.date_last_updated.to"]),
        )
        offset = int(query["offset"])
        told = [self.told(each) for each in found[offset : offset + self.page]]
        self.between_pages()
        return 200, {}, {"results": told, "paging": {"total": len(found), "offset": offset}}

    def product_key(self, number):
        return f"MLB{632910000 + number}"

    def told_product(self, product):
        return sample("mercadolibre/item.resource.after-docs.json") | {
            "id": product["id"], "title": product["title"], "currency_id": "BRL",
            "price": product["price"] / 100, "available_quantity": product["stock"],
            "original_price": product["was"] / 100 if product["was"] else None,
            "permalink": f"https://produto.shop.example.com/{product['id']}",
            "last_updated": iso(product["updated"]), "sold_quantity": 3,
            "status": "active" if product["on"] else "closed",
        }  # fmt: skip

    def product_webhook(self, product):
        told = sample("mercadolibre/notification.items.example.json")
        told |= {"resource": f"/items/{product['id']}", "sent": clock.now().isoformat()}
        return {}, json.dumps(told).encode(), {}

    def answer_products(self, path, query):
        if path.startswith("/users/"):
            assert query["search_type"] == "scan"
            found = self.stocked(query, "since", "until")
            at = int(query.get("scroll_id", 0))
            ids = [each["id"] for each in found[at : at + self.page]]
            self.between_pages()
            told = {"results": ids, "scroll_id": str(at + self.page)}
            return 200, {}, told | {"paging": {"total": len(found)}}
        if "ids" in query:
            asked = [self.products.get(key) for key in query["ids"].split(",")]
            told = [(200, self.told_product(each)) if each else (404, {}) for each in asked]
            return 200, {}, [{"code": code, "body": body} for code, body in told]
        found = self.products.get(path.removeprefix("/items/"))
        return (200, {}, self.told_product(found)) if found else (404, {}, {"error": "not_found"})


class TikTok(WithTokens):
    platform = "tiktok"
    credentials: ClassVar = {
        "store_id": "7494049642642441621", "app_id": "key1", "webhook_secret": "hush",
        "shop_cipher": "c1", "refresh_token": "refresh-1",
    }  # fmt: skip

    def told(self, order):
        """After the reference of API 202309; no whole order was at hand as a sample."""
        return {
            "id": order["id"], "status": "COMPLETED", "user_id": "7",
            "create_time": int(order["at"].timestamp()), "paid_time": int(order["at"].timestamp()),
            "update_time": int(order["updated"].timestamp()), "is_sample_order": False,
            "payment": {"currency": "USD", "total_amount": decimal(order["amount"])},
            "line_items": [{"id": "1", "product_id": "2", "sku_id": "3", "product_name": "Shirt",
                            "original_price": decimal(order["amount"]), "seller_discount": "0"}],
        }  # fmt: skip

    def webhook(self, order):
        told = sample("tiktokshop/type1.order_status_change.docs.json")
        told["data"] |= {"order_id": order["id"], "update_time": int(order["updated"].timestamp())}
        told["tts_notification_id"] = f"{order['id']}{order['refunded']}"
        body = json.dumps(told).encode()
        return {"Authorization": tiktok.sign("key1", "hush", body)}, body, {}

    def busy(self):
        return 200, {}, {"code": 36009036, "message": "too many requests"}

    def answer(self, method, path, query, headers, body):
        if path == "/api/v2/token/refresh":
            new = self.renewed(query["refresh_token"])
            if new is None:
                return 200, {}, {"code": 36004004, "message": "invalid refresh token"}
            until = int((clock.now() + timedelta(days=7)).timestamp())
            data = {
                "access_token": new[0],
                "refresh_token": new[1],
                "access_token_expire_in": until,
            }
            return 200, {}, {"code": 0, "data": data}
        if headers["x-tts-access-token"] != self.token:
            return 200, {}, {"code": 105002, "message": "Expired credentials"}
        assert query.pop("sign")
        assert (query["app_key"], query["shop_cipher"]) == ("key1", "c1")
        if path.startswith("/return_refund/"):
            asked = [self.orders[key] for key in json.loads(body)["order_ids"]]
            told = [self.returned(order) for order in asked if order["refunded"]]
            return 200, {}, {"code": 0, "data": {"return_orders": told}}
        if "ids" in query:
            found = [self.orders[key] for key in [query["ids"]] if key in self.orders]
            return 200, {}, {"code": 0, "data": {"orders": [self.told(each) for each in found]}}
        given = json.loads(body)
        found = self.changed(
            datetime.fromtimestamp(given["update_time_ge"], UTC),
            datetime.fromtimestamp(given["update_time_lt"] - 1, UTC),
        )
        at = int(query.get("page_token", 0))
        shown = found[at : at + self.page]
        told = {"orders": [self.told(each) for each in shown], "total_count": len(found)}
        told["next_page_token"] = str(at + self.page) if at + self.page < len(found) else ""
        self.between_pages()
        return 200, {}, {"code": 0, "data": told}

    def returned(self, order):
        return {
            "return_id": f"r{order['id']}", "order_id": order["id"],
            "return_status": "RETURN_OR_REFUND_REQUEST_COMPLETE",
            "refund_amount": {"currency": "USD", "refund_total": decimal(order["refunded"])},
        }  # fmt: skip


class Shopee(WithTokens):
    platform = "shopee"
    credentials: ClassVar = {
        "store_id": "727720655", "app_id": "11", "app_secret": "partner", "webhook_secret": "push",
        "refresh_token": "refresh-1",
    }  # fmt: skip
    hook_url = ""

    def told(self, order):
        found = sample("shopee/api.v2.order.get_order_detail.sample.repaired.json")
        found = deepcopy(found["response"]["order_list"][0])
        found["item_list"][0] |= {
            "model_original_price": order["amount"], "model_discounted_price": order["amount"],
        }  # fmt: skip
        return found | {
            "order_sn": order["id"], "create_time": int(order["at"].timestamp()),
            "pay_time": int(order["at"].timestamp()),
            "update_time": int(order["updated"].timestamp()),
            "order_status": "CANCELLED" if order["refunded"] else "COMPLETED",
        }  # fmt: skip

    def webhook(self, order):
        told = sample("shopee/push.code3.order_status.json")
        told["data"] |= {"ordersn": order["id"], "update_time": int(order["updated"].timestamp())}
        body = json.dumps(told).encode()
        return {"Authorization": shopee.sign("push", self.hook_url, body)}, body, {}

    def busy(self):
        return 200, {}, {"error": "error_too_many_requests", "message": "slow down"}

    def answer(self, method, path, query, headers, body):
        if path.endswith("/access_token/get"):
            new = self.renewed(json.loads(body)["refresh_token"])
            if new is None:
                return 403, {}, {"error": "error_auth"}
            told = {"access_token": new[0], "refresh_token": new[1], "expire_in": 14400}
            return 200, {}, told | {"error": ""}
        if query["access_token"] != self.token:
            return 403, {}, {"error": "invalid_acceess_token"}
        if path.endswith("get_order_detail"):
            keys = query["order_sn_list"].split(",")
            told = [self.told(self.orders[key]) for key in keys if key in self.orders]
            return 200, {}, {"error": "", "response": {"order_list": told}}
        found = self.changed(
            datetime.fromtimestamp(int(query["time_from"]), UTC),
            datetime.fromtimestamp(int(query["time_to"]), UTC),
        )
        after = query["cursor"]
        rest = [
            each for each in found if f"{int(each['updated'].timestamp())}-{each['id']}" > after
        ]
        shown = rest[: self.page]
        last = f"{int(shown[-1]['updated'].timestamp())}-{shown[-1]['id']}" if shown else ""
        told = {
            "more": len(rest) > self.page, "next_cursor": last,
            "order_list": [{"order_sn": each["id"]} for each in shown],
        }  # fmt: skip
        self.between_pages()
        return 200, {}, {"error": "", "response": told}


class Stripe(StandIn):
    platform = "stripe"
    credentials: ClassVar = {"webhook_secret": "whsec_1", "api_token": "rk_test_1"}

    def __init__(self):
        super().__init__()
        self.disputes: dict[str, dict] = {}

    def key(self, number):
        return f"pi_{number:06}"

    def events(self, since, until):
        """One for the sale and, after a refund, one for the charge; newest first."""
        found = []
        for order in self.orders.values():
            session = self.session(order)
            found.append((order["at"], f"evt_{order['id']}", "checkout.session.completed", session))
            if order["updated"] != order["at"]:
                key = f"evt_{order['id']}_{order['refunded']}"
                found.append((order["updated"], key, "charge.refunded", self.charge(order)))
        told = [
            sample("stripe/charge.refunded.stripe-ruby-mock.json")
            | {"id": key, "type": kind, "created": int(at.timestamp()), "data": {"object": what}}
            for at, key, kind, what in sorted(found, key=lambda each: each[:2], reverse=True)
        ]
        return [each for each in told if since <= each["created"] <= until]

    def session(self, order):
        found = sample("stripe/checkout.session.completed.payment_mode.stripe-ruby-mock.json")
        return found["data"]["object"] | {
            "id": f"cs_{order['id']}", "payment_intent": order["id"], "livemode": True,
            "amount_total": order["amount"], "amount_subtotal": order["amount"],
            "created": int(order["at"].timestamp()), "client_reference_id": order.get("reference"),
            "discounts": [{"promotion_code": {"code": "ANA10"}}],
        }  # fmt: skip

    def charge(self, order):
        found = sample("stripe/charge.refunded.stripe-ruby-mock.json")["data"]["object"]
        found = {name: value for name, value in found.items() if name != "refunds"}
        return found | {
            "id": f"ch_{order['id']}", "payment_intent": order["id"], "amount": order["amount"],
            "amount_refunded": order["refunded"], "created": int(order["at"].timestamp()),
        }  # fmt: skip

    def refunds(self, order):
        found = sample("stripe/charge.refund.updated.stripe-ruby-mock.json")["data"]["object"]
        told = {
            "id": f"re_{order['id']}",
            "amount": order["refunded"],
            "payment_intent": order["id"],
        }
        told["status"] = order.get("refund_status", "succeeded")
        return [found | told] if order["refunded"] else []

    def webhook(self, order):
        (event, *_) = [
            each
            for each in self.events(0, 1 << 40)
            if each["data"]["object"].get("payment_intent") == order["id"]
        ]
        body, now = json.dumps(event).encode(), int(clock.now().timestamp())
        return {"Stripe-Signature": f"t={now},v1={stripe.sign('whsec_1', now, body)}"}, body, {}

    def answer(self, method, path, query, headers, body):
        if headers["Authorization"] != "Bearer rk_test_1":
            return 401, {}, {"error": {"type": "invalid_request_error"}}
        paid_by = self.orders.get(query.get("payment_intent", ""))
        what = path.removeprefix("/v1/").split("/")
        if what[0] == "events":
            found = self.events(int(query["created[gte]"]), int(query["created[lte]"]))
            self.between_pages()
            return 200, {}, self.listed(found, query, self.page)
        if what[:2] == ["checkout", "sessions"] and len(what) == 2:
            by_session = paid_by and not paid_by.get("renewal")
            return 200, {}, self.listed([self.session(paid_by)] if by_session else [], query)
        if what[:2] == ["checkout", "sessions"]:
            session = self.session(self.orders[what[2].removeprefix("cs_")])
            if what[3:] == ["line_items"]:
                return 200, {}, self.listed([self.line(session)], query)
            return 200, {}, session
        if what[0] == "payment_intents":
            order = self.orders[what[1]]
            intent = sample("stripe/payment_intent.succeeded.stripe-ruby-mock.json")["data"][
                "object"
            ]
            return 200, {}, intent | {"id": what[1], "latest_charge": self.charge(order)}
        if what[0] == "invoices":
            return 200, {}, self.invoice(self.orders[what[1].removeprefix("in_")])
        if what[0] == "invoice_payments":
            return 200, {}, self.listed(self.invoice_payments(query), query)
        if what[0] == "refunds":
            return 200, {}, self.listed(self.refunds(paid_by), query)
        if what[0] == "disputes":
            found = self.disputes.get(paid_by["id"])
            return 200, {}, self.listed([found] if found else [], query)
        return 404, {}, {"error": {"type": "invalid_request_error"}}

    def invoice(self, order):
        """Of a subscription, as since 2025: it does not name its payment."""
        line = {
            "id": "il_1", "description": "A month", "quantity": 1, "amount": order["amount"],
            "discount_amounts": [{"amount": 0}], "price": {"id": "price_1", "product": "prod_1"},
        }  # fmt: skip
        return {
            "id": f"in_{order['id']}", "object": "invoice", "number": "A-1", "status": "paid",
            "currency": "usd", "livemode": True, "total": order["amount"], "customer": "cus_1",
            "customer_email": "bia@example.com", "billing_reason": "subscription_cycle",
            "created": int(order["at"].timestamp()), "lines": {"data": [line]},
            "status_transitions": {"paid_at": int(order["at"].timestamp())},
        }  # fmt: skip

    def invoice_payments(self, query):
        asked = query.get("invoice", "").removeprefix("in_")
        key = asked or query["payment[payment_intent]"]
        payment = {"type": "payment_intent", "payment_intent": key}
        known = self.orders.get(key, {}).get("renewal")
        return [{"id": "inpay_1", "invoice": f"in_{key}", "payment": payment}] if known else []

    def event(self, kind, what):
        found = sample("stripe/charge.refunded.stripe-ruby-mock.json")
        told = found | {"id": f"evt_{kind}", "type": kind, "data": {"object": what}}
        body, now = json.dumps(told).encode(), int(clock.now().timestamp())
        return {"Stripe-Signature": f"t={now},v1={stripe.sign('whsec_1', now, body)}"}, body, {}

    def line(self, session):
        return {
            "id": "li_1", "description": "Shirt", "quantity": 1, "amount_discount": 0,
            "amount_tax": 0, "amount_total": session["amount_total"],
            "price": {"id": "price_1", "product": "prod_1"},
        }  # fmt: skip

    def listed(self, found, query, most=100):
        after = query.get("starting_after")
        at = [each["id"] for each in found].index(after) + 1 if after else 0
        return {"data": found[at : at + most], "has_more": at + most < len(found)}


class WeChat(WithTokens):
    platform = "wechat"
    credentials: ClassVar = {
        "app_id": "wx1", "app_secret": "hush", "webhook_secret": "token",
        "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    }  # fmt: skip

    def told(self, order):
        found = sample("wechat/api.order.get.response.skit.json")["order"]
        detail = found["order_detail"]
        detail["product_infos"][0] |= {"sku_cnt": 1, "sale_price": order["amount"]}
        detail["price_info"] |= {
            "order_price": order["amount"],
            "discounted_price": 0,
            "freight": 0,
        }
        detail["pay_info"]["pay_time"] = int(order["at"].timestamp())
        back = [{"aftersale_order_id": f"9{order['id']}", "status": 13}]
        return found | {
            "order_id": order["id"], "create_time": int(order["at"].timestamp()),
            "update_time": int(order["updated"].timestamp()),
            "aftersale_detail": {"aftersale_order_list": back if order["refunded"] else []},
        }  # fmt: skip

    def webhook(self, order):
        told = sample("wechat/event.OrderPay.skit.json")
        told["order_info"]["order_id"] = order["id"]
        told["CreateTime"] = int(order["updated"].timestamp())
        closed = wechat.enciphered(self.credentials["aes_key"], "wx1", json.dumps(told).encode())
        query = {"timestamp": "1", "nonce": "2"}
        query["msg_signature"] = wechat.sign("token", "1", "2", closed)
        return {}, json.dumps({"ToUserName": "gh_1", "Encrypt": closed}).encode(), query

    def busy(self):
        return 200, {}, {"errcode": 45009, "errmsg": "reach max api daily quota limit"}

    def answer(self, method, path, query, headers, body):
        given = json.loads(body or b"{}")
        if path == "/cgi-bin/stable_token":
            self.renewals += 1
            self.token = f"access-{self.renewals + 1}"
            return 200, {}, {"access_token": self.token, "expires_in": 7200}
        if query["access_token"] != self.token:
            return 200, {}, {"errcode": 42001, "errmsg": "access_token expired"}
        if path == "/channels/ec/order/get":
            order = self.orders.get(given["order_id"])
            if order is None:
                return 200, {}, {"errcode": 100002, "errmsg": "no such order"}
            return 200, {}, {"errcode": 0, "errmsg": "ok", "order": self.told(order)}
        order = self.orders[given["after_sale_order_id"][1:]]
        told = {
            "after_sale_order_id": given["after_sale_order_id"],
            "status": "MERCHANT_REFUND_SUCCESS",
            "refund_info": {"amount": order["refunded"]},
            "product_info": {"product_id": "234245", "sku_id": "23424", "count": 1},
        }  # fmt: skip
        return 200, {}, {"errcode": 0, "errmsg": "ok", "after_sale_order": told}


PULLED = (Shopify, WooCommerce, Tiendanube, MercadoLibre, Stripe, TikTok, Shopee)
STOCKED = (Shopify, WooCommerce, Tiendanube, MercadoLibre)  # that tell of their products
FETCHED = (Tiendanube, MercadoLibre, Stripe, TikTok, Shopee, WeChat)
