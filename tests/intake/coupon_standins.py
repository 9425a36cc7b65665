"""Shops that keep coupons, speaking each platform's API over real HTTP.

They refuse what the platform refuses, lose answers after having done what was asked, ask for
patience, and forget rights.
"""

import base64
import json
import re
from datetime import datetime
from itertools import count
from typing import ClassVar

from affiliate import clock
from tests.intake.standins import StandIn


class CouponShop(StandIn):
    """`coupons` by id. What a subclass keeps of one is in the platform's own words."""

    def __init__(self):
        self.coupons: dict[str, dict] = {}
        self.numbers = count(32_964)
        self.made = 0
        self.sent: list = []  # bodies of changes
        self.may_write = True
        self.loses_answers = 0  # of so many changes to come
        self.patience: list[dict[str, str]] = []  # headers of answers 429 to come
        super().__init__()

    def _handler(self):
        handler = super()._handler()
        handler.do_PUT = handler.do_DELETE = handler._do
        return handler

    def answer(self, method, path, query, headers, body):
        if self.patience:
            return 429, self.patience.pop(), {"code": 429, "errors": "patience"}
        if not self.knows(headers):
            return 401, {}, {"code": 401, "message": "who are you?"}
        told = json.loads(body) if body else {}
        is_change = self.is_change(method, told)
        if is_change:
            self.sent.append(told)
        answer = self.do(method, path, query, told, is_change=is_change)
        if is_change and self.loses_answers and answer[0] < 300:
            self.loses_answers -= 1
            return 502, {}, b"<html>Bad gateway</html>"
        return answer

    def is_change(self, method, _told):
        return method != "GET"

    def knows(self, headers):
        raise NotImplementedError

    def do(self, method, path, query, told, *, is_change):
        raise NotImplementedError

    def new(self, **fields):
        self.made += 1
        key = next(self.numbers)
        self.coupons[str(key)] = {"id": key, **fields}
        return self.coupons[str(key)]

    def with_code(self, code):
        return [each for each in self.coupons.values() if each["code"].lower() == code.lower()]

    # What tests ask and do in the words of every platform.

    def has(self, code):
        """Of each coupon of this code whether it runs."""
        return [self.runs(each) for each in self.with_code(code)]

    def runs(self, coupon):
        raise NotImplementedError

    def has_already(self, code):
        """Somebody made it in the shop by hand."""
        raise NotImplementedError

    def switch_off(self, code):
        """By hand, too."""
        raise NotImplementedError


class ShopifyCoupons(CouponShop):
    platform = "shopify"
    credentials: ClassVar = {"webhook_secret": "hush", "api_token": "shpat_1"}
    INPUT: ClassVar = {
        "title", "code", "context", "customerGets", "usageLimit", "appliesOncePerCustomer",
        "minimumRequirement", "startsAt", "endsAt",
    }  # fmt: skip

    throttled = 0

    def knows(self, headers):
        return headers["X-Shopify-Access-Token"] == "shpat_1"

    def is_change(self, method, told):
        return "mutation" in told.get("query", "")

    def do(self, method, path, query, told, *, is_change):
        assert (method, path) == ("POST", "/admin/api/2026-07/graphql.json")
        if self.throttled:
            self.throttled -= 1
            return 200, {}, _errors("Throttled", "THROTTLED")
        fields = re.findall(r"(\w+): ((?:discount|codeDiscount)\w+)\(", told["query"])
        if not self.may_write and is_change:
            return 200, {}, _errors(f"Access denied for {fields[0][1]} field.", "ACCESS_DENIED")
        data = {alias: getattr(self, name)(**told["variables"]) for alias, name in fields}
        return 200, {}, {"data": data}

    def codeDiscountNodeByCode(self, code):
        return next(map(self._node, self.with_code(code)), None)

    def codeDiscountNode(self, id):  # noqa: A002
        found = self.coupons.get(id.rpartition("/")[2])
        return found and self._node(found)

    def discountCodeBasicCreate(self, coupon):
        assert set(coupon) <= self.INPUT
        assert coupon["context"] == {"all": "ALL"}
        (value,) = coupon["customerGets"]["value"].items()
        assert value[0] in ("percentage", "discountAmount")
        if self.with_code(coupon["code"]):
            words = "Code must be unique. Please try a different code."
            fault = {"field": ["basicCodeDiscount", "code"], "code": "TAKEN", "message": words}
            return {"codeDiscountNode": None, "userErrors": [fault]}
        made = self.new(**coupon)
        return {"codeDiscountNode": {"id": _gid(made)}, "userErrors": []}

    def discountCodeActivate(self, id, **_):  # noqa: A002
        self.coupons[id.rpartition("/")[2]]["endsAt"] = None
        return {"userErrors": []}

    def discountCodeBasicUpdate(self, id, coupon):  # noqa: A002
        self.coupons[id.rpartition("/")[2]].update(coupon)
        return {"userErrors": []}

    def discountCodeDeactivate(self, id):  # noqa: A002
        self.coupons[id.rpartition("/")[2]]["endsAt"] = clock.now().isoformat()
        return {"userErrors": []}

    def discountCodeDelete(self, id):  # noqa: A002
        del self.coupons[id.rpartition("/")[2]]
        return {"userErrors": []}

    def _node(self, coupon):
        return {
            "id": _gid(coupon),
            "codeDiscount": {
                "__typename": "DiscountCodeBasic",
                "title": coupon["title"],
                "status": "ACTIVE" if self.runs(coupon) else "EXPIRED",
                "codes": {"nodes": [{"code": coupon["code"]}]},
            },
        }

    def runs(self, coupon):
        ends = coupon["endsAt"]
        return ends is None or datetime.fromisoformat(ends) > clock.now()

    def has_already(self, code):
        self.new(title="Summer", code=code, startsAt="2026-01-01T00:00:00Z", endsAt=None)

    def switch_off(self, code):
        self.with_code(code)[0]["endsAt"] = "2026-01-01T00:00:00Z"


