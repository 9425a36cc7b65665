"""A file of orders, uploaded again and again: only what it tells anew goes into the inbox."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from affiliate import clock
from affiliate.catalog.models import Platform, Shop
from affiliate.i18n import _
from affiliate.intake import reading, service
from affiliate.intake.platforms import PLATFORMS
from affiliate.intake.reading import Unreadable
from affiliate.intake.sheets import BadFile, Row, rows
from affiliate.orders import service as orders

NEEDED = ("order_id", "status", "created_at")
TIMES = (
    "created_at", "paid_at", "fulfilled_at", "delivered_at", "cancelled_at", "updated_at",
    "refund_at",
)  # fmt: skip
OF_ORDER = (
    "status", "created_at", "paid_at", "fulfilled_at", "delivered_at", "cancelled_at", "updated_at",
    "currency", "number", "test", "renewal", "tax_included", "tk", "landing_url", "coupon",
    "sharer", "group_id", "customer_id", "customer_email", "customer_phone", "order_discount",
    "shipping", "total",
)  # fmt: skip
AS_IT_IS = (
    "status", "currency", "number", "tk", "landing_url", "sharer", "group_id", "shipping", "total",
)  # fmt: skip
OF_LINE = (
    "line_id", "product_id", "variant_id", "sku", "title", "category", "kind", "quantity",
    "unit_price", "discount", "tax",
)  # fmt: skip
OF_REFUND = ("refund_id", "refund_amount", "refund_shipping", "refund_at", "refund_status")
KNOWN = {"order_id", *OF_ORDER, *OF_LINE, *OF_REFUND}
YES, NO = {"true", "yes", "1", "是", "sim", "sí"}, {"false", "no", "0", "否", "não"}
EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 (day 0 of spreadsheets, in no zone)


class Taken(NamedTuple):
    """What became of a file."""

    orders: int
    changed: int  # of those, what went into the inbox


def take(shop: Shop, content: bytes, zone: str) -> Taken:
    """Put the orders of a file into the inbox. What one of them has wrong is put aside when it is
    read, and holds up no other; what is wrong with the file is refused at once.
    """
    if shop.platform != Platform.FILE:
        raise BadFile(_("This shop sends its orders itself."))
    found: dict[str, list[Row]] = {}
    for number, cells in rows(content):
        _check_columns(cells)
        found.setdefault(cells.get("order_id", ""), []).append((number, cells))
    if not found:
        raise BadFile(_("There is no order in this file."))
    version = int(clock.now().timestamp() * 1_000_000)
    bodies = [_body(shop, key, some, version, ZoneInfo(zone)) for key, some in found.items()]
    news = _news(shop, bodies)
    service.keep_read(shop, news, "file")
    return Taken(len(bodies), len(news))


def _check_columns(cells: Mapping[str, str]) -> None:
    unknown = sorted(set(cells) - KNOWN)
    if unknown:
        raise BadFile(_("There is no column %(name)s in this format.", name=unknown[0]))


def _news(shop: Shop, bodies: Sequence[bytes]) -> list[bytes]:
    reports = {}
    for index, body in enumerate(bodies):
        try:
            reports[index] = PLATFORMS[shop.platform].read(reading.load(body))
        except Unreadable:
            continue
    every = [report for some in reports.values() for report in some]
    known = orders.known_already(shop.merchant_id, shop.id, every, of_any_version=True)
    return [
        body
        for index, body in enumerate(bodies)
        if index not in reports
        or not {orders.external_id(each) for each in reports[index]} <= known
    ]


def _body(shop: Shop, key: str, found: Sequence[Row], version: int, zone: ZoneInfo) -> bytes:
    """One order in the standard format, and which row each part of it came from."""
    places: dict[str, int] = {"": found[0][0]}
    told: dict[str, Any] = {"id": key, "currency": shop.currency, "version": version}
    contradiction = _add_order(told, places, found, zone)
    told["lines"], told["refunds"] = [], []
    seen: dict[str, dict[str, Any]] = {}
    for number, cells in found:
        line = {name: cells[name] for name in OF_LINE if name in cells}
        if line:
            _add_line(told, places, seen, number, line)
        if "refund_id" in cells or "refund_amount" in cells:
            places[f"refunds/{len(told['refunds'])}"] = number
            told["refunds"].append(_refund(cells, zone))
    if not told["lines"] and "total" not in told:
        del told["lines"]
    if contradiction:
        told["status"] = contradiction
    return reading.dump({"type": "file.order", "rows": places, "data": told})


def _add_order(
    told: dict[str, Any], places: dict[str, int], found: Sequence[Row], zone: ZoneInfo
) -> str:
    """The order's own fields stand in any of its rows; two that differ are no fact."""
    cells: dict[str, str] = {}
    contradiction = ""
    for number, row in found:
        for name in OF_ORDER:
            if name in row and cells.setdefault(name, row[name]) != row[name]:
                contradiction = f"contradiction in {name}"
                places["status"] = number
            elif name in row:
                places.setdefault(name, number)
    told |= {name: cells[name] for name in AS_IT_IS if name in cells}
    told |= {name: _time(cells[name], zone) for name in TIMES[:5] if name in cells}
    flags = ("test", "renewal", "tax_included")
    told |= {name: _flag(cells[name]) for name in flags if name in cells}
    if "updated_at" in cells:
        told["version"] = _version(_time(cells["updated_at"], zone))
    if "order_discount" in cells:
        told["discount"] = cells["order_discount"]
    if "coupon" in cells:
        told["coupons"] = cells["coupon"].replace(",", " ").split()
    buyer = {name: cells.get(f"customer_{name}") for name in ("id", "email", "phone")}
    told["customer"] = buyer if any(buyer.values()) else None
    return contradiction


