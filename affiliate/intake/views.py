"""`POST /hooks/<connection>`: where shops knock. Signature, one INSERT, 200."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from affiliate import ids
from affiliate.catalog import queries
from affiliate.catalog import service as catalog
from affiliate.catalog.queries import Door
from affiliate.errors import NotFound
from affiliate.intake import service
from affiliate.intake.platforms import PLATFORMS

bp = Blueprint("intake", __name__)


@bp.post("/hooks/<connection>")
def receive(connection: str) -> ResponseReturnValue:
    shop = _shop(connection)
    if shop is None:
        return {"error": "unknown_connection"}, 404
    body = request.get_data(cache=True)
    if not PLATFORMS[shop.platform].signed(catalog.webhook_secrets(shop), request.headers, body):
        return {"error": "bad_signature"}, 401
    service.keep(shop, request.headers, body)
    return {"ok": True}


@bp.errorhandler(RequestEntityTooLarge)
def too_large(_: RequestEntityTooLarge) -> ResponseReturnValue:
    return {"error": "too_large"}, 413


def _shop(connection: str) -> Door | None:
    """The connection in the URL decides whose secret counts, never a header."""
    try:
        merchant_id, shop_id = ids.decode_pair("shp", connection)
    except NotFound:
        return None
    return queries.door(merchant_id, shop_id)
