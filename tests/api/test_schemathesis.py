"""Requests made up from the OpenAPI document: no 5xx, and answers are what the document says.

Half of the requests fit the document, half break it somewhere; ids are often those of real rows,
so that requests get beyond "there is no such thing". The choice is the same in every run.
"""

import re
from collections import defaultdict
from random import Random

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from affiliate.people import queries
from affiliate.people.models import Role
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.people import a_key, a_merchant, a_user
from tests.factories.programs import a_program

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PUBLIC_ID = re.compile(r"[a-z]{3}_[0-9A-Za-z]{8,64}")
# What a pattern does not tell: of such texts most would be refused at the first look.
SENSIBLE = {
    "currency": "BRL",
    "country": "BR",
    "timezone": "America/Sao_Paulo",
    "email": "ana@example.com",
    "phone": "+5511987654321",
    "locale": "pt-BR",
    "url": "https://shop.example.com/p/1",
    "through": "2026-11-01",
}
ORDER = ("post", "get", "put", "patch", "delete")  # make first, destroy last


class World:
    """Whose keys there are, and which rows requests have made so far."""

    def __init__(self) -> None:
        self.dice = Random(20261123)
        self.ids: dict[str, list[str]] = defaultdict(list)
        merchant = a_merchant()
        a_shop(merchant, domain="shop.example.com")
        link = a_link(a_program(merchant))
        operator = a_key(Role.OPERATOR, user=a_user(Role.OPERATOR))
        self.keys = [
            *[operator] * 12,
            a_key(),
            a_key(Role.FINANCE_CHECKER, user=a_user(Role.FINANCE_CHECKER)),
            a_key(Role.PROMOTER, promoter=queries.promoter(link.promoter_id)),
            a_key(Role.MERCHANT_OWNER, merchant=merchant),
        ]
        # A key that revoked itself would end the test.
        self.untouchable = {f"key_{key.split('_')[2]}" for key in self.keys}

    def learn(self, text: str) -> None:
        for public_id in PUBLIC_ID.findall(text):
            known = self.ids[public_id[:3]]
            if public_id not in {*known, *self.untouchable}:
                known.append(public_id)

    def real(self, value: object, name: str = "") -> object:
        """The same with ids of rows that exist and sensible texts, mostly."""
        if isinstance(value, dict):
            return {inner: self.real(each, inner) for inner, each in value.items()}
        if isinstance(value, list):
            return [self.real(each) for each in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # 1.0 is an integer to JSON Schema, and refused by us
        if not isinstance(value, str) or self.dice.random() < 0.1:
            return value
        if PUBLIC_ID.fullmatch(value):
            return self.dice.choice(self.ids.get(value[:3]) or [value])
        if name == "domain":
            return f"shop{self.dice.randrange(10**6)}.example.com"
        return SENSIBLE.get(name, value.replace("\x00", ""))


@pytest.fixture
def world():
    return World()


@pytest.fixture
def schema(app, world):
    def fresh(environ, start_response):
        """Every request in an app context of its own, as under the web server; and with a good
        key, which is put in here because schemathesis likes to leave it out.
        """
        environ["HTTP_AUTHORIZATION"] = f"Bearer {world.dice.choice(world.keys)}"
        with app.app_context():
            return app.wsgi_app(environ, start_response)

    return schemathesis.openapi.from_wsgi("/api/openapi.json", fresh)


def operations(schema):
    found = [operation.ok() for operation in schema.get_all_operations()]
    return sorted(found, key=lambda each: (ORDER.index(each.method.lower()), len(each.path)))


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_api_and_answers_are_as_documented(schema, world, mode):
    statuses: dict[int, int] = defaultdict(int)

    def send(case):
        case.path_parameters = world.real(dict(case.path_parameters))
        case.query = world.real(dict(case.query or {}))
        case.body = world.real(case.body)
        if "If-Match" in case.headers and world.dice.random() < 0.8:
            case.headers["If-Match"] = "*"
        response = case.call()
        world.learn(response.text)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    for operation in operations(schema):  # what there is to begin with
        if operation.method == "get" and "{" not in operation.path:
            world.learn(operation.Case().call().text)
    for operation in operations(schema):
        strategy = operation.as_strategy(generation_mode=mode)
        check = given(case=strategy)(send)
        quick = settings(
            max_examples=8,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(20261123)(quick(check))()

    print(dict(statuses))
    assert statuses[401] == 0
    if mode is schemathesis.GenerationMode.POSITIVE:  # else the test would prove little
        assert statuses[200] > 100
        assert statuses[201] > 20
    else:
        assert statuses[422] > 50
