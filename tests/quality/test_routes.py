"""Every route, for everybody: who is let in and who is not stands in one table, routes.txt.

Whoever is outside must not read anything of our house in an answer either, whatever its status.
"""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from affiliate.consoles.session import SHOWN
from tests.quality.world import ON_THE_MARKET, World, build, paths

VISITORS = """
    stranger operator agency owner staff analyst maker checker auditor promoter
    owner' maker' promoter'
""".split()
ROW = re.compile(r"(\w+ +/\S*(?: \S+)*?) +([+>x.| ]+)")
TABLE = Path(__file__).with_name("routes.txt")
# What is sent where an empty form would be refused before anybody asks who sends it. A name of
# something in our house stands for its id.
SENT = {
    "POST /api/v1/agencies": {"name": "Rede Lua"},
    "POST /api/v1/agencies/<agency_id>/members": {"promoter": "promoter_id"},
    "POST /api/v1/agencies/<agency_id>/payout-accounts": {
        "rail": "file", "country": "DE", "currency": "EUR",
        "fields": {"account_holder": "Rede", "iban": "DE89370400440532013000"},
    },
    "POST /api/v1/programs/<program_id>/agency-rates": {
        "agency": "agency_id", "mode": "own", "ppm": 5, "product": "product_id",
    },
    "POST /api/v1/approval-limits": {"user": "user_id", "most": {"amount": 5, "currency": "BRL"}},
    "POST /api/v1/approval-exceptions": {
        "merchant": "merchant_id", "reason": "r", "limits": [{"amount": 5, "currency": "BRL"}],
        "until": "2100-01-01T00:00:00Z",
    },
    "POST /api/v1/delegations": {
        "to": "user_id", "since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z",
    },
    "POST /api/v1/withdrawals": {"merchant": "merchant_id", "currency": "BRL"},
    "POST /api/v1/withdrawals/<withdrawal_id>/refuse": {"reason": "why not"},
    "POST /api/v1/write-offs": {
        "merchant": "merchant_id", "promoter": "promoter_id", "reason": "r",
        "amount": {"amount": 5, "currency": "BRL"},
    },
    "POST /api/v1/claims": {
        "program": "program_id", "promoter": "promoter_id", "shop": "shop_id",
        "order_number": "1", "evidence": "e",
    },
    "POST /api/v1/coupons": {"program": "program_id", "promoter": "promoter_id", "code": "X"},
    "PUT /api/v1/coupons/<coupon_id>/shops/<shop_id>": {"discount": {"percent_ppm": 100_000}},
    "POST /api/v1/coupons/<coupon_id>/shops/<shop_id>": {"what": "check"},
    "POST /api/v1/sharers": {
        "program": "program_id", "promoter": "promoter_id", "shop": "shop_id", "external_id": "x",
    },
    "POST /api/v1/grades": {"merchant": "merchant_id", "name": "Gold", "rank": 9},
    "POST /api/v1/grades/<grade_id>/promoters": {"promoter": "promoter_id"},
    "POST /api/v1/grades/evaluate": {"merchant": "merchant_id"},
    "POST /api/v1/groups": {"merchant": "merchant_id", "name": "Others"},
    "POST /api/v1/programs/<program_id>/rules": {"scope": "program", "rate_ppm": 5},
    "POST /api/v1/keys": {"name": "key", "role": "merchant_owner", "merchant": "merchant_id"},
    "POST /api/v1/content-items": {"promoter": "promoter_id", "kind": "note", "title": "One"},
    "POST /api/v1/links/find": {"text": "code"},
    "POST /api/v1/short-domains": {"address": "go.example.com"},
    "POST /promoter/share/new": {"program": "program_id", "url": "https://ours.example.com/"},
    "POST /api/v1/links": {
        "program": "program_id", "promoter": "promoter_id", "product": "product_id",
    },
    "POST /api/v1/merchants": {
        "name": "Loja", "country": "BR", "currency": "BRL", "timezone": "America/Sao_Paulo",
    },
    "POST /api/v1/pay-ins": {
        "merchant": "merchant_id", "money": {"amount": 5, "currency": "BRL"}, "reference": "r",
    },
    "POST /api/v1/pay-ins/<pay_in_id>/return": {"reason": "why not"},
    "POST /api/v1/payouts/<payout_id>/cancel": {"reason": "why not"},
    "POST /api/v1/payouts/<payout_id>/mark-failed": {"reason": "why not"},
    "POST /api/v1/payouts/<payout_id>/mark-returned": {"reason": "why not"},
    "POST /api/v1/payouts/<payout_id>/state-outcome": {"outcome": "failed", "proof": "a letter"},
    "POST /api/v1/promoters/<promoter_id>/tax-profiles": {"country": "PT", "person": "company"},
    "POST /api/v1/agencies/<agency_id>/tax-profiles": {"country": "PT", "person": "company"},
    "POST /api/v1/tax-profiles/<profile_id>/status": {
        "status": "verified", "merchant": "merchant_id",
    },
    "POST /api/v1/remittances": {
        "merchant": "merchant_id", "month": "2026-01", "reference": "r",
        "money": {"amount": 5, "currency": "BRL"},
    },
    "POST /api/v1/invoices": {
        "merchant": "merchant_id", "promoter": "promoter_id", "number": "9",
        "money": {"amount": 5, "currency": "BRL"},
    },
    "POST /api/v1/invoices/<invoice_id>/refuse": {"reason": "why not"},
    "POST /api/v1/fx-rates/import": {"content": "date,base,quote,rate,source"},
    "POST /finance/tax/remittances": {"merchant": "merchant_id"},
    "POST /api/v1/product-groups": {"merchant": "merchant_id", "name": "Others"},
    "POST /api/v1/products": {
        "shop": "shop_id", "external_id": "9", "title": "Bolsa", "url": "https://ours.example.com/",
    },
    "PUT /api/v1/products/bulk": {"shop": "shop_id", "products": []},
    "POST /api/v1/programs": {
        "merchant": "merchant_id", "name": "Amigas", "default_rate_ppm": 100_000,
    },
    "POST /api/v1/programs/<program_id>/enrolments": {"promoter": "promoter_id"},
    "POST /api/v1/promoters": {"name": "Eva"},
    "POST /api/v1/promoters/<promoter_id>/payout-accounts": {
        "rail": "file", "country": "DE", "currency": "EUR",
        "fields": {"account_holder": "Eva", "iban": "DE89370400440532013000"},
    },
    "POST /api/v1/promoters/<promoter_id>/sponsor": {"sponsor": None},
    "POST /api/v1/settlements": {"through": "2026-11-01", "merchant": "merchant_id"},
    "POST /api/v1/settlements/<settlement_id>/approve": {"hash": "0" * 64, "otp": "000000"},
    "POST /api/v1/settlements/<settlement_id>/results": {"content": "reference,result"},
    "POST /api/v1/shops": {
        "merchant": "merchant_id", "platform": "standard", "domain": "another.example.com",
        "currency": "BRL", "country": "BR",
    },
    "POST /api/v1/shops/<shop_id>/orders": {"content": "b3JkZXJfaWQ="},
    "POST /api/v1/merchants/<merchant_id>/book-closes": {"month": "2020-01"},
    "POST /finance/closes/": {"merchant": "merchant_id", "month": "2020-01"},
    "POST /finance/pay-ins/new": {"merchant": "merchant_id"},
    "POST /finance/settlements/new": {"merchant": "merchant_id"},
    "POST /merchant/reviews/": {"shop": "int:shop_id"},
    "POST /merchant/reviews/delete": {"origin": "Shopee"},
    "POST /merchant/products/new": {"shop": "int:shop_id"},
    "POST /merchant/products/": {"shop": "int:shop_id"},
    "POST /merchant/products/<int:product_id>/rate": {"program": "int:program_id", "rate": "5"},
    "POST /promoter/market/join": {"program": "program_id"},
    "POST /promoter/share/": {"product": "product_id"},
    "POST /promoter/share/<link_id>/words": {"text": "Linda"},
    "POST /merchant/material/words": {"product": "int:product_id", "language": "en"},
    "PUT /api/v1/links/<link_id>/caption": {"language": "en", "text": "Linda"},
    "PUT /api/v1/materials/<material_id>/files/<position>": {"content": "AAAA"},
    "PATCH /api/v1/captions/<caption_id>": {"text": "Linda"},
    "POST /api/v1/captions": {"product": "product_id", "language": "en", "text": "Linda"},
    "POST /api/v1/materials": {"product": "product_id", "text": "Linda"},
}  # fmt: skip
REFUSED_FOR_OTHER_REASONS = {409, 412, 422}
ACT_BY_GET = {"merchant.take_consent"}  # where another site sends people back to


