"""Requests made up from the OpenAPI document: no 5xx, and answers are what the document says.

Half of the requests fit the document, half break it somewhere; ids are often those of real rows,
so that requests get beyond "there is no such thing". The choice is the same in every run.
"""

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.made_up import (
    Dice,
    House,
    keys_of_all_kinds,
    learn_from_lists,
    operations_of,
    schema_of,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 3, GenerationMode.NEGATIVE: 2}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_api_and_answers_are_as_documented(app, mode):
    keys = keys_of_all_kinds(House("shop.example.com"))
    # A key that revoked itself would end the test.
    dice = Dice(untouchable={f"key_{key.split('_')[2]}" for key in keys})
    operations = operations_of(schema_of(app, lambda: dice.random.choice(keys)))
    statuses: dict[int, int] = defaultdict(int)

    def send(case):
        dice.fill(case)
        response = case.call()
        dice.learn(response.text)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    learn_from_lists(operations, dice)
    for operation in operations:
        check = given(case=operation.as_strategy(generation_mode=mode))(send)
        quick = settings(
            max_examples=EXAMPLES[mode],
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(20261123)(quick(check))()

    assert statuses[401] == 0
    if mode is GenerationMode.POSITIVE:  # else the test would prove little
        assert statuses[200] > 100
        assert statuses[201] > 10
    else:
        assert statuses[422] > 20
