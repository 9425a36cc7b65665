'''The JSON API, version 1: `/api/v1/…`, `/api/openapi.json`, `/api/docs`.

How an endpoint is written: a module of this package named after the resource, with the shapes
that come in and go out, and one function for each call. Every module here is loaded by itself.

    from affiliate.api import paging
    from affiliate.api.endpoint import IfMatch, endpoint
    from affiliate.api.shapes import Body, ListQuery, MerchantId, Page, Resource, ShopId, Text
    from affiliate.people.queries import within
    from affiliate.people.rules import Caller, Right


    class NewShop(Body):                       # unknown fields are refused, "12" is no number
        merchant: MerchantId                   # "mer_…" outside, the key (int) inside
        name: Text


    class ShopChange(Body):
        name: Text = ""                        # optional: `body.given()` has only what was sent


    class ShopShown(Resource):
        id: ShopId                             # a tenant's row: (merchant_id, id) inside
        merchant: MerchantId
        name: str
        version: int                           # becomes the ETag


    class ShopQuery(ListQuery):                # limit and cursor, and what this list filters by
        merchant: MerchantId | None = None


    @endpoint("POST", "/shops", needs=Right.RUN_MERCHANT, status=201)
    def create(caller: Caller, body: NewShop) -> ShopShown:
        """Connect a shop."""
        caller.require(Right.RUN_MERCHANT, body.merchant)     # else 404, or 403 if it is seen
        return show(service.create_shop(body.merchant, body.name))


    @endpoint("GET", "/shops", needs=Right.READ_MERCHANT)
    def all_shops(caller: Caller, query: ShopQuery) -> Page[ShopShown]:
        """Shops, newest first."""
        found = sa.select(Shop).where(within(Shop.merchant_id, caller.scope(Right.READ_MERCHANT)))
        return paging.page(found, query, by=[Shop.id], show=show)


    @endpoint("PATCH", "/shops/{shop_id}", needs=Right.RUN_MERCHANT)
    def change(caller: Caller, shop_id: ShopId, body: ShopChange, if_match: IfMatch) -> ShopShown:
        """Change a shop."""
        caller.require(Right.RUN_MERCHANT, shop_id[0])
        shop = queries.shop(*shop_id, lock=True)              # NotFound if there is none
        if_match.check(shop.version)                          # 412 if it changed meanwhile
        service.change_shop(shop, body.given())               # counts version up
        return show(shop)

A handler takes what it names: `caller`, `body`, `query`, `if_match` (PATCH must), and its path
parameters. It returns a Resource, a Page, None (204, with `status=204`), or a Response of its own
(with `produces="text/csv"`). Refusals are raised: any AffiliateError becomes a problem with its
status and code. `needs` are rights, any of which opens the door (people/rules.py says who holds
them); whether *this* merchant's row may be touched is asked by `caller.require`, and a promoter's
own things by `caller.require_promoter`. Nothing commits: the request does.
'''

from importlib import import_module
from pkgutil import iter_modules

from flask import Blueprint, Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from affiliate.api import auth, openapi, problems
from affiliate.api.endpoint import ENDPOINTS, view

# Another address form would be another resource, so "/merchants/" is none of ours.
PREFIX = "/api"


def init_app(app: Flask) -> None:
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    bp = Blueprint("api", __name__, url_prefix=PREFIX)
    for each in ENDPOINTS:
        bp.add_url_rule(each.rule, each.name, view(each), methods=[each.method])
    bp.add_url_rule("/openapi.json", "openapi", _openapi)
    bp.add_url_rule("/docs", "docs", _docs)
    bp.before_app_request(_unknown_address)
    bp.after_request(auth.note_use)
    problems.register(bp)
    app.register_blueprint(bp)


def _unknown_address() -> Response | None:
    """An address no rule knows belongs to no blueprint, so it is answered here."""
    error = request.routing_exception
    ours = request.path == PREFIX or request.path.startswith(f"{PREFIX}/")
    return problems.by_protocol(error) if ours and isinstance(error, HTTPException) else None


def _openapi() -> Response:
    return jsonify(openapi.document(ENDPOINTS, request.host_url.rstrip("/")))


def _docs() -> str:
    return render_template("api/docs.html", document=openapi.document(ENDPOINTS, ""))