@pytest.mark.parametrize("room", ["pages", "api"])
def test_every_route_lets_in_whom_the_table_says(app, room):
    world = build(app)
    found = {
        f"{method} {rule.rule}": row_of(world, rule, method)
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"})
        if rule.endpoint.partition(".")[0] not in SHOWN  # never live
        and rule.rule.startswith("/api/") == (room == "api")
    }

    wanted = {key: row for key, row in table().items() if key in found or _is_of(key, room)}
    wrong = [
        f"{key}: {name} meets {' '.join(found.get(key, {}).get(name, {'nothing'}))}, not {mark}"
        for key, row in wanted.items()
        for name, mark in row.items()
        if found.get(key, {}).get(name) != {mark}
    ]
    assert [key for key in found if key not in wanted] == [], "who may? Write a row for it."
    assert wrong == []


def table() -> dict[str, dict[str, str]]:
    rows = {}
    for line in TABLE.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        key, marks = ROW.fullmatch(line).groups()
        given = marks.replace("|", " ").split()
        rows[" ".join(key.split())] = dict(zip(VISITORS, given, strict=True))
    return rows


def _is_of(key: str, room: str) -> bool:
    return (" /api/" in key) == (room == "api")


def row_of(world: World, rule, method: str) -> dict[str, set[str]]:
    """What each visitor meets; one mark, unless the words in its address make a difference."""
    given = SENT.get(f"{method} {rule.rule}", {})
    sent = {
        name: world.places.get(value, value) if isinstance(value, str) else value
        for name, value in given.items()
    }
    row: dict[str, set[str]] = defaultdict(set)
    for path in paths(world, rule):
        for visitor in world.visitors:
            answer = world.knock(visitor, method, path, sent)
            mark = mark_of(answer, "POST" if rule.endpoint in ACT_BY_GET else method)
            row[visitor.name].add(mark)
            if visitor.is_outside and (mark != "+" or row["stranger"] != {"+"}):
                said = answer.get_data().decode(errors="replace")
                leaks = {each for each in hidden(world, visitor.name) if each in said}
                known = {path, *map(str, sent.values())}
                leaks = {leak for leak in leaks if not any(leak in each for each in known)}
                assert not leaks, f"{method} {path} tells {visitor.name}: {leaks}"
            answer.close()
    return row


def hidden(world: World, name: str) -> set[str]:
    """What this visitor may never read of our house."""
    if name != "promoter'":
        return world.secrets
    shown = {each for each in world.secrets if each.startswith(ON_THE_MARKET)}
    return world.secrets - shown - {"Unseen House", "ours.example.com"}


def mark_of(answer, method: str) -> str:
    status = answer.status_code
    if status == 401 or (
        status == 303 and answer.headers["Location"].partition("?")[0] == "/sign-in"
    ):
        return ">"
    if status in {403, 404}:
        return "x" if status == 403 else "."
    if status < 400 or (method != "GET" and status in REFUSED_FOR_OTHER_REASONS):
        return "+"
    return str(status)