def _gid(coupon):
    return f"gid://shopify/DiscountCodeNode/{coupon['id']}"


def _errors(words, code):
    return {"errors": [{"message": words, "extensions": {"code": code}}]}


class WooCoupons(CouponShop):
    platform = "woocommerce"
    credentials: ClassVar = {
        "webhook_secret": "hush", "consumer_key": "ck_1", "consumer_secret": "cs_1",
    }  # fmt: skip
    keeps_status = True  # since 10.4; before a status that is sent is ignored

    def knows(self, headers):
        wanted = f"Basic {base64.b64encode(b'ck_1:cs_1').decode()}"
        return headers["Authorization"] == wanted

    def do(self, method, path, query, told, *, is_change):
        key = path.removeprefix("/wp-json/wc/v3/coupons").strip("/")
        if is_change and not self.may_write:
            words = "The API key provided does not have write permissions."
            return 401, {}, {"code": "woocommerce_rest_authentication_error", "message": words}
        if not key and method == "GET":
            published = [each for each in self.with_code(query["code"]) if _is_public(each)]
            return 200, {}, published[-1:]
        if not key:
            if any(map(_is_public, self.with_code(told["code"]))):
                return 400, {}, {
                    "code": "woocommerce_rest_coupon_code_already_exists",
                    "message": "The coupon code already exists", "data": {"status": 400},
                }  # fmt: skip
            return 201, {}, self.new(**told | {"code": told["code"].lower(), "status": "publish"})
        found = self.coupons.get(key)
        if found is None:
            return 404, {}, {"code": "woocommerce_rest_shop_coupon_invalid_id"}
        if method == "DELETE":
            assert query == {"force": "true"}
            return 200, {}, self.coupons.pop(key)
        if method == "PUT":
            kept = {} if self.keeps_status else {"status": found["status"]}
            found.update(told | kept)
        return 200, {}, found

    def runs(self, coupon):
        ends = coupon["date_expires_gmt"]
        is_over = ends is not None and datetime.fromisoformat(f"{ends}+00:00") <= clock.now()
        return _is_public(coupon) and not is_over

    def has_already(self, code):
        self.new(code=code.lower(), status="publish", date_expires_gmt=None, meta_data=[])

    def switch_off(self, code):
        self.with_code(code)[0]["status"] = "draft"


def _is_public(coupon):
    return coupon["status"] == "publish"


class TiendanubeCoupons(CouponShop):
    platform = "tiendanube"
    credentials: ClassVar = {"webhook_secret": "hush", "store_id": "271146", "api_token": "t1"}
    filters = True  # by `code`, as the API has it since 2025

    def knows(self, headers):
        return headers["Authentication"] == "bearer t1" and "Tuike" in headers["User-Agent"]

    def do(self, method, path, query, told, *, is_change):
        key = path.removeprefix("/v1/271146/coupons").strip("/")
        if is_change and not self.may_write:
            return 403, {}, {"code": 403, "message": "Forbidden", "description": "no scope"}
        if not key and method == "GET":
            found = list(self.coupons.values())
            if self.filters:
                found = self.with_code(query["code"])
            page, size = int(query["page"]), int(query["per_page"])
            shown = found[(page - 1) * size : page * size]
            return (200, {}, shown) if shown or page == 1 else (404, {}, {"code": 404})
        if not key:
            if self.with_code(told["code"]) or not told["code"].isalnum():
                return 422, {}, {"code": ["El código ya existe"]}
            # Amounts come back as they are kept: text with two digits, or a number.
            kept = {"valid": True, "used": None, "deleted_at": None}
            return 201, {}, self.new(**told, **kept)
        found = self.coupons.get(key)
        if found is None:
            return 404, {}, {"code": 404, "message": "Not Found"}
        if method == "DELETE":
            del self.coupons[key]
            return 200, {}, {}
        found.update(told)
        return 200, {}, found

    def runs(self, coupon):
        return coupon["valid"]

    def has_already(self, code):
        self.new(
            code=code, type="percentage", value="30.00", valid=True, min_price=None,
            max_uses=None, start_date=None, end_date=None, deleted_at=None,
        )  # fmt: skip

    def switch_off(self, code):
        self.with_code(code)[0]["valid"] = False


COUPON_SHOPS = [ShopifyCoupons, WooCoupons, TiendanubeCoupons]
