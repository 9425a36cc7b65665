"""Nobody sees or changes another tenant's data: every route, for every kind of stranger."""

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

from affiliate.people.models import Role
from tests.api.made_up import (
    PUBLIC_ID,
    Dice,
    House,
    learn_from_lists,
    operations,
    schema_of,
)
from tests.factories.people import a_key, a_user

STRANGERS = [
    Role.MERCHANT_OWNER,
    Role.MERCHANT_ANALYST,
    Role.FINANCE_MAKER,
    Role.FINANCE_CHECKER,
    Role.PROMOTER,
]
# Rows of a merchant that tell anything about it; a program open to all is on the market.
ON_THE_MARKET = {"/api/v1/programs/{program_id}", "/api/v1/products/{product_id}"}


def key_of(role: Role, house: House) -> str:
    where = {"promoter": house.promoter} if role is Role.PROMOTER else {"merchant": house.merchant}
    return a_key(role, user=a_user(role, **where), **where)


@pytest.mark.parametrize("role", STRANGERS)
def test_no_route_opens_for_a_stranger(app, role):
    """The stranger knows every id of the other house, and sends well-formed requests with them."""
    ours, theirs = House("ours.example.com"), House("theirs.example.com")
    keys = {"now": a_key()}
    schema = schema_of(app, lambda: keys["now"])
    everything, own = Dice(), Dice()
    learn_from_lists(schema, everything)
    keys["now"] = key_of(role, ours)
    learn_from_lists(schema, own)
    foreign = Dice(leave=0)
    for prefix, known in everything.ids.items():
        foreign.ids[prefix] = [each for each in known if each not in own.ids[prefix]]
    statuses: dict[int, int] = defaultdict(int)

    def send(case):
        foreign.fill(case)
        response = case.call()
        statuses[response.status_code] += 1
        assert response.status_code not in {200, 201, 202, 204}, (
            f"{case.method} {case.formatted_path} {case.body}: {response.text[:500]}"
        )

    for operation in operations(schema):
        on_the_market = role is Role.PROMOTER and operation.path in ON_THE_MARKET
        if "{" not in operation.path or (on_the_market and operation.method == "get"):
            continue
        check = given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))(send)
        quick = settings(
            max_examples=3,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(20261123)(quick(check))()

    assert theirs.merchant.version == 1
    assert statuses[404] > 10


@pytest.mark.parametrize("role", STRANGERS)
def test_no_list_shows_rows_of_another_house(app, client, role):
    ours, theirs = House("ours.example.com"), House("theirs.example.com")
    keys = {"now": a_key(Role.MERCHANT_OWNER, merchant=theirs.merchant)}
    schema = schema_of(app, lambda: keys["now"])
    them, me = Dice(), Dice()
    learn_from_lists(schema, them)
    keys["now"] = key_of(role, ours)

    learn_from_lists(schema, me)

    market = {"prg", "mer", "prd", "shp", "var"} if role is Role.PROMOTER else set()
    for prefix in set(me.ids) - market:
        assert not set(me.ids[prefix]) & set(them.ids[prefix]), prefix
    assert PUBLIC_ID.fullmatch(me.ids["mer"][0])
