"""`POST /hooks/<connection>/checkouts`: a shop's web pixel tells which tokens led to a checkout.

Called by browsers of buyers, from pages of any shop, so nothing here trusts what comes: it is
small, it is counted, and only tokens that we signed are kept. What is not understood is thanked for
all the same.
"""

import re
from datetime import timedelta

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from affiliate import ids
from affiliate.catalog import queries
from affiliate.catalog.queries import Door
from affiliate.errors import NotFound
from affiliate.intake import checkouts, reading, service
from affiliate.intake.platforms import PLATFORMS
from affiliate.intake.reading import Unreadable
from affiliate.people import tries

bp = Blueprint("intake", __name__)

LARGEST = 2048  # bytes; five tokens and a checkout are 400
MINUTE = timedelta(minutes=1)
# Carriers have thousands of phones behind one address.
OF_ADDRESS = tries.Limit("checkouts", 300, MINUTE)
OF_SHOP = tries.Limit("checkouts-shop", 6000, MINUTE)
CHECKOUT = re.compile(r"[!-~]{16,200}")
NOTHING = ("", 204)
TOO_MANY = ("", 429, {"Retry-After": "60"})


@bp.post("/hooks/<connection>/checkouts")
def hand_over(connection: str) -> ResponseReturnValue:
    if not tries.allows(OF_ADDRESS, tries.neighbourhood(request.remote_addr)):
        return TOO_MANY
    shop = _shop(connection)
    if shop is None:
        return "", 404
    if not tries.allows(OF_SHOP, f"{shop.merchant_id}/{shop.id}"):
        return TOO_MANY
    request.max_content_length = LARGEST
    checkout, tokens = _told(request.get_data())
    if checkout and tokens:
        service.hand_over(shop, checkout, tokens)
    return NOTHING


def _shop(connection: str) -> Door | None:
    try:
        shop = queries.door(*ids.decode_pair("shp", connection))
    except NotFound:
        return None
    return shop if shop and PLATFORMS[shop.platform].has_checkouts else None


def _told(body: bytes) -> tuple[str, list[str]]:
    """`{"checkout": "…", "tk": "….…"}`, whatever the header says of its kind: browsers send plain
    text without asking first (CORS).
    """
    try:
        told = reading.load(body)
        checkout, text = told.get("checkout").text(), told.get("tk").text()
    except Unreadable:
        return "", []
    return checkout if CHECKOUT.fullmatch(checkout) else "", checkouts.genuine(text)


@bp.errorhandler(HTTPException)
def _refused(error: HTTPException) -> ResponseReturnValue:
    return "", error.code or 400


@bp.after_request
def _from_anywhere(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    response.headers["Access-Control-Max-Age"] = "86400"
    response.headers["Cache-Control"] = "no-store"
    return response