def _add_line(
    told: dict[str, Any],
    places: dict[str, int],
    seen: dict[str, dict[str, Any]],
    number: int,
    cells: dict[str, str],
) -> None:
    """A line may be repeated in the rows of its refunds."""
    line: dict[str, Any] = dict(cells)
    line["id"] = line.pop("line_id", None) or cells.get("sku") or cells.get("product_id") or "1"
    quantity = line.get("quantity", "1")
    line["quantity"] = int(quantity) if quantity.isascii() and quantity.isdigit() else quantity
    if seen.get(line["id"]) == line:
        return
    seen[line["id"]] = line
    places[f"lines/{len(told['lines'])}"] = number
    told["lines"].append(line)


def _refund(cells: Mapping[str, str], zone: ZoneInfo) -> dict[str, Any]:
    told: dict[str, Any] = {"id": cells.get("refund_id", "1")}
    for name in ("amount", "shipping", "status"):
        if f"refund_{name}" in cells:
            told[name] = cells[f"refund_{name}"]
    if "refund_at" in cells:
        told["at"] = _time(cells["refund_at"], zone)
    return told


def _time(text: str, zone: ZoneInfo) -> str:
    """With its zone: the file's where it has none. A spreadsheet's day number is a time too."""
    try:
        if text.replace(".", "", 1).isdigit() and len(text.partition(".")[0]) == 5:
            days, _, rest = text.partition(".")
            seconds = round(int(f"0{rest}") * 86400 / 10 ** len(rest)) if rest else 0
            found = EPOCH + timedelta(days=int(days), seconds=seconds)
        else:
            found = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return text
    return (found if found.tzinfo else found.replace(tzinfo=zone)).isoformat()


def _version(text: str) -> int | str:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000_000)
    except ValueError:
        return text


def _flag(text: str) -> bool | str:
    if text.lower() in YES:
        return True
    return False if text.lower() in NO else text


def columns() -> Iterable[str]:
    """As the format knows them, for the page that explains it."""
    return ("order_id", *OF_ORDER, *OF_LINE, *OF_REFUND)
