"""Nobody sees or changes another tenant's data: every route, for every kind of stranger."""

from collections import defaultdict

from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

from affiliate.people.models import Role
from tests.api.made_up import PUBLIC_ID, Dice, House, learn_from_lists, operations_of, schema_of
from tests.factories.people import a_key, a_user

OF_A_MERCHANT = [
    Role.MERCHANT_OWNER,
    Role.MERCHANT_STAFF,
    Role.MERCHANT_ANALYST,
    Role.FINANCE_MAKER,
    Role.FINANCE_CHECKER,
    Role.FINANCE_AUDITOR,
]
# A program that is open to all, and what it sells, is on the market: every promoter sees it.
MARKET_PAGES = {
    "/api/v1/programs/{program_id}",
    "/api/v1/programs/{program_id}/enrolments",  # one's own, so here none
    "/api/v1/products/{product_id}",
}
MARKET_ROWS = {"prg", "mer", "prd", "shp", "var"}


def keys_to(house: House) -> dict[Role, str]:
    """Keys of people, not of services, so that nothing is refused for that reason."""
    keys = {
        role: a_key(role, user=a_user(role, merchant=house.merchant), merchant=house.merchant)
        for role in OF_A_MERCHANT
    }
    promoter = {"promoter": house.promoter}
    keys[Role.PROMOTER] = a_key(Role.PROMOTER, user=a_user(Role.PROMOTER, **promoter), **promoter)
    return keys


def test_no_route_opens_for_a_stranger_and_no_list_shows_them_anything(app):
    """Strangers know every id of the other house, and send well-formed requests with them."""
    theirs = keys_to(House("theirs.example.com"))
    strangers = keys_to(House("ours.example.com"))
    keys = {"now": ""}
    operations = operations_of(schema_of(app, lambda: keys["now"]))

    def seen_by(key: str) -> Dice:
        keys["now"] = key
        seen = Dice()
        learn_from_lists(operations, seen)
        return seen

    secrets = Dice(leave=0)
    for role in (Role.MERCHANT_OWNER, Role.FINANCE_MAKER, Role.PROMOTER):
        secrets.take(seen_by(theirs[role]), but=MARKET_ROWS if role is Role.PROMOTER else set())
    statuses: dict[int, int] = defaultdict(int)

    def send(case):
        secrets.fill(case)
        for role, key in strangers.items():
            keys["now"] = key
            response = case.call()
            statuses[response.status_code] += 1
            if role is Role.PROMOTER and case.method == "GET" and case.path in MARKET_PAGES:
                assert not PUBLIC_ID.search(response.text) or "{program_id}/" not in case.path
                continue
            named = PUBLIC_ID.search(f"{case.path_parameters} {case.body}")
            assert not named or response.status_code not in {200, 201, 202, 204}, (
                f"{role}: {case.method} {case.formatted_path} {case.body}: {response.text[:500]}"
            )

    for role, key in strangers.items():
        for prefix, seen in seen_by(key).ids.items():
            if role is not Role.PROMOTER or prefix not in MARKET_ROWS:
                assert not set(seen) & set(secrets.ids[prefix]), (role, prefix)

    for operation in operations:
        if "{" in operation.path or operation.method != "get":
            strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            quick = settings(
                max_examples=2,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            seed(20261123)(quick(given(case=strategy)(send)))()

    assert {"ord", "com", "stl", "pay", "lnk", "pin", "acc"} <= set(secrets.ids)
    assert statuses[404] > 100
