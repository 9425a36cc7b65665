"""Every step of a trace has words in every language, and shows nobody what is not theirs."""

import ast
import inspect
from pathlib import Path

import pytest

from affiliate.attribution import trace
from affiliate.i18n import LANGUAGES, read_as

ROOT = Path(inspect.getfile(trace)).parents[1]
WRITERS = [
    *ROOT.glob("attribution/**/*.py"),
    *ROOT.glob("commissions/**/*.py"),
    *ROOT.glob("intake/platforms/*.py"),
]
ARGUMENTS = {
    "touch": "link:abc", "source": "click", "at": "2026-11-22T10:00:00+00:00", "token": "xyz",
    "line": "l1", "over": 5, "total": 5, "computed": 6, "currency": "BRL", "role": "tier_2",
    "rate_ppm": 30_000, "paid": 1, "base": 1, "remaining_base": 1, "amount": 1, "capped": True,
    "by": "coupon", "of": 3, "scope": "product", "kind": "per_unit", "each": 5, "in": "BRL",
    "condition": "coupon", "per": "order", "grade": "Gold", "measure": "sales",
    "period": "month", "value": 5, "mode": "own", "agency": 7, "order": "#7",
}  # fmt: skip


def written_codes():
    """The first element of every (code, {…}) that a rule writes."""
    for path in WRITERS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2:
                code, arguments = node.elts
                is_note = isinstance(code, ast.Constant) and not isinstance(arguments, ast.Constant)
                if is_note and isinstance(code.value, str) and is_told(arguments):
                    yield code.value


def is_told(arguments):
    """What the second element of a note looks like."""
    text = ast.unparse(arguments)
    return isinstance(arguments, ast.Dict) or text.startswith(("_named(", "about"))


def refusals():
    source = (ROOT / "attribution" / "rules.py").read_text()
    checks = source[source.index("checks = (") :]
    tree = ast.parse(checks[: checks.index("return next")].strip())
    return [pair.elts[1].value for pair in tree.body[0].value.elts]


def test_every_code_that_rules_write_has_a_sentence():
    codes = set(written_codes()) | set(refusals())

    assert len(codes) > 15
    assert codes <= set(trace.SENTENCES)


def sentences(tag):
    with read_as(tag):
        return {code: trace.sentence([code, ARGUMENTS], "BRL") for code in trace.SENTENCES}


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_sentence_is_written_in_every_language(app, tag):
    english, words = sentences("en"), sentences(tag)

    assert not any("%(" in each for each in words.values())
    same = [code for code in words if words[code] == english[code]]
    assert tag == "en" or same == []


def test_a_promoter_reads_only_what_is_theirs():
    steps = [
        ["won", {"promoter": 1}],
        ["share", {"promoter": 2}],
        ["inactive_upline", {"promoters": [3]}],
        ["tax_not_reported", {"line": "l1"}],
    ]

    assert trace.for_promoters(steps, {1}) == [steps[0], steps[3]]
